"""The rule that needs no imbalance price: once up and once down the day-ahead curve, where that pays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from arbitrage.battery import Battery, BatteryState
from arbitrage.live.fallback_rule import DayAheadRule
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE
from arbitrage.market.series import MarketSeries, build_market
from arbitrage.quarter_hour import utc_timestamps
from tests.worlds import MIDNIGHTS, SUMMER_MIDNIGHT

BATTERY = Battery(power_mw=1.0, capacity_mwh=2.0, charge_efficiency=0.8, discharge_efficiency=1.0)
"""Ten quarter-hours fill it, eight empty it."""


def priced(curve: np.ndarray, start: int = SUMMER_MIDNIGHT) -> MarketSeries:
    """A day whose day-ahead prices are given and whose imbalance prices are not known."""
    index = utc_timestamps(start - 15 + 15 * np.arange(len(curve) + 1))
    prices = pd.DataFrame({PRICE: np.append(1.0, np.full(len(curve), np.nan))}, index=index)
    return build_market(prices, day_ahead=pd.DataFrame({DAY_AHEAD: np.append(0.0, curve)}, index=index))


def powers(curve: np.ndarray, battery: Battery = BATTERY, start: int = SUMMER_MIDNIGHT) -> list[float]:
    times = start + 15 * np.arange(len(curve))
    view = DayAheadRule().bind(priced(curve, start).known_at(times), battery)
    return [view.intent(at, BatteryState(1.0)).power_mw for at in range(len(curve))]


@pytest.mark.parametrize("day", sorted(MIDNIGHTS))
def test_it_charges_in_the_cheapest_and_discharges_in_the_dearest_quarter_hours_of_days_of_any_length(
    day: str,
) -> None:
    start, count = MIDNIGHTS[day]
    curve = np.random.default_rng(0).permutation(count).astype(np.float64)
    asked = np.array(powers(curve, start=start))
    assert set(curve[asked < 0]) == set(range(10))
    assert set(curve[asked > 0]) == set(range(count - 8, count))


def test_a_spread_that_does_not_pay_for_the_losses_and_the_wear_is_left_alone() -> None:
    curve = np.full(96, 100.0)
    curve[:10], curve[-8:] = 80.0, 101.0  # 80 / 0.8 = 100: a euro for each MWh
    assert sum(power != 0.0 for power in powers(curve)) == 18
    worn = Battery(power_mw=1.0, charge_efficiency=0.8, discharge_efficiency=1.0, wear_cost_eur_mwh=1.5)
    assert not any(powers(curve, worn))


def test_where_the_curve_or_a_direction_is_missing_it_idles() -> None:
    curve = np.arange(96.0)
    curve[3] = np.nan
    asked = powers(curve)
    assert asked[3] == 0.0
    assert asked[4] < 0.0
    assert not any(powers(np.arange(96.0), Battery(export_limit_mw=0.0)))
