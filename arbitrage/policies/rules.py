"""The floors: doing nothing, and two rules of thumb with two numbers each, tuned on days that are not tested.

Contract: a rule compares one signal with a lower and an upper bound, all three known at the time. Below, it charges at
rated power; above, it discharges. A signal that is not known means idle.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, TypeVar

import numba
import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats
from arbitrage.battery import Battery, BatteryLaw, BatteryState
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, KnownMarket
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import Span, new_day_flags
from arbitrage.policies.fleet_reading import FleetReading, Scale
from arbitrage.policies.protocol import Intent, PlainView, Untrained
from arbitrage.policies.strategy_spec import StrategySpec
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, QUARTER_HOUR_H
from arbitrage.settling import step_and_settle

_WEEK_QUARTER_HOURS = 7 * 96
_LAST = tuple(range(-1, -17, -1))
"""Quarter-hours back in which the last known price is looked for."""
LAST_PRICE = Need(PRICE, stand_in="the newest older price of the last four hours")


@dataclass(frozen=True, slots=True)
class Idle(Untrained):
    """Never moves energy."""

    name: str = "idle"
    needs: ClassVar[tuple[Need, ...]] = ()

    def bind(self, known: KnownMarket, battery: Battery) -> _Signal:
        """A view that always idles."""
        nothing = np.full(len(known.times), np.nan)
        return _Signal(nothing, nothing, nothing, battery.law)


@dataclass(frozen=True, slots=True)
class ThresholdRule(Untrained):
    """Charge when the last known price is low for this week, discharge when it is high.

    The bounds are the mean of the last seven days' known prices plus so many of their standard deviations.
    """

    charge_below_std: float = -0.5
    discharge_above_std: float = 0.5
    tuned_on: str | None = None
    """The days on which the two numbers were chosen; None: never tuned."""
    name: str = "threshold"
    needs: ClassVar[tuple[Need, ...]] = (LAST_PRICE,)

    @property
    def bounds(self) -> tuple[float, float]:
        """The two numbers, lower and upper."""
        return self.charge_below_std, self.discharge_above_std

    def scale(self, known: KnownMarket) -> Scale:
        """The last known price, measured from the mean in standard deviations."""
        _, mean, std = known.trailing_moments(PRICE, _WEEK_QUARTER_HOURS)
        return Scale(last_known_price_eur_mwh(known), mean, std)

    def bind(self, known: KnownMarket, battery: Battery) -> _Signal:
        """Signal: the last known price."""
        return _signal(self.scale(known), self.bounds, battery)

    def read_for_fleet(self, known: KnownMarket) -> FleetReading:
        """The same signal, for batteries with bounds of their own."""
        return FleetReading.of_rule(self.scale(known))

    def candidates(self) -> list[ThresholdRule]:
        """The grid that tuning searches."""
        grid = np.linspace(-2.0, 2.0, 17).tolist()
        pairs = itertools.product(grid, grid)
        return [replace(self, charge_below_std=a, discharge_above_std=b) for a, b in pairs if a <= b]


@dataclass(frozen=True, slots=True)
class SpreadRule(Untrained):
    """Charge when the last known price lies below the hour's day-ahead price by a margin, discharge when above."""

    charge_below_eur_mwh: float = -50.0
    discharge_above_eur_mwh: float = 50.0
    tuned_on: str | None = None
    """The days on which the two margins were chosen; None: never tuned."""
    name: str = "spread"
    needs: ClassVar[tuple[Need, ...]] = (LAST_PRICE, Need(DAY_AHEAD))

    @property
    def bounds(self) -> tuple[float, float]:
        """The two numbers, lower and upper."""
        return self.charge_below_eur_mwh, self.discharge_above_eur_mwh

    def scale(self, known: KnownMarket) -> Scale:
        """The last known price less the day-ahead price of the quarter-hour being decided, in EUR/MWh."""
        signal = last_known_price_eur_mwh(known) - known.gather(DAY_AHEAD, [0])[:, 0]
        return Scale(signal, np.zeros(len(signal)), np.ones(len(signal)))

    def bind(self, known: KnownMarket, battery: Battery) -> _Signal:
        """Signal: last known price less the day-ahead price of the quarter-hour being decided."""
        return _signal(self.scale(known), self.bounds, battery)

    def read_for_fleet(self, known: KnownMarket) -> FleetReading:
        """The same signal, for batteries with bounds of their own."""
        return FleetReading.of_rule(self.scale(known))

    def candidates(self) -> list[SpreadRule]:
        """The grid that tuning searches."""
        grid = [-400.0, -300.0, -200.0, -150.0, -100.0, -75.0, -50.0, -25.0, 0.0]
        grid += [-margin for margin in reversed(grid[:-1])]
        pairs = itertools.product(grid, grid)
        return [replace(self, charge_below_eur_mwh=a, discharge_above_eur_mwh=b) for a, b in pairs if a <= b]


