"""Transitions that never happened: any recorded time, any state of the battery, every action.

Contract
- The market does not depend on the battery, so what an action does to a battery and what the market does next are drawn
  apart and put together. What the battery does comes from the battery law, once, for a pool of states; a batch is a
  number of times, for each of them a few states, and for each of these all actions.
- By the minute, an action is held to the end of its quarter-hour: what it is worth stands out up to fifteen times as
  clearly, and values travel from quarter-hour to quarter-hour. All minutes of one are paid the same price, so that
  whether to act in this minute is mostly whether to act in the rest of them. Two things are lost: what waiting for the
  price to show is worth where room or budget do not last the quarter-hour, and that the agent, which still decides
  every minute, may change its mind later in it; so energy and cycles are valued as by one that decides once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from arbitrage.arrays import Floats, Singles
from arbitrage.battery import Battery, step_fleet
from arbitrage.learners.experience.market_path import MINUTE_COLUMN, MarketPath, state_features
from arbitrage.learners.neural.batch import Batch
from arbitrage.learners.neural.learner import Learner, LearningProblem, UpdateReport
from arbitrage.learners.neural.nets import Standard
from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR
from arbitrage.settling import settle_eur

INPUT_CLIP = 4.0
"""Standard deviations beyond which a market feature is taken as just far."""
DISCRETE_SHARES = (-1.0, 0.0, 1.0)
"""Shares of rated power of the discrete actions: charge, idle, discharge."""
_EDGE_FRACTION = 0.15
"""Share of the pool that lies at an end of the state of charge, and likewise of the budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterfactualConfig:
    """Settings."""

    times: int = 128
    """Of a batch."""
    states: int = 2
    """For each time; all actions are tried in each."""
    pool: int = 32_768
    """States that are drawn from."""
    discount: float = 0.9998
    """A minute."""
    reward_scale: float = 0.01
    """Learner's unit per EUR."""
    continuous_actions: int = 3
    """Actions that are tried in each state where they are continuous."""


class CounterfactualSource:
    """Draws batches from a market path for one kind of battery."""

    def __init__(
        self,
        path: MarketPath,
        battery: Battery,
        config: CounterfactualConfig,
        seed: int,
        *,
        discrete: bool = True,
        device: str = "cpu",
    ) -> None:
        self.config = config
        self.problem = LearningProblem(
            inputs=path.inputs, actions=len(DISCRETE_SHARES) if discrete else 1, discrete=discrete
        )
        self.device = torch.device(device)
        self._market = _market_tensors(path, config, self.device)
        moves = _draw_moves(battery, config, np.random.default_rng(seed), path.step_min, discrete)
        self._moves = _Moves(*(part.to(self.device) for part in moves))

    @property
    def batch(self) -> int:
        """Transitions of a batch."""
        return self.config.times * self.config.states * self._moves.energy_mwh.shape[2]

    def standard(self) -> Standard:
        """How the path's own features and the pool's states are standardised.

        What never changes here, as the cycles used where there is no budget, says nothing: no weight learns from it.
        """
        state = self._moves.state
        columns = [self._market.features[self._market.teaching], state]
        mean = torch.cat([part.mean(0) for part in columns])
        std = torch.cat([part.std(0) for part in columns])
        minute = self._market.features.shape[1] + MINUTE_COLUMN
        mean[minute] = self._market.minute.mean()
        std[minute] = self._market.minute.std()
        return Standard(mean, torch.where(std > 1e-6, std, torch.inf), torch.tensor(INPUT_CLIP, device=self.device))

    def update(self, learner: Learner) -> UpdateReport:
        """One update of the learner from a batch that is drawn here."""
        return learner.update(self.draw(learner.generator), torch.arange(self.batch, device=self.device))

    def draw(self, generator: torch.Generator) -> Batch:
        """A batch: times x states x actions."""
        config, market, moves = self.config, self._market, self._moves
        count = config.times * config.states
        time = self._random(len(market.teaching), config.times, generator)
        row = market.teaching[time].repeat_interleave(config.states)
        chosen = self._random(len(moves.state), count, generator)
        left, actions = market.left[row], moves.energy_mwh.shape[2]
        following = row + torch.where(market.discount[row] > 0.0, left, 0)
        after_day = market.forgets[row][:, None, None]
        state = torch.where(after_day, moves.next_rested[left - 1, chosen], moves.next_state[left - 1, chosen])
        cash = settle_eur(market.price[row][:, None], moves.energy_mwh[left - 1, chosen])
        reward = cash - moves.wear_eur[left - 1, chosen]
        before = self._observe(row, moves.state[chosen])
        after = self._observe(following.repeat_interleave(actions), state.reshape(count * actions, state.shape[-1]))
        return Batch(
            observation=before.repeat_interleave(actions, 0),
            action=moves.action[chosen].flatten(0, 1),
            reward=(config.reward_scale * reward).flatten(),
            next_observation=after,
            discount=market.discount[row].repeat_interleave(actions),
            entropy=torch.zeros(count * actions, device=self.device),
        )

    def _random(self, below: int, count: int, generator: torch.Generator) -> Tensor:
        return torch.randint(below, (count,), generator=generator, device=self.device)

    def _observe(self, row: Tensor, state: Tensor) -> Tensor:
        observed = torch.cat((self._market.features[row], state), 1)
        observed[:, self._market.features.shape[1] + MINUTE_COLUMN] = self._market.minute[row]
        return observed


