"""The ledger's own check finds every kind of cooked book."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.ledger import COLUMNS, violations
from arbitrage.battery import Battery
from arbitrage.market.splits import SocReset
from tests.worlds import market_of, scripted, whole

BATTERY = Battery(min_soc_fraction=0.1, max_soc_fraction=0.9, max_cycles_per_day=0.3, wear_cost_eur_mwh=5.0)
GAP = 6

Cook = Callable[[pd.DataFrame], None]


@pytest.fixture
def ledger() -> pd.DataFrame:
    """Two days of honest books, each from empty, with a gap in the first."""
    prices = np.linspace(-50.0, 150.0, 192)
    prices[GAP] = np.nan
    market = market_of(prices)
    asked = np.tile([-1.0, -1.0, 1.0, 0.5], 48)
    return run_backtest(market, BATTERY, scripted(market, asked), whole(market, SocReset.DAILY)).ledger


def test_honest_books_break_no_rule(ledger: pd.DataFrame) -> None:
    found = violations(ledger, BATTERY)
    assert found.empty
    assert found.columns.tolist() == ["rule", "excess"]
    assert ledger.columns.tolist()[: len(COLUMNS)] == list(COLUMNS)
    assert ledger["discharge_mwh"].sum() > 0.5


def raise_column(ledger: pd.DataFrame, name: str, rows: slice, amount: float) -> None:
    column = ledger[name].to_numpy(np.float64, copy=True)
    column[rows] += amount
    ledger[name] = column


def add(row: int, **amounts: float) -> Cook:
    def cook(ledger: pd.DataFrame) -> None:
        for name, amount in amounts.items():
            raise_column(ledger, name, slice(row, row + 1), amount)

    return cook


def energy_from_nowhere(ledger: pd.DataFrame) -> None:
    """The second day begins with 0.3 MWh that nobody bought, and keeps them."""
    for name in ("soc_start_mwh", "soc_end_mwh"):
        raise_column(ledger, name, slice(96, None), 0.3)


def energy_in_between(ledger: pd.DataFrame) -> None:
    """From the third quarter-hour on there are 0.05 MWh more than the second left."""
    for name in ("soc_start_mwh", "soc_end_mwh"):
        raise_column(ledger, name, slice(2, 96), 0.05)


@pytest.mark.parametrize(
    ("rule", "row", "cook"),
    [
        # Row 0 charges 0.25 MWh at -50, row 2 discharges at about -47.9, row 3 asks for 0.5 MW.
        ("negative_flow", 0, add(0, charge_mwh=-0.6)),
        ("charge_power", 0, add(0, charge_mwh=0.01)),
        ("discharge_power", 2, add(2, discharge_mwh=0.01)),
        ("soc_below_window", 3, add(3, soc_end_mwh=-1.7)),
        ("soc_above_window", 1, add(1, soc_end_mwh=1.7)),
        ("soc_balance", 0, add(0, soc_end_mwh=0.001)),
        ("soc_carried", 2, energy_in_between),
        ("soc_carried", 96, energy_from_nowhere),
        ("cycle_budget", 95, add(95, discharge_mwh=0.2)),
        ("cycle_count", 50, add(50, cycles_used=-0.01)),
        ("cash", 0, add(0, cash_eur=0.01, profit_eur=0.01)),
        ("wear", 2, add(2, wear_eur=-0.01, profit_eur=0.01)),
        ("profit", 5, add(5, profit_eur=0.01)),
        ("moved_without_price", GAP, add(GAP, charge_mwh=0.1)),
    ],
)
def test_a_planted_fault_is_found_in_its_row(ledger: pd.DataFrame, rule: str, row: int, cook: Cook) -> None:
    cook(ledger)
    found = violations(ledger, BATTERY)
    assert (found["rule"] == rule).any()
    assert ledger.index[row] in found.index[found["rule"] == rule]
    assert (found["excess"] > 0.0).all()


def test_the_excess_is_how_far_the_rule_is_broken(ledger: pd.DataFrame) -> None:
    add(5, profit_eur=0.25)(ledger)
    found = violations(ledger, BATTERY)
    assert found["rule"].tolist() == ["profit"]
    assert found["excess"].iloc[0] == pytest.approx(0.25, abs=1e-9)


@pytest.mark.parametrize("name", ["charge_mwh", "discharge_mwh", "soc_end_mwh", "cycles_used", "cash_eur", "wear_eur"])
def test_what_is_not_a_number_breaks_a_rule(ledger: pd.DataFrame, name: str) -> None:
    add(10, **{name: float("nan")})(ledger)
    assert ledger.index[10] in violations(ledger, BATTERY).index


def test_rounding_is_not_a_violation(ledger: pd.DataFrame) -> None:
    add(10, soc_end_mwh=5e-10, cash_eur=5e-10)(ledger)
    assert violations(ledger, BATTERY).empty


def test_the_budget_starts_anew_each_brussels_day_and_not_before(ledger: pd.DataFrame) -> None:
    # 0.3 cycles a day were used up; taken as one day they are 0.6.
    one_day = ledger.assign(brussels_day=ledger["brussels_day"].iloc[0], span=0)
    assert "cycle_budget" in set(violations(one_day, BATTERY)["rule"])