def _signal(scale: Scale, bounds: tuple[float, float], battery: Battery) -> _Signal:
    low, high = (scale.zero + bound * scale.unit for bound in bounds)
    return _Signal(scale.signal, low, high, battery.law)


@dataclass(frozen=True, slots=True)
class _Signal(PlainView):
    """A rule's reading of the market, arrays of shape [T]."""

    signal: Floats
    low: Floats
    high: Floats
    law: BatteryLaw

    def intent(self, at: int, _state: BatteryState, _profit_today_eur: float = 0.0) -> Intent:
        """Compare the signal with its bounds; NaN fails both comparisons and idles."""
        if self.signal[at] < self.low[at]:
            return Intent(-self.law.charge_power_mw, "signal_below_bound")
        if self.signal[at] > self.high[at]:
            return Intent(self.law.discharge_power_mw, "signal_above_bound")
        return Intent(0.0, "signal_between_bounds")


Rule = TypeVar("Rule", ThresholdRule, SpreadRule)


def tune(rule: Rule, market: MarketSeries, battery: Battery, selection: Sequence[Span], description: str) -> Rule:
    """The candidate that earns most on the selected spans; `description` names them in reports.

    Ties go to the first candidate. Uses final prices of the selection, so these days must not be tested on.
    """
    best, best_eur = rule, -np.inf
    markets = [market.known_at(market.quarter_hours[span.first : span.last]) for span in selection]
    for candidate in rule.candidates():
        earned = sum(
            _earn(candidate.bind(known, battery), market, span) for known, span in zip(markets, selection, strict=True)
        )
        if earned > best_eur:
            best, best_eur = candidate, earned
    return replace(best, tuned_on=description)


def _earn(reading: _Signal, market: MarketSeries, span: Span) -> float:
    prices = market.price_eur_mwh[span.first : span.last]
    signal, new_day = reading.signal[:, None], new_day_flags(market, span)
    return float(follow_bounds(reading.law, signal, reading.low, reading.high, prices, new_day))


@numba.njit(cache=True)
def follow_bounds(
    law: BatteryLaw, signal: Floats, low: Floats, high: Floats, prices: Floats, new_day: npt.NDArray[np.bool_]
) -> float:
    """Profit in EUR of a rule through one span from empty.

    signal: shape [n, decisions of a quarter-hour]; low, high, prices and new_day: shape [n].
    """
    soc_mwh, cycles, profit_eur = law.min_soc_mwh, 0.0, 0.0
    step_h = QUARTER_HOUR_H / signal.shape[1]
    for t in range(prices.shape[0]):
        if new_day[t]:
            cycles = 0.0
        if np.isnan(prices[t]):
            continue
        for k in range(signal.shape[1]):
            charge = -law.charge_power_mw if signal[t, k] < low[t] else 0.0
            asked = law.discharge_power_mw if signal[t, k] > high[t] else charge
            soc_mwh, cycles, cash_eur, wear_eur = step_and_settle(law, soc_mwh, cycles, asked, prices[t], step_h)
            profit_eur += cash_eur - wear_eur
    return profit_eur


def last_known_price_eur_mwh(known: KnownMarket) -> Floats:
    """The newest known final price of the last four hours, shape [T]; NaN if none is known."""
    recent = known.gather(PRICE, [MINUTES_PER_QUARTER_HOUR * back for back in _LAST])
    newest = recent[:, 0]
    for column in recent.T[1:]:
        newest = np.where(np.isnan(newest), column, newest)
    return newest


IDLE = StrategySpec(name="idle", description="Does nothing.", make=Idle)
THRESHOLD = StrategySpec(
    name="threshold",
    description="Charges when the last known price is low for the week, discharges when it is high.",
    make=ThresholdRule,
    tune=partial(tune, ThresholdRule()),
)
SPREAD = StrategySpec(
    name="spread",
    description="Charges when the last known price lies below the day-ahead price, discharges when above.",
    make=SpreadRule,
    tune=partial(tune, SpreadRule()),
)