@dataclass(frozen=True, slots=True)
class _MarketTensors:
    """The path, arrays of shape [n, ...]."""

    features: Tensor
    minute: Tensor
    price: Tensor
    left: Tensor
    """Steps from this one to the end of its quarter-hour, itself included; the action is held for so long."""
    discount: Tensor
    """0 where nothing after the quarter-hour counts."""
    forgets: Tensor
    """Whether the cycles used are forgotten after the quarter-hour."""
    teaching: Tensor


def _market_tensors(path: MarketPath, config: CounterfactualConfig, device: torch.device) -> _MarketTensors:
    left, last = path.steps_left, path.last_of_quarter
    going = ~path.ends[last]
    parts = (
        path.features,
        path.minute_fraction,
        np.nan_to_num(path.price_eur_mwh).astype(np.float32),
        left,
        (going * config.discount ** (path.step_min * left)).astype(np.float32),
        np.append(path.starts_day[1:], False)[last],
        path.teaching,
    )
    return _MarketTensors(*(torch.from_numpy(part).to(device) for part in parts))


class _Moves(NamedTuple):
    """States of the battery and what each action does in them when it is held for 1, 2, ... steps."""

    state: Tensor
    """Shape [pool, battery features]."""
    action: Tensor
    """Shape [pool, actions], or [pool, actions, 1] where they are continuous."""
    energy_mwh: Tensor
    """Shape [steps, pool, actions]; grid-side, discharge positive."""
    wear_eur: Tensor
    next_state: Tensor
    """Shape [steps, pool, actions, battery features]."""
    next_rested: Tensor
    """The same with the cycles used forgotten."""


def _draw_moves(
    battery: Battery, config: CounterfactualConfig, rng: np.random.Generator, step_min: int, discrete: bool
) -> _Moves:
    """A pool of states, and every action in each of them under the battery law."""
    law, pool = battery.law, config.pool
    soc_mwh = law.min_soc_mwh + _shares(rng, pool) * (law.max_soc_mwh - law.min_soc_mwh)
    budget = law.max_cycles_per_day if np.isfinite(law.max_cycles_per_day) else 0.0
    cycles_used = _shares(rng, pool) * budget
    if discrete:
        shares = np.tile(DISCRETE_SHARES, (pool, 1))
        action = torch.arange(len(DISCRETE_SHARES)).repeat(pool, 1)
    else:
        shares = rng.uniform(-1.0, 1.0, (pool, config.continuous_actions))
        action = torch.from_numpy(shares.astype(np.float32))[:, :, None]
    durations = step_min * np.arange(1, MINUTES_PER_QUARTER_HOUR // step_min + 1)
    held = [_hold(battery, soc_mwh, cycles_used, shares, int(duration)) for duration in durations]
    stacked = (torch.from_numpy(np.stack(parts)) for parts in zip(*held, strict=True))
    return _Moves(torch.from_numpy(state_features(battery, soc_mwh, cycles_used)), action, *stacked)


def _hold(
    battery: Battery, soc_mwh: Floats, cycles_used: Floats, shares: Floats, duration_min: int
) -> tuple[Singles, ...]:
    """Energy and wear [pool, actions], states after and the same rested [pool, actions, features]."""
    law, tried = battery.law, shares.shape[1]
    power = (shares * np.where(shares > 0.0, law.discharge_power_mw, law.charge_power_mw)).ravel()
    soc_after, cycles_after, wear = np.repeat(soc_mwh, tried), np.repeat(cycles_used, tried), np.zeros(shares.size)
    duration_h = duration_min / MINUTES_PER_HOUR
    step_fleet(law, soc_after, cycles_after, power, duration_h, wear)
    after = (state_features(battery, soc_after, used) for used in (cycles_after, np.zeros(shares.size)))
    money = ((power * duration_h).astype(np.float32), wear.astype(np.float32))
    return (*(part.reshape(shares.shape) for part in money), *(part.reshape(*shares.shape, -1) for part in after))


def _shares(rng: np.random.Generator, count: int) -> Floats:
    """Uniform between 0 and 1, some of them at either end."""
    return np.clip(rng.uniform(-_EDGE_FRACTION, 1.0 + _EDGE_FRACTION, count), 0.0, 1.0)
