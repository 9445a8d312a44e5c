"""Plans as linear programmes: cases solved by hand, perfect foresight as the oracle, several paths and their risk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.hindsight.perfect_foresight import perfect_foresight
from arbitrage.battery import Battery, BatteryState
from arbitrage.market.point_in_time import KnownMarket
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import SocReset
from arbitrage.policies.mpc.linear_programme import Aim, Plan, best_plan, make_solver
from arbitrage.policies.protocol import Intent, Untrained
from tests.examples import examples
from tests.worlds import SUMMER_MIDNIGHT, Clueless, batteries, market_of, whole

LOSSLESS = Battery(charge_efficiency=1.0, discharge_efficiency=1.0)
HALF = BatteryState(1.0)
SOLVER = make_solver()


def plan(battery: Battery, state: BatteryState, paths: object, **more: object) -> Plan:
    prices = np.atleast_2d(np.asarray(paths, dtype=np.float64))
    return best_plan(SOLVER, battery.law, state, prices, **{"today": prices.shape[1], **more})


@pytest.mark.parametrize(
    ("prices", "power_mw", "worth_eur"),
    [
        # Buy 0.25 MWh at 10 now, sell it at 100.
        ([10.0, 100.0], -1.0, 22.5),
        # Nothing in store and the dear hour comes first.
        ([100.0, 10.0], 0.0, 0.0),
        # Two cheap quarter-hours, one to sell in: the cheaper one is enough.
        ([20.0, 10.0, 100.0], 0.0, 22.5),
    ],
)
def test_a_plan_on_one_path_is_what_a_person_would_do(prices: list[float], power_mw: float, worth_eur: float) -> None:
    found = plan(LOSSLESS, LOSSLESS.empty, prices)
    assert found.power_mw == pytest.approx(power_mw)
    assert found.worth_eur == pytest.approx(worth_eur)


@examples(40)
@given(seed=st.integers(0, 2**32 - 1), battery=batteries(), length=st.integers(1, 96))
def test_a_plan_on_the_prices_to_come_is_worth_what_perfect_foresight_earns(
    seed: int, battery: Battery, length: int
) -> None:
    prices = np.random.default_rng(seed).normal(80.0, 150.0, length)
    market = market_of(prices)
    ceiling = perfect_foresight(market, battery, whole(market)).profit_eur
    assert plan(battery, battery.empty, prices).worth_eur == pytest.approx(ceiling, abs=1e-6)


@dataclass(frozen=True)
class KnowsAll(Untrained):
    """Rolling plans on the prices to come, to the end of the day and beyond: no policy, an oracle."""

    market: MarketSeries
    paths: int
    name: str = "knows all"

    def bind(self, known: KnownMarket, battery: Battery) -> _KnowsAllReading:
        return _KnowsAllReading(self, np.searchsorted(self.market.quarter_hours, known.times), battery)


@dataclass(frozen=True)
class _KnowsAllReading(Clueless):
    oracle: KnowsAll
    rows: np.ndarray
    battery: Battery

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        market, row = self.oracle.market, int(self.rows[at])
        today = int((market.day_numbers[row:] == market.day_numbers[row]).sum())
        paths = np.tile(market.price_eur_mwh[row:], (self.oracle.paths, 1))
        return Intent(plan(self.battery, state, paths, today=today).power_mw, "knows")


@pytest.mark.parametrize("paths", [1, 3])
@pytest.mark.parametrize("battery", [Battery(), Battery(max_cycles_per_day=1.1, wear_cost_eur_mwh=5.0)])
def test_rolling_plans_on_the_prices_to_come_earn_what_perfect_foresight_earns(battery: Battery, paths: int) -> None:
    # At positive prices nobody wants losses, so the schedule of the ceiling is one that a battery can follow.
    # Six hours before midnight, and ten after it.
    market = market_of(np.random.default_rng(3).uniform(0.0, 300.0, 64), SUMMER_MIDNIGHT + 18 * 60)
    result = run_backtest(market, battery, KnowsAll(market, paths), whole(market, SocReset.NEVER))
    assert len(result.violations) == 0
    earned = result.ledger["cash_eur"].sum() - result.ledger["wear_eur"].sum()
    assert earned == pytest.approx(result.foresight.profit_eur, abs=1e-6)


def test_what_is_left_of_the_budget_bounds_a_plan_and_midnight_brings_a_new_one() -> None:
    battery = Battery(charge_efficiency=1.0, discharge_efficiency=1.0, max_cycles_per_day=0.5)
    full = BatteryState(2.0, cycles_used=0.375)
    # 0.125 cycles of 2 MWh are left today: one quarter-hour, the better of the two.
    assert plan(battery, full, [50.0, 60.0]).worth_eur == pytest.approx(0.25 * 60.0)
    assert plan(battery, full, [50.0, 60.0], today=1).worth_eur == pytest.approx(0.25 * (50.0 + 60.0))


def test_energy_left_at_the_end_of_a_plan_counts_what_is_said() -> None:
    assert plan(LOSSLESS, HALF, [50.0], end_value_eur_mwh=60.0).power_mw == pytest.approx(-1.0)
    assert plan(LOSSLESS, HALF, [50.0], end_value_eur_mwh=40.0).power_mw == pytest.approx(1.0)


def test_the_first_quarter_hour_is_decided_for_all_paths_together() -> None:
    # Either path alone would sell now or later; knowing neither, the mean of what comes decides.
    paths = [[50.0, 0.0], [50.0, 120.0]]
    one = BatteryState(0.25)
    found = plan(LOSSLESS, one, paths, shared=1)
    assert found.power_mw == pytest.approx(0.0)
    # Waiting brings the better of what comes: 0 (kept) or 120.
    assert found.worth_eur == pytest.approx(0.25 * 60.0)
    # If the second is shared too, it is worth its mean.
    dearer = plan(LOSSLESS, one, [[70.0, 0.0], [70.0, 120.0]], shared=2)
    assert dearer.power_mw == pytest.approx(1.0)
    assert dearer.worth_eur == pytest.approx(0.25 * 70.0)


def test_weight_on_the_tail_takes_the_sure_price() -> None:
    paths = [[50.0, 0.0], [50.0, 120.0]]
    one = BatteryState(0.25)
    averse = plan(LOSSLESS, one, paths, aim=Aim(cvar_weight=5.0, cvar_level=0.5))
    assert averse.power_mw == pytest.approx(1.0)
    # Mean and worst half are the same sure 12.5.
    assert averse.worth_eur == pytest.approx(12.5 + 5.0 * 12.5)
    assert plan(LOSSLESS, one, paths, aim=Aim(cvar_weight=0.1, cvar_level=0.5)).power_mw == pytest.approx(0.0)


@examples(30)
@given(seed=st.integers(0, 2**32 - 1), battery=batteries(), shared=st.integers(1, 12), weight=st.floats(0.0, 2.0))
def test_equal_paths_are_worth_what_one_is(seed: int, battery: Battery, shared: int, weight: float) -> None:
    prices = np.random.default_rng(seed).normal(80.0, 150.0, 10)
    one = plan(battery, battery.empty, prices).worth_eur
    several = plan(battery, battery.empty, np.tile(prices, (4, 1)), shared=shared, aim=Aim(weight, 0.3))
    assert several.worth_eur == pytest.approx((1.0 + weight) * one, abs=1e-6)


def test_what_one_more_mwh_in_store_is_worth_is_told() -> None:
    prices, more = np.random.default_rng(5).normal(100.0, 80.0, 40), 1e-4
    state = BatteryState(0.8)
    found = plan(Battery(), state, prices)
    higher = plan(Battery(), BatteryState(0.8 + more), prices)
    assert found.stored_worth_eur_mwh == pytest.approx((higher.worth_eur - found.worth_eur) / more, rel=1e-5)
    assert found.stored_worth_eur_mwh > 0.0


def test_a_plan_does_not_depend_on_the_plans_before_it() -> None:
    random = np.random.default_rng(2)
    # Whole euros make ties, which a warm start would break otherwise each time.
    asked = [(BatteryState(float(random.integers(0, 9)) / 4), random.integers(0, 4, (3, 30)) * 10.0) for _ in range(20)]
    alone = [best_plan(make_solver(), Battery().law, state, paths, 30) for state, paths in asked]
    solver = make_solver()
    assert [best_plan(solver, Battery().law, *asked[i], 30) for i in range(20)] == alone
    assert [best_plan(solver, Battery().law, *asked[i], 30) for i in range(19, -1, -1)] == alone[::-1]
