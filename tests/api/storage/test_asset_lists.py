from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from api.storage.asset_lists import AssetLists
from api.storage.asset_store import AssetStore, OverrideKind, StoredAssetState, StoredOverride
from api.storage.database import schema
from api.storage.database.database import Database
from api.storage.database.refusals import AssetUnknown, StorageUnavailable
from tests.api.storage.decisions import MINUTE, NOON

STATE = StoredAssetState(soc_mwh=1.0, cycles_used=0.5, cycle_day=NOON.date(), power_mw=0.0, as_of=NOON)


@pytest.fixture
def lists(database: Database) -> AssetLists:
    return AssetLists(database)


@pytest.fixture
def store(database: Database) -> AssetStore:
    return AssetStore(database)


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements of the block."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(database.engine, "before_cursor_execute", note)


def order(power_mw: float, until: dt.datetime) -> StoredOverride:
    times = {"set_at": NOON, "until": until}
    return StoredOverride(kind=OverrideKind.SETPOINT, power_mw=power_mw, principal="operator", reason="test", **times)


def names(found: Any) -> list[str]:
    return [each.asset.asset_id for each in found]


def test_assets_with_their_orders_are_read_in_one_query(
    database: Database, store: AssetStore, lists: AssetLists
) -> None:
    for number in range(30):
        store.put(f"be-{number:02d}", {"capacity_mwh": 2.0}, None, STATE)
        store.override(f"be-{number:02d}", order(0.1, NOON + MINUTE))
        store.override(f"be-{number:02d}", order(0.01 * number, NOON + (number % 2) * MINUTE))
    with counted(database) as statements:
        found = lists.page(NOON, 100).assets
    assert len([each for each in statements if each.startswith("SELECT")]) == 1
    orders = [None if each.override is None else each.override.power_mw for each in found]
    assert orders == [0.01 * number if number % 2 else None for number in range(30)]


def test_pages_of_assets_go_on_by_name(store: AssetStore, lists: AssetLists) -> None:
    all_names = ["a", "b-1", "b-2", "b-3", "c_1", "c%1"]
    for name in reversed(all_names):
        store.put(name, {}, None, STATE)
    seen, cursor = [], None
    while cursor is not None or not seen:
        page = lists.page(NOON, 4, cursor)
        seen += names(page.assets)
        cursor = page.next_cursor
    assert sorted(seen) == sorted(all_names)
    assert names(lists.page(NOON, 10, prefix="b-").assets) == ["b-1", "b-2", "b-3"]
    assert names(lists.page(NOON, 10, "b-1", prefix="b-").assets) == ["b-2", "b-3"]
    assert names(lists.page(NOON, 10, prefix="c_").assets) == ["c_1"], "no sign of a name stands for others"


def test_only_assets_with_a_challenger_are_read_for_challengers(store: AssetStore, lists: AssetLists) -> None:
    store.put("plain", {}, None, STATE)
    store.put("twice", {}, None, STATE, challenger_policy_id="other")
    store.put("was", {}, None, STATE, challenger_policy_id="other")
    store.put("was", {}, None, STATE)
    assert names(lists.challenged(NOON)) == ["twice"]


def test_one_asset_stands_for_each_kind_and_those_that_changed_last_come_first(
    store: AssetStore, lists: AssetLists
) -> None:
    for number in range(9):
        store.put(f"be-{number}", {"capacity_mwh": number % 3}, None, STATE)
    store.put("other-policy", {"capacity_mwh": 0}, "careful", STATE)
    kinds = lists.kinds(NOON, 10)
    assert len(kinds) == 4
    assert len({(str(each.asset.battery), each.asset.policy_id) for each in kinds}) == 4
    later = StoredAssetState(soc_mwh=1.0, cycles_used=0.5, cycle_day=NOON.date(), power_mw=0.0, as_of=NOON + MINUTE)
    store.set_state("be-4", later)
    assert [each.asset.battery for each in lists.kinds(NOON, 1)] == [{"capacity_mwh": 1}]


def test_an_asset_that_is_not_there_is_named(lists: AssetLists) -> None:
    with pytest.raises(AssetUnknown, match="'be-9'"):
        lists.one("be-9", NOON)


@pytest.mark.parametrize(("column", "value"), [("battery", "{"), ("cycle_day", "yesterday")])
def test_a_damaged_asset_is_an_outage(
    database: Database, store: AssetStore, lists: AssetLists, column: str, value: str
) -> None:
    store.put("be-1", {}, None, STATE)
    with database.writing() as connection:
        connection.execute(text(f"UPDATE assets SET {column} = :value"), {"value": value})
    with pytest.raises(StorageUnavailable, match="cannot be read"):
        lists.one("be-1", NOON)


def test_the_migration_notes_the_challengers_of_assets_that_are_there(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(schema, "LATEST", "0001")
        old = Database(database_url)
        old.migrate()
    with old.writing() as connection:
        for name, spec in (("be-1", '{"challenger_policy_id": "other"}'), ("be-2", "{}")):
            values = {"name": name, "battery": json.dumps({"spec": spec})}
            connection.execute(
                text("INSERT INTO assets VALUES (:name, 1, :battery, NULL, 1.0, 0.0, '2026-11-22', 0.0, 0, 0)"), values
            )
    old.close()
    database = Database(database_url)
    database.migrate()
    assert names(AssetLists(database).challenged(NOON)) == ["be-1"]
    database.close()
