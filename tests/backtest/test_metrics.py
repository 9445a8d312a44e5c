"""The figures of a backtest, worked by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from arbitrage.backtest.engine import Backtest, run_backtest
from arbitrage.backtest.metrics import daily_interval_eur, daily_profit_eur, full_summary, summary
from arbitrage.battery import Battery
from arbitrage.market.splits import SocReset
from tests.worlds import market_of, scripted, whole

BATTERY = Battery(charge_efficiency=0.8, discharge_efficiency=0.5, power_mw=2.0, wear_cost_eur_mwh=10.0)


@pytest.fixture(scope="module")
def backtest() -> Backtest:
    """Four days on their own, two quarter-hours each: charge 0.5 MWh, then discharge all.

    Each day stores 0.4 MWh, gives 0.2 MWh and wears 0.4 x 10 = 4 EUR. Prices:
    buy 10, sell 100: -5 + 20 - 4 = 11. Buy 20, sell 30: -10 + 6 - 4 = -8. Buy 60, sell 40: -30 + 8 - 4 = -26.
    Buy 10, sell 120: -5 + 24 - 4 = 15. One quarter-hour of the last day has no price.
    """
    prices, asked = np.zeros(4 * 96), np.zeros(4 * 96)
    for day, pair in enumerate([(10.0, 100.0), (20.0, 30.0), (60.0, 40.0), (10.0, 120.0)]):
        prices[96 * day : 96 * day + 2] = pair
        asked[96 * day : 96 * day + 2] = -2.0, 2.0
    prices[-1] = np.nan
    market = market_of(prices)
    return run_backtest(market, BATTERY, scripted(market, asked), whole(market, SocReset.DAILY))


@pytest.fixture(scope="module")
def figures(backtest: Backtest) -> dict[str, Any]:
    return summary(backtest)


def test_daily_profits_are_those_of_the_hand(backtest: Backtest) -> None:
    assert daily_profit_eur(backtest.ledger).tolist() == pytest.approx([11.0, -8.0, -26.0, 15.0], abs=1e-9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("days", 4),
        ("profit_eur", -8.0),
        ("profit_eur_per_day", -2.0),
        ("profit_eur_per_mw_per_day", -1.0),
        ("profit_eur_per_mwh_discharged", -10.0),  # -8 / 0.8 MWh.
        ("profit_eur_per_cycle", -10.0),  # 4 x 0.4 MWh drawn / 2 MWh = 0.8 cycles.
        ("cash_eur", 8.0),
        ("wear_eur", 16.0),
        ("cycles_per_day", 0.2),
        ("half_throughput_cycles_per_day", 0.2),  # (0.4 stored + 0.4 drawn) / 2 / 2 MWh.
        ("value_at_risk_eur", -26.0),  # The worst tenth of four days is the worst day.
        ("conditional_value_at_risk_eur", -26.0),
        ("worst_day_eur", -26.0),
        ("best_day_eur", 15.0),
        ("largest_drawdown_eur", 34.0),  # 11, 3, -23, -8: from 11 down to -23.
        ("end_soc_mwh", 0.0),
        ("coverage_fraction", 383 / 384),
        ("violations", 0),
        ("unsettled_quarter_hours", 1),
        ("interval_block_days", 1),
        ("cash_eur_per_day", 2.0),
        ("cash_eur_per_mw_per_day", 1.0),
        ("cash_eur_per_mwh_discharged", 10.0),
        ("cash_eur_per_cycle", 10.0),
        ("profit_eur_per_mwh_capacity_per_day", -1.0),
        ("marked_eur", -8.0),  # Nothing is left in store.
        ("gap_eur_per_day", 8.5),  # (26 - -8) / 4, see below.
        ("losing_days_fraction", 0.5),
        ("rainflow_cycles_per_day", 1.0),  # Up and down once a day: two half cycles.
        ("rainflow_deep_cycles_per_day", 0.0),
        ("rainflow_mean_depth_fraction", 0.2),  # 0.4 MWh of 2.
        ("shielded_fraction", 4 / 384),  # There is less to sell than was asked for.
        ("tail_level", 0.1),
    ],
)
def test_each_figure_is_that_of_the_hand(figures: dict[str, Any], name: str, value: float) -> None:
    assert figures[name] == pytest.approx(value, abs=1e-9)


def test_the_capture_is_the_share_of_the_ceiling_of_the_same_days(backtest: Backtest, figures: dict[str, Any]) -> None:
    # Hindsight trades on the two good days and rests on the bad ones: 11 + 15.
    assert backtest.foresight.profit_eur == pytest.approx(26.0, abs=1e-6)
    assert figures["perfect_foresight_eur_per_day"] == pytest.approx(6.5, abs=1e-6)
    assert figures["capture_fraction"] == pytest.approx(-8.0 / 26.0, abs=1e-6)


def test_what_no_ledger_tells_is_none(figures: dict[str, Any]) -> None:
    assert figures["fallback_fraction"] is None


def test_intervals_of_the_tail_hold_the_tail(figures: dict[str, Any]) -> None:
    for name in ("value_at_risk_eur", "conditional_value_at_risk_eur"):
        low, high = figures[f"{name}_interval"]
        assert low <= figures[name] <= high


def test_the_full_summary_says_where_the_gap_went(backtest: Backtest, figures: dict[str, Any]) -> None:
    full = full_summary(backtest)
    assert {name: full[name] for name in figures} == figures
    assert sum(full["gap_by_cause_eur_per_day"].values()) == pytest.approx(figures["gap_eur_per_day"], abs=1e-6)


def test_a_drawdown_counts_from_zero_when_money_is_lost_from_the_start() -> None:
    # Buy at 10 and keep: -2.5 on the only day.
    market = market_of([10.0] * 96)
    lost = summary(run_backtest(market, Battery(), scripted(market, [-1.0] + [0.0] * 95), whole(market)))
    assert lost["largest_drawdown_eur"] == pytest.approx(2.5, abs=1e-9)


def test_ratios_that_mean_nothing_are_none_and_all_of_it_is_json() -> None:
    market = market_of([10.0] * 96)
    idle = summary(run_backtest(market, Battery(), scripted(market, [0.0] * 96), whole(market)))
    for name in ("profit_eur_per_cycle", "profit_eur_per_mwh_discharged", "capture_fraction"):
        assert idle[name] is None
    assert json.loads(json.dumps(idle, allow_nan=False)) == idle


def test_the_interval_holds_the_mean_is_repeatable_and_shrinks_with_more_days() -> None:
    days = np.random.default_rng(3).normal(100.0, 50.0, 400)
    low, high = daily_interval_eur(days)
    # The standard error is 50 / 20 = 2.5: about 4.9 either way.
    assert low < days.mean() < high
    assert high - low == pytest.approx(9.8, abs=1.5)
    assert daily_interval_eur(days) == [low, high]
    few_low, few_high = daily_interval_eur(days[:25])
    assert few_high - few_low > 2 * (high - low)
    assert daily_interval_eur([7.0]) is None
