"""The floors: what each rule compares, and that tuning finds the best candidate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery, BatteryState
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE
from arbitrage.market.series import MarketSeries, build_market
from arbitrage.market.splits import SocReset
from arbitrage.policies.protocol import Policy
from arbitrage.policies.rules import Idle, SpreadRule, ThresholdRule, last_known_price_eur_mwh, tune
from arbitrage.quarter_hour import utc_timestamps
from tests.worlds import SUMMER_MIDNIGHT, market_of, noisy_market, whole

BATTERY = Battery(power_mw=2.0, import_limit_mw=0.5)
HALF = BatteryState(1.0)


def asked_mw(policy: Policy, market: MarketSeries, time: int) -> float:
    return policy.bind(market.known_at(time), BATTERY).intent(0, HALF).power_mw


def after(market: MarketSeries) -> int:
    """The time at which the last price of a market has just become known."""
    return int(market.quarter_hours[-1]) + 15


def test_idle_idles() -> None:
    assert asked_mw(Idle(), market_of([-500.0, 3000.0]), SUMMER_MIDNIGHT + 30) == 0.0


@pytest.mark.parametrize(("last", "power_mw"), [(29.9, 0.0), (9.0, -0.5), (51.0, 2.0), (20.0, 0.0), (40.0, 0.0)])
def test_the_threshold_rule_compares_the_last_price_with_mean_and_spread_of_what_is_known(
    last: float, power_mw: float
) -> None:
    # Charges at its own limit below, discharges at rated power above. The bounds of 100 prices, half 20, half 40, with
    # mean 30 and standard deviation 10: 30 - 1 x 10.2 and 30 + 1 x 10.2, nearly, whatever the last price adds.
    market = market_of([20.0, 40.0] * 50 + [last])
    rule = ThresholdRule(charge_below_std=-1.05, discharge_above_std=1.05)
    assert asked_mw(rule, market, after(market)) == power_mw


def test_the_threshold_rule_looks_back_seven_days_and_no_further() -> None:
    # 672 quarter-hours of 50 and before them a wild past: no spread, mean 50, so 50.1 at the end is above both bounds.
    market = market_of([-4000.0] * 50 + [50.0] * 671 + [50.1])
    assert asked_mw(ThresholdRule(0.0, 0.0), market, after(market)) == 2.0
    earlier = market_of([4000.0] * 50 + [50.0] * 670 + [50.1])
    assert asked_mw(ThresholdRule(0.0, 0.0), earlier, after(earlier)) == -0.5


@pytest.mark.parametrize(("last", "power_mw"), [(20.0, -0.5), (30.0, 0.0), (100.0, 0.0), (110.0, 0.0), (110.5, 2.0)])
def test_the_spread_rule_compares_the_last_price_with_day_ahead_of_the_quarter_hour_decided(
    last: float, power_mw: float
) -> None:
    # 80 in the hour decided (90 in the one that has just ended): charge below 80 - 50, discharge above 80 + 30.
    index = utc_timestamps(SUMMER_MIDNIGHT + 15 * np.arange(4))
    hours = utc_timestamps(SUMMER_MIDNIGHT + 60 * np.arange(2))
    market = build_market(
        pd.DataFrame({PRICE: [0.0, 0.0, 0.0, last]}, index=index),
        day_ahead=pd.DataFrame({DAY_AHEAD: [90.0, 80.0]}, index=hours),
    )
    assert asked_mw(SpreadRule(-50.0, 30.0), market, after(market)) == power_mw


def test_a_signal_that_is_not_known_means_idle() -> None:
    market = market_of([-500.0])
    for rule in (ThresholdRule(), SpreadRule()):
        assert asked_mw(rule, market, SUMMER_MIDNIGHT) == 0.0  # No price is known yet.
        assert asked_mw(rule, market, after(market) + 60) == 0.0  # The last one is too old.
    assert asked_mw(SpreadRule(), market, after(market)) == 0.0  # There is no day-ahead price.


def test_the_last_known_price_is_the_newest_of_the_last_hour() -> None:
    market = market_of([10.0, 20.0, np.nan, np.nan, np.nan, 60.0])
    times = SUMMER_MIDNIGHT + 15 * np.arange(7)
    expected = [np.nan, 10.0, 20.0, 20.0, 20.0, 20.0, 60.0]
    np.testing.assert_array_equal(last_known_price_eur_mwh(market.known_at(times)), expected)


@pytest.mark.parametrize("rule", [ThresholdRule(), SpreadRule()])
@pytest.mark.parametrize("soc_reset", SocReset)
def test_tuning_takes_the_candidate_that_earns_most_in_the_backtest(
    rule: ThresholdRule,  # Or a SpreadRule, which is tuned alike.
    soc_reset: SocReset,
) -> None:
    market = noisy_market(seed=5, days=3, gaps=10)
    battery = Battery(max_cycles_per_day=1.1, wear_cost_eur_mwh=5.0)
    selection = whole(market, soc_reset)
    tuned = tune(rule, market, battery, selection, "three made-up days")
    assert tuned.tuned_on == "three made-up days"

    def earned(policy: Policy) -> float:
        return float(run_backtest(market, battery, policy, selection).ledger["profit_eur"].sum())

    some = rule.candidates()[::9]
    assert earned(tuned) >= max(earned(candidate) for candidate in some) - 1e-9
    assert earned(tuned) > earned(rule)


def test_the_first_of_equal_candidates_is_taken_and_no_bounds_cross() -> None:
    # At a price that never changes nobody earns anything from empty but by buying, so all that idle are equal.
    market = market_of(np.zeros(96))
    first = ThresholdRule().candidates()[0]
    assert tune(ThresholdRule(), market, Battery(), whole(market), "x").charge_below_std == first.charge_below_std
    assert all(rule.charge_below_std <= rule.discharge_above_std for rule in ThresholdRule().candidates())
    assert all(rule.charge_below_eur_mwh <= rule.discharge_above_eur_mwh for rule in SpreadRule().candidates())
