"""The floor for deciding by the minute: a rule of thumb with two numbers, tuned on days that are not tested.

Contract: the signal is the newest indicative price, of the running quarter-hour or else of the one before, less the
day-ahead price of the running one. Below one margin the rule charges at rated power, above the other it discharges, and
what it does not know makes it idle.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats
from arbitrage.battery import Battery, BatteryState
from arbitrage.features.minutes import last_record_of
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import DAY_AHEAD, INDICATIVE, KnownMarket
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import Span, new_day_flags
from arbitrage.policies.protocol import Intent, PlainView, Untrained
from arbitrage.policies.rules import follow_bounds
from arbitrage.policies.strategy_spec import StrategySpec
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, quarter_hour_starts, refuse_step

_MARGINS = (-400.0, -300.0, -200.0, -150.0, -100.0, -75.0, -50.0, -25.0)
_GRID = (*_MARGINS, 0.0, *(-margin for margin in reversed(_MARGINS)))


@dataclass(frozen=True, slots=True)
class MinuteSpreadRule(Untrained):
    """Charge while the indicative price lies below the hour's day-ahead price by a margin, discharge while above."""

    charge_below_eur_mwh: float = -50.0
    discharge_above_eur_mwh: float = 50.0
    tuned_on: str | None = None
    """The days on which the two margins were chosen; None: never tuned."""
    name: str = "minute spread"
    step_min: ClassVar[int] = 1
    needs: ClassVar[tuple[Need, ...]] = (
        Need(INDICATIVE, stand_in="the newest older minute of this quarter-hour or the one before"),
        Need(DAY_AHEAD),
    )

    def bind(self, known: KnownMarket, battery: Battery) -> Asked:
        """What is asked for at each time; nothing of it depends on the battery's state."""
        signal = indicative_spread_eur_mwh(known)
        charge = np.where(signal < self.charge_below_eur_mwh, -battery.law.charge_power_mw, 0.0)
        return Asked(np.where(signal > self.discharge_above_eur_mwh, battery.law.discharge_power_mw, charge))

    def candidates(self) -> list[MinuteSpreadRule]:
        """The grid that tuning searches."""
        pairs = itertools.product(_GRID, _GRID)
        return [replace(self, charge_below_eur_mwh=a, discharge_above_eur_mwh=b) for a, b in pairs if a <= b]


@dataclass(frozen=True, slots=True)
class Asked(PlainView):
    """A rule's reading of the market: the power [T] it would like."""

    power_mw: Floats

    def intent(self, at: int, _state: BatteryState, _profit_today_eur: float = 0.0) -> Intent:
        """The power, with its reason."""
        power_mw = float(self.power_mw[at])
        if power_mw < 0.0:
            return Intent(power_mw, "indicative_price_below_bound")
        return Intent(power_mw, "indicative_price_above_bound" if power_mw > 0.0 else "indicative_price_between_bounds")


def indicative_spread_eur_mwh(known: KnownMarket) -> Floats:
    """Newest known indicative price less the running hour's day-ahead price, shape [T]; NaN where one is not known."""
    starts = quarter_hour_starts(known.times)
    running = last_record_of(known, starts)
    before = last_record_of(known, starts - MINUTES_PER_QUARTER_HOUR)
    return np.asarray(np.where(np.isnan(running), before, running) - known.gather(DAY_AHEAD, [0])[:, 0])


def tune_by_minute(
    rule: MinuteSpreadRule,
    market: MarketSeries,
    battery: Battery,
    selection: Sequence[Span],
    description: str,
    *,
    step_min: int = 1,
) -> MinuteSpreadRule:
    """The candidate that earns most on the selected spans as a price taker; `description` names them in reports.

    It decides every `step_min` minutes, which divide the quarter-hour. Ties go to the first candidate. Uses final
    prices of the selection, so these days must not be tested on. Raises BadInput for a step that is not 1, 3, 5 or 15.
    """
    refuse_step(step_min)
    episodes = [_Episode.of(market, span, step_min) for span in selection]
    best, best_eur = rule, -np.inf
    for candidate in rule.candidates():
        earned = sum(each.earn_eur(candidate, battery) for each in episodes)
        if earned > best_eur:
            best, best_eur = candidate, earned
    return replace(best, tuned_on=description)


@dataclass(frozen=True, slots=True)
class _Episode:
    """One span to tune on."""

    signal: Floats
    """Shape [n, steps of a quarter-hour]."""
    prices: Floats
    """Shape [n]; final prices."""
    new_day: npt.NDArray[np.bool_]
    """Shape [n]; which quarter-hours begin a Brussels day."""

    @classmethod
    def of(cls, market: MarketSeries, span: Span, step_min: int) -> _Episode:
        starts = market.quarter_hours[span.first : span.last]
        times = starts[:, None] + np.arange(0, MINUTES_PER_QUARTER_HOUR, step_min)
        signal = indicative_spread_eur_mwh(market.known_at(times.ravel())).reshape(times.shape)
        return cls(signal, market.price_eur_mwh[span.first : span.last], new_day_flags(market, span))

    def earn_eur(self, rule: MinuteSpreadRule, battery: Battery) -> float:
        """Profit of the rule through the span from empty."""
        low, high = (
            np.full(len(self.prices), margin) for margin in (rule.charge_below_eur_mwh, rule.discharge_above_eur_mwh)
        )
        return float(follow_bounds(battery.law, self.signal, low, high, self.prices, self.new_day))


MINUTE_SPREAD = StrategySpec(
    name="minute-spread",
    description="Each minute, charges when the indicative price lies below the day-ahead price, discharges when above.",
    make=MinuteSpreadRule,
    tune=partial(tune_by_minute, MinuteSpreadRule()),
)
