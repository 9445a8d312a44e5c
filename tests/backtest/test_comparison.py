"""Strategies are compared day by day, on the same quarter-hours only."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from arbitrage.backtest.comparison import compare_table, daily_profits_eur
from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.hindsight.perfect_foresight import Foresight
from arbitrage.backtest.metrics import summary
from arbitrage.backtest.statistics import AHEAD, BEHIND, UNDECIDED
from arbitrage.battery import Battery
from arbitrage.errors import BadInput


def made_up(strategy: str, *days: list[float]) -> Backtest:
    """A backtest of days of two quarter-hours each, with given profits (EUR) and nothing else happening."""
    count = len(days)
    calendar = pd.date_range("2022-03-01", periods=count).repeat(2)
    noon = calendar.tz_localize("UTC") + pd.to_timedelta([720, 735] * count, unit="min")
    profit, nothing = np.concatenate(days), np.zeros(2 * count)
    price = 100.0 + 100.0 * np.arange(2 * count)
    price[-1] = np.nan
    ledger = pd.DataFrame(
        {
            "span": np.arange(count).repeat(2),
            "brussels_day": calendar,
            "imbalance_price_eur_mwh": price,
            "charge_mwh": nothing,
            "discharge_mwh": nothing,
            "soc_start_mwh": nothing,
            "soc_end_mwh": nothing,
            "cash_eur": profit,
            "wear_eur": nothing,
            "profit_eur": profit,
            "settled": ~np.isnan(price),
        },
        index=noon.rename("quarter_hour"),
    )
    broken = pd.DataFrame({"rule": [], "excess": []}, index=ledger.index[:0])
    return Backtest(strategy, Battery(), ledger, broken, Foresight(100.0, nothing, nothing, nothing))


def test_a_difference_is_the_mean_over_days_of_the_rows_profit_less_the_references() -> None:
    # Days of the reference: 10 + 20 = 30 and -5 + 0 = -5; of the rival: 25 and 10.
    # Rival less reference: -5 and 15, mean 5, ahead on one day of two.
    reference = made_up("reference", [10.0, 20.0], [-5.0, 0.0])
    rival = made_up("rival", [25.0, 0.0], [10.0, 0.0])
    first, second = compare_table([reference, rival])
    assert first["strategy"] == "reference"
    assert first["profit_eur_per_day"] == pytest.approx(12.5)
    assert (first["difference_eur_per_day"], first["difference_eur_per_day_interval"]) == (None, None)
    assert first["days_ahead_fraction"] is None
    assert second["profit_eur_per_day"] == pytest.approx(17.5)
    assert second["difference_eur_per_day"] == pytest.approx(5.0)
    assert second["days_ahead_fraction"] == 0.5
    # Two days resampled: both -5 (1 in 4), both 15 (1 in 4), else their mean: the whole range, and half of it more for
    # the half of the sample that one block is (Kiefer and Vogelsang 2005: 3.48 / 1.96).
    assert second["difference_eur_per_day_interval"] == pytest.approx([5.0 - 17.8, 5.0 + 17.8], abs=0.4)
    assert second["verdict"] == UNDECIDED


def test_pairing_removes_what_the_strategies_share() -> None:
    # The rival earns 1 EUR more on each day, so the difference is certain though both profits are not.
    reference = made_up("reference", [100.0, 0.0], [-100.0, 0.0])
    rival = made_up("rival", [101.0, 0.0], [-99.0, 0.0])
    row = compare_table([reference, rival])[1]
    assert row["difference_eur_per_day_interval"] == pytest.approx([1.0, 1.0])
    low, high = row["profit_eur_per_day_interval"]
    assert low < -99.0
    assert high > 101.0


def test_the_verdict_is_that_of_the_row() -> None:
    days = np.random.default_rng(0).normal(0.0, 1.0, (12, 2))
    first, second = made_up("reference", *days.tolist()), made_up("rival", *(days + 50.0).tolist())
    assert compare_table([first, second])[1]["verdict"] == AHEAD
    assert compare_table([second, first])[1]["verdict"] == BEHIND


def test_one_day_gives_no_interval_and_tells_no_lead_from_chance() -> None:
    own, row = compare_table([made_up("reference", [10.0, 20.0]), made_up("rival", [25.0, 900.0])])
    assert row["difference_eur_per_day"] == pytest.approx(895.0)
    for name in ("difference_eur_per_day_interval", "profit_eur_per_day_interval"):
        assert row[name] is None
    assert own["conditional_value_at_risk_eur_interval"] is None
    assert (row["verdict"], row["p_value_adjusted"]) == (UNDECIDED, 1.0)


def test_strategies_of_equal_profits_are_not_told_apart() -> None:
    days = [[5.0, -1.0]] * 8
    row = compare_table([made_up("one", *days), made_up("two", *days)])[1]
    assert (row["difference_eur_per_day"], row["difference_eur_per_day_interval"]) == (0.0, [0.0, 0.0])
    assert (row["verdict"], row["p_value_adjusted"], row["days_ahead_fraction"]) == (UNDECIDED, 1.0, 0.0)


def test_the_same_backtests_give_the_same_intervals() -> None:
    contenders = [made_up("one", [1.0, 2.0], [3.0, 4.0]), made_up("two", [9.0, 2.0], [0.0, 4.0])]
    assert compare_table(contenders) == compare_table(contenders)


def test_the_other_columns_are_those_of_the_summary() -> None:
    backtest = made_up("one", [1.0, 2.0], [3.0, 4.0])
    row, figures = compare_table([backtest])[0], summary(backtest)
    shared = set(row) & set(figures)
    assert {"capture_fraction", "cycles_per_day", "conditional_value_at_risk_eur", "violations"} <= shared
    assert all(row[name] == figures[name] for name in shared)


def test_daily_profits_keep_the_order_of_the_strategies() -> None:
    daily = daily_profits_eur([made_up("b", [1.0, 2.0], [3.0, 4.0]), made_up("a", [0.0, 0.0], [0.0, 1.0])])
    assert list(daily.columns) == ["b", "a"]
    assert daily.to_numpy().tolist() == [[3.0, 0.0], [7.0, 1.0]]


def test_what_is_not_comparable_is_refused_with_every_fault_named() -> None:
    reference = made_up("reference", [1.0, 2.0], [3.0, 4.0])
    shorter = made_up("shorter", [1.0, 2.0], [3.0, 4.0])
    shorter = dataclasses.replace(shorter, ledger=shorter.ledger.iloc[:2])
    other_prices = made_up("other prices", [1.0, 2.0], [3.0, 4.0])
    other_prices.ledger.loc[:, "imbalance_price_eur_mwh"] = 7.0
    larger = dataclasses.replace(made_up("larger", [1.0, 2.0], [3.0, 4.0]), battery=Battery(capacity_mwh=4.0))
    with pytest.raises(BadInput) as refusal:
        compare_table([reference, shorter, other_prices, larger, reference])
    assert [fault.where for fault in refusal.value.faults] == ["reference", "shorter", "other prices", "larger"]


def test_comparing_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="none to compare"):
        compare_table([])
