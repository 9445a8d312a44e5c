"""The live feed: what it knows is what the whole record says, and every fault is labelled and passes by itself."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from arbitrage.battery import BatteryState
from arbitrage.features.names import FeatureSet
from arbitrage.live.decider import LiveDecider
from arbitrage.live.decision import AssetState, Level
from arbitrage.live.feed import Feed
from arbitrage.live.quality import Quality
from arbitrage.live.simulated_source import FaultKind, FeedFault, SimulatedSource
from arbitrage.live.window import Brought, Window
from arbitrage.market.fetch.elia_client import Unreachable
from arbitrage.market.point_in_time import PRICE
from arbitrage.policies.minute_rule import MinuteSpreadRule
from arbitrage.policies.protocol import Policy
from arbitrage.policies.rules import SpreadRule
from arbitrage.quarter_hour import epoch_minute, utc_timestamps
from tests.live.policies import BATTERY, IDENTITY, learned
from tests.live.worlds import DELAY_MIN, FROM, START, Turned, feed_of, world

HALF_FULL = AssetState(BatteryState(1.0, 0.2), 12.5)
BEGAN, ENDED = FROM + 10, FROM + 22
"""When a fault begins and ends."""


@dataclasses.dataclass
class Lived:
    """What one minute of a feed made of a decision."""

    level: Level
    quality: Quality
    codes: set[str]


def live(feed: Feed, clock: Turned, minutes: int, policy: Policy | None = None) -> list[Lived]:
    """Poll and decide minute by minute."""
    decider = LiveDecider(policy or MinuteSpreadRule(), BATTERY, IDENTITY)
    lived = []
    for _ in range(minutes):
        snapshot = feed.poll()
        frame = decider.prepare_live(snapshot, int(clock.now_s // 60), clock.now_s).frame
        codes = {finding.code for finding in frame.judgement.findings}
        lived.append(Lived(frame.level, frame.judgement.quality, codes))
        clock.pass_s(60)
    return lived


def with_fault(kind: FaultKind, minutes: int = 26) -> list[Lived]:
    clock = Turned(FROM * 60.0 + 4)
    return live(feed_of(clock, [FeedFault(kind, BEGAN, ENDED)]), clock, minutes)


@pytest.mark.parametrize("feature_set", [FeatureSet.QUARTER_HOUR, FeatureSet.FULL])
def test_a_window_of_the_last_days_is_decided_on_as_the_whole_record_is_to_the_last_bit(
    feature_set: FeatureSet,
) -> None:
    by_minute = feature_set is FeatureSet.FULL
    policy = dataclasses.replace(learned(feature_set)).with_risk_aversion(0.4)
    whole = world().market(with_minutes=by_minute, publication_delay_min=DELAY_MIN)
    decider = LiveDecider(policy, BATTERY, IDENTITY)
    for hours in (0, 1.75, 3.25, 25.5):
        clock = Turned((FROM + 60 * hours) * 60 + 2)
        time = int(clock.now_s // 60)
        window = feed_of(clock, with_minutes=by_minute).poll().market
        assert window.quarter_hours[0] > whole.quarter_hours[0]
        assert len(window) < len(whole)
        near, far = decider.prepare(window, time), decider.prepare(whole, time)
        assert near.frame == far.frame
        assert near.decide(HALF_FULL) == far.decide(HALF_FULL)


def test_a_feed_without_faults_decides_as_the_policy_does_through_the_night_on_which_clocks_change() -> None:
    clock = Turned((FROM + 3 * 60 + 30) * 60.0 + 4)
    lived = live(feed_of(clock), clock, 60)
    assert {each.level for each in lived} == {Level.POLICY}
    assert {each.quality for each in lived} == {Quality.OK}


@pytest.mark.parametrize(
    ("kind", "first", "last"),
    [
        (FaultKind.SILENCE, Quality.LATE, Quality.STALE),
        (FaultKind.STALE, Quality.LATE, Quality.STALE),
        (FaultKind.JUMP, Quality.JUMP, Quality.JUMP),
        (FaultKind.CONTRADICTION, Quality.CONTRADICTION, Quality.CONTRADICTION),
        (FaultKind.FROZEN, Quality.STALE, Quality.STALE),
        (FaultKind.FUTURE, Quality.CLOCK, Quality.CLOCK),
    ],
)
def test_a_fault_of_the_feed_is_labelled_with_its_fallback_and_passes_by_itself(
    kind: FaultKind, first: Quality, last: Quality
) -> None:
    lived = with_fault(kind)
    before, during, after = lived[:10], lived[10:22], lived[22:]
    assert {each.level for each in (*before, *after)} == {Level.POLICY}
    assert next(each.quality for each in during if each.quality is not Quality.OK) is first
    assert during[-1].quality is last
    levels = {Quality.STALE: Level.RULE, Quality.CLOCK: Level.HOLD}
    assert during[-1].level is levels.get(last, Level.LAST_GOOD_DATA)


def test_silence_is_told_with_its_reason_and_first_answered_with_the_last_good_data() -> None:
    lived = with_fault(FaultKind.SILENCE)
    assert [each.level for each in lived[10:17]] == [Level.POLICY] + [Level.LAST_GOOD_DATA] * 5 + [Level.RULE]
    assert all("silence" in each.codes for each in lived[10:22])


def test_frozen_records_are_stale_within_five_minutes_though_their_stamps_are_new() -> None:
    lived = with_fault(FaultKind.FROZEN)
    assert [each.quality for each in lived[14:22]] == [Quality.STALE] * 8


def test_duplicates_that_agree_change_nothing_but_are_told() -> None:
    lived = with_fault(FaultKind.DUPLICATE)
    assert {each.level for each in lived} == {Level.POLICY}
    assert all("duplicate" in each.codes for each in lived[10:22])


def test_a_self_contradicting_price_never_reaches_the_policy() -> None:
    clock = Turned(FROM * 60.0 + 4)
    feed = feed_of(clock, [FeedFault(FaultKind.JUMP, BEGAN, ENDED)])
    decider = LiveDecider(MinuteSpreadRule(), BATTERY, IDENTITY)
    whole = world().market(with_minutes=True, publication_delay_min=DELAY_MIN)
    clock.pass_s(60 * 12)
    prepared = decider.prepare_live(feed.poll(), FROM + 12, clock.now_s)
    honest = decider.prepare(whole, FROM + 11)
    assert prepared.frame.price_seen_eur_mwh == honest.frame.price_seen_eur_mwh


def test_prices_in_the_thousands_are_believed() -> None:
    minutes, shift = world().minutes.copy(), 4_000.0
    for column in (PRICE, "marginal_incremental_price_eur_mwh", "marginal_decremental_price_eur_mwh"):
        minutes.loc[minutes.index >= utc_timestamps([BEGAN])[0], column] -= shift
    wild = dataclasses.replace(world(), minutes=minutes)
    clock = Turned(FROM * 60.0 + 4)
    lived = live(feed_of(clock, source=SimulatedSource(wild, DELAY_MIN)), clock, 20)
    assert {each.level for each in lived} == {Level.POLICY}


def test_a_clock_that_is_set_while_records_do_not_fit_it_is_not_believed_until_they_do() -> None:
    clock = Turned(FROM * 60.0 + 4)
    source = SimulatedSource(world(), DELAY_MIN)
    feed = feed_of(clock, source=source)
    live(feed, clock, 3)
    clock.now_s -= 3600
    back = live(feed, clock, 3)
    assert {each.level for each in back} == {Level.HOLD}
    (jumped,) = [finding for _, finding in feed.snapshot.reported if finding.code == "clock_jumped"]
    assert jumped.params == {"seconds": pytest.approx(-3600.0, abs=1.0)}
    clock.now_s += 3600
    again = live(feed, clock, 3)
    assert again[-1].level is Level.POLICY


def test_a_clock_that_runs_ahead_of_a_truthful_feed_is_not_believed() -> None:
    clock = Turned(FROM * 60.0 + 4)
    playing = SimulatedSource(world(), DELAY_MIN)
    ahead_s = 0.0

    class Truthful:
        def poll(self, now_s: float) -> Brought:
            return playing.poll(now_s - ahead_s)

    feed = Feed(Truthful(), Window(DELAY_MIN), clocks=clock.clocks)
    live(feed, clock, 3)
    ahead_s = 3600.0
    clock.now_s += ahead_s
    assert {each.level for each in live(feed, clock, 4)} == {Level.HOLD}
    clock.now_s -= ahead_s
    ahead_s = 0.0
    assert live(feed, clock, 3)[-1].level is Level.POLICY


def test_a_feed_that_never_answered_holds() -> None:
    class Dead:
        def poll(self, now_s: float) -> Brought:
            raise Unreachable("nobody there")

    clock = Turned(FROM * 60.0)
    lived = live(Feed(Dead(), Window(DELAY_MIN), clocks=clock.clocks), clock, 2)
    assert {each.level for each in lived} == {Level.HOLD}


def test_what_a_feed_lacks_of_what_the_policy_was_trained_on_is_a_fallback() -> None:
    clock = Turned(FROM * 60.0 + 4)
    lived = live(feed_of(clock, with_minutes=False), clock, 1, learned(FeatureSet.FULL))
    assert lived[0].level is Level.RULE
    assert "missing_source" in lived[0].codes


def test_a_feed_that_nobody_polls_any_more_is_told() -> None:
    clock = Turned(FROM * 60.0 + 4)
    snapshot = feed_of(clock).poll()
    clock.pass_s(600)
    decider = LiveDecider(SpreadRule(), BATTERY, IDENTITY)
    findings = decider.prepare_live(snapshot, FROM + 10, clock.now_s).frame.judgement.findings
    assert "not_polled" in {finding.code for finding in findings}


def test_the_number_of_a_snapshot_grows_only_when_there_is_something_new() -> None:
    clock = Turned(FROM * 60.0 + 4)
    feed = feed_of(clock)
    first = feed.poll()
    clock.pass_s(2)
    assert feed.poll().version == first.version
    assert feed.snapshot.market is first.market
    clock.pass_s(60)
    assert feed.poll().version == first.version + 1


def test_nothing_of_a_table_from_the_future_is_believed() -> None:
    window, now_s = Window(0), (START + 45) * 60.0
    prices = pd.DataFrame({PRICE: [10.0, 20.0, 30.0]}, utc_timestamps([START, START + 15, START + 30]))
    window.absorb(Brought(prices=prices), now_s)
    shifted = pd.DataFrame({PRICE: [10.0, 20.0, 30.0]}, utc_timestamps([START + 15, START + 30, START + 45]))
    found = window.absorb(Brought(prices=shifted), now_s)
    assert [(quality, finding.code) for quality, finding in found] == [(Quality.CLOCK, "from_the_future")]
    assert window.market.price_eur_mwh.tolist() == [10.0, 20.0, 30.0]


def test_records_off_the_grid_are_left_out_and_told() -> None:
    good = utc_timestamps([START, START + 15])
    prices = pd.DataFrame({PRICE: [10.0, 20.0, 30.0]}, index=good.append(good[-1:] + pd.Timedelta(seconds=7)))
    window = Window(0)
    found = window.absorb(Brought(prices=prices), (START + 60) * 60.0)
    assert [finding.code for _, finding in found] == ["off_grid"]
    assert window.market.price_eur_mwh.tolist() == [10.0, 20.0]


def test_a_summer_clock_never_skips_a_quarter_hour_of_the_feed() -> None:
    night = epoch_minute("2025-03-30T00:00+01:00")
    clock = Turned((night + 5 * 60 + DELAY_MIN) * 60.0 + 4)
    window = feed_of(clock).poll().market
    assert len(window.gaps()) == 0
    assert (window.day_numbers == window.day_numbers[-1]).sum() == 5 * 4
