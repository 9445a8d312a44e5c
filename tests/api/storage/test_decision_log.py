from __future__ import annotations

import asyncio
import datetime as dt
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from sqlalchemy import event, text

from api.storage.asset_store import AssetStore, StateChange, StoredAssetState
from api.storage.database.database import Database
from api.storage.database.refusals import (
    IdempotencyKeyReused,
    OutcomeOpen,
    RecordRefused,
    StorageClosed,
    StorageUnavailable,
)
from api.storage.decision_log import Appended, DecisionLog
from api.storage.decision_record import DecisionRecord, Role
from api.storage.log_reader import DecisionFilter
from arbitrage.errors import BadInput
from tests.api.storage.decisions import MINUTE, NOON, decision, logged
from tests.examples import examples

STATE = StoredAssetState(soc_mwh=1.0, cycles_used=0.5, cycle_day=NOON.date(), power_mw=0.0, as_of=NOON)


def append(database: Database, *records: DecisionRecord) -> Sequence[Appended | BaseException]:
    """What each of several waiters at once gets."""

    async def together() -> Sequence[Appended | BaseException]:
        log = DecisionLog(database)
        outcomes = await asyncio.gather(*map(log.append, records), return_exceptions=True)
        await log.close()
        return outcomes

    return asyncio.run(together())


def ids(database: Database, **wanted: Any) -> list[str]:
    return [record.decision_id for record in DecisionLog(database).find(DecisionFilter(**wanted), limit=1000).records]


def test_an_appended_decision_is_found_as_it_was_to_the_last_digit(database: Database) -> None:
    record = decision(
        data_as_of=NOON - MINUTE + dt.timedelta(microseconds=1),
        power_mw=0.1 + 0.2,
        price_seen_eur_mwh=-4574.69,
        policy_id="careful",
        policy_sha256="f" * 64,
        idempotency_key="once",
        fallback_level=2,
        role=Role.CHALLENGER,
        answer='{"b": 1.10, "a": "é\\u0000"}',
    )
    (outcome,) = append(database, record)
    assert outcome == Appended(record, is_new=True)
    log = DecisionLog(database)
    assert log.find().records == (record,)
    assert log.by_idempotency_key("trader", "once") == record
    assert log.by_idempotency_key("another", "once") is None


@examples(30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20),
    st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC)),
)
@example([5e-324, 1.7976931348623157e308, -0.0, 0.1 + 0.2], dt.datetime(2108, 12, 29, 11, 1, 56, 789287, tzinfo=dt.UTC))
def test_numbers_and_times_come_back_bit_for_bit(database: Database, numbers: list[float], time: dt.datetime) -> None:
    records = [decision(price_seen_eur_mwh=number, generated_at=time) for number in numbers]
    append(database, *records)
    for record, number in zip(records, numbers, strict=True):
        found = logged(database, record.decision_id)
        assert found is not None
        assert found.price_seen_eur_mwh is not None
        assert found.price_seen_eur_mwh.hex() == (number + 0.0).hex()
        assert found.generated_at == time
        assert found.generated_at.tzinfo is dt.UTC


def test_of_many_requests_with_one_key_the_first_is_stored_and_all_get_its_answer(database: Database) -> None:
    records = [decision(idempotency_key="same", answer=f'"{number}"') for number in range(20)]
    outcomes = append(database, *records)
    assert outcomes == [Appended(records[0], is_new=number == 0) for number in range(20)]
    assert append(database, decision(idempotency_key="same")) == [Appended(records[0], is_new=False)]
    assert ids(database) == [records[0].decision_id]


def test_the_same_key_of_another_principal_is_another_request(database: Database) -> None:
    append(database, decision(idempotency_key="same"), decision(idempotency_key="same", principal="another"))
    assert len(ids(database)) == 2


def test_a_key_used_before_for_another_request_is_refused(database: Database) -> None:
    first, other = decision(idempotency_key="same"), decision(idempotency_key="same", request_sha256="1" * 64)
    stored, refused = append(database, first, other)
    assert stored == Appended(first, is_new=True)
    assert isinstance(refused, IdempotencyKeyReused)
    assert ids(database) == [first.decision_id]


def test_a_repeated_append_of_the_same_decision_is_stored_once(database: Database) -> None:
    record = decision()
    assert append(database, record, record) == [Appended(record, is_new=True)] * 2
    assert ids(database) == [record.decision_id]


def test_another_decision_with_an_id_of_the_log_is_refused(database: Database) -> None:
    record = decision()
    (refused,) = append(database, record) and append(database, decision(decision_id=record.decision_id, power_mw=0.1))
    assert isinstance(refused, RecordRefused)
    assert logged(database, record.decision_id) == record


@pytest.mark.parametrize(
    "fault",
    [
        {"answer": "\ud800"},
        {"power_mw": math.nan},
        {"price_seen_eur_mwh": math.inf},
        {"data_as_of": dt.datetime(2026, 11, 22)},
        {"asset_id": None},
        {"fallback_level": 2**70},
    ],
    ids=lambda fault: next(iter(fault)),
)
def test_a_record_that_cannot_be_stored_fails_alone(database: Database, fault: dict[str, Any]) -> None:
    good = [decision(number) for number in range(4)]
    outcomes = append(database, *good[:2], decision(**fault), *good[2:])
    assert isinstance(outcomes[2], RecordRefused)
    assert outcomes[:2] + outcomes[3:] == [Appended(record, is_new=True) for record in good]
    assert ids(database) == [record.decision_id for record in reversed(good)]


def test_waiters_share_transactions(database: Database) -> None:
    transactions = []
    event.listen(database.engine, "checkout", lambda connection, *_: transactions.append(connection))
    append(database, *(decision() for _ in range(200)))
    assert 1 <= len(transactions) <= 2


