"""DQN (Mnih and others, 2015), with double selection (van Hasselt and others, 2016) and a slowly averaged target.

| choice | here |
| --- | --- |
| critic | expected value |
| actor | none: epsilon-greedy |
| backup | hard maximum, chosen by the online critic |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from arbitrage.learners.neural.actors import EpsilonGreedy, EpsilonSchedule
from arbitrage.learners.neural.batch import Batch
from arbitrage.learners.neural.learner import LearningProblem, UpdateReport
from arbitrage.learners.neural.losses import huber
from arbitrage.learners.neural.nets import Layout, Trained, descend, forward, trained
from arbitrage.learners.neural.spec import LearnerSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class DQNConfig:
    """Settings."""

    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    polyak_rate: float = 0.01
    """Share by which the target moves towards the critic at each update."""
    double: bool = True
    longest_gradient: float | None = 10.0
    exploration: EpsilonSchedule = field(default_factory=EpsilonSchedule)


class DQNState(NamedTuple):
    """What training changes."""

    critic: Trained
    target: Tensor
    """Shape [1, parameters]."""


class DQN(EpsilonGreedy):
    """See the module's head."""

    state: DQNState

    def __init__(self, problem: LearningProblem, config: DQNConfig, seed: int, **settings: object) -> None:
        self.config = config
        self.exploration = config.exploration
        self.layout = Layout((problem.inputs, *config.hidden, problem.actions))
        super().__init__(problem, seed, **settings)  # type: ignore[arg-type]

    def begin(self, generator: torch.Generator) -> DQNState:
        """The state before the first update."""
        flat = self.layout.initial(generator)
        return DQNState(trained(flat), flat.clone())

    def values(self, flat: Tensor, observations: Tensor) -> Tensor:
        """Value of each action, shape [batch, actions]."""
        return forward(self.layout.unpack(flat), observations)[0]

    def learn(self, batch: Batch, weight: Tensor, noise: Tensor) -> UpdateReport:  # noqa: ARG002 (nothing is drawn)
        """One update: y = r + discount x target value of the best next action."""
        config, state, actions = self.config, self.state, self.problem.actions
        following = self.values(state.target, batch.next_observation)
        chooser = self.values(state.critic.flat, batch.next_observation) if config.double else following
        best = one_hot(chooser.argmax(-1), actions)
        target = batch.reward + batch.discount * (following * best).sum(-1)
        chosen = one_hot(batch.action, actions)

        def loss(parts: list[Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            value = (forward(parts, batch.observation)[0] * chosen).sum(-1)
            error = target - value
            return (weight * huber(error)).mean(), (error, value)

        compute = torch.func.grad_and_value(loss, has_aux=True)
        gradients, (size, (error, value)) = compute(self.layout.unpack(state.critic.flat))
        descend(state.critic, gradients, config.learning_rate, config.longest_gradient)
        state.target.lerp_(state.critic.flat, config.polyak_rate)
        nothing = torch.zeros_like(size)
        return UpdateReport(size, value.mean(), value.abs().max(), nothing, nothing, error.abs())

    def served(self) -> dict[str, Any]:
        """The critic."""
        return {**super().served(), "critics": self.plain(self.layout, self.state.critic.flat)}

    def worth_of(self, observations: Tensor) -> Tensor:
        """The values, shape [batch, actions]."""
        return self.values(self.state.critic.flat, observations)


LEARNERS = (LearnerSpec(name="dqn", make=DQN, config=DQNConfig),)
