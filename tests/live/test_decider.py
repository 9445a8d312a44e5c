"""The live decider: levels, shield, orders, the unfamiliar, and the words of the contract."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Dispatcher, ShieldRule
from arbitrage.errors import BadInput
from arbitrage.features.names import FeatureSet
from arbitrage.live.decider import LiveDecider, Prepared
from arbitrage.live.decision import AssetState, Level, LiveRule, Mode, Orders, Override
from arbitrage.live.quality import Finding, Quality
from arbitrage.live.shield import careful_mw
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, SOLAR_FORECAST
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.closed_form.quantile_critic import ACTIONS, at_fraction
from arbitrage.policies.protocol import Policy, RiskChoice
from arbitrage.policies.rules import Idle, SpreadRule, ThresholdRule
from arbitrage.quarter_hour import epoch_minute
from arbitrage.risk import RiskPreference
from tests.examples import examples
from tests.live.policies import BATTERY, IDENTITY, NIGHT, learned
from tests.properties.test_no_leak import scramble
from tests.worlds import SUMMER_MIDNIGHT, Scripted, batteries, market_of

HALF_FULL = AssetState(BatteryState(1.0, 0.2), 12.5)
FLAT = market_of(np.full(96, 50.0))


def asked(power_mw: float, battery: Battery = BATTERY, **changes: Any) -> Prepared:
    """A policy that asks for one power at noon on a flat market."""
    time = SUMMER_MIDNIGHT + 12 * 60
    return LiveDecider(Scripted({time: power_mw}), battery, IDENTITY, **changes).prepare(FLAT, time)


@pytest.fixture(scope="module")
def quarter_hours() -> ClosedFormPolicy:
    return learned(FeatureSet.QUARTER_HOUR)


@examples(20)
@given(minute=st.integers(0, 24 * 60), seed=st.integers(0, 2**32 - 1), name=st.sampled_from(["learned", "threshold"]))
def test_what_is_published_later_changes_nothing_of_a_decision(
    quarter_hours: ClosedFormPolicy, minute: int, seed: int, name: str
) -> None:
    policy: Policy = quarter_hours if name == "learned" else ThresholdRule()
    decider, market, time = LiveDecider(policy, BATTERY, IDENTITY), sample_market(), NIGHT + minute
    told = decider.prepare(market, time).decide(HALF_FULL)
    assert told == decider.prepare(scramble(market, time, seed), time).decide(HALF_FULL)


def test_a_quarter_hour_that_has_begun_is_decided_to_its_end(quarter_hours: ClosedFormPolicy) -> None:
    decider = LiveDecider(quarter_hours, BATTERY, IDENTITY)
    frame = decider.prepare(sample_market(), NIGHT + 7).frame
    assert (frame.valid_from, frame.valid_until) == (NIGHT + 7, NIGHT + 15)


def test_cycles_are_reset_at_the_midnight_of_brussels_also_when_the_day_has_23_hours(
    quarter_hours: ClosedFormPolicy,
) -> None:
    frame = LiveDecider(quarter_hours, BATTERY, IDENTITY).prepare(sample_market(), NIGHT + 60).frame
    assert frame.resets_at == epoch_minute("2025-03-31T00:00+02:00") == NIGHT + 23 * 60


def test_expected_profit_and_alternatives_are_the_critics_quantiles(quarter_hours: ClosedFormPolicy) -> None:
    market = sample_market()
    decision = LiveDecider(quarter_hours, BATTERY, IDENTITY).prepare(market, NIGHT).decide(HALF_FULL)
    outcomes = Dispatcher(quarter_hours, BATTERY, market, NIGHT, 15).outcomes_eur(0, HALF_FULL.battery)
    assert outcomes is not None
    told = {each.action: each.profit_eur for each in decision.alternatives} | {decision.action: decision.profit_eur}
    for action, row in zip(ACTIONS, outcomes, strict=True):
        expected = [row.mean(), *(at_fraction(row, fraction) for fraction in (0.05, 0.5, 0.95))]
        np.testing.assert_allclose(dataclasses.astuple(told[action]), expected, rtol=1e-12)


def test_a_rule_foretells_nothing() -> None:
    decision = LiveDecider(SpreadRule(), BATTERY, IDENTITY).prepare(sample_market(), NIGHT).decide(HALF_FULL)
    assert decision.profit_eur is None
    assert decision.alternatives == ()


def test_risk_is_set_for_one_decision_and_told(quarter_hours: ClosedFormPolicy) -> None:
    decider, market = LiveDecider(quarter_hours, BATTERY, IDENTITY), sample_market()
    choice = RiskChoice(0.5, RiskPreference.parse("cvar:0.1:0.3"))
    averse, neutral = decider.prepare(market, NIGHT, risk=choice), decider.prepare(market, NIGHT)
    assert averse.contract["risk"] == {"aversion": 0.5, "measure": "cvar", "level": 0.1, "weight": 0.3}
    assert neutral.contract["risk"] == {"aversion": 0.0, "measure": None, "level": None, "weight": 0.0}
    same = quarter_hours.with_risk(choice)
    assert averse.decide(HALF_FULL).shield.requested_mw == (
        Dispatcher(same, BATTERY, market, NIGHT, 15).decide(0, HALF_FULL.battery, 12.5).intent.power_mw
    )
    with pytest.raises(BadInput, match="no risk setting"):
        LiveDecider(SpreadRule(), BATTERY, IDENTITY).prepare(market, NIGHT, risk=choice)


def test_another_battery_or_a_market_that_lacks_something_is_refused_and_no_fallback(
    quarter_hours: ClosedFormPolicy,
) -> None:
    with pytest.raises(BadInput, match="capacity_mwh"):
        LiveDecider(quarter_hours, dataclasses.replace(BATTERY, capacity_mwh=5.0), IDENTITY)
    market = sample_market()
    blind = dataclasses.replace(
        market, known_series={n: t for n, t in market.known_series.items() if n != SOLAR_FORECAST}
    )
    decider = LiveDecider(quarter_hours, BATTERY, IDENTITY)
    with pytest.raises(BadInput, match=SOLAR_FORECAST):
        decider.prepare(blind, NIGHT)
    assert decider.prepare(blind, NIGHT, of_feed=True).frame.level is Level.RULE


@pytest.mark.parametrize(
    ("quality", "level"),
    [(Quality.OK, 0), (Quality.GAP, 1), (Quality.LATE, 1), (Quality.DISAGREEMENT, 2), (Quality.CLOCK, 3)],
)
def test_each_level_is_labelled_with_its_reason(quality: Quality, level: int) -> None:
    decider = LiveDecider(SpreadRule(), BATTERY, IDENTITY)
    prepared = decider.prepare(sample_market(), NIGHT, reported=[(quality, Finding("tried", {}))])
    reason = None if level == 0 else quality.value
    assert prepared.contract["fallback"] == {"level": level, "name": prepared.frame.level.value, "reason": reason}
    assert prepared.contract["data_quality"]["imbalance_price"] == quality.value
    if level == 3:
        assert prepared.decide(HALF_FULL).power_mw == 0.0


def test_without_a_day_ahead_price_the_last_level_holds() -> None:
    time = SUMMER_MIDNIGHT + 60 * 60
    prepared = LiveDecider(ThresholdRule(), BATTERY, IDENTITY).prepare(FLAT, time)
    assert prepared.frame.level is Level.HOLD
    assert prepared.frame.fallback_reason == "stale_and_no_day_ahead_price"
    assert prepared.decide(HALF_FULL).power_mw == 0.0


def test_age_counts_from_the_end_of_the_newest_record_to_now() -> None:
    time = SUMMER_MIDNIGHT + 60
    judgement = (
        LiveDecider(ThresholdRule(), BATTERY, IDENTITY).prepare(FLAT, time, now_s=time * 60.0 + 7).frame.judgement
    )
    assert (judgement.quality, judgement.data_as_of, judgement.age_s) == (Quality.OK, time, 7.0)


@pytest.mark.parametrize(
    ("power_mw", "state", "flows", "rule"),
    [
        (0.5, BatteryState(1.0), 0.5, None),
        (3.0, BatteryState(1.0), 1.0, ShieldRule.RATED_POWER),
        (1.0, BatteryState(0.0), 0.0, ShieldRule.STATE_OF_CHARGE),
        (-1.0, BatteryState(2.0), 0.0, ShieldRule.STATE_OF_CHARGE),
        (1.0, BatteryState(1.0, 1.1), 0.0, ShieldRule.CYCLE_BUDGET),
    ],
)
def test_the_battery_law_has_the_last_word_and_is_named(
    power_mw: float, state: BatteryState, flows: float, rule: ShieldRule | None
) -> None:
    decision = asked(power_mw).decide(AssetState(state))
    assert decision.power_mw == flows
    assert (decision.shield.requested_mw, decision.shield.rule) == (power_mw, rule)


@pytest.mark.parametrize(
    ("now_mw", "power_mw", "flows", "rule"),
    [(0.0, 1.0, 0.75, LiveRule.RAMP), (1.0, -1.0, 0.25, LiveRule.RAMP), (0.5, 1.0, 1.0, None)],
)
def test_power_changes_no_faster_than_the_ramp_allows_in_an_interval(
    now_mw: float, power_mw: float, flows: float, rule: LiveRule | None
) -> None:
    # A quarter-hour at 0.05 MW a minute: 0.75 MW.
    decision = asked(power_mw, ramp_mw_per_min=0.05).decide(AssetState(BatteryState(1.0), power_mw=now_mw))
    assert decision.power_mw == pytest.approx(flows, abs=1e-12)
    assert decision.shield.rule is rule


def test_a_ramp_never_overrules_the_battery_law() -> None:
    decision = asked(0.0, ramp_mw_per_min=0.01).decide(AssetState(BatteryState(0.0), power_mw=1.0))
    assert decision.power_mw == 0.0
    assert decision.shield.rule is ShieldRule.STATE_OF_CHARGE


def test_an_override_counts_until_its_time_and_is_shielded_like_any_wish() -> None:
    prepared = asked(1.0)
    time = prepared.frame.valid_from
    override = prepared.decide(HALF_FULL, Orders(Override(-2.5, time + 1)))
    assert (override.mode, override.power_mw) == (Mode.OVERRIDE, -1.0)
    assert (override.shield.requested_mw, override.shield.rule) == (-2.5, ShieldRule.RATED_POWER)
    over = prepared.decide(HALF_FULL, Orders(Override(-2.5, time)))
    assert (over.mode, over.power_mw) == (Mode.POLICY, 1.0)


def test_watch_only_says_what_would_have_been_done_and_holds_whatever_flows_now() -> None:
    decision = asked(1.0, ramp_mw_per_min=0.01).decide(
        dataclasses.replace(HALF_FULL, power_mw=1.0), Orders(watch_only=True)
    )
    assert (decision.mode, decision.power_mw, decision.shield.requested_mw) == (Mode.WATCH_ONLY, 0.0, 1.0)
    assert decision.shield.rule is LiveRule.WATCH_ONLY


def test_an_interval_that_is_over_is_held() -> None:
    prepared = asked(1.0)
    end_s = prepared.frame.valid_until * 60.0
    assert prepared.decide(HALF_FULL, now_s=end_s - 1).power_mw == 1.0
    late = prepared.decide(HALF_FULL, now_s=end_s)
    assert (late.power_mw, late.shield.rule) == (0.0, LiveRule.EXPIRED)


@examples(60)
@given(
    battery=batteries(),
    asked_mw=st.floats(-4.0, 4.0),
    soc=st.floats(0.0, 1.0),
    cycles=st.floats(0.0, 3.0),
    now_mw=st.floats(-3.0, 3.0),
    ramp=st.none() | st.floats(0.001, 1.0),
    orders=st.builds(Orders, st.none() | st.builds(Override, st.floats(-5.0, 5.0), st.just(2**40)), st.booleans()),
)
def test_no_wish_of_anybody_takes_a_battery_out_of_its_law(
    battery: Battery, asked_mw: float, soc: float, cycles: float, now_mw: float, ramp: float | None, orders: Orders
) -> None:
    law = battery.law
    state = BatteryState(law.min_soc_mwh + soc * (law.max_soc_mwh - law.min_soc_mwh), cycles)
    prepared = asked(asked_mw, battery, ramp_mw_per_min=ramp)
    decision = prepared.decide(AssetState(state, power_mw=now_mw), orders)
    assert -law.charge_power_mw <= decision.power_mw <= law.discharge_power_mw
    assert law.min_soc_mwh - 1e-12 <= decision.after.soc_mwh <= law.max_soc_mwh + 1e-12
    assert decision.after.cycles_used <= max(cycles, law.max_cycles_per_day)
    again = battery.step(state, decision.power_mw, 15)
    assert (again.power_mw, again.after) == (decision.power_mw, decision.after)
    if decision.shield.rule is None:
        assert decision.power_mw == decision.shield.requested_mw


def unheard_of(market: MarketSeries, time: int) -> MarketSeries:
    """The same, but the last day's prices are beyond anything that was ever seen."""
    known_series = {}
    for name, series in market.known_series.items():
        starts = series.first_minute + series.step_min * np.arange(len(series.values))
        recent = (starts >= time - 360) & (starts < time) & (name in (PRICE, "imbalance_residual_eur_mwh"))
        known_series[name] = dataclasses.replace(
            series, values=np.where(recent, series.values - 60_000.0, series.values)
        )
    return dataclasses.replace(market, known_series=known_series)


