from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.storage.asset_lists import AssetLists
from api.storage.asset_store import (
    ABSENT,
    Asset,
    AssetStore,
    OverrideKind,
    StateChange,
    StoredAssetState,
    StoredOverride,
)
from api.storage.database.database import Database
from api.storage.database.refusals import AssetUnknown, RecordRefused, VersionConflict
from api.storage.decision_log import Appended, DecisionLog
from tests.api.storage.decisions import MINUTE, NOON, decision

BATTERY = {"charge_power_mw": 1.0, "capacity_mwh": 2.0, "max_cycles_per_day": None}
STATE = StoredAssetState(soc_mwh=0.1 + 0.2, cycles_used=0.7, cycle_day=dt.date(2026, 11, 22), power_mw=-0.5, as_of=NOON)
LATER = dataclasses.replace(STATE, soc_mwh=1.25, power_mw=0.0, as_of=NOON + MINUTE)


@pytest.fixture
def store(database: Database) -> AssetStore:
    store = AssetStore(database)
    store.put("be-1", BATTERY, "careful", STATE)
    return store


def asset_in(store: AssetStore, asset_id: str) -> Asset:
    return AssetLists(store._database).one(asset_id, NOON).asset


def override_at(store: AssetStore, asset_id: str, time: dt.datetime) -> StoredOverride | None:
    return AssetLists(store._database).one(asset_id, time).override


def order(kind: OverrideKind, minute: int, until: int, power_mw: float | None = None) -> StoredOverride:
    times = {"set_at": NOON + minute * MINUTE, "until": NOON + until * MINUTE}
    return StoredOverride(kind=kind, principal="operator", reason="works on the line", power_mw=power_mw, **times)


def test_an_asset_is_read_as_it_was_put(store: AssetStore) -> None:
    expected = Asset(
        asset_id="be-1", version=1, battery=BATTERY, policy_id="careful", state=STATE, changed_at=STATE.as_of
    )
    assert asset_in(store, "be-1") == expected
    assert store.put("be-0", BATTERY, None, STATE, expected_version=ABSENT).policy_id is None


def test_every_change_raises_the_version_by_one(store: AssetStore) -> None:
    assert store.set_state("be-1", LATER).version == 2
    assert store.put("be-1", {"capacity_mwh": 4.0}, None, STATE).version == 3
    found = asset_in(store, "be-1")
    assert (found.version, found.battery, found.policy_id, found.state) == (3, {"capacity_mwh": 4.0}, None, STATE)


def test_who_has_not_seen_the_last_change_is_refused_and_told_the_version(store: AssetStore) -> None:
    store.set_state("be-1", LATER, expected_version=1)
    with pytest.raises(VersionConflict, match="version 2, not 1") as refused:
        store.set_state("be-1", STATE, expected_version=1)
    assert refused.value.found == 2
    with pytest.raises(VersionConflict, match="version 2, not 0"):
        store.put("be-1", BATTERY, None, STATE, expected_version=ABSENT)
    with pytest.raises(VersionConflict, match="version 0, not 1"):
        store.put("be-9", BATTERY, None, STATE, expected_version=1)
    assert asset_in(store, "be-1").state == LATER


def test_an_asset_that_is_not_there_is_named(store: AssetStore) -> None:
    for read in (
        lambda: store.set_state("be-9", STATE),
        lambda: store.override("be-9", order(OverrideKind.WATCH_ONLY, 0, 5)),
    ):
        with pytest.raises(AssetUnknown, match="'be-9'"):
            read()


def test_of_many_changes_of_one_version_at_once_exactly_one_is_made(store: AssetStore) -> None:
    def change(number: int) -> bool:
        try:
            store.set_state("be-1", dataclasses.replace(STATE, soc_mwh=float(number)), expected_version=1)
        except VersionConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(change, range(8)))
    assert sum(made) == 1
    found = asset_in(store, "be-1")
    assert (found.version, found.state.soc_mwh) == (2, float(made.index(True)))


def test_writers_with_connections_of_their_own_that_read_again_when_too_late_lose_no_change(
    store: AssetStore, migrated_url: str
) -> None:
    def charge(_: int) -> None:
        own = Database(migrated_url)
        for _ in range(20):
            while not charged_by_1_mwh(AssetStore(own)):
                pass
        own.close()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(charge, range(3)))
    asset = asset_in(store, "be-1")
    assert (asset.version, asset.state.soc_mwh) == (61, pytest.approx(60.3))


def charged_by_1_mwh(store: AssetStore) -> bool:
    asset = asset_in(store, "be-1")
    fuller = dataclasses.replace(asset.state, soc_mwh=asset.state.soc_mwh + 1.0)
    try:
        store.set_state("be-1", fuller, expected_version=asset.version)
    except VersionConflict:
        return False
    return True


def test_an_asset_that_many_make_at_once_is_made_once(store: AssetStore) -> None:
    def make(_: int) -> bool:
        try:
            store.put("be-2", BATTERY, None, STATE, expected_version=ABSENT)
        except VersionConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(make, range(8))) == 1
    assert asset_in(store, "be-2").version == 1


