"""A simulated world that plays itself as a live feed, with faults on demand.

Contract
- Records appear when they would be published: a minute or quarter-hour after its end and the publication delay,
  day-ahead prices at 13:00 and forecasts at 18:00 Brussels time of the day before.
- As a real client does, a poll asks for the last two hours again, and for what was missed.
- A fault changes what is brought, never the world: what settles is what the simulator drew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pandas as pd

from arbitrage.arrays import Numbers
from arbitrage.live.window import Brought
from arbitrage.market.fetch.elia_client import Unreachable
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.series import DAY_AHEAD_PUBLISHED_H, FORECAST_PUBLISHED_H
from arbitrage.market.simulation.simulator import SimulatedMarket
from arbitrage.quarter_hour import (
    MINUTES_PER_HOUR,
    MINUTES_PER_QUARTER_HOUR,
    brussels_day_numbers,
    brussels_midnight,
    epoch_minutes,
)

_OVERLAP_MIN = 2 * MINUTES_PER_HOUR


class FaultKind(StrEnum):
    """What can go wrong with a feed."""

    SILENCE = "silence"
    """Nothing answers."""
    STALE = "stale"
    """Answers come, and hold nothing newer than when the fault began."""
    FROZEN = "frozen"
    """New stamps with the values of when the fault began."""
    JUMP = "jump"
    """Prices of minutes that their own records do not explain."""
    DUPLICATE = "duplicate"
    """Records come twice, the same."""
    CONTRADICTION = "contradiction"
    """Records come twice, not the same."""
    FUTURE = "future"
    """Stamps run ten minutes ahead."""


@dataclass(frozen=True, slots=True)
class FeedFault:
    """A fault of polls in [start, end) epoch minutes."""

    kind: FaultKind
    start: int
    end: int


@dataclass(slots=True)
class SimulatedSource:
    """Plays a simulated market to its pollers."""

    world: SimulatedMarket
    publication_delay_min: int
    with_minutes: bool = True
    faults: Sequence[FeedFault] = ()
    _published: dict[str, Numbers] = field(init=False)
    """Epoch minute of publication of each row, by table."""
    _asked_until: int | None = None

    def __post_init__(self) -> None:
        world, delay = self.world, self.publication_delay_min
        self._published = {
            "prices": _starts(world.prices) + MINUTES_PER_QUARTER_HOUR + delay,
            "minutes": _starts(world.minutes) + 1 + delay,
            "day_ahead": _day_before(world.day_ahead, DAY_AHEAD_PUBLISHED_H),
            "forecasts": _day_before(world.forecasts, FORECAST_PUBLISHED_H),
        }

    def poll(self, now_s: float) -> Brought:
        """What has been published by now, of the last two hours and of what was missed. Raises Unreachable."""
        now = int(now_s // 60)
        fault = next((each.kind for each in self.faults if each.start <= now < each.end), None)
        if fault is FaultKind.SILENCE:
            raise Unreachable("the simulated service does not answer")
        since = None if self._asked_until is None else self._asked_until - _OVERLAP_MIN
        until = self._began(now) if fault is FaultKind.STALE else now
        tables = {name: self._table(name, since, until) for name in self._published}
        if fault is None:
            self._asked_until = now
        if fault is not None and self.with_minutes:
            tables["minutes"] = _broken(fault, tables["minutes"], now - self._began(now))
        return Brought(tables["prices"], tables["minutes"], tables["day_ahead"], tables["forecasts"])

    def _began(self, now: int) -> int:
        return next(each.start for each in self.faults if each.start <= now < each.end)

    def _table(self, name: str, since: int | None, until: int) -> pd.DataFrame | None:
        if name == "minutes" and not self.with_minutes:
            return None
        table: pd.DataFrame = getattr(self.world, name)
        published = self._published[name]
        chosen = published <= until
        if since is not None:
            chosen &= published > since
        return table[chosen]


def _broken(kind: FaultKind, minutes: pd.DataFrame | None, age_min: int) -> pd.DataFrame | None:
    """Minute records as a fault leaves them, so many minutes after it began."""
    if minutes is None or not len(minutes):
        return minutes
    table, count = minutes.copy(), min(len(minutes), age_min + 1)
    if kind is FaultKind.FROZEN:
        values = table.columns.drop("quarter_hour", errors="ignore")
        table.loc[table.index[-count:], values] = table[values].iloc[-count].to_numpy()
    elif kind is FaultKind.JUMP:
        table.loc[table.index[-1:], PRICE] *= -10.0
        table.loc[table.index[-1:], PRICE] += 500.0
    elif kind in (FaultKind.DUPLICATE, FaultKind.CONTRADICTION):
        again = table.iloc[-1:].copy()
        again[PRICE] += 40.0 if kind is FaultKind.CONTRADICTION else 0.0
        table = pd.concat([table, again])
    elif kind is FaultKind.FUTURE:
        table = table.set_index(pd.DatetimeIndex(table.index) + pd.Timedelta(minutes=10))
    return table


def _starts(table: pd.DataFrame) -> Numbers:
    return epoch_minutes(pd.DatetimeIndex(table.index))


def _day_before(table: pd.DataFrame, hour: int) -> Numbers:
    """When rows about a Brussels day are published: at that hour of the day before."""
    days, inverse = np.unique(brussels_day_numbers(_starts(table)), return_inverse=True)
    published = [brussels_midnight(int(day)) - (24 - hour) * MINUTES_PER_HOUR for day in days]
    return np.array(published, dtype=np.int64)[inverse]
