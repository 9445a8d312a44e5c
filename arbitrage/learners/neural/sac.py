"""SAC for continuous actions in (-1, 1), with automatic temperature (1801.01290, 1812.05905).

| choice | here |
| --- | --- |
| critic | expected value, twins |
| actor | squashed Gaussian |
| backup | soft expectation, one sampled action |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from arbitrage.learners.neural.actors import GaussianActor
from arbitrage.learners.neural.batch import Batch
from arbitrage.learners.neural.learner import LearningProblem, UpdateReport
from arbitrage.learners.neural.nets import Layout, Trained, descend, forward, trained
from arbitrage.learners.neural.spec import LearnerSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SACConfig:
    """Settings."""

    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    first_temperature: float = 1.0
    polyak_rate: float = 0.005
    """Share by which the target moves towards the critic at each update."""


class SACState(NamedTuple):
    """What training changes."""

    critic: Trained
    """Twins."""
    target: Tensor
    """Shape [2, parameters]."""
    actor: Trained
    log_temperature: Trained
    """Shape [1, 1]."""


class SAC(GaussianActor):
    """See the module's head."""

    state: SACState
    noise_draws = 2

    def __init__(self, problem: LearningProblem, config: SACConfig, seed: int, **settings: object) -> None:
        self.config = config
        self.critic_layout = Layout((problem.inputs + problem.actions, *config.hidden, 1), stacked=2)
        self.actor_layout = Layout((problem.inputs, *config.hidden, 2 * problem.actions))
        self.entropy_target = -float(problem.actions)
        super().__init__(problem, seed, **settings)  # type: ignore[arg-type]

    def begin(self, generator: torch.Generator) -> SACState:
        """The state before the first update."""
        critic, actor = self.critic_layout.initial(generator), self.actor_layout.initial(generator)
        temperature = torch.full((1, 1), math.log(self.config.first_temperature))
        return SACState(trained(critic), critic.clone(), trained(actor), trained(temperature))

    def values(self, parts: list[Tensor], observations: Tensor, actions: Tensor) -> Tensor:
        """Values of both twins, shape [2, batch]."""
        return forward(parts, torch.cat((observations, actions), -1))[..., 0]

    @property
    def actor(self) -> Trained:
        """The policy's network."""
        return self.state.actor

    def learn(self, batch: Batch, weight: Tensor, noise: Tensor) -> UpdateReport:
        """One update of critic, actor and temperature, in this order."""
        config, state = self.config, self.state
        temperature = state.log_temperature.flat.exp()[0, 0]
        next_action, next_log = self.draw(state.actor.flat, batch.next_observation, noise[0])
        following = self.values(self.critic_layout.unpack(state.target), batch.next_observation, next_action).amin(0)
        target = batch.reward + batch.discount * (following - temperature * next_log)

        def loss(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
            value = self.values(parts, batch.observation, batch.action)
            return 0.5 * (weight * (target - value).square()).mean(-1).sum(), value

        compute = torch.func.grad_and_value(loss, has_aux=True)
        gradients, (size, value) = compute(self.critic_layout.unpack(state.critic.flat))
        descend(state.critic, gradients, config.learning_rate)
        state.target.lerp_(state.critic.flat, config.polyak_rate)
        log = self._learn_actor(batch, temperature, noise[1])
        descend(state.log_temperature, [-(log + self.entropy_target).mean()], config.learning_rate)
        error = (target - value).abs().mean(0)
        return UpdateReport(size, value.mean(), value.abs().max(), -log.mean(), temperature, error)

    def _learn_actor(self, batch: Batch, temperature: Tensor, noise: Tensor) -> Tensor:
        critic_parts = self.critic_layout.unpack(self.state.critic.flat)

        def value_of(action: Tensor) -> Tensor:
            return self.values(critic_parts, batch.observation, action).amin(0)

        return self.improve(batch.observation, value_of, temperature, self.config.learning_rate, noise)


LEARNERS = (LearnerSpec(name="sac", make=SAC, config=SACConfig, discrete=False),)
