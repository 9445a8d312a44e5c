"""Fair accounts, worked by hand: what is left in store is valued beside the cash, and cycles know their depth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from arbitrage.backtest.engine import Backtest, run_backtest
from arbitrage.backtest.valuation import daily_accounts, rainflow_cycles
from arbitrage.battery import Battery
from arbitrage.market.splits import SocReset
from tests.worlds import market_of, noisy_market, scripted, whole

BATTERY = Battery(charge_efficiency=1.0, discharge_efficiency=0.5, capacity_mwh=1.0, wear_cost_eur_mwh=10.0)


def carried(reset: SocReset) -> Backtest:
    """Buys 0.25 MWh at 40 on the first day; sells 0.125 MWh of it at 100 on the second, if it still has it."""
    prices, asked = np.full(2 * 96, 60.0), np.zeros(2 * 96)
    prices[0], asked[0] = 40.0, -1.0
    prices[96], asked[96] = 100.0, 1.0
    market = market_of(prices)
    return run_backtest(market, BATTERY, scripted(market, asked), whole(market, reset))


def test_what_is_left_in_store_is_worth_what_would_reach_the_grid_less_its_wear() -> None:
    found = daily_accounts(carried(SocReset.NEVER).ledger, BATTERY)
    first, second = (40.0 + 95 * 60.0) / 96, (100.0 + 95 * 60.0) / 96
    assert second > first
    # 0.25 MWh at half the mean price less 10 EUR/MWh of wear.
    left = 0.25 * (0.5 * first - 10.0)
    assert found["cash_eur"].tolist() == pytest.approx([-10.0, 12.5])
    assert found["wear_eur"].tolist() == pytest.approx([0.0, 2.5])
    assert found["profit_eur"].tolist() == pytest.approx([-10.0, 10.0])
    assert found["stored_change_eur"].tolist() == pytest.approx([left, -left])
    assert found["marked_eur"].sum() == pytest.approx(0.0)


def test_a_span_starts_with_nothing_and_what_it_leaves_is_told() -> None:
    found = daily_accounts(carried(SocReset.DAILY).ledger, BATTERY)
    assert found["cash_eur"].tolist() == pytest.approx([-10.0, 0.0])
    assert found["stored_change_eur"].iloc[0] > 0.0
    assert found["stored_change_eur"].iloc[1] == 0.0


def test_energy_in_store_is_never_worth_less_than_nothing() -> None:
    market = market_of([-50.0] * 96)
    result = run_backtest(market, BATTERY, scripted(market, [-1.0] + [0.0] * 95), whole(market))
    assert daily_accounts(result.ledger, BATTERY)["stored_change_eur"].tolist() == [0.0]


def test_another_price_of_the_day_can_be_given() -> None:
    ledger = carried(SocReset.DAILY).ledger
    days = pd.Series([100.0, 100.0], index=ledger["brussels_day"].unique())
    assert daily_accounts(ledger, BATTERY, days)["stored_change_eur"].tolist() == pytest.approx([0.25 * 40.0, 0.0])


def test_rainflow_counts_a_dip_within_a_deep_cycle_apart() -> None:
    # Up 4 quarter-hours to full, down 2 to a half, up 2, down 4: one whole cycle of depth a half inside halves of one.
    asked = [-1.0] * 4 + [1.0] * 2 + [-1.0] * 2 + [1.0] * 4
    battery = Battery(charge_efficiency=1.0, discharge_efficiency=1.0, capacity_mwh=1.0)
    market = market_of([10.0] * len(asked))
    found = rainflow_cycles(run_backtest(market, battery, scripted(market, asked), whole(market)).ledger, battery)
    assert sorted(zip(found.depth_fraction, found.count, strict=True)) == [(0.5, 1.0), (1.0, 0.5), (1.0, 0.5)]
    assert (found.total, found.deep) == (2.0, 1.0)
    assert found.mean_depth_fraction == pytest.approx(0.75)


def test_an_idle_battery_has_no_cycles() -> None:
    market = noisy_market(0, days=1)
    idle = run_backtest(market, Battery(), scripted(market, np.zeros(96)), whole(market))
    found = rainflow_cycles(idle.ledger, Battery())
    assert (found.total, found.deep, found.mean_depth_fraction) == (0.0, 0.0, None)


def test_half_the_depth_of_all_cycles_is_the_throughput() -> None:
    # Whatever the pairing, rises and falls of the state of charge are all counted.
    market = noisy_market(5, days=3)
    asked = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], len(market))
    ledger = run_backtest(market, BATTERY, scripted(market, asked), whole(market)).ledger
    found = rainflow_cycles(ledger, BATTERY)
    moved = (ledger["soc_end_mwh"] - ledger["soc_start_mwh"]).abs().sum()
    assert 2.0 * found.depth_fraction @ found.count == pytest.approx(moved / BATTERY.capacity_mwh, abs=1e-6)
