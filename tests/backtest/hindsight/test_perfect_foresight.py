"""The ceiling: small cases solved by hand, two methods that agree, and no strategy above it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.hindsight.perfect_foresight import foresight_value_eur, perfect_foresight
from arbitrage.battery import Battery
from arbitrage.market.files.read import read_market
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, select_rows, spans
from tests.examples import examples
from tests.shared_data import shared_file
from tests.worlds import MIDNIGHTS, batteries, market_of, noisy_market, scripted, whole

LOSSLESS = Battery(charge_efficiency=1.0, discharge_efficiency=1.0)
NAN = math.nan


def lossless(**changes: float) -> Battery:
    return Battery(charge_efficiency=1.0, discharge_efficiency=1.0, **changes)


@pytest.mark.parametrize(
    ("battery", "prices", "profit_eur"),
    [
        # Buy 0.25 MWh at 10, sell it at 100.
        (LOSSLESS, [10.0, 100.0], 22.5),
        # Buy 0.25, store 0.225, sell 0.2025 at 100: 20.25 - 2.5.
        (Battery(), [10.0, 100.0], 17.75),
        # Falling prices: nothing to be had from empty.
        (LOSSLESS, [100.0, 10.0], 0.0),
        # The spread of 20 does not pay the wear of 25; that of 30 leaves 5 x 0.25.
        (lossless(wear_cost_eur_mwh=25.0), [10.0, 30.0], 0.0),
        (lossless(wear_cost_eur_mwh=25.0), [10.0, 40.0], 1.25),
        # 0.25 cycles of 1 MWh are one quarter-hour of discharge: the one at 200. Without a budget both, for 75.
        (lossless(capacity_mwh=1.0, max_cycles_per_day=0.25), [0.0, 100.0, 0.0, 200.0], 50.0),
        (lossless(capacity_mwh=1.0), [0.0, 100.0, 0.0, 200.0], 75.0),
        # Room for one quarter-hour only: buy at 10, not at 5 after it; or at 5 if it comes before the sale.
        (lossless(capacity_mwh=0.25), [10.0, 5.0, 100.0, 5.0], 23.75),
        # A window of half the capacity is half the capacity.
        (lossless(capacity_mwh=0.5, min_soc_fraction=0.25, max_soc_fraction=0.75), [10.0, 10.0, 90.0, 90.0], 20.0),
        # Import at 0.4 MW: 0.1 MWh a quarter-hour; two of them sold in one.
        (lossless(import_limit_mw=0.4), [10.0, 10.0, 60.0], 10.0),
        # Export at 0.4 MW leaves the rest in the store, bought for nothing.
        (lossless(export_limit_mw=0.4), [0.0, 60.0], 6.0),
        # A gap is held: what lies in between cannot be used.
        (LOSSLESS, [10.0, NAN, 100.0], 22.5),
        (LOSSLESS, [NAN, 100.0], 0.0),
        # Taking is paid at negative prices, and what is left at the end is worth nothing.
        (LOSSLESS, [-100.0], 25.0),
        # Full after the first; then 0.25 in and 0.2025 out in one quarter-hour: the loss of 0.0475 MWh is paid for.
        (Battery(capacity_mwh=0.225), [-100.0, -100.0], 29.75),
    ],
)
def test_small_cases_have_the_profit_that_hand_arithmetic_gives(
    battery: Battery, prices: list[float], profit_eur: float
) -> None:
    market = market_of(prices)
    solved = perfect_foresight(market, battery, whole(market))
    assert solved.profit_eur == pytest.approx(profit_eur, abs=1e-6)
    # The lattice of the dynamic programme need not hit these corners: a little low, never high.
    (planned,) = foresight_value_eur(market, battery, whole(market))
    assert profit_eur * 0.98 - 1e-6 <= planned <= profit_eur + 1e-4


def test_the_schedule_is_the_one_of_the_hand_and_says_what_it_circulates() -> None:
    market = market_of([10.0, 5.0, 100.0])
    solved = perfect_foresight(market, lossless(capacity_mwh=0.25), whole(market))
    np.testing.assert_allclose(solved.charge_mwh, [0.0, 0.25, 0.0], atol=1e-9)
    np.testing.assert_allclose(solved.discharge_mwh, [0.0, 0.0, 0.25], atol=1e-9)
    np.testing.assert_allclose(solved.soc_mwh, [0.0, 0.25, 0.0], atol=1e-9)
    assert solved.circulated_mwh == pytest.approx(0.0, abs=1e-9)
    negative = market_of([-100.0, -100.0])
    both_ways = perfect_foresight(negative, Battery(capacity_mwh=0.225), whole(negative))
    assert both_ways.circulated_mwh == pytest.approx(0.2025, abs=1e-9)


def test_energy_is_carried_over_midnight_unless_each_day_stands_on_its_own() -> None:
    # Full for 2 MWh x 10 the first day, empty at 100 the second: 180. On its own, a flat day earns nothing.
    market = market_of([10.0] * 96 + [100.0] * 96)
    assert perfect_foresight(market, LOSSLESS, whole(market)).profit_eur == pytest.approx(180.0, abs=1e-6)
    daily = whole(market, SocReset.DAILY)
    assert perfect_foresight(market, LOSSLESS, daily).profit_eur == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(foresight_value_eur(market, LOSSLESS, daily), [0.0, 0.0], atol=1e-4)


@pytest.mark.parametrize("day", sorted(MIDNIGHTS))
def test_the_budget_is_one_for_each_brussels_day_of_any_length(day: str) -> None:
    # Every second quarter-hour is worth 100, the others 0; 0.5 MWh a day may be sold, in each of the two days.
    midnight, count = MIDNIGHTS[day]
    market = market_of([0.0, 100.0] * ((count + 96) // 2), midnight)
    battery = lossless(max_cycles_per_day=0.25)
    solved = perfect_foresight(market, battery, whole(market))
    assert solved.profit_eur == pytest.approx(100.0, abs=1e-6)
    assert solved.discharge_mwh[:count].sum() == pytest.approx(0.5, abs=1e-9)
    assert foresight_value_eur(market, battery, whole(market))[0] == pytest.approx(100.0, rel=1e-3)


@examples(20)
@given(
    seed=st.integers(0, 2**32 - 1),
    max_cycles_per_day=st.sampled_from([None, 0.5, 1.0, 1.1, 2.0]),
    capacity_mwh=st.sampled_from([1.0, 2.0, 4.0]),
    wear_cost_eur_mwh=st.sampled_from([0.0, 10.0]),
    soc_reset=st.sampled_from(SocReset),
)
def test_linear_and_dynamic_programme_agree_to_half_a_percent_on_noise_for_any_battery(
    seed: int, max_cycles_per_day: float | None, capacity_mwh: float, wear_cost_eur_mwh: float, soc_reset: SocReset
) -> None:
    market = noisy_market(seed, days=3, gaps=10)
    battery = Battery(
        capacity_mwh=capacity_mwh, max_cycles_per_day=max_cycles_per_day, wear_cost_eur_mwh=wear_cost_eur_mwh
    )
    selection = whole(market, soc_reset)
    solved = perfect_foresight(market, battery, selection).profit_eur
    planned = float(foresight_value_eur(market, battery, selection).sum())
    assert (1.0 - 0.005) * solved <= planned <= solved * (1.0 + 1e-6) + 1e-3


@examples(20)
@given(seed=st.integers(0, 2**32 - 1), battery=batteries())
def test_the_dynamic_programme_is_never_above_the_linear_programme(seed: int, battery: Battery) -> None:
    market = noisy_market(seed, days=1)
    solved = perfect_foresight(market, battery, whole(market)).profit_eur
    planned = float(foresight_value_eur(market, battery, whole(market))[0])
    assert planned <= solved * (1.0 + 1e-6) + 1e-3
    # Behind a narrow grid connection a quarter-hour moves less than a segment of the lattice, which is then too coarse.
    if min(battery.law.charge_power_mw, battery.law.discharge_power_mw) >= 0.1 * battery.capacity_mwh:
        assert planned >= 0.95 * solved - 1.0


@examples(20)
@given(seed=st.integers(0, 2**32 - 1), battery=batteries())
def test_no_sequence_of_powers_earns_more_than_hindsight(seed: int, battery: Battery) -> None:
    market = noisy_market(seed, days=2, gaps=5)
    random = np.random.default_rng(seed)
    # Half of the time what hindsight would like, so that the policy is a good one.
    informed = np.where(np.nan_to_num(market.price_eur_mwh) > 80.0, 3.0, -3.0)
    asked = np.where(random.random(len(market)) < 0.5, informed, random.uniform(-3.0, 3.0, len(market)))
    backtest = run_backtest(market, battery, scripted(market, asked), whole(market, SocReset.DAILY))
    assert backtest.ledger["profit_eur"].sum() <= backtest.foresight.profit_eur + 1e-6


@pytest.fixture(scope="module")
def year() -> MarketSeries:
    """The recorded imbalance prices of 2022."""
    return read_market(shared_file("imbalance_qh_2022.parquet"))


@pytest.mark.parametrize(("max_cycles_per_day", "eur_per_day"), [(None, 2172.4), (1.1, 1051.0)])
def test_the_test_days_of_2022_have_the_ceiling_of_an_independent_programme(
    year: MarketSeries, max_cycles_per_day: float | None, eur_per_day: float
) -> None:
    battery = Battery(max_cycles_per_day=max_cycles_per_day)
    selection = spans(year, select_rows(year, days=DaysOfMonth(26, 31)), SocReset.DAILY)
    assert len(selection) == 65
    solved = perfect_foresight(year, battery, selection).profit_eur / 65
    assert solved == pytest.approx(eur_per_day, abs=0.05)
    planned = float(foresight_value_eur(year, battery, selection).sum()) / 65
    assert (1.0 - 0.001) * solved <= planned <= solved + 1e-3
