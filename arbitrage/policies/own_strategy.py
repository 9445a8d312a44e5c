"""A user's own strategy: one method that says what power it would like, given what is known now.

Contract
- `now` holds plain values that had been published by then, and no way to the market: the future cannot be read from it.
- A strategy reads the series that its `needs` name. What is not known is NaN, which no comparison holds for.
- It remembers nothing: each decision is made by a fresh copy, so that a backtest and live decisions agree.
- What it asks for is not what happens: the battery law has the last word, as for every policy.

A whole one, for `--strategy my_module:Cheap`:

    class Cheap(Strategy):
        needs = (Need(PRICE), Need(DAY_AHEAD))

        def power_mw(self, now: Now) -> float:
            if now.last_price_eur_mwh < now.day_ahead_price_eur_mwh - 30.0:
                return -now.battery.power_mw
            return now.battery.power_mw if now.soc_fraction > 0.9 else 0.0
"""

from __future__ import annotations

import copy
import datetime as dt
import math
import traceback
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from arbitrage.arrays import Floats
from arbitrage.battery import Battery, BatteryState
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.coverage import DAY_AHEAD_SERIES, Need
from arbitrage.market.point_in_time import DAY_AHEAD, INDICATIVE, PRICE, KnownMarket
from arbitrage.market.series import MINUTE_COLUMNS
from arbitrage.policies.compatibility import missing_sources
from arbitrage.policies.protocol import CannotDecide, Intent, PlainView, Untrained
from arbitrage.policies.rules import LAST_PRICE
from arbitrage.quarter_hour import BRUSSELS, MINUTES_PER_QUARTER_HOUR

MOST_RECORDS = 672
"""Records that `history` and `ahead` reach: a week of quarter-hours."""
_RECENT_QUARTER_HOURS = 16
"""Within which the last known price is looked for, as the rules do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What is known when an interval begins, and the state of the battery. NaN stands for what is not known."""

    time_utc: dt.datetime
    """Beginning of the interval that is decided."""
    soc_fraction: float
    """State of charge over nominal capacity."""
    cycles_left: float
    """Of the day's cycle budget, in equivalent full cycles; infinite where there is none."""
    profit_today_eur: float
    """Since Brussels midnight, as far as its prices are published."""
    battery: Battery
    past: Mapping[str, Floats] = field(repr=False)
    """By series of `needs`: the last `MOST_RECORDS` records before the running one, oldest first."""
    coming: Mapping[str, Floats] = field(repr=False)
    """By day-ahead series of `needs`: the running record and those after it, as far as they are published."""

    @property
    def time_brussels(self) -> dt.datetime:
        """The same time on a clock in Brussels."""
        return self.time_utc.astimezone(BRUSSELS)

    @property
    def last_price_eur_mwh(self) -> float:
        """The newest imbalance price that is published, at most four hours old."""
        return _newest(self.history(_RECENT_QUARTER_HOURS, PRICE))

    @property
    def day_ahead_price_eur_mwh(self) -> float:
        """Of the running quarter-hour."""
        return float(self.ahead(1, DAY_AHEAD)[0])

    @property
    def indicative_price_eur_mwh(self) -> float:
        """The newest minute's price of the running quarter-hour, or else of the one before."""
        minutes = MINUTES_PER_QUARTER_HOUR + self.time_utc.minute % MINUTES_PER_QUARTER_HOUR
        return _newest(self.history(minutes, INDICATIVE))

    def history(self, count: int, series: str = PRICE) -> Floats:
        """The last `count` records of a series before the running one, oldest first, shape [count].

        Records are quarter-hours, or minutes of a series by the minute. Raises BadInput for a series that `needs` does
        not name, and for a count outside 1 to `MOST_RECORDS`.
        """
        return _taken(self.past, series, count)[-count:].copy()

    def ahead(self, count: int, series: str = DAY_AHEAD) -> Floats:
        """The running quarter-hour's record of a day-ahead series and the next ones, shape [count].

        Raises BadInput as `history`, and for a series that is not published ahead.
        """
        return _taken(self.coming, series, count)[:count].copy()


class Strategy(Untrained, ABC):
    """Base class of a user's own strategy, made without arguments.

    `name` is how reports call it (default: the class's), `step_min` how often it decides (1, 3, 5 or 15), and `needs`
    the series that it reads.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[Need, ...]] = (LAST_PRICE,)

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        if "name" not in vars(cls):
            cls.name = cls.__name__

    @abstractmethod
    def power_mw(self, now: Now) -> float:
        """What it would like to do with the interval that begins now, in MW, discharge positive."""

    def bind(self, known: KnownMarket, battery: Battery) -> StrategyView:
        """Wait for a battery's state. Raises BadInput where the market lacks a series of `needs`."""
        refuse(missing_sources(self.sources, known))
        return StrategyView(self, known.only(self.sources), battery)


@dataclass(frozen=True, slots=True)
class StrategyView(PlainView):
    """An own strategy's reading of the market; each decision is given its own time's values only."""

    strategy: Strategy
    known: KnownMarket
    battery: Battery

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        """The power that the strategy asks for. Raises CannotDecide where it fails, or answers with no number."""
        now = self._now(at, state, profit_today_eur)
        try:
            power_mw: object = copy.copy(self.strategy).power_mw(now)
        except Exception as error:
            raise CannotDecide([self._fault(now, _in_words(error))]) from error
        if isinstance(power_mw, bool) or not isinstance(power_mw, Real) or not math.isfinite(power_mw):
            raise CannotDecide([self._fault(now, f"returned {power_mw!r}, which is no finite number of MW")])
        return Intent(float(power_mw), "own_strategy")

    def _now(self, at: int, state: BatteryState, profit_today_eur: float) -> Now:
        time, law = int(self.known.times[at]), self.battery.law
        then = self.known.as_of([time], [int(self.known.about[at])])
        series = self.strategy.sources
        return Now(
            time_utc=dt.datetime.fromtimestamp(time * 60, dt.UTC),
            soc_fraction=state.soc_mwh / self.battery.capacity_mwh,
            cycles_left=max(0.0, law.max_cycles_per_day - state.cycles_used),
            profit_today_eur=profit_today_eur,
            battery=self.battery,
            past={name: then.gather(name, _PAST * _record_min(name))[0] for name in series},
            coming={name: then.gather(name, _COMING)[0] for name in series if name in DAY_AHEAD_SERIES},
        )

    def _fault(self, now: Now, message: str) -> Fault:
        return Fault(self.strategy.name, f"power_mw at {now.time_utc:%Y-%m-%d %H:%M} UTC {message}")


_PAST = np.arange(-MOST_RECORDS, 0)
_COMING = MINUTES_PER_QUARTER_HOUR * np.arange(MOST_RECORDS)


def _record_min(series: str) -> int:
    return 1 if series in MINUTE_COLUMNS else MINUTES_PER_QUARTER_HOUR


def _newest(records: Floats) -> float:
    known = records[~np.isnan(records)]
    return float(known[-1]) if len(known) else math.nan


def _taken(records: Mapping[str, Floats], series: str, count: int) -> Floats:
    faults = []
    if series not in records:
        faults.append(Fault("series", f"{series} is not a series of `needs` that can be read so; name it there"))
    if not 1 <= count <= MOST_RECORDS:
        faults.append(Fault("count", f"must be 1 to {MOST_RECORDS}, not {count}"))
    if faults:
        raise BadInput(faults)
    return records[series]


def _in_words(error: Exception) -> str:
    """What was raised, and where."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"raised {type(error).__name__} ({error}) at {frame.filename}:{frame.lineno}"
