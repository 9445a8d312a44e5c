"""The rule that needs no imbalance price at all: the day-ahead curve, which is known since the day before.

Contract: charge in the cheapest quarter-hours of the Brussels day, discharge in its dearest, as many as fill and empty
the battery once, and only where the curve's spread pays for the losses and the wear. What it does not know makes it
idle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from arbitrage.arrays import Floats
from arbitrage.battery import Battery, BatteryLaw, BatteryState
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import DAY_AHEAD, KnownMarket
from arbitrage.policies.protocol import Intent, PlainView, Untrained
from arbitrage.quarter_hour import (
    MINUTES_PER_QUARTER_HOUR,
    QUARTER_HOUR_H,
    brussels_day_numbers,
    brussels_midnight,
    quarter_hour_grid,
    quarter_hour_starts,
)


@dataclass(frozen=True, slots=True)
class DayAheadRule(Untrained):
    """Once up and once down the day-ahead curve of each Brussels day."""

    name: str = "day-ahead"
    needs: ClassVar[tuple[Need, ...]] = (Need(DAY_AHEAD, rest_of_day=True),)

    def bind(self, known: KnownMarket, battery: Battery) -> PlannedPowers:
        """What is asked for at each time; nothing of it depends on the battery's state."""
        powers = [_power_mw(known, battery.law, int(time)) for time in known.times]
        return PlannedPowers(np.array(powers))


@dataclass(frozen=True, slots=True)
class PlannedPowers(PlainView):
    """The rule's reading of the market: the power [T] it would like."""

    power_mw: Floats

    def intent(self, at: int, _state: BatteryState, _profit_today_eur: float = 0.0) -> Intent:
        """The power, with its reason."""
        power_mw = float(self.power_mw[at])
        if power_mw < 0.0:
            return Intent(power_mw, "day_ahead_price_among_lowest")
        return Intent(power_mw, "day_ahead_price_among_highest" if power_mw > 0.0 else "day_ahead_price_between")


def knows_curve(known: KnownMarket) -> bool:
    """Whether the day-ahead price of each time asked about is known."""
    return not bool(np.isnan(known.gather(DAY_AHEAD, [0])).any())


def _power_mw(known: KnownMarket, law: BatteryLaw, time: int) -> float:
    day = int(brussels_day_numbers([time])[0])
    grid = quarter_hour_grid(brussels_midnight(day), brussels_midnight(day + 1))
    at = int(quarter_hour_starts(time)) - int(grid[0])
    curve = known.as_of([time], [int(grid[0])]).gather(DAY_AHEAD, grid - grid[0])[0]
    now = curve[at // MINUTES_PER_QUARTER_HOUR]
    if np.isnan(now) or min(law.charge_power_mw, law.discharge_power_mw) == 0.0:
        return 0.0
    ordered = np.sort(curve[~np.isnan(curve)])
    window_mwh = law.max_soc_mwh - law.min_soc_mwh
    up = math.ceil(window_mwh / (law.charge_power_mw * law.charge_efficiency * QUARTER_HOUR_H))
    down = math.ceil(window_mwh * law.discharge_efficiency / (law.discharge_power_mw * QUARTER_HOUR_H))
    if up + down > len(ordered):
        return 0.0
    low, high = ordered[up - 1], ordered[-down]
    cost = low / (law.charge_efficiency * law.discharge_efficiency) + law.wear_cost_eur_mwh / law.discharge_efficiency
    if high <= cost:
        return 0.0
    if now <= low:
        return -law.charge_power_mw
    return law.discharge_power_mw if now >= high else 0.0