def test_an_observation_unlike_any_in_training_is_flagged_and_acted_on_only_as_the_most_averse_reading_would(
    quarter_hours: ClosedFormPolicy,
) -> None:
    strange = unheard_of(sample_market(), NIGHT)
    prepared = LiveDecider(quarter_hours, BATTERY, IDENTITY).prepare(strange, NIGHT)
    assert prepared.frame.level is Level.POLICY
    assert [finding.code for finding in prepared.frame.warnings] == ["unlike_training"]
    wary = dataclasses.replace(quarter_hours, head=None)
    held = LiveDecider(wary, BATTERY, IDENTITY).prepare(strange, NIGHT)
    cut = 0
    for soc_mwh in np.linspace(0.0, 2.0, 9):
        state = AssetState(BatteryState(soc_mwh))
        decision, holding = prepared.decide(state), held.decide(state)
        averse = quarter_hours.with_risk_aversion(0.95)
        careful_mw = Dispatcher(averse, BATTERY, strange, NIGHT, 15).decide(0, state.battery).power_mw
        assert abs(decision.power_mw) <= abs(careful_mw)
        assert holding.power_mw == 0.0
        assert (holding.shield.requested_mw != 0.0) == (holding.shield.rule is LiveRule.UNFAMILIAR)
        cut += holding.shield.applied
    assert cut > 0


