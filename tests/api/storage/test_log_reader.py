"""Each filter of the log finds its decisions by an index; pages of answers hold what `find` finds."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from api.storage.database.database import Database
from api.storage.decision_log import DecisionLog
from api.storage.decision_record import Role
from api.storage.log_reader import DecisionFilter, LogReader
from tests.api.storage.decisions import NOON, decision

FILTERS: list[dict[str, Any]] = [
    {},
    {"start": NOON},
    {"end": NOON},
    {"asset_id": "be-1"},
    {"mode": "override"},
    {"action": "charge"},
    {"policy_sha256": "a" * 64},
    *({"min_fallback_level": level} for level in (1, 2, 3)),
]


EQUAL = ("asset_id", "mode", "action", "policy_sha256")


def plan_of(database: Database, wanted: DecisionFilter) -> str:
    """How the database would find a page."""
    explained = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT decisions.sequence"):
            how = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
            explained.extend(connection.exec_driver_sql(f"{how} {statement}", parameters).all())

    with database.reading() as connection:
        if database.dialect == "postgresql":
            connection.execute(text("ALTER ROLE CURRENT_USER SET enable_seqscan = off"))
            connection.execute(text("ALTER ROLE CURRENT_USER SET enable_sort = off"))
    database.close()
    event.listen(database.engine, "before_cursor_execute", explain)
    try:
        LogReader(database).answers(wanted, 100)
    finally:
        event.remove(database.engine, "before_cursor_execute", explain)
        if database.dialect == "postgresql":
            with database.writing() as connection:
                connection.execute(text("ALTER ROLE CURRENT_USER RESET ALL"))
    return "\n".join(str(row) for row in explained)


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
@pytest.mark.parametrize("role", list(Role))
def test_a_page_is_found_by_an_index_and_sorted_by_it(database: Database, wanted: dict[str, Any], role: Role) -> None:
    plan = plan_of(database, DecisionFilter(role=role, **wanted))
    assert "Index Scan" in plan or "USING INDEX" in plan, plan
    assert "Sort" not in plan, plan
    assert "B-TREE" not in plan, plan
    if database.dialect == "sqlite":  # PostgreSQL takes any index while there is nothing in the table
        assert all(f"{name}=?" in plan for name in wanted if name in EQUAL), plan
        assert "min_fallback_level" not in wanted or f"fallback_level_{wanted['min_fallback_level']}" in plan, plan


def test_pages_of_answers_hold_what_is_found(database: Database) -> None:
    records = [decision(number, fallback_level=number % 4, answer=f'{{"n":{number}}}') for number in range(12)]

    async def append() -> None:
        log = DecisionLog(database)
        await asyncio.gather(*map(log.append, records))
        await log.close()

    asyncio.run(append())
    reader = LogReader(database)
    for level in range(4):
        wanted, told, cursor = DecisionFilter(min_fallback_level=level), [], None
        while cursor is not None or not told:
            page = reader.answers(wanted, 2, cursor)
            told += page.answers
            cursor = page.next_cursor
        assert told == [record.answer for record in reader.find(wanted).records]
        assert len(told) == 3 * (4 - level)


@pytest.mark.parametrize(
    ("wanted", "leading"),
    [
        ({"asset_id": "be-1", "mode": "policy"}, "asset_id"),
        ({"asset_id": "be-1", "mode": "override"}, "mode"),
        ({"asset_id": "be-1", "action": "charge", "policy_sha256": "a" * 64}, "asset_id"),
        ({"policy_sha256": "a" * 64, "mode": "watch_only"}, "mode"),
        ({"policy_sha256": "a" * 64, "action": "idle"}, "policy_sha256"),
        ({"action": "charge", "mode": "override"}, "mode"),
        ({"action": "charge", "min_fallback_level": 3}, "ix_decisions_fallback_level_3"),
    ],
    ids=str,
)
def test_of_several_filters_the_one_that_few_decisions_pass_is_looked_up(
    migrated_file: Path, wanted: dict[str, Any], leading: str
) -> None:
    plan = plan_of(Database(f"sqlite:///{migrated_file}"), DecisionFilter(role=Role.SERVED, **wanted))
    assert leading in plan
    others = {*wanted, "asset_id", "mode", "action", "policy_sha256"} - {leading}
    assert not any(f"{name}=?" in plan for name in others), plan
