"""Distributional SAC for discrete actions: the reference's "DSAC" (categorical), or by quantiles after 2004.14547.

| choice | here |
| --- | --- |
| critic | categorical or quantile, twins |
| actor | categorical; seeks the mean, or mean + weight x a risk measure of the outcomes |
| backup | soft expectation: the mixture of the next actions' distributions under the policy, exactly |

Twins: quantiles are taken elementwise, the smaller or the mean of both; of categorical twins, the one with the smaller
mean counts for each action, or both half and half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from arbitrage.learners.neural.actors import CategoricalActor
from arbitrage.learners.neural.batch import Batch
from arbitrage.learners.neural.critics import (
    FINE_QUANTILES,
    WIDE_SUPPORT,
    CategoricalForm,
    QuantileForm,
    scores,
    select,
)
from arbitrage.learners.neural.learner import LearningProblem, UpdateReport
from arbitrage.learners.neural.nets import Layout, Trained, descend, forward, trained
from arbitrage.learners.neural.risk_weights import sorted_weights
from arbitrage.learners.neural.spec import LearnerSpec
from arbitrage.risk import RiskPreference


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionalDiscreteSACConfig:
    """Settings."""

    form: QuantileForm | CategoricalForm = field(default_factory=QuantileForm)
    hidden: tuple[int, ...] = (64, 64)
    critic_learning_rate: float = 1e-3
    actor_learning_rate: float = 3e-4
    temperature_learning_rate: float = 1e-3
    first_temperature: float = 0.1
    entropy_target_fraction: float = 0.3
    """Of log(actions), the entropy of a uniform policy."""
    polyak_rate: float = 0.01
    smaller_twin: bool = False
    """Whether the smaller twin counts, or both alike."""
    entropy_in_target: bool = False
    entropy_penalty: float = 0.0
    longest_gradient: float | None = 10.0
    preference: RiskPreference | None = None
    """A measure that is a weighting of sorted outcomes; None: risk-neutral."""


class DistributionalDiscreteSACState(NamedTuple):
    """What training changes."""

    critic: Trained
    """Twins."""
    target: Tensor
    """Shape [2, parameters]."""
    actor: Trained
    log_temperature: Trained
    """Shape [1, 1]."""


class DistributionalDiscreteSAC(CategoricalActor):
    """See the module's head. Raises BadInput for a risk measure that is no weighting of outcomes."""

    state: DistributionalDiscreteSACState

    def __init__(
        self, problem: LearningProblem, config: DistributionalDiscreteSACConfig, seed: int, **settings: object
    ) -> None:
        self.config = config
        self.critic_layout = Layout((problem.inputs, *config.hidden, problem.actions * config.form.outputs), stacked=2)
        self.actor_layout = Layout((problem.inputs, *config.hidden, problem.actions))
        self.entropy_target = config.entropy_target_fraction * math.log(problem.actions)
        self.risk_weights = sorted_weights(config.preference, config.form.outputs, settings.get("device", "cpu"))
        super().__init__(problem, seed, **settings)  # type: ignore[arg-type]

    def begin(self, generator: torch.Generator) -> DistributionalDiscreteSACState:
        """The state before the first update."""
        critic, actor = self.critic_layout.initial(generator), self.actor_layout.initial(generator)
        temperature = torch.full((1, 1), math.log(self.config.first_temperature))
        return DistributionalDiscreteSACState(trained(critic), critic.clone(), trained(actor), trained(temperature))

    def raw(self, parts: list[Tensor], observations: Tensor) -> Tensor:
        """Raw outputs of each action and twin, shape [2, batch, actions, N]."""
        outputs = forward(parts, observations)
        return outputs.view(2, len(observations), self.problem.actions, self.config.form.outputs)

    def served(self) -> dict[str, Any]:
        """Actor, critics and their form."""
        critics = self.plain(self.critic_layout, self.state.critic.flat)
        return {**super().served(), "critics": critics, **self.config.form.served()}

    @property
    def actor(self) -> Trained:
        """The policy's network."""
        return self.state.actor

    def learn(self, batch: Batch, weight: Tensor, noise: Tensor) -> UpdateReport:  # noqa: ARG002 (nothing is drawn)
        """One update of critic, actor and temperature, in this order."""
        temperature = self.state.log_temperature.flat.exp()[0, 0]
        error, value = self._learn_critic(batch, weight, temperature)
        entropies = self._learn_actor(batch, temperature)
        surplus = (entropies - self.entropy_target).mean()
        descend(self.state.log_temperature, [surplus], self.config.temperature_learning_rate)
        size = error.square().mean()
        return UpdateReport(size, value.mean(), value.abs().max(), entropies.mean(), temperature, error)

    def _next_atoms(self, batch: Batch, temperature: Tensor) -> tuple[Tensor, Tensor]:
        """Atoms of the value after the transition: positions and shares, each [batch, M]."""
        config, state = self.config, self.state
        raw = self.raw(self.critic_layout.unpack(state.target), batch.next_observation)
        log = self.current_log(batch.next_observation)
        positions, shares = config.form.of_twins(raw, smaller=config.smaller_twin)
        if config.entropy_in_target:
            positions = positions - temperature * log[..., None]
        mixed = log.exp()[..., None] * shares
        return positions.reshape(len(log), -1), mixed.reshape(len(log), -1)

    def _learn_critic(self, batch: Batch, weight: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
        config, state = self.config, self.state
        atoms, shares = self._next_atoms(batch, temperature)
        positions = batch.reward[:, None] + batch.discount[:, None] * atoms
        chosen = one_hot(batch.action, self.problem.actions)
        both = torch.cat((chosen, chosen))

        def loss(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
            raw = self.raw(parts, batch.observation)
            own = select(raw.flatten(0, 1), both).view(2, len(chosen), config.form.outputs)
            return config.form.loss(own, positions, shares, weight), own

        gradients, own = torch.func.grad(loss, has_aux=True)(self.critic_layout.unpack(state.critic.flat))
        descend(state.critic, gradients, config.critic_learning_rate, config.longest_gradient)
        state.target.lerp_(state.critic.flat, config.polyak_rate)
        value = config.form.mean(own).mean(0)
        return ((positions * shares).sum(-1) - value).abs(), value

    def _worth(self, raw: Tensor) -> Tensor:
        """What the actor seeks, shape [batch, actions], from raw outputs of the twins."""
        form = self.config.form
        each = form.mean(raw) if self.risk_weights is None else scores(form.outcomes(raw), self.risk_weights)
        return each.amin(0) if self.config.smaller_twin else each.mean(0)

    def _learn_actor(self, batch: Batch, temperature: Tensor) -> Tensor:
        config, state = self.config, self.state
        worth = self._worth(self.raw(self.critic_layout.unpack(state.critic.flat), batch.observation))

        def penalty(entropies: Tensor) -> Tensor:
            return 0.5 * config.entropy_penalty * (batch.entropy - entropies).square()

        return self.improve(batch.observation, worth, temperature, config.actor_learning_rate, penalty)


LEARNERS = tuple(
    LearnerSpec(
        name=name, make=DistributionalDiscreteSAC, config=DistributionalDiscreteSACConfig, defaults={"form": form}
    )
    for name, form in (("categorical-discrete-sac", WIDE_SUPPORT), ("quantile-discrete-sac", FINE_QUANTILES))
)