def test_the_newest_order_counts_until_its_end(store: AssetStore) -> None:
    assert override_at(store, "be-1", NOON) is None
    setpoint, watch = order(OverrideKind.SETPOINT, 0, 10, -0.25), order(OverrideKind.WATCH_ONLY, 2, 4)
    store.override("be-1", setpoint)
    assert override_at(store, "be-1", NOON + 9 * MINUTE) == setpoint
    assert override_at(store, "be-1", NOON + 10 * MINUTE) is None
    store.override("be-1", watch)
    assert override_at(store, "be-1", NOON + 3 * MINUTE) == watch
    assert override_at(store, "be-1", NOON + 5 * MINUTE) is None, "the order before does not come back"


def test_an_order_raises_the_version_and_needs_an_asset(store: AssetStore) -> None:
    store.override("be-1", order(OverrideKind.SETPOINT, 3, 10, -0.25))
    assert (asset_in(store, "be-1").version, asset_in(store, "be-1").changed_at) == (2, NOON + 3 * MINUTE)
    with pytest.raises(AssetUnknown):
        store.override("be-9", order(OverrideKind.WATCH_ONLY, 3, 10))


def test_an_order_is_ended_by_another_and_all_are_kept(store: AssetStore) -> None:
    setpoint, automatic = order(OverrideKind.SETPOINT, 0, 60, 0.5), order(OverrideKind.AUTOMATIC, 1, 60)
    store.override("be-1", setpoint)
    store.override("be-1", automatic)
    assert override_at(store, "be-1", NOON + 2 * MINUTE) is None
    assert store.overrides("be-1") == (automatic, setpoint)
    assert store.overrides("be-1", limit=1) == (automatic,)


@pytest.mark.parametrize(("kind", "power_mw"), [(OverrideKind.SETPOINT, None), (OverrideKind.WATCH_ONLY, 0.0)])
def test_an_order_without_its_power_or_with_one_too_many_is_refused(kind: OverrideKind, power_mw: float | None) -> None:
    with pytest.raises(ValueError, match="power_mw belongs to a setpoint"):
        order(kind, 0, 5, power_mw)


def append(database: Database, *entries: tuple[object, StateChange]) -> list[object]:
    async def together() -> list[object]:
        log = DecisionLog(database)
        outcomes = await asyncio.gather(*(log.append(*entry) for entry in entries), return_exceptions=True)  # type: ignore[arg-type]
        await log.close()
        return list(outcomes)

    return asyncio.run(together())


def test_a_decision_and_what_it_makes_of_the_state_are_committed_together(
    database: Database, store: AssetStore
) -> None:
    record = decision()
    change = StateChange(asset_id="be-1", state=LATER, expected_version=1)
    assert append(database, (record, change)) == [Appended(record, is_new=True)]
    assert (asset_in(store, "be-1").state, asset_in(store, "be-1").version) == (LATER, 2)


def test_of_two_decisions_on_one_state_one_is_stored_and_the_other_told(database: Database, store: AssetStore) -> None:
    change = StateChange(asset_id="be-1", state=LATER, expected_version=1)
    first, second = decision(), decision()
    outcomes = append(database, (first, change), (second, change))
    assert outcomes[0] == Appended(first, is_new=True)
    assert isinstance(outcomes[1], VersionConflict)
    assert DecisionLog(database).find().records == (first,)
    assert asset_in(store, "be-1").version == 2


def test_a_decision_that_changes_nothing_is_refused_all_the_same_where_it_rests_on_what_is_past(
    database: Database, store: AssetStore
) -> None:
    store.override("be-1", order(OverrideKind.WATCH_ONLY, 0, 10))
    stale = StateChange(asset_id="be-1", state=None, expected_version=1)
    newest = StateChange(asset_id="be-1", state=None, expected_version=2)
    unknown = StateChange(asset_id="be-9", state=None, expected_version=1)
    first, second = decision(), decision()
    outcomes = append(database, (first, newest), (decision(), stale), (decision(), unknown), (second, newest))
    assert [type(outcome) for outcome in outcomes] == [Appended, VersionConflict, AssetUnknown, Appended]
    assert set(DecisionLog(database).find().records) == {first, second}
    alone = decision()
    assert append(database, (alone, newest)) == [Appended(alone, is_new=True)]
    assert [type(outcome) for outcome in append(database, (decision(), stale))] == [VersionConflict]
    assert asset_in(store, "be-1").version == 2


def test_a_decision_that_cannot_be_stored_changes_no_state(database: Database, store: AssetStore) -> None:
    change = StateChange(asset_id="be-1", state=LATER, expected_version=1)
    unknown = StateChange(asset_id="be-9", state=LATER, expected_version=1)
    good = decision()
    outcomes = append(database, (decision(answer="\ud800"), change), (decision(), unknown), (good, change))
    assert [type(outcome) for outcome in outcomes] == [RecordRefused, AssetUnknown, Appended]
    assert DecisionLog(database).find().records == (good,)


def test_a_repeated_request_changes_no_state_again(database: Database, store: AssetStore) -> None:
    first = decision(idempotency_key="same")
    append(database, (first, StateChange(asset_id="be-1", state=LATER, expected_version=1)))
    again = StateChange(asset_id="be-1", state=STATE, expected_version=2)
    assert append(database, (decision(idempotency_key="same"), again)) == [Appended(first, is_new=False)]
    assert (asset_in(store, "be-1").state, asset_in(store, "be-1").version) == (LATER, 2)
