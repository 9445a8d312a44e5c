"""SAC for discrete actions (1910.07207) with the repairs of stable discrete SAC (2209.10081).

| choice | here |
| --- | --- |
| critic | expected value, twins |
| actor | categorical |
| backup | soft expectation over the policy, exactly; entropy in it or not |

The repairs, each a setting: mean of the twins instead of the smaller one; Q-clip; a penalty on entropy that departs
from that of the policy which acted. Leaving entropy out of the critic's target alone repairs most of it (2509.09838).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from arbitrage.learners.neural.actors import CategoricalActor
from arbitrage.learners.neural.batch import Batch
from arbitrage.learners.neural.learner import LearningProblem, UpdateReport
from arbitrage.learners.neural.losses import clipped_value_loss, soft_value
from arbitrage.learners.neural.nets import Layout, Trained, descend, forward, trained
from arbitrage.learners.neural.spec import LearnerSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreteSACConfig:
    """Settings."""

    hidden: tuple[int, ...] = (64, 64)
    critic_learning_rate: float = 1e-3
    actor_learning_rate: float = 3e-4
    temperature_learning_rate: float = 1e-3
    first_temperature: float = 0.1
    entropy_target_fraction: float = 0.3
    """Of log(actions), the entropy of a uniform policy."""
    polyak_rate: float = 0.01
    smaller_twin: bool = False
    """Whether the smaller twin counts, or the mean of both."""
    entropy_in_target: bool = False
    clip_reach: float | None = 0.5
    """Q-clip: how far the critic may move from its target in one go, in the learner's unit of reward; None: freely."""
    entropy_penalty: float = 0.0
    """Of the actor; 0.5 in the paper."""
    longest_gradient: float | None = 10.0


class DiscreteSACState(NamedTuple):
    """What training changes."""

    critic: Trained
    """Twins."""
    target: Tensor
    """Shape [2, parameters]."""
    actor: Trained
    log_temperature: Trained
    """Shape [1, 1]."""


class DiscreteSAC(CategoricalActor):
    """See the module's head."""

    state: DiscreteSACState

    def __init__(self, problem: LearningProblem, config: DiscreteSACConfig, seed: int, **settings: object) -> None:
        self.config = config
        self.critic_layout = Layout((problem.inputs, *config.hidden, problem.actions), stacked=2)
        self.actor_layout = Layout((problem.inputs, *config.hidden, problem.actions))
        self.entropy_target = config.entropy_target_fraction * math.log(problem.actions)
        super().__init__(problem, seed, **settings)  # type: ignore[arg-type]

    def begin(self, generator: torch.Generator) -> DiscreteSACState:
        """The state before the first update."""
        critic, actor = self.critic_layout.initial(generator), self.actor_layout.initial(generator)
        temperature = torch.full((1, 1), math.log(self.config.first_temperature))
        return DiscreteSACState(trained(critic), critic.clone(), trained(actor), trained(temperature))

    @property
    def actor(self) -> Trained:
        """The policy's network."""
        return self.state.actor

    def served(self) -> dict[str, Any]:
        """Actor and critics."""
        return {**super().served(), "critics": self.plain(self.critic_layout, self.state.critic.flat)}

    def twins(self, values: Tensor) -> Tensor:
        """One value of the two, from [2, ...]."""
        return values.amin(0) if self.config.smaller_twin else values.mean(0)

    def learn(self, batch: Batch, weight: Tensor, noise: Tensor) -> UpdateReport:  # noqa: ARG002 (nothing is drawn)
        """One update of critic, actor and temperature, in this order."""
        temperature = self.state.log_temperature.flat.exp()[0, 0]
        size, error, value = self._learn_critic(batch, weight, temperature)
        entropies = self._learn_actor(batch, temperature)
        surplus = (entropies - self.entropy_target).mean()
        descend(self.state.log_temperature, [surplus], self.config.temperature_learning_rate)
        return UpdateReport(size, value.mean(), value.abs().max(), entropies.mean(), temperature, error)

    def _learn_critic(self, batch: Batch, weight: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        config, state = self.config, self.state
        target_parts = self.critic_layout.unpack(state.target)
        next_log = self.current_log(batch.next_observation)
        following = self.twins(forward(target_parts, batch.next_observation))
        price = temperature if config.entropy_in_target else 0.0
        target = batch.reward + batch.discount * soft_value(following, next_log, price)
        chosen = one_hot(batch.action, self.problem.actions)
        anchor = (forward(target_parts, batch.observation) * chosen).sum(-1)

        def loss(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
            value = (forward(parts, batch.observation) * chosen).sum(-1)
            if config.clip_reach is None:
                errors = (value - target).square()
            else:
                errors = clipped_value_loss(value, anchor, target, config.clip_reach)
            return 0.5 * (weight * errors).mean(-1).sum(), value

        compute = torch.func.grad_and_value(loss, has_aux=True)
        gradients, (size, value) = compute(self.critic_layout.unpack(state.critic.flat))
        descend(state.critic, gradients, config.critic_learning_rate, config.longest_gradient)
        state.target.lerp_(state.critic.flat, config.polyak_rate)
        return size, (target - value).abs().mean(0), value

    def _learn_actor(self, batch: Batch, temperature: Tensor) -> Tensor:
        config, state = self.config, self.state
        worth = self.twins(forward(self.critic_layout.unpack(state.critic.flat), batch.observation))

        def penalty(entropies: Tensor) -> Tensor:
            return 0.5 * config.entropy_penalty * (batch.entropy - entropies).square()

        return self.improve(batch.observation, worth, temperature, config.actor_learning_rate, penalty)


LEARNERS = (LearnerSpec(name="discrete-sac", make=DiscreteSAC, config=DiscreteSACConfig),)
