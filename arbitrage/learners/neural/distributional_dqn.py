"""Distributional DQN: categorical (C51, 1707.06887) or by quantiles (QR-DQN, 1710.10044).

| choice | here |
| --- | --- |
| critic | categorical or quantile |
| actor | none: epsilon-greedy on the mean, or on mean + weight x a risk measure of the outcomes |
| backup | hard maximum of the mean, chosen by the online critic |

The next action is chosen by what the agent acts by: a risk-sensitive agent evaluates its own policy. The measure is one
of the return from each state on, step by step, and not of the day's profit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from arbitrage.learners.neural.actors import EpsilonGreedy, EpsilonSchedule
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
class DistributionalDQNConfig:
    """Settings."""

    form: QuantileForm | CategoricalForm = field(default_factory=QuantileForm)
    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    polyak_rate: float = 0.01
    """Share by which the target moves towards the critic at each update."""
    double: bool = True
    longest_gradient: float | None = 10.0
    exploration: EpsilonSchedule = field(default_factory=EpsilonSchedule)
    preference: RiskPreference | None = None
    """A measure that is a weighting of sorted outcomes; None: risk-neutral."""


class DistributionalDQNState(NamedTuple):
    """What training changes."""

    critic: Trained
    target: Tensor
    """Shape [1, parameters]."""


class DistributionalDQN(EpsilonGreedy):
    """See the module's head. Raises BadInput for a risk measure that is no weighting of outcomes."""

    state: DistributionalDQNState

    def __init__(
        self, problem: LearningProblem, config: DistributionalDQNConfig, seed: int, **settings: object
    ) -> None:
        self.config = config
        self.exploration = config.exploration
        self.layout = Layout((problem.inputs, *config.hidden, problem.actions * config.form.outputs))
        self.risk_weights = sorted_weights(config.preference, config.form.outputs, settings.get("device", "cpu"))
        super().__init__(problem, seed, **settings)  # type: ignore[arg-type]

    def begin(self, generator: torch.Generator) -> DistributionalDQNState:
        """The state before the first update."""
        flat = self.layout.initial(generator)
        return DistributionalDQNState(trained(flat), flat.clone())

    def served(self) -> dict[str, Any]:
        """The critic, its form, and the preference that it is read with."""
        own = {"critics": self.plain(self.layout, self.state.critic.flat), **self.config.form.served()}
        preference = {} if self.config.preference is None else {"preference": self.config.preference}
        return {**super().served(), **own, **preference}

    def raw(self, parts: list[Tensor], observations: Tensor) -> Tensor:
        """Raw outputs of each action, shape [batch, actions, N]."""
        outputs = forward(parts, observations)[0]
        return outputs.view(len(observations), self.problem.actions, self.config.form.outputs)

    def worth(self, raw: Tensor) -> Tensor:
        """What the agent chooses by, shape [batch, actions]."""
        form = self.config.form
        return form.mean(raw) if self.risk_weights is None else scores(form.outcomes(raw), self.risk_weights)

    def learn(self, batch: Batch, weight: Tensor, noise: Tensor) -> UpdateReport:  # noqa: ARG002 (nothing is drawn)
        """One update: the distribution of r + discount x Z(next, best action)."""
        config, state, actions = self.config, self.state, self.problem.actions
        form, parts = config.form, self.layout.unpack(state.critic.flat)
        following = self.raw(self.layout.unpack(state.target), batch.next_observation)
        chooser = self.raw(parts, batch.next_observation) if config.double else following
        best = one_hot(self.worth(chooser).argmax(-1), actions)
        atoms, shares = form.atoms(select(following, best))
        positions = batch.reward[:, None] + batch.discount[:, None] * atoms
        chosen = one_hot(batch.action, actions)

        def loss(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
            own = select(self.raw(parts, batch.observation), chosen)
            return form.loss(own[None], positions, None if form.even else shares, weight), own

        gradients, own = torch.func.grad(loss, has_aux=True)(parts)
        descend(state.critic, gradients, config.learning_rate, config.longest_gradient)
        state.target.lerp_(state.critic.flat, config.polyak_rate)
        value = form.mean(own)
        error = ((positions * shares).sum(-1) - value).abs()
        nothing = torch.zeros_like(error[0])
        return UpdateReport(error.square().mean(), value.mean(), value.abs().max(), nothing, nothing, error)

    def worth_of(self, observations: Tensor) -> Tensor:
        """What the agent chooses by, shape [batch, actions]."""
        return self.worth(self.raw(self.layout.unpack(self.state.critic.flat), observations))


LEARNERS = tuple(
    LearnerSpec(name=name, make=DistributionalDQN, config=DistributionalDQNConfig, defaults={"form": form})
    for name, form in (("categorical-dqn", WIDE_SUPPORT), ("quantile-dqn", FINE_QUANTILES))
)
