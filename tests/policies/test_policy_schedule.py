"""Policies that take turns decide as each would alone."""

from __future__ import annotations

import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery
from arbitrage.dispatch import Dispatcher
from arbitrage.errors import BadInput
from arbitrage.policies.policy_schedule import PolicySchedule, policy_schedule
from arbitrage.policies.rules import Idle, SpreadRule, ThresholdRule
from tests.worlds import SUMMER_MIDNIGHT, noisy_market, whole

DAY = 24 * 60


def test_each_time_is_decided_by_the_policy_on_duty() -> None:
    market, battery = noisy_market(3, 12), Battery()
    rules = (ThresholdRule(), SpreadRule(-10.0, 10.0))
    both = policy_schedule("both", [(SUMMER_MIDNIGHT, rules[0]), (SUMMER_MIDNIGHT + 10 * DAY, rules[1])])
    times = market.quarter_hours
    together = Dispatcher(both, battery, market, times, 15)
    alone = [Dispatcher(rule, battery, market, times, 15) for rule in rules]
    state = battery.step(battery.empty, -1.0, 60).after
    asked = [together.decide(at, state).intent for at in range(len(times))]
    for at, time in enumerate(times):
        assert asked[at] == alone[int(time >= SUMMER_MIDNIGHT + 10 * DAY)].decide(at, state).intent
    assert {intent.power_mw for intent in asked[-2 * 96 :]} == {-1.0, 0.0, 1.0}


def test_the_battery_carries_its_energy_from_one_policy_to_the_next() -> None:
    market, battery = noisy_market(4, 9), Battery()
    both = policy_schedule("both", [(SUMMER_MIDNIGHT, SpreadRule(0.0, 1e9)), (SUMMER_MIDNIGHT + 8 * DAY, Idle())])
    ledger = run_backtest(market, battery, both, whole(market)).ledger
    assert ledger["soc_end_mwh"].iloc[-1] == ledger["soc_start_mwh"].iloc[8 * 96] > 0.0


def test_a_time_before_the_first_policy_is_refused() -> None:
    market = noisy_market(3, 2)
    late = policy_schedule("late", [(SUMMER_MIDNIGHT + 15, Idle())])
    with pytest.raises(BadInput, match="before the first policy"):
        Dispatcher(late, Battery(), market, market.quarter_hours, 15)


def test_policies_out_of_order_are_refused() -> None:
    with pytest.raises(BadInput, match="must rise"):
        policy_schedule("wrong", [(2, Idle()), (1, Idle())])
    with pytest.raises(BadInput, match="as many"):
        PolicySchedule("none", (), ())
