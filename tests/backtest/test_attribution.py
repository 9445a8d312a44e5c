"""The gap to perfect foresight, cause by cause: small cases worked by hand, and sums that hold for any strategy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.attribution import CAUSES, attribute_gap, gap_by_cause
from arbitrage.backtest.engine import Backtest, backtest_perfect_foresight, run_backtest
from arbitrage.battery import Battery
from arbitrage.market.splits import SocReset
from tests.examples import examples
from tests.worlds import batteries, market_of, noisy_market, scripted, whole


def lossless(**changes: float) -> Battery:
    return Battery(charge_efficiency=1.0, discharge_efficiency=1.0, **changes)


def lived(prices: list[float], asked_mw: list[float], battery: Battery) -> Backtest:
    market = market_of(prices)
    return run_backtest(market, battery, scripted(market, asked_mw), whole(market))


@pytest.mark.parametrize(
    ("battery", "prices", "asked_mw", "causes"),
    [
        # 0.25 MWh bought at 10 and sold at 100 was there to be had. Idle at the first price loses all of it.
        (lossless(), [10.0, 100.0], [0, 0], {"held_back_eur": 22.5}),
        # Half the power earns half.
        (lossless(), [10.0, 100.0], [-0.5, 1], {"held_back_eur": 11.25}),
        # From 0.25 MWh hindsight sells at 50 for 12.5; it buys for 12.5, and has 0.25 MWh that 40 pays 10 for.
        (lossless(), [0.0, 50.0, 40.0], [-1, -1, 1], {"wrong_direction_eur": 15.0}),
        # One quarter-hour's discharge a day: spent at 100, gone at 200, though there is energy again.
        (
            lossless(capacity_mwh=1.0, max_cycles_per_day=0.25),
            [0.0, 100.0, 0.0, 200.0],
            [-1, 1, -1, 1],
            {"budget_spent_eur": 25.0},
        ),
        # One quarter-hour's store: sold at 50 for 12.5, and empty at 200.
        (lossless(capacity_mwh=0.25), [0.0, 50.0, 200.0], [-1, 1, 0], {"soc_in_the_way_eur": 37.5}),
        # Filled at 50 for 12.5, and full when taking it was paid 25.
        (lossless(capacity_mwh=0.25), [50.0, -100.0, 100.0], [-1, 0, 1], {"soc_in_the_way_eur": 37.5}),
        # Sold at 50 and bought back at 60 in time for 200: 10 x 0.25 lost, and nothing stood in the way.
        (lossless(capacity_mwh=0.25), [0.0, 50.0, 60.0, 200.0], [-1, 1, -1, 1], {"wrong_time_eur": 2.5}),
        # Bought at 30 what nobody wanted later.
        (lossless(), [30.0, 0.0], [-1, 0], {"wrong_time_eur": 7.5}),
        # Two causes: sold too soon at 50 (37.5), then idle when 10 could be bought and sold at 90 (20).
        (
            lossless(capacity_mwh=0.25),
            [0.0, 50.0, 200.0, 10.0, 90.0],
            [-1, 1, 0, 0, 0],
            {"soc_in_the_way_eur": 37.5, "held_back_eur": 20.0},
        ),
        # Full, and 0.25 in and 0.2025 out at once would be paid 4.75: no battery can.
        (Battery(capacity_mwh=0.225), [-100.0, -100.0], [-1, -1], {"rest_eur": 4.75}),
        # Wear of 4 EUR on a sale that earns 2.5: hindsight does not sell.
        (lossless(wear_cost_eur_mwh=16.0), [0.0, 10.0], [-1, 1], {"wrong_time_eur": 1.5}),
        # A gap is nobody's fault.
        (lossless(), [10.0, float("nan"), 100.0], [-1, 0, 1], {}),
    ],
)
def test_each_loss_is_charged_to_its_cause(
    battery: Battery, prices: list[float], asked_mw: list[float], causes: dict[str, float]
) -> None:
    found = attribute_gap(lived(prices, asked_mw, battery)).sum()
    expected = dict.fromkeys(CAUSES, 0.0) | causes
    assert found.to_dict() == pytest.approx(expected, abs=1e-3)


def test_a_loss_stands_where_it_was_made_and_not_where_it_was_felt() -> None:
    backtest = lived([0.0, 50.0, 200.0], [-1, 1, 0], lossless(capacity_mwh=0.25))
    assert attribute_gap(backtest)["soc_in_the_way_eur"].tolist() == pytest.approx([0.0, 37.5, 0.0], abs=1e-3)


def test_midnight_gives_the_budget_back() -> None:
    # The budget of the first day is spent at 100; the second day's 200 needs that of its own.
    prices = np.zeros(2 * 96)
    prices[[10, 96 + 10]] = 100.0, 200.0
    asked = np.zeros(2 * 96)
    asked[[9, 10, 96 + 9, 96 + 10]] = -1.0, 1.0, -1.0, 1.0
    market = market_of(prices)
    battery = lossless(capacity_mwh=1.0, max_cycles_per_day=0.25)
    backtest = run_backtest(market, battery, scripted(market, asked), whole(market))
    assert attribute_gap(backtest).sum().to_numpy() == pytest.approx(np.zeros(len(CAUSES)), abs=1e-3)


@examples(25)
@given(batteries(least_capacity_mwh=1.0), st.integers(0, 1000), st.sampled_from(SocReset))
def test_the_causes_of_any_strategy_add_up_to_its_gap_and_none_is_negative(
    battery: Battery, seed: int, reset: SocReset
) -> None:
    market = noisy_market(seed % 7, days=2, gaps=3)
    asked = np.random.default_rng(seed).choice([-2.0, -0.3, 0.0, 0.5, 2.0], len(market))
    backtest = run_backtest(market, battery, scripted(market, asked), whole(market, reset))
    causes = attribute_gap(backtest)
    gap = backtest.foresight.profit_eur - backtest.ledger["profit_eur"].sum()
    assert causes.to_numpy().sum() == pytest.approx(gap, abs=1e-6)
    assert (causes.drop(columns="rest_eur").to_numpy() >= -1e-6).all()


def test_the_rows_of_every_span_add_up_to_the_gap_of_that_span() -> None:
    market = noisy_market(1, days=3)
    battery = Battery(max_cycles_per_day=1.1)
    idle = run_backtest(market, battery, scripted(market, np.zeros(len(market))), whole(market, SocReset.DAILY))
    best = backtest_perfect_foresight(market, battery, whole(market, SocReset.DAILY))
    by_day = attribute_gap(idle).sum(axis=1).groupby(idle.ledger["brussels_day"]).sum()
    ceiling = best.ledger.groupby("brussels_day")["profit_eur"].sum()
    pd.testing.assert_series_equal(by_day, ceiling, check_names=False, rtol=1e-9, atol=1e-6)


def test_perfect_foresight_loses_next_to_nothing() -> None:
    market = noisy_market(2, days=3)
    best = backtest_perfect_foresight(market, Battery(max_cycles_per_day=1.1), whole(market))
    by_cause = attribute_gap(best).sum()
    # What it seems to lose is rounding of the lattice, and the rest takes it back.
    assert by_cause.sum() == pytest.approx(0.0, abs=1e-6)
    assert by_cause.drop("rest_eur").sum() < 0.005 * best.foresight.profit_eur


def test_causes_a_day_are_the_totals_over_the_days() -> None:
    market = noisy_market(4, days=2)
    backtest = run_backtest(market, Battery(), scripted(market, np.ones(len(market))), whole(market))
    totals = attribute_gap(backtest).sum()
    assert gap_by_cause(backtest) == pytest.approx({name: totals[name] / 2.0 for name in CAUSES})
