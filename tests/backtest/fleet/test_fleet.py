"""Thousands of batteries at once do what each would have done alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.fleet.fleet import FleetGroup, FleetResult, run_fleet
from arbitrage.backtest.fleet.loops import broken_rules
from arbitrage.battery import Battery, BatteryLaw, BatteryState
from arbitrage.dispatch import Dispatcher
from arbitrage.errors import BadInput
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.market.splits import DaysOfMonth, SocReset, new_day_flags
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.rules import SpreadRule, ThresholdRule
from arbitrage.policies.scaled import Enlarged
from arbitrage.progress import Progress
from arbitrage.risk import RiskPreference
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit
from tests.worlds import noisy_market, whole

MARKET = noisy_market(seed=5, days=31, gaps=40)
DAYS = whole(MARKET, SocReset.DAILY)
LIFE = whole(MARKET)
KINDS = (
    Battery(),
    Battery(power_mw=0.5, capacity_mwh=3.0, charge_efficiency=0.95, max_cycles_per_day=1.1, wear_cost_eur_mwh=4.0),
    Battery(power_mw=3.0, capacity_mwh=2.0, max_cycles_per_day=0.3, min_soc_fraction=0.1, max_soc_fraction=0.9),
    Battery(discharge_efficiency=0.8, import_limit_mw=0.4, export_limit_mw=0.7, max_cycles_per_day=0.0),
)


@cache
def learned(cap: float | None) -> ClosedFormPolicy:
    split = DataSplit(market=MARKET, train_days=DaysOfMonth(1, 20), validation_days=DaysOfMonth(21, 25))
    trainer = ClosedFormTrainer(
        members=2,
        config=ClosedFormConfig(cosines=12, passes=1, network=None, size=LatticeSize(5, 4)),
        with_critic=False,
        with_risk_head=False,
    )
    return trainer.policy(split, Battery(max_cycles_per_day=cap))


def enlarged(battery: Battery, times: float) -> Battery:
    return replace(battery, power_mw=battery.power_mw * times, capacity_mwh=battery.capacity_mwh * times)


def fleet_of_rules(selection: object = DAYS) -> FleetResult:
    groups = [FleetGroup(ThresholdRule(), KINDS), FleetGroup(SpreadRule(), KINDS)]
    return run_fleet(MARKET, groups, selection, ledgers_of=range(2 * len(KINDS)), threads=2)


@pytest.mark.parametrize("selection", [DAYS, LIFE], ids=["each day alone", "one life"])
def test_every_battery_has_the_ledger_of_its_own_backtest(selection: object) -> None:
    result = fleet_of_rules(selection)
    alone = [
        run_backtest(MARKET, battery, rule, selection) for rule in (ThresholdRule(), SpreadRule()) for battery in KINDS
    ]
    for number, backtest in enumerate(alone):
        pd.testing.assert_frame_equal(result.ledgers[number], backtest.ledger, check_exact=True)
    assert result.totals["charge_mwh"].gt(0.0).sum() >= 6


def test_totals_and_days_are_those_of_the_ledgers() -> None:
    result = fleet_of_rules()
    for number, ledger in result.ledgers.items():
        by_day = ledger.groupby("brussels_day")
        np.testing.assert_allclose(result.profit_by_day_eur[number], by_day["profit_eur"].sum(), rtol=0.0, atol=1e-9)
        np.testing.assert_allclose(result.cycles_by_day[number], by_day["cycles_used"].last(), rtol=0.0, atol=1e-9)
        row = result.totals.loc[number]
        for name in ("charge_mwh", "discharge_mwh", "cash_eur", "wear_eur", "profit_eur"):
            assert row[name] == pytest.approx(ledger[name].sum(), abs=1e-9)
        assert row["end_soc_mwh"] == ledger["soc_end_mwh"].iloc[-1]
    assert list(result.days) == list(result.ledgers[0]["brussels_day"].unique())
    assert (result.totals["violations"] == 0).all()


def test_missing_records_are_counted_for_each_group_as_for_its_own_backtest() -> None:
    result = fleet_of_rules()
    alone = [run_backtest(MARKET, KINDS[0], rule, DAYS).coverage for rule in (ThresholdRule(), SpreadRule())]
    assert list(result.coverage) == alone
    assert alone[0][0].absent > 0


def test_a_rule_may_have_numbers_of_its_own_for_each_battery() -> None:
    bounds = np.array([[-2.0, 0.1], [-0.2, 1.5], [-0.7, 0.7], [0.0, 0.0]])
    result = run_fleet(MARKET, [FleetGroup(ThresholdRule(), KINDS, bounds=bounds)], DAYS)
    for number, (battery, (low, high)) in enumerate(zip(KINDS, bounds.tolist(), strict=True)):
        rule = ThresholdRule(charge_below_std=low, discharge_above_std=high)
        earned = run_backtest(MARKET, battery, rule, DAYS).ledger["profit_eur"].sum()
        assert result.totals["profit_eur"][number] == pytest.approx(earned, abs=1e-9)


@pytest.mark.parametrize("cap", [None, 1.1])
def test_a_learned_policy_decides_for_batteries_of_its_kind_and_any_size_as_it_does_alone(cap: float | None) -> None:
    policy, sizes = learned(cap), (1.0, 0.1, 7.3)
    batteries = [enlarged(policy.battery, times) for times in sizes]
    result = run_fleet(MARKET, [FleetGroup(policy, batteries)], DAYS, ledgers_of=range(3))
    for number, battery in enumerate(batteries):
        alone = run_backtest(MARKET, battery, Enlarged(policy, policy.battery), DAYS)
        pd.testing.assert_frame_equal(result.ledgers[number], alone.ledger, check_exact=True)
    assert result.totals["discharge_mwh"].min() > 0.0
    assert (result.totals["violations"] == 0).all()


def test_batteries_may_begin_with_energy() -> None:
    policy, start_mwh = learned(1.1), 1.3
    result = run_fleet(MARKET, [FleetGroup(policy, [policy.battery], np.array([start_mwh]))], DAYS, ledgers_of=[0])
    span = DAYS[3]
    dispatcher = Dispatcher(policy, policy.battery, MARKET, MARKET.quarter_hours[span.first : span.last], 15)
    state, ends = BatteryState(start_mwh), []
    for row, new_day in enumerate(new_day_flags(MARKET, span)):
        state = BatteryState(state.soc_mwh) if new_day else state
        if not np.isnan(MARKET.price_eur_mwh[span.first + row]):
            state = dispatcher.decide(row, state).flow.after
        ends.append(state.soc_mwh)
    assert result.ledgers[0].query("span == 3")["soc_end_mwh"].tolist() == ends
    assert result.totals["violations"][0] == 0


def test_it_does_not_matter_how_many_threads_share_the_work_or_who_else_is_in_the_fleet() -> None:
    policy = learned(1.1)
    sizes = [enlarged(policy.battery, times) for times in np.linspace(0.5, 2.0, 7)]
    many = run_fleet(MARKET, [FleetGroup(SpreadRule(), KINDS), FleetGroup(policy, sizes)], DAYS, threads=3)
    few = run_fleet(MARKET, [FleetGroup(policy, sizes)], DAYS, threads=1)
    np.testing.assert_array_equal(many.profit_by_day_eur[len(KINDS) :], few.profit_by_day_eur)


def test_progress_tells_every_battery_and_quarter_hour() -> None:
    reports: list[Progress] = []
    run_fleet(MARKET, [FleetGroup(SpreadRule(), KINDS)], DAYS, progress=reports.append)
    assert reports[-1].completed == reports[-1].total == len(KINDS) * len(MARKET)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)


@pytest.mark.parametrize(
    ("change", "violations"),
    [({}, 0), ({"soc_mwh": 0.91}, 1), ({"cycles_used": 0.4}, 1), ({"drawn_today_mwh": 2.4}, 2), ({"soc_mwh": 2.5}, 2)],
)
def test_the_check_counts_the_rules_that_a_row_breaks(change: dict[str, float], violations: int) -> None:
    """One MWh charged at 0.9 from empty leaves 0.9 MWh; a budget of 1.1 cycles of 2 MWh, of which 0.5 are used."""
    law = BatteryLaw(4.0, 4.0, 2.0, 0.0, 2.0, 0.9, 0.9, 1.1, 0.0)
    row = {"soc_mwh": 0.9, "drawn_today_mwh": 1.0, "cycles_used": 0.5} | change
    assert (
        broken_rules(law, 1.0, 0.0, 0.0, row["soc_mwh"], row["drawn_today_mwh"], row["cycles_used"], 0.0) == violations
    )


def test_the_faults_of_all_groups_are_named() -> None:
    policy = learned(1.1)
    groups = [
        FleetGroup(SpreadRule(), []),
        FleetGroup(SpreadRule(), KINDS, start_soc_mwh=np.array([9.0, 0.0, 0.2, 0.0])),
        FleetGroup(SpreadRule(), KINDS, bounds=np.zeros(2)),
        FleetGroup(policy, [policy.battery, KINDS[1], KINDS[2]]),
        FleetGroup(replace(policy, preference=RiskPreference.parse("cvar:0.1:0.3")), [policy.battery]),
    ]
    with pytest.raises(BadInput) as refused:
        run_fleet(MARKET, groups, DAYS, ledgers_of=[99])
    told = [str(fault) for fault in refused.value.faults]
    assert len(told) == 6
    assert "batteries 1, 2 are not the policy's own" in told[3]
    assert "[99]" in told[5]


def test_ledgers_are_kept_only_where_they_are_asked_for() -> None:
    rules = [FleetGroup(ThresholdRule(), KINDS), FleetGroup(SpreadRule(), KINDS)]
    result = run_fleet(MARKET, rules, DAYS, ledgers_of=[6, 1])
    assert sorted(result.ledgers) == [1, 6]
    alone = run_backtest(MARKET, KINDS[2], SpreadRule(), DAYS)
    pd.testing.assert_frame_equal(result.ledgers[6], alone.ledger, check_exact=True)
