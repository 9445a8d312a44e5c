"""The backtest, quarter-hour by quarter-hour, against books kept by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.engine import PERFECT_FORESIGHT, backtest_perfect_foresight, run_backtest
from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Dispatcher, ShieldRule, decide
from arbitrage.market.point_in_time import KnownMarket
from arbitrage.market.splits import SocReset
from arbitrage.policies.protocol import Intent, Untrained
from arbitrage.progress import Progress
from tests.examples import examples
from tests.worlds import (
    MIDNIGHTS,
    SUMMER_MIDNIGHT,
    Clueless,
    Scripted,
    batteries,
    market_of,
    noisy_market,
    scripted,
    whole,
)

LOSSLESS = Battery(charge_efficiency=1.0, discharge_efficiency=1.0)
NAN = math.nan


def test_the_ledger_of_three_quarter_hours_is_the_one_kept_by_hand() -> None:
    # Charge 0.25 MWh at 40: -10; stores 0.225. Idle. Discharge all: 0.2025 MWh at 100 = 20.25; asked 1 MW, got 0.81.
    # Drawn 0.225 MWh: 0.1125 cycles of 2 MWh, wear at 8 = 1.8.
    market = market_of([40.0, 70.0, 100.0])
    battery = Battery(wear_cost_eur_mwh=8.0)
    backtest = run_backtest(market, battery, scripted(market, [-1.0, 0.0, 1.0]), whole(market))
    books = {
        "charge_mwh": [0.25, 0.0, 0.0],
        "discharge_mwh": [0.0, 0.0, 0.2025],
        "net_energy_mwh": [-0.25, 0.0, 0.2025],
        "soc_start_mwh": [0.0, 0.225, 0.225],
        "soc_end_mwh": [0.225, 0.225, 0.0],
        "cycles_used": [0.0, 0.0, 0.1125],
        "cash_eur": [-10.0, 0.0, 20.25],
        "wear_eur": [0.0, 0.0, 1.8],
        "profit_eur": [-10.0, 0.0, 18.45],
        "asked_mw": [-1.0, 0.0, 1.0],
        "shielded_fraction": [0.0, 0.0, 1.0],
        "imbalance_price_eur_mwh": [40.0, 70.0, 100.0],
    }
    for name, column in books.items():
        np.testing.assert_allclose(backtest.ledger[name], column, atol=1e-12, err_msg=name)
    assert backtest.ledger["settled"].tolist() == [True] * 3
    assert [str(day.date()) for day in backtest.ledger["brussels_day"]] == ["2024-07-01"] * 3
    assert [time.isoformat() for time in backtest.ledger.index[:2]] == [
        "2024-06-30T22:00:00+00:00",
        "2024-06-30T22:15:00+00:00",
    ]
    assert backtest.violations.empty
    # Hindsight tops up at 70 to sell the whole 0.25 MWh: 0.0475 MWh more for 4.75, less 0.0475 / 0.81 x 70 for
    # buying it and 0.0475 / 0.9 x 8 of wear.
    assert backtest.foresight.profit_eur == pytest.approx(8.45 + 4.75 - 0.0475 * (70 / 0.81 + 8 / 0.9), abs=1e-6)


def test_within_a_quarter_hour_both_ways_are_written_down_and_the_net_is_settled() -> None:
    # 5 minutes each of charging, discharging and idling 1 MW at 60: 1/12 MWh both ways, no cash; asked 0 on average.
    market = market_of([60.0])
    script = {SUMMER_MIDNIGHT: -1.0, SUMMER_MIDNIGHT + 5: 1.0, SUMMER_MIDNIGHT + 10: 0.0}
    row = run_backtest(market, LOSSLESS, Scripted(script), whole(market), step_min=5).ledger.iloc[0]
    assert row["charge_mwh"] == row["discharge_mwh"] == pytest.approx(1 / 12, abs=1e-12)
    assert row["cash_eur"] == pytest.approx(0.0, abs=1e-12)
    assert row["cycles_used"] == pytest.approx(1 / 24, abs=1e-12)
    assert row["asked_mw"] == pytest.approx(0.0, abs=1e-12)


def test_a_quarter_hour_without_a_price_is_held_and_not_settled() -> None:
    market = market_of([40.0, NAN, 100.0])
    backtest = run_backtest(market, LOSSLESS, scripted(market, [-1.0, 1.0, 1.0]), whole(market))
    assert backtest.ledger["net_energy_mwh"].tolist() == [-0.25, 0.0, 0.25]
    assert backtest.ledger["cash_eur"].tolist() == [-10.0, 0.0, 25.0]
    assert backtest.ledger["soc_end_mwh"].tolist() == [0.25, 0.25, 0.0]
    assert backtest.ledger["settled"].tolist() == [True, False, True]
    assert backtest.violations.empty


def test_energy_is_carried_over_midnight_unless_each_day_stands_on_its_own() -> None:
    # Bought in the first day's last quarter-hour at 10, sold in the next day's first at 90: 20. On its own, -2.5.
    market = market_of([0.0] * 95 + [10.0, 90.0] + [0.0] * 95)
    policy = scripted(market, [0.0] * 95 + [-1.0, 1.0] + [0.0] * 95)
    carried = run_backtest(market, LOSSLESS, policy, whole(market)).ledger
    assert carried["profit_eur"].sum() == 20.0
    assert carried["span"].unique().tolist() == [0]
    anew = run_backtest(market, LOSSLESS, policy, whole(market, SocReset.DAILY)).ledger
    assert anew["profit_eur"].sum() == -2.5
    assert anew["span"].unique().tolist() == [0, 1]
    assert anew["soc_start_mwh"].iloc[96] == 0.0


def test_every_span_begins_at_the_bottom_of_the_soc_window() -> None:
    market = market_of([10.0] * 192)
    battery = Battery(min_soc_fraction=0.2)
    ledger = run_backtest(market, battery, scripted(market, [-1.0] * 192), whole(market, SocReset.DAILY)).ledger
    assert ledger["soc_start_mwh"].iloc[[0, 96]].tolist() == [0.4, 0.4]


@pytest.mark.parametrize("day", sorted(MIDNIGHTS))
def test_the_cycle_budget_is_one_for_each_brussels_day_also_when_energy_is_carried(day: str) -> None:
    # 0.125 cycles x 2 MWh = one quarter-hour of discharge a day; alternately charging and discharging all day long.
    midnight, count = MIDNIGHTS[day]
    market = market_of([0.0, 100.0] * ((count + 96) // 2), midnight)
    battery = Battery(charge_efficiency=1.0, discharge_efficiency=1.0, max_cycles_per_day=0.125)
    backtest = run_backtest(market, battery, scripted(market, [-1.0, 1.0] * (len(market) // 2)), whole(market))
    by_day = backtest.ledger.groupby("brussels_day")
    assert by_day["discharge_mwh"].sum().tolist() == [0.25, 0.25]
    assert by_day["discharge_mwh"].size().tolist() == [count, 96]
    assert by_day["cycles_used"].max().tolist() == [0.125, 0.125]
    assert by_day["cycles_used"].first().tolist() == [0.0, 0.0]
    assert backtest.violations.empty


@dataclass
class Remembering(Clueless, Untrained):
    """Keeps what it was shown, and asks for nothing."""

    name: str = "remembering"
    times: list[int] = field(default_factory=list)
    states: list[BatteryState] = field(default_factory=list)

    def bind(self, known: KnownMarket, battery: Battery) -> Remembering:
        self.times += known.times.tolist()
        return self

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        self.states.append(state)
        return Intent(-1.0, "remembering")


@pytest.mark.parametrize("step_min", [1, 3, 5, 15])
def test_a_policy_is_asked_once_a_step_with_the_state_of_that_time(step_min: int) -> None:
    market, policy = market_of([10.0, 10.0]), Remembering()
    reports: list[Progress] = []
    run_backtest(market, LOSSLESS, policy, whole(market), step_min=step_min, progress=reports.append)
    assert policy.times == list(range(SUMMER_MIDNIGHT, SUMMER_MIDNIGHT + 30, step_min))
    expected = np.arange(30 // step_min) * step_min / 60
    np.testing.assert_allclose([state.soc_mwh for state in policy.states], expected, atol=1e-12)
    assert [(report.completed, report.total) for report in reports] == [(2, 2)]


@examples(15)
@given(seed=st.integers(0, 2**32 - 1), battery=batteries(), soc_reset=st.sampled_from(SocReset))
def test_the_books_of_hindsight_balance_and_hold_its_profit(seed: int, battery: Battery, soc_reset: SocReset) -> None:
    market = noisy_market(seed, days=2, gaps=10)
    backtest = backtest_perfect_foresight(market, battery, whole(market, soc_reset))
    assert backtest.strategy == PERFECT_FORESIGHT
    assert backtest.violations.empty
    assert backtest.ledger["profit_eur"].sum() == pytest.approx(backtest.foresight.profit_eur, abs=1e-6)


@pytest.mark.parametrize(
    ("battery", "state", "asked_mw", "power_mw", "shield"),
    [
        (LOSSLESS, BatteryState(1.0), 0.5, 0.5, None),
        (LOSSLESS, BatteryState(1.0), 3.0, 1.0, ShieldRule.RATED_POWER),
        (LOSSLESS, BatteryState(1.0), -3.0, -1.0, ShieldRule.RATED_POWER),
        (LOSSLESS, BatteryState(0.1), 1.0, 0.4, ShieldRule.STATE_OF_CHARGE),
        (LOSSLESS, BatteryState(2.0), -1.0, 0.0, ShieldRule.STATE_OF_CHARGE),
        (Battery(discharge_efficiency=1.0, max_cycles_per_day=0.1), BatteryState(1.0, 0.05), 1.0, 0.4, "cycle_budget"),
        (Battery(max_cycles_per_day=1.0), BatteryState(1.0, 1.0), 1.0, 0.0, ShieldRule.CYCLE_BUDGET),
        (Battery(max_cycles_per_day=1.0), BatteryState(0.0, 0.5), 1.0, 0.0, ShieldRule.STATE_OF_CHARGE),
        (Battery(export_limit_mw=0.0), BatteryState(1.0), 1.0, 0.0, ShieldRule.RATED_POWER),
        (Battery(import_limit_mw=0.0), BatteryState(0.0), 1.0, 0.0, ShieldRule.STATE_OF_CHARGE),
    ],
)
def test_a_decision_says_which_bound_cut_the_power_asked_for(
    battery: Battery, state: BatteryState, asked_mw: float, power_mw: float, shield: ShieldRule | None
) -> None:
    market = market_of([50.0])
    decision = decide(scripted(market, [asked_mw]), battery, market, SUMMER_MIDNIGHT, state)
    assert decision.power_mw == pytest.approx(power_mw, abs=1e-12)
    assert decision.shield == shield
    assert decision.intent.power_mw == asked_mw
    assert decision.state == state
    assert decision.action == ("idle" if power_mw == 0.0 else "charge" if power_mw < 0.0 else "discharge")
    assert decision.flow == battery.step(state, asked_mw, 15)


def test_the_dispatcher_knows_at_each_time_what_is_known_then() -> None:
    market, policy = market_of([1.0, 2.0, 3.0]), Remembering()
    Dispatcher(policy, LOSSLESS, market, [SUMMER_MIDNIGHT + 7, SUMMER_MIDNIGHT + 15], 1)
    assert policy.times == [SUMMER_MIDNIGHT + 7, SUMMER_MIDNIGHT + 15]
