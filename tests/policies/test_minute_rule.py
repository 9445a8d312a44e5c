"""The minute rule: what it compares, and that tuning finds the best candidate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery, BatteryState
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE
from arbitrage.market.series import MarketSeries, build_market
from arbitrage.market.simulation.simulator import clear
from arbitrage.market.splits import Span
from arbitrage.policies.minute_rule import MinuteSpreadRule, _Episode, tune_by_minute
from arbitrage.policies.protocol import Policy
from arbitrage.quarter_hour import utc_timestamps
from tests.impact_worlds import across_the_rules
from tests.worlds import SUMMER_MIDNIGHT

BATTERY = Battery(power_mw=2.0, import_limit_mw=0.5)
RULE = MinuteSpreadRule(charge_below_eur_mwh=-50.0, discharge_above_eur_mwh=30.0)


def market_by_minute(records: dict[int, float]) -> MarketSeries:
    """Two quarter-hours with these indicative prices by minute; 80 day-ahead."""
    minutes = pd.DataFrame(
        {PRICE: list(records.values())}, index=utc_timestamps(SUMMER_MIDNIGHT + np.array([*records]))
    )
    return build_market(
        pd.DataFrame({PRICE: [0.0, 0.0]}, index=utc_timestamps(SUMMER_MIDNIGHT + np.array([0, 15]))),
        day_ahead=pd.DataFrame({DAY_AHEAD: [80.0]}, index=utc_timestamps([SUMMER_MIDNIGHT])),
        minutes=minutes,
    )


def asked_mw(market: MarketSeries, minute: int, rule: MinuteSpreadRule = RULE) -> float:
    return rule.bind(market.known_at(SUMMER_MIDNIGHT + minute), BATTERY).intent(0, BatteryState(1.0)).power_mw


@pytest.mark.parametrize(("price", "power_mw"), [(29.9, -0.5), (30.0, 0.0), (80.0, 0.0), (110.0, 0.0), (110.1, 2.0)])
def test_the_rule_compares_the_newest_indicative_price_with_the_day_ahead_price(price: float, power_mw: float) -> None:
    # Charge below 80 - 50 at its own limit, discharge above 80 + 30. Record 3 is known from minute 5 on.
    market = market_by_minute({0: 80.0, 1: 80.0, 2: 80.0, 3: price})
    assert asked_mw(market, 5) == power_mw
    assert asked_mw(market, 4) == 0.0


def test_the_quarter_hour_before_speaks_until_the_running_one_has_a_record() -> None:
    market = market_by_minute({**dict.fromkeys(range(14), 80.0), 14: 200.0, 15: -100.0})
    assert [asked_mw(market, minute) for minute in (15, 16, 17)] == [0.0, 2.0, -0.5]


def test_a_signal_that_is_not_known_means_idle() -> None:
    market = market_by_minute({0: -500.0})
    assert asked_mw(market, 1) == 0.0
    assert asked_mw(market, 2) == -0.5
    assert asked_mw(market, 31) == 0.0  # Neither the running quarter-hour nor the one before has a record.
    assert asked_mw(market, 65) == 0.0  # There is no day-ahead price.


@pytest.mark.parametrize("step_min", [1, 5, 15])
def test_tuning_takes_the_candidate_that_earns_most_in_the_backtest(step_min: int) -> None:
    market = clear(across_the_rules(seed=3)).market(with_minutes=True)
    battery = Battery(max_cycles_per_day=1.1, wear_cost_eur_mwh=5.0)
    selection = (Span(4, 40), Span(40, 96))
    tuned = tune_by_minute(MinuteSpreadRule(), market, battery, selection, "a day", step_min=step_min)
    assert tuned.tuned_on == "a day"

    def earned(policy: Policy) -> float:
        ledger = run_backtest(market, battery, policy, selection, step_min=step_min).ledger
        return float(ledger["profit_eur"].sum())

    assert earned(tuned) >= max(earned(candidate) for candidate in tuned.candidates()[::9]) - 1e-9
    assert earned(tuned) > earned(MinuteSpreadRule(-400.0, 400.0))


@pytest.mark.parametrize("step_min", [1, 5, 15])
@pytest.mark.parametrize("cap", [None, 0.4])
def test_tuning_reckons_what_the_backtest_earns(step_min: int, cap: float | None) -> None:
    market = clear(across_the_rules(seed=3)).market(with_minutes=True)
    battery, span = Battery(max_cycles_per_day=cap, wear_cost_eur_mwh=5.0), Span(4, 96)
    ledger = run_backtest(market, battery, RULE, (span,), step_min=step_min).ledger
    earned = _Episode.of(market, span, step_min).earn_eur(RULE, battery)
    assert earned == pytest.approx(ledger["profit_eur"].sum(), abs=1e-9)
    assert ledger["discharge_mwh"].sum() > 0.0


def test_no_bounds_cross_and_the_first_of_equal_candidates_is_taken() -> None:
    rules = RULE.candidates()
    assert all(rule.charge_below_eur_mwh <= rule.discharge_above_eur_mwh for rule in rules)
    market = market_by_minute({0: 80.0})
    assert (
        tune_by_minute(RULE, market, BATTERY, (Span(0, 2),), "x").charge_below_eur_mwh == rules[0].charge_below_eur_mwh
    )
