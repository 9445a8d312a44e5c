"""DSAC-T: distributional SAC with three refinements (2310.05858).

| choice | here |
| --- | --- |
| critic | Gaussian: mean and standard deviation, twins |
| actor | squashed Gaussian |
| backup | soft expectation: the mean sees the mean of the next return, only the spread sees a sample |

1. The mean's target is r + discount x (next mean - temperature x log pi); a sampled return reaches only the spread.
2. Of the twins, the one with the smaller next mean supplies both.
3. Bounds and weights follow the critic's own spread: b is a running mean of the standard deviation, the spread's target
   is kept within 3 b of the mean, and the pulls are multiplied by clip(b^2 / (std^2 + floor), 0.1, 10).

The last is the paper's form (b^2 + floor) x pull with its own divisor, bounded. No Huber loss is put on the spread: its
half would bias the spread low by the square root of two.
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
from arbitrage.learners.neural.losses import pseudo_loss
from arbitrage.learners.neural.nets import Layout, Trained, descend, forward, trained
from arbitrage.learners.neural.spec import LearnerSpec

_BOUND_STDS = 3.0
_LEAST_WEIGHT, _MOST_WEIGHT = 0.1, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DSACTConfig:
    """Settings."""

    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    first_temperature: float = 1.0
    polyak_rate: float = 0.005
    spread_rate: float = 0.005
    """Share by which the running mean of the standard deviation moves at each update."""
    std_floor: float = 0.1


class DSACTState(NamedTuple):
    """What training changes."""

    critic: Trained
    """Twins."""
    target: Tensor
    """Shape [2, parameters]."""
    actor: Trained
    actor_target: Tensor
    """Shape [1, parameters]; draws the next action."""
    log_temperature: Trained
    """Shape [1, 1]."""
    spread: Tensor
    """Shape [2]; running mean of each twin's standard deviation; 0 before the first update."""


class DSACT(GaussianActor):
    """See the module's head."""

    state: DSACTState
    noise_draws = 3

    def __init__(self, problem: LearningProblem, config: DSACTConfig, seed: int, **settings: object) -> None:
        self.config = config
        self.critic_layout = Layout((problem.inputs + problem.actions, *config.hidden, 2), stacked=2)
        self.actor_layout = Layout((problem.inputs, *config.hidden, 2 * problem.actions))
        self.entropy_target = -float(problem.actions)
        super().__init__(problem, seed, **settings)  # type: ignore[arg-type]

    def begin(self, generator: torch.Generator) -> DSACTState:
        """The state before the first update."""
        critic, actor = self.critic_layout.initial(generator), self.actor_layout.initial(generator)
        temperature = trained(torch.full((1, 1), math.log(self.config.first_temperature)))
        return DSACTState(trained(critic), critic.clone(), trained(actor), actor.clone(), temperature, torch.zeros(2))

    def returns(self, parts: list[Tensor], observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the return by each twin, shape [2, batch] each."""
        outputs = forward(parts, torch.cat((observations, actions), -1))
        return outputs[..., 0], softplus(outputs[..., 1])

    @property
    def actor(self) -> Trained:
        """The policy's network."""
        return self.state.actor

    def _targets(self, batch: Batch, temperature: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """What the mean and the spread are pulled to, shape [batch] each."""
        state = self.state
        action, log = self.draw(state.actor_target, batch.next_observation, noise[0])
        means, stds = self.returns(self.critic_layout.unpack(state.target), batch.next_observation, action)
        first = means[0] <= means[1]
        mean, std = torch.where(first, means[0], means[1]), torch.where(first, stds[0], stds[1])
        sampled = mean + std * noise[2, :, 0].clamp(-_BOUND_STDS, _BOUND_STDS)
        price = temperature * log
        return batch.reward + batch.discount * (mean - price), batch.reward + batch.discount * (sampled - price)

    def learn(self, batch: Batch, weight: Tensor, noise: Tensor) -> UpdateReport:
        """One update of critic, actor and temperature, in this order."""
        config, state = self.config, self.state
        temperature = state.log_temperature.flat.exp()[0, 0]
        mean_target, sampled_target = self._targets(batch, temperature, noise)

        def loss(parts: list[Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            means, stds = self.returns(parts, batch.observation, batch.action)
            pulls = refined_pulls(
                means.detach(), stds.detach(), mean_target, sampled_target, self._spread(stds), config.std_floor
            )
            share = weight / weight.shape[0]
            return pseudo_loss(means, pulls[0] * share) + pseudo_loss(stds, pulls[1] * share), (means, stds)

        gradients, (means, stds) = torch.func.grad(loss, has_aux=True)(self.critic_layout.unpack(state.critic.flat))
        state.spread.copy_(self._spread(stds))
        descend(state.critic, gradients, config.learning_rate)
        state.target.lerp_(state.critic.flat, config.polyak_rate)
        log = self._learn_actor(batch, temperature, noise[1])
        state.actor_target.lerp_(state.actor.flat, config.polyak_rate)
        descend(state.log_temperature, [-(log + self.entropy_target).mean()], config.learning_rate)
        error = (mean_target - means).abs().mean(0)
        return UpdateReport(error.square().mean(), means.mean(), means.abs().max(), -log.mean(), temperature, error)

    def _spread(self, stds: Tensor) -> Tensor:
        """The running mean of the standard deviation after this batch, shape [2]."""
        now, rate = stds.detach().mean(-1), self.config.spread_rate
        return torch.where(self.state.spread > 0.0, torch.lerp(self.state.spread, now, rate), now)

    def _learn_actor(self, batch: Batch, temperature: Tensor, noise: Tensor) -> Tensor:
        critic_parts = self.critic_layout.unpack(self.state.critic.flat)

        def value_of(action: Tensor) -> Tensor:
            return self.returns(critic_parts, batch.observation, action)[0].amin(0)

        return self.improve(batch.observation, value_of, temperature, self.config.learning_rate, noise)


def refined_pulls(
    means: Tensor, stds: Tensor, mean_target: Tensor, sampled_target: Tensor, spread: Tensor, floor: float
) -> tuple[Tensor, Tensor]:
    """Gradients on mean and standard deviation of each twin, shape [2, batch] each.

    means, stds: [2, batch]; mean_target, sampled_target: [batch]; spread: [2], the running mean of each twin's std.
    """
    bound = _BOUND_STDS * spread[:, None]
    near = means + torch.minimum(torch.maximum(sampled_target - means, -bound), bound)
    weight = (spread[:, None].square() / (stds.square() + floor)).clamp(_LEAST_WEIGHT, _MOST_WEIGHT)
    return weight * (means - mean_target), -weight * ((means - near).square() - stds.square()) / (stds + floor)


LEARNERS = (LearnerSpec(name="dsac-t", make=DSACT, config=DSACTConfig, discrete=False),)