@pytest.mark.parametrize(
    ("asked_mw", "averse_mw", "left_mw"),
    [(1.0, 0.4, 0.4), (0.3, 1.0, 0.3), (-1.0, -0.5, -0.5), (1.0, -1.0, 0.0), (-1.0, 1.0, 0.0), (1.0, 0.0, 0.0)],
)
def test_two_readings_that_agree_on_the_side_leave_the_smaller_power_and_others_none(
    asked_mw: float, averse_mw: float, left_mw: float
) -> None:
    assert careful_mw(asked_mw, averse_mw) == left_mw


def test_nothing_of_the_sample_after_training_is_unfamiliar(quarter_hours: ClosedFormPolicy) -> None:
    decider, market = LiveDecider(quarter_hours, BATTERY, IDENTITY), sample_market()
    flagged = [decider.prepare(market, NIGHT + 45 * k).frame.warnings for k in range(30)]
    assert flagged.count(()) == 30


def by_quarter_hour(market: MarketSeries) -> MarketSeries:
    """The same, but the day-ahead prices of each hour rise from quarter-hour to quarter-hour."""
    day_ahead = market.known_series[DAY_AHEAD]
    steps = (day_ahead.first_minute // 15 + np.arange(len(day_ahead.values))) % 4
    finer = dataclasses.replace(day_ahead, values=day_ahead.values + steps)
    return dataclasses.replace(market, known_series={**market.known_series, DAY_AHEAD: finer})


@pytest.mark.parametrize(
    ("learned_min", "hour_means", "codes"),
    [((60,), False, ["day_ahead_unlike_training"]), ((60,), True, []), ((15, 60), False, []), ((), False, [])],
)
def test_day_ahead_prices_by_the_quarter_hour_are_flagged_for_a_policy_that_learned_on_hours_only(
    quarter_hours: ClosedFormPolicy, learned_min: tuple[int, ...], hour_means: bool, codes: list[str]
) -> None:
    seen = dataclasses.replace(quarter_hours.features, learned_day_ahead_min=learned_min, hour_means=hour_means)
    decider = LiveDecider(dataclasses.replace(quarter_hours, features=seen), BATTERY, IDENTITY)
    market = by_quarter_hour(sample_market())
    prepared = decider.prepare(market, NIGHT)
    assert [finding.code for finding in prepared.frame.warnings] == codes
    assert not prepared.unfamiliar, "a warning only: no power changes"
    assert decider.prepare(sample_market(), NIGHT).frame.warnings == ()


def test_the_contract_is_json_with_a_unit_for_every_number_and_no_number_that_is_none(
    quarter_hours: ClosedFormPolicy,
) -> None:
    prepared = LiveDecider(quarter_hours, BATTERY, IDENTITY).prepare(sample_market(), NIGHT)
    document = prepared.decide(AssetState(BatteryState(0.0))).contract()
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text) == document
    assert document["valid_from"] == "2025-03-29T23:00:00Z"
    assert document["valid_until"] == "2025-03-29T23:15:00Z"
    assert document["cycles"] == {"used_today": 0.0, "budget": 1.1, "resets_at": "2025-03-30T22:00:00Z"}
    assert "discharge_advantage_eur" not in document["reasons"][0]["params"]  # of an empty battery: minus infinity


def test_a_ramp_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="ramp_mw_per_min"):
        LiveDecider(Idle(), BATTERY, IDENTITY, ramp_mw_per_min=0.0)
