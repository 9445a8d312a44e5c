"""DSAC: distributional SAC with a Gaussian return (2001.02811).

| choice | here |
| --- | --- |
| critic | Gaussian: mean and standard deviation, one network |
| actor | squashed Gaussian |
| backup | soft expectation, one sampled action and one sampled return |

The mean is pulled to a sampled target; the standard deviation to the same target kept within `reach` of the mean. The
gradients are those of the Gaussian log-likelihood, divided by the variance plus a floor; rewards should be scaled to
the order of 1, for the floor is absolute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from arbitrage.learners.neural.actors import GaussianActor
from arbitrage.learners.neural.batch import Batch
from arbitrage.learners.neural.learner import LearningProblem, UpdateReport
from arbitrage.learners.neural.losses import gaussian_pull, pseudo_loss
from arbitrage.learners.neural.nets import Layout, Trained, descend, forward, trained
from arbitrage.learners.neural.spec import LearnerSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class DSACConfig:
    """Settings."""

    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    first_temperature: float = 1.0
    polyak_rate: float = 0.005
    reach: float = 10.0
    """Bound around the mean for the target of the standard deviation, in the learner's unit of reward."""
    std_floor: float = 0.1


class DSACState(NamedTuple):
    """What training changes."""

    critic: Trained
    target: Tensor
    """Shape [1, parameters]."""
    actor: Trained
    actor_target: Tensor
    """Shape [1, parameters]; draws the next action."""
    log_temperature: Trained
    """Shape [1, 1]."""


class DSAC(GaussianActor):
    """See the module's head."""

    state: DSACState
    noise_draws = 3

    def __init__(self, problem: LearningProblem, config: DSACConfig, seed: int, **settings: object) -> None:
        self.config = config
        self.critic_layout = Layout((problem.inputs + problem.actions, *config.hidden, 2))
        self.actor_layout = Layout((problem.inputs, *config.hidden, 2 * problem.actions))
        self.entropy_target = -float(problem.actions)
        super().__init__(problem, seed, **settings)  # type: ignore[arg-type]

    def begin(self, generator: torch.Generator) -> DSACState:
        """The state before the first update."""
        critic, actor = self.critic_layout.initial(generator), self.actor_layout.initial(generator)
        temperature = torch.full((1, 1), math.log(self.config.first_temperature))
        return DSACState(trained(critic), critic.clone(), trained(actor), actor.clone(), trained(temperature))

    def returns(self, parts: list[Tensor], observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the return, shape [batch] each."""
        outputs = forward(parts, torch.cat((observations, actions), -1))[0]
        return outputs[:, 0], softplus(outputs[:, 1])

    @property
    def actor(self) -> Trained:
        """The policy's network."""
        return self.state.actor

    def learn(self, batch: Batch, weight: Tensor, noise: Tensor) -> UpdateReport:
        """One update of critic, actor and temperature, in this order."""
        config, state = self.config, self.state
        temperature = state.log_temperature.flat.exp()[0, 0]
        next_action, next_log = self.draw(state.actor_target, batch.next_observation, noise[0])
        mean, std = self.returns(self.critic_layout.unpack(state.target), batch.next_observation, next_action)
        sampled = mean + std * noise[2, :, 0].clamp(-3.0, 3.0)
        target = batch.reward + batch.discount * (sampled - temperature * next_log)

        def loss(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
            own, spread = self.returns(parts, batch.observation, batch.action)
            near = own + (target - own).clamp(-config.reach, config.reach)
            pulls = gaussian_pull(own.detach(), spread.detach(), target, near.detach(), config.std_floor)
            share = weight / len(weight)
            return pseudo_loss(own, pulls[0] * share) + pseudo_loss(spread, pulls[1] * share), own

        gradients, own = torch.func.grad(loss, has_aux=True)(self.critic_layout.unpack(state.critic.flat))
        descend(state.critic, gradients, config.learning_rate)
        state.target.lerp_(state.critic.flat, config.polyak_rate)
        log = self._learn_actor(batch, temperature, noise[1])
        state.actor_target.lerp_(state.actor.flat, config.polyak_rate)
        descend(state.log_temperature, [-(log + self.entropy_target).mean()], config.learning_rate)
        error = (target - own).abs()
        return UpdateReport(error.square().mean(), own.mean(), own.abs().max(), -log.mean(), temperature, error)

    def _learn_actor(self, batch: Batch, temperature: Tensor, noise: Tensor) -> Tensor:
        critic_parts = self.critic_layout.unpack(self.state.critic.flat)

        def value_of(action: Tensor) -> Tensor:
            return self.returns(critic_parts, batch.observation, action)[0]

        return self.improve(batch.observation, value_of, temperature, self.config.learning_rate, noise)


LEARNERS = (LearnerSpec(name="dsac", make=DSAC, config=DSACConfig, discrete=False),)