def test_decisions_are_found_by_what_they_are(database: Database) -> None:
    plain, later = decision(0), decision(5)
    other = decision(1, asset_id="be-2", action="idle", mode="watch_only", policy_sha256="a", fallback_level=3)
    shadow = decision(2, role=Role.CHALLENGER)
    append(database, plain, later, other, shadow)
    names = {record.decision_id: name for record, name in ((plain, "p"), (later, "l"), (other, "o"), (shadow, "s"))}

    def found(**wanted: Any) -> str:
        return "".join(names[number] for number in ids(database, **wanted))

    assert found() == "lsop"
    assert found(asset_id="be-1") == "lsp"
    assert found(start=NOON + MINUTE, end=NOON + 5 * MINUTE) == "so"
    assert found(action="idle") == found(mode="watch_only") == found(policy_sha256="a") == "o"
    assert found(min_fallback_level=1) == "o"
    assert found(role=Role.CHALLENGER) == "s"
    assert found(role=Role.SERVED, asset_id="be-1") == "lp"


def test_pages_hold_every_decision_once_though_others_come_meanwhile(database: Database) -> None:
    records = [decision(number // 3) for number in range(20)]
    append(database, *records)
    log, seen, cursor = DecisionLog(database), [], None
    while True:
        page = log.find(limit=7, cursor=cursor)
        seen += [record.decision_id for record in page.records]
        append(database, decision(60))
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert sorted(seen) == sorted(record.decision_id for record in records)
    assert ids(database, end=NOON + 60 * MINUTE) == seen


@pytest.mark.parametrize("cursor", ["", "x", "MS4y.", "bm90IG9uZQ==", "é", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OS4x"])
def test_a_cursor_that_no_page_gave_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(BadInput, match="cursor"):
        DecisionLog(database).find(cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_that_is_empty_or_too_large_is_refused(database: Database, limit: int) -> None:
    with pytest.raises(BadInput, match="limit"):
        DecisionLog(database).find(limit=limit)


def test_a_closed_log_takes_no_more(database: Database) -> None:
    async def late() -> None:
        log = DecisionLog(database)
        await log.close()
        await log.append(decision())

    with pytest.raises(StorageClosed):
        asyncio.run(late())


@pytest.mark.parametrize("change", [None, StateChange(asset_id="be-1", state=STATE, expected_version=1)])
def test_a_full_disk_is_told_to_every_waiter_and_over_when_there_is_room(
    tmp_path: Path, change: StateChange | None
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'log.db'}")
    database.migrate()
    AssetStore(database).put("be-1", {}, None, STATE)

    async def append_three(answer: str) -> Sequence[Appended | BaseException]:
        log = DecisionLog(database)
        records = [decision(answer=answer) for _ in range(3)]
        outcomes = await asyncio.gather(*(log.append(record, change) for record in records), return_exceptions=True)
        await log.close()
        return outcomes

    limit_pages(database, 1)  # at least as many as there are
    outcomes = asyncio.run(append_three("x" * 100_000))
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 3
    assert all("full" in str(outcome) for outcome in outcomes)
    assert ids(database) == []
    limit_pages(database, 100_000)
    assert isinstance(asyncio.run(append_three("{}"))[0], Appended)
    database.close()


def limit_pages(database: Database, pages: int) -> None:
    with database.engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


def test_a_server_that_hangs_up_costs_nothing_but_a_new_connection(postgresql_url: str) -> None:
    database, other = Database(postgresql_url), Database(postgresql_url)
    with database.reading() as connection:
        number = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with other.writing() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:number)"), {"number": number})
    with database.reading() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() != number
    for connected in (database, other):
        connected.close()


def test_a_server_that_hangs_up_in_a_transaction_leaves_its_outcome_open_with_a_reason(postgresql_url: str) -> None:
    database, other = Database(postgresql_url), Database(postgresql_url)

    def cut_off() -> None:
        with database.writing() as connection:
            number = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with other.writing() as killing:
                killing.execute(text("SELECT pg_terminate_backend(:number)"), {"number": number})
            connection.execute(text("SELECT 1"))

    with pytest.raises(OutcomeOpen, match="terminating connection"):
        cut_off()
    for connected in (database, other):
        connected.close()


def test_a_decision_whose_connection_breaks_has_an_open_outcome(
    migrated_schema_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, other = Database(migrated_schema_url), Database(migrated_schema_url)
    version = AssetStore(database).put("be-1", {}, None, STATE).version

    def cut_off(_database: Database, cursor: Any, _check: object) -> bool:
        number = cursor.execute("SELECT pg_backend_pid()").fetchone()[0]
        with other.writing() as killing:
            killing.execute(text("SELECT pg_terminate_backend(:number)"), {"number": number})
        return True

    async def appended() -> None:
        log = DecisionLog(database)
        with pytest.raises(OutcomeOpen, match="terminating connection"):
            await log.append(decision(), StateChange(asset_id="be-1", state=None, expected_version=version))
        await log.close()

    monkeypatch.setattr(Database, "_holds", cut_off)
    asyncio.run(appended())
    for connected in (database, other):
        connected.close()


def test_what_the_database_refuses_to_begin_has_no_open_outcome(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'log.db'}")
    database.migrate()
    limit_pages(database, 1)

    async def appended() -> None:
        log = DecisionLog(database)
        with pytest.raises(StorageUnavailable) as refused:
            await log.append(decision(answer="x" * 100_000))
        assert type(refused.value) is StorageUnavailable
        await log.close()

    asyncio.run(appended())
    database.close()
