"""Days and training seeds resampled: the block bootstrap behind every interval.

Contract
- Whole Brussels days are drawn, in blocks of neighbouring days that keep the runs of good and bad ones together
  (circular block bootstrap, Politis and Romano 1992). The length of a block is stated beside every interval.
- All strategies see the same drawn days. Training seeds are a second level, resampled for each strategy.
- A bootstrap of few blocks is too narrow. Its deviations are stretched by the ratio of Kiefer and Vogelsang's (2005)
  critical value for the same share of the sample in a block to the normal one. For a tail, 1 / level days are added to
  the block: of few days fewer still are in the tail. The bootstrap's own bias is taken off.
- The same days give the same draws: the random seed is a setting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats
from arbitrage.errors import Fault, refuse

USUAL_BLOCK_DAYS = 7
_FEWEST_BLOCKS = 5
_NORMAL = 1.96
_STRETCH = (2.9694, 0.4160, -0.5324)
"""Kiefer and Vogelsang (2005), Bartlett kernel, 97.5 %: what is added to 1.96 by the first powers of the share."""
_SLACK = 1e-9


class Statistic(StrEnum):
    """What is estimated of the daily profits."""

    MEAN = "mean"
    VAR = "var"
    CVAR = "cvar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How days are resampled. Raises BadInput naming every setting that makes no sense."""

    block_days: int | None = None
    """Length of a block; None: a week, and less where there are fewer than five weeks of days."""
    resamples: int = 4000
    confidence_fraction: float = 0.95
    random_seed: int = 0

    def __post_init__(self) -> None:
        block, share = self.block_days, self.confidence_fraction
        rules = {
            "block_days": (block is None or block >= 1, f"must be at least 1, not {block}"),
            "resamples": (self.resamples >= 100, f"must be at least 100, not {self.resamples}"),
            "confidence_fraction": (0.0 < share < 1.0, f"must lie between 0 and 1, not {share}"),
        }
        refuse(Fault(name, message) for name, (holds, message) in rules.items() if not holds)

    def block_of(self, days: int) -> int:
        """Length of a block in a sample of that many days."""
        if self.block_days is not None:
            return min(self.block_days, days)
        return max(1, min(USUAL_BLOCK_DAYS, days // _FEWEST_BLOCKS))

    def stretch_of(self, days: int, added_days: float = 0.0) -> float:
        """By how much deviations are stretched, 1 or more, where the block counts as so many days longer."""
        share = min(1.0, (self.block_of(days) + added_days) / days)
        return 1.0 + sum(factor * share**power for power, factor in enumerate(_STRETCH, start=1)) / _NORMAL

    def bounds_of(self, draws: Floats, days: int) -> Floats:
        """Bounds [2, ...] of the interval that draws [..., resamples] give; not a number where there is one day."""
        outside = 1.0 - self.confidence_fraction
        bounds = np.quantile(draws, (outside / 2.0, 1.0 - outside / 2.0), axis=-1)
        return np.asarray(bounds if days > 1 else np.full_like(bounds, np.nan))


USUAL = Resampling()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure in EUR and its interval."""

    value_eur: float
    low_eur: float
    high_eur: float
    """Both bounds are not a number where there is no interval: one day does not say how days differ."""

    @property
    def interval(self) -> list[float] | None:
        """The bounds, ready for JSON; None where there is no interval."""
        bounds = [self.low_eur, self.high_eur]
        return bounds if all(math.isfinite(bound) for bound in bounds) else None


@lru_cache(maxsize=4)
def draw_days(days: int, resampling: Resampling) -> Floats:
    """How often each day is drawn, shape [resamples, days]; each row sums to `days`. Read-only."""
    random = np.random.default_rng(resampling.random_seed)
    block = resampling.block_of(days)
    starts = random.integers(0, days, (resampling.resamples, math.ceil(days / block), 1))
    drawn = ((starts + np.arange(block)) % days).reshape(resampling.resamples, -1)[:, :days]
    places = drawn + days * np.arange(resampling.resamples)[:, None]
    counts = np.bincount(places.ravel(), minlength=resampling.resamples * days)
    table = counts.reshape(resampling.resamples, days).astype(np.float64)
    table.setflags(write=False)
    return table


def draw_seeds(seeds: int, resampling: Resampling, stream: int) -> Floats:
    """Weight of each training seed, shape [resamples, seeds]; each row sums to 1. `stream` distinguishes strategies.

    Weights depart from 1 / seeds by the factor that makes the spread of the drawn means that of a mean of `seeds`.
    """
    if seeds == 1:
        return np.ones((resampling.resamples, 1))
    random = np.random.default_rng([resampling.random_seed, 1 + stream])
    drawn = random.multinomial(seeds, np.full(seeds, 1.0 / seeds), resampling.resamples) / seeds
    return np.asarray(1.0 / seeds + math.sqrt(seeds / (seeds - 1.0)) * (drawn - 1.0 / seeds))


def statistic_of_draws(statistic: Statistic, daily_eur: Floats, counts: Floats, level: float) -> Floats:
    """The statistic of each drawn sample, shape [resamples], of daily profits [days] drawn `counts` [resamples, days].

    VaR and CVaR are those of `arbitrage.risk` at `level`.
    """
    days = len(daily_eur)
    if statistic is Statistic.MEAN:
        return np.asarray(counts @ daily_eur / days)
    order = np.argsort(daily_eur, kind="stable")
    ascending, below = daily_eur[order], np.cumsum(counts[:, order], axis=1)
    tail_days = level * days
    if statistic is Statistic.VAR:
        return np.asarray(ascending[np.argmax(below >= tail_days - _SLACK, axis=1)])
    taken = np.diff(np.minimum(below, tail_days), axis=1, prepend=0.0)
    return np.asarray(taken @ ascending / tail_days)


def corrected_draws(
    observed: float | Floats, drawn: Floats, days: int, resampling: Resampling, tail_level: float | None = None
) -> Floats:
    """Draws [..., resamples] of a statistic whose value is `observed`, without their bias and stretched.

    tail_level: share of days in the tail of which the statistic speaks; None: it speaks of all days.
    """
    middle = drawn.mean(axis=-1, keepdims=True)
    stretch = resampling.stretch_of(days, 0.0 if tail_level is None else 1.0 / tail_level)
    return np.asarray(2.0 * np.asarray(observed)[..., None] - middle + stretch * (drawn - middle))


def seed_rows(daily_eur: npt.ArrayLike) -> Floats:
    """Daily profits [days] or [seeds, days] as [seeds, days]. Raises BadInput where they are empty or no numbers."""
    rows = np.atleast_2d(np.asarray(daily_eur, dtype=np.float64))
    well_formed = rows.ndim == 2 and rows.size > 0
    faults = {
        f"must be [days] or [seeds, days] and not empty, not {list(rows.shape)}": not well_formed,
        "hold what is not a finite number": not np.isfinite(rows).all(),
    }
    refuse(Fault("daily profits", text) for text, wrong in faults.items() if wrong)
    return rows
