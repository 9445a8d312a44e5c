"""The price maker's backtest: lived minute by minute, exact against the market cleared whole, and without a leak."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.impact.price_maker import run_price_maker
from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import decide
from arbitrage.errors import BadInput
from arbitrage.market.point_in_time import INDICATIVE, PRICE, KnownMarket
from arbitrage.market.simulation.simulator import Scenario, clear
from arbitrage.market.splits import Span
from arbitrage.policies.minute_rule import MinuteSpreadRule
from arbitrage.policies.protocol import Intent, Policy, PolicyView, Untrained
from arbitrage.policies.rules import ThresholdRule
from arbitrage.policies.scaled import Enlarged
from tests.examples import examples
from tests.impact_worlds import FEBRUARY, JULY, across_the_rules, by_hand
from tests.worlds import Clueless, batteries

LARGE = Battery(power_mw=150.0, capacity_mwh=200.0)
EAGER = MinuteSpreadRule(charge_below_eur_mwh=-10.0, discharge_above_eur_mwh=10.0)
FLOWS = ["charge_mwh", "discharge_mwh", "soc_end_mwh", "cycles_used"]


def begin(scenario: Scenario, rows: int = 8) -> int:
    return scenario.start + 15 * rows


@pytest.mark.parametrize("step_min", [1, 15])
@pytest.mark.parametrize("policy", [EAGER, ThresholdRule(0.0, 0.0)])
def test_a_battery_that_the_market_does_not_feel_does_what_the_price_takers_backtest_says(
    policy: Policy, step_min: int
) -> None:
    scenario = across_the_rules()
    battery = Battery(max_cycles_per_day=1.1, wear_cost_eur_mwh=5.0)
    market = clear(scenario).market(with_minutes=True)
    taker = run_backtest(market, battery, policy, (Span(8, len(market)),), step_min=step_min).ledger
    unfelt = run_price_maker(scenario, battery, policy, begin(scenario), step_min=step_min, felt_fraction=0.0).ledger
    assert (taker["charge_mwh"] > 0.0).any()
    for name in (*FLOWS, PRICE, "cash_eur", "profit_eur"):
        np.testing.assert_allclose(unfelt[name], taker[name], rtol=0, atol=1e-12, err_msg=name)
    tiny = Battery(power_mw=1e-9, capacity_mwh=2e-9, max_cycles_per_day=1.1, wear_cost_eur_mwh=5.0)
    felt = run_price_maker(scenario, tiny, policy, begin(scenario), step_min=step_min).ledger
    for name in (*FLOWS[:3], "profit_eur"):
        np.testing.assert_allclose(felt[name] * 1e9, taker[name], rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("step_min", [1, 5, 15])
def test_the_prices_lived_are_those_of_the_market_cleared_with_the_whole_injection(step_min: int) -> None:
    scenario = across_the_rules()
    run = run_price_maker(scenario, LARGE, EAGER, begin(scenario), step_min=step_min)
    whole = clear(scenario, run.injection_mw).prices[PRICE].to_numpy()[8:]
    np.testing.assert_array_equal(run.ledger[PRICE], whole)
    assert (whole != clear(scenario).prices[PRICE].to_numpy()[8:]).mean() > 0.3
    net_mwh = run.injection_mw.reshape(-1, 15)[8:].sum(axis=1) / 60.0
    np.testing.assert_allclose(run.ledger["net_energy_mwh"], net_mwh, rtol=0, atol=1e-9)
    np.testing.assert_allclose(run.ledger["cash_eur"], whole * net_mwh, rtol=0, atol=1e-6)
    assert len(run.violations) == 0


@pytest.mark.parametrize("delay_min", [0, 1, 3])
@pytest.mark.parametrize("rows", [44, 80])
def test_it_is_the_path_of_deciding_minute_by_minute_in_the_market_cleared_anew_each_time(
    rows: int, delay_min: int
) -> None:
    scenario = across_the_rules()
    start = begin(scenario, rows)
    scenario = dataclasses.replace(scenario, end=start + 4 * 15)
    injection_mw = np.zeros(scenario.end - scenario.start)
    state = LARGE.empty
    day_begins = 15 * 48 + scenario.start
    for time in range(start, scenario.end):
        state = BatteryState(state.soc_mwh) if time == day_begins else state
        market = clear(scenario, injection_mw).market(with_minutes=True, publication_delay_min=delay_min)
        decision = decide(EAGER, LARGE, market, time, state, duration_min=1)
        injection_mw[time - scenario.start] = decision.power_mw
        state = decision.flow.after
    run = run_price_maker(scenario, LARGE, EAGER, start, publication_delay_min=delay_min)
    assert len(np.unique(injection_mw)) > 1
    np.testing.assert_array_equal(run.injection_mw, injection_mw)


@pytest.mark.parametrize(
    ("start", "price"),
    [(FEBRUARY, 225.0), (JULY, round((2 * 150 * 225.0 + 13 * 50 * 175.0) / (2 * 150 + 13 * 50), 3))],
)
def test_a_battery_sees_its_own_shadow_and_is_paid_by_it_by_hand(start: int, price: float) -> None:
    # 150 MW long at first: 80 - 40 x 2.5 = -20, which is 80 below day-ahead, so the rule charges 50 MW from minute 2
    # on, when the first record is known. The next quarter-hour is 100 MW short. Its minutes 0 and 1 are decided on the
    # records before, so charging goes on: 150 MW called at 225. The record of that is 165 above day-ahead: discharging
    # from minute 2 on leaves 50 MW to call, at 175. Extremes settle at 225, averages in between.
    rule = MinuteSpreadRule(charge_below_eur_mwh=-30.0, discharge_above_eur_mwh=100.0)
    battery = Battery(power_mw=50.0, capacity_mwh=100.0, charge_efficiency=1.0, discharge_efficiency=1.0)
    world = by_hand(start, quarter_hours=2)
    imbalance_mw = np.where(np.arange(len(world.minute_imbalance_mw)) < 15, 150.0, -100.0)
    run = run_price_maker(dataclasses.replace(world, minute_imbalance_mw=imbalance_mw), battery, rule, start)
    np.testing.assert_array_equal(run.injection_mw, [*[0.0] * 2, *[-50.0] * 15, *[50.0] * 13])
    assert run.ledger[PRICE].iloc[1] == price
    assert run.ledger["cash_eur"].iloc[1] == pytest.approx(price * 11 * 50.0 / 60.0)


@examples(8)
@given(minute=st.integers(8 * 15, 24 * 60 - 1), seed=st.integers(0, 2**32 - 1))
def test_no_decision_rests_on_what_the_world_does_later(minute: int, seed: int) -> None:
    scenario = across_the_rules()
    offset = scenario.start - int(scenario.fundamentals.quarter_hours[0])
    noise = np.random.default_rng(seed).normal(0.0, 400.0, len(scenario.minute_imbalance_mw))
    later = np.arange(len(noise)) >= offset + minute
    scrambled = dataclasses.replace(scenario, minute_imbalance_mw=np.where(later, noise, scenario.minute_imbalance_mw))
    lived, other = (
        run_price_maker(world, LARGE, EAGER, begin(scenario)).injection_mw for world in (scenario, scrambled)
    )
    # What minute k decides on is published a minute after the end of a record, so record k - 2 is the last.
    known = min(minute + 2, len(lived))
    assert lived[:known].tobytes() == other[:known].tobytes()


@dataclasses.dataclass(frozen=True)
class Peeking(Untrained):
    """Looks past what is known at the record of its own minute, and does whatever that record does not show."""

    name: str = "peeking"

    def bind(self, known: KnownMarket, battery: Battery) -> PolicyView:
        series = known._series[INDICATIVE]
        return _Contrary(series.values[known.times - series.first_minute])


@dataclasses.dataclass(frozen=True)
class _Contrary(Clueless):
    records: np.ndarray

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        return Intent(-200.0 if self.records[at] < 210.0 else 0.0, "contrary")


def test_a_policy_that_sees_the_record_of_its_own_minute_is_caught() -> None:
    battery = Battery(power_mw=200.0, capacity_mwh=4000.0)
    with pytest.raises(RuntimeError, match="cannot have seen"):
        run_price_maker(by_hand(FEBRUARY), battery, Peeking(), FEBRUARY)


@examples(8)
@given(battery=batteries(), seed=st.integers(0, 3), times=st.sampled_from([1.0, 100.0]))
def test_no_rule_of_the_battery_and_no_budget_is_ever_broken(battery: Battery, seed: int, times: float) -> None:
    scenario = across_the_rules(seed=seed, hours=6)
    large = Enlarged(EAGER, battery)
    resized = dataclasses.replace(battery, power_mw=battery.power_mw * times, capacity_mwh=battery.capacity_mwh * times)
    run = run_price_maker(scenario, resized, large, scenario.start)
    assert len(run.violations) == 0
    if battery.max_cycles_per_day is not None:
        assert run.ledger["cycles_used"].max() <= battery.max_cycles_per_day + 1e-9
    assert np.abs(run.injection_mw).max() <= resized.power_mw + 1e-9


def test_the_cycle_budget_starts_anew_at_brussels_midnight() -> None:
    scenario = across_the_rules()
    run = run_price_maker(scenario, Battery(max_cycles_per_day=0.3), EAGER, scenario.start)
    by_day = run.ledger.groupby("brussels_day")["cycles_used"].max()
    assert len(by_day) == 2
    np.testing.assert_allclose(by_day, 0.3, atol=1e-9)


def test_held_power_is_constant_within_the_quarter_hour() -> None:
    scenario = across_the_rules()
    run = run_price_maker(scenario, LARGE, EAGER, scenario.start, step_min=15)
    powers = run.injection_mw.reshape(-1, 15)
    assert (powers == powers[:, :1]).all()
    assert (powers != 0.0).any()


@pytest.mark.parametrize(("option", "value"), [("step_min", 0), ("step_min", 4), ("felt_fraction", 1.5)])
def test_a_step_or_a_fraction_that_makes_no_sense_is_refused(option: str, value: float) -> None:
    with pytest.raises(BadInput, match=option):
        run_price_maker(by_hand(FEBRUARY), LARGE, EAGER, FEBRUARY, **{option: value})
