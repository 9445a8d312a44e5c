"""The forms in which an agent acts: greedy with some chance, a categorical policy, a squashed Gaussian.

Contract: a form acts, and improves itself against what a critic says; it knows no critic. Exploring means to draw.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from arbitrage.learners.neural.learner import Learner
from arbitrage.learners.neural.losses import entropy, soft_value, squashed_gaussian
from arbitrage.learners.neural.nets import Layout, Trained, descend, forward


@dataclass(frozen=True, slots=True, kw_only=True)
class EpsilonSchedule:
    """Share of random actions, falling in a straight line."""

    first: float = 1.0
    last: float = 0.05
    over_fraction: float = 0.2
    """Share of the training in which it falls."""

    def at(self, progress: float) -> float:
        """The share when that share of the training, 0 to 1, is over."""
        passed = min(progress / self.over_fraction, 1.0) if self.over_fraction > 0.0 else 1.0
        return self.first + (self.last - self.first) * passed


class EpsilonGreedy(Learner):
    """No actor: the action of the largest worth, or a random one."""

    exploration: EpsilonSchedule

    def served(self) -> dict[str, Any]:
        """Discrete actions; subclasses add their critics."""
        return {"continuous": False}

    @abstractmethod
    def worth_of(self, observations: Tensor) -> Tensor:
        """What each action is worth, shape [batch, actions]; observations are standardised."""

    @torch.no_grad()
    def act(self, observations: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """Epsilon-greedy; the entropy is 0, since there is no stochastic policy."""
        greedy = self.act_greedily(observations)
        drawn = torch.rand(len(greedy), generator=self.generator, device=self.device)
        random = torch.randint(self.problem.actions, greedy.shape, generator=self.generator, device=self.device)
        chosen = torch.where(drawn < self.exploration.at(progress), random, greedy)
        return chosen, torch.zeros(len(greedy), device=self.device)

    @torch.no_grad()
    def act_greedily(self, observations: Tensor) -> Tensor:
        """The action of the largest worth."""
        return self.worth_of(self.standard(observations)).argmax(-1)


class CategoricalActor(Learner):
    """Probabilities of discrete actions."""

    actor_layout: Layout

    @property
    @abstractmethod
    def actor(self) -> Trained:
        """The policy's network; its outputs are logits."""

    def served(self) -> dict[str, Any]:
        """The actor."""
        return {"continuous": False, "actor": self.plain(self.actor_layout, self.actor.flat)[0]}

    def policy_log(self, parts: list[Tensor], observations: Tensor) -> Tensor:
        """Log-probabilities, shape [batch, actions]."""
        return torch.log_softmax(forward(parts, observations)[0], -1)

    def current_log(self, observations: Tensor) -> Tensor:
        """Log-probabilities of the policy as it stands, shape [batch, actions]."""
        return self.policy_log(self.actor_layout.unpack(self.actor.flat), observations)

    def improve(
        self, observations: Tensor, worth: Tensor, temperature: Tensor, rate: float, penalty: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """One step up worth + temperature x entropy - penalty; returns the entropies [batch].

        worth: [batch, actions]; penalty: of the entropies [batch], shape [batch].
        """

        def loss(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
            log = self.policy_log(parts, observations)
            entropies = entropy(log)
            return (penalty(entropies) - soft_value(worth, log, temperature)).mean(), entropies

        entropies: Tensor
        gradients, entropies = torch.func.grad(loss, has_aux=True)(self.actor_layout.unpack(self.actor.flat))
        descend(self.actor, gradients, rate, _LONGEST_GRADIENT)
        return entropies

    @torch.no_grad()
    def act(self, observations: Tensor, progress: float) -> tuple[Tensor, Tensor]:  # noqa: ARG002 (draws throughout)
        """Drawn from the policy."""
        log = self.current_log(self.standard(observations))
        # A policy that is no number any more draws evenly, so that who watches the training can say why it stops.
        shares = log.exp().nan_to_num(nan=1.0)
        return torch.multinomial(shares, 1, generator=self.generator)[:, 0], entropy(log)

    @torch.no_grad()
    def act_greedily(self, observations: Tensor) -> Tensor:
        """The most likely action."""
        return self.current_log(self.standard(observations)).argmax(-1)


class GaussianActor(Learner):
    """Continuous actions in (-1, 1): a Gaussian through tanh."""

    actor_layout: Layout

    @property
    @abstractmethod
    def actor(self) -> Trained:
        """The policy's network; its outputs are means and log standard deviations."""

    def served(self) -> dict[str, Any]:
        """The actor."""
        return {"continuous": True, "actor": self.plain(self.actor_layout, self.actor.flat)[0]}

    def draw(self, flat: Tensor, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Actions [batch, actions] and their log-probabilities [batch] by the weights `flat`."""
        return squashed_gaussian(forward(self.actor_layout.unpack(flat), observations)[0], noise)

    def improve(
        self,
        observations: Tensor,
        value_of: Callable[[Tensor], Tensor],
        temperature: Tensor,
        rate: float,
        noise: Tensor,
    ) -> Tensor:
        """One step up value - temperature x log-probability; returns the latter [batch].

        value_of: value [batch] of actions [batch, actions]; noise: [batch, actions].
        """

        def loss(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
            action, log = squashed_gaussian(forward(parts, observations)[0], noise)
            return (temperature * log - value_of(action)).mean(), log

        log: Tensor
        gradients, log = torch.func.grad(loss, has_aux=True)(self.actor_layout.unpack(self.actor.flat))
        descend(self.actor, gradients, rate)
        return log

    @torch.no_grad()
    def act(self, observations: Tensor, progress: float) -> tuple[Tensor, Tensor]:  # noqa: ARG002 (draws throughout)
        """Drawn from the policy."""
        shape = (len(observations), self.problem.actions)
        noise = torch.randn(shape, generator=self.generator, device=self.device)
        action, log = self.draw(self.actor.flat, self.standard(observations), noise)
        return action, -log

    @torch.no_grad()
    def act_greedily(self, observations: Tensor) -> Tensor:
        """The policy's centre."""
        parts = self.actor_layout.unpack(self.actor.flat)
        return torch.tanh(forward(parts, self.standard(observations))[0, :, : self.problem.actions])


_LONGEST_GRADIENT = 10.0
"""A categorical actor's gradient is cut to this norm."""
