from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text

from api.background.retention import RetentionTask, Terms
from api.metrics import Metrics
from api.storage.database.database import Database
from api.storage.decision_log import DecisionLog
from api.storage.decision_record import DecisionRecord
from api.storage.price_ledger import KnownPrice, PriceLedger, PriceStage
from arbitrage.errors import BadInput
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.storage.decisions import MINUTE, NOON, all_records, decision

DAY = dt.timedelta(days=1)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20.0):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'log.db'}")
    database.migrate()
    yield database
    database.close()


def test_decisions_that_are_old_and_settled_are_deleted_and_the_others_stay(database: Database) -> None:
    settled, unsettled, young = decision(0), decision(15), decision(60)
    PriceLedger(database).record([KnownPrice(NOON, PriceStage.VALIDATED, 5.0, NOON + DAY)])

    async def scenario() -> None:
        log = DecisionLog(database)
        for record in (settled, unsettled, young):
            await log.append(record)
        with ThreadPoolExecutor(1) as threads:
            retention_task = RetentionTask(database, Terms(DAY), lambda: NOON + DAY + 30 * MINUTE, threads, Metrics())
            retention_task.start()
            await until(lambda: len(all_records(database)) < 3)
            await retention_task.stop()
        await log.close()

    asyncio.run(scenario())
    assert all_records(database) == [young, unsettled]


def test_a_database_that_fails_is_asked_again_later(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.background.retention.LOOK_S", 0.01)
    with database.writing() as connection:
        connection.execute(text("ALTER TABLE decisions RENAME TO away"))

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as threads:
            retention_task = RetentionTask(database, Terms(DAY), lambda: NOON + 2 * DAY, threads, Metrics())
            retention_task.start()
            await asyncio.sleep(0.1)
            with database.writing() as connection:
                connection.execute(text("ALTER TABLE away RENAME TO decisions"))
            PriceLedger(database).record([KnownPrice(NOON, PriceStage.VALIDATED, 5.0, NOON)])
            log = DecisionLog(database)
            await log.append(decision(0))
            await until(lambda: not all_records(database))
            await retention_task.stop()
            await log.close()

    asyncio.run(scenario())


def test_the_service_keeps_decisions_as_long_as_its_settings_say(tmp_path: Path) -> None:
    settings = open_settings(tmp_path, keep_decisions_days=3)
    with LocalClient(settings, StandingClock(NOON)) as client:
        assert client.app.state.service.retention_task is not None
    with LocalClient(open_settings(tmp_path), StandingClock(NOON)) as client:
        assert client.app.state.service.retention_task is None


def retained(database: Database, terms: Terms, looks: int = 1, every: dt.timedelta = DAY) -> RetentionTask:
    """A retention_task that has looked so many times, on a day each."""
    now = NOON + 30 * DAY

    async def scenario() -> RetentionTask:
        nonlocal now
        with ThreadPoolExecutor(1) as threads:
            retention_task = RetentionTask(database, terms, lambda: now, threads, Metrics())
            for _ in range(looks):
                await retention_task._delete()
                now += every
        return retention_task

    return asyncio.run(scenario())


def append(database: Database, *records: DecisionRecord) -> None:
    async def scenario() -> None:
        log = DecisionLog(database)
        for record in records:
            await log.append(record)
        await log.close()

    asyncio.run(scenario())


def said(logs: list[structlog.typing.EventDict]) -> int:
    return [entry["event"] for entry in logs].count("old_decisions_not_settled")


def test_that_old_decisions_stay_for_want_of_validated_prices_is_said_once_a_day(
    database: Database,
) -> None:
    append(database, decision(0), decision(15))
    with structlog.testing.capture_logs() as logs:
        retention_task = retained(database, Terms(DAY), looks=3, every=DAY / 3)
    assert said(logs) == 1
    assert "2 decisions older than 1 days are kept" in str(retention_task.warning)
    assert "ARBITRAGE_SERVE_DELETE_UNSETTLED_AFTER_DAYS" in str(retention_task.warning)
    assert b"arbitrage_old_unsettled_decisions 2.0" in retention_task._metrics.text()
    with structlog.testing.capture_logs() as logs:
        retained(database, Terms(DAY), looks=3)
    assert said(logs) == 3
    PriceLedger(database).record([KnownPrice(NOON + 15 * n * MINUTE, PriceStage.VALIDATED, 5.0, NOON) for n in (0, 1)])
    assert retained(database, Terms(DAY)).warning is None


def test_unsettled_decisions_go_only_after_the_days_that_are_set_for_them(database: Database) -> None:
    old, younger = decision(0), decision(20 * 24 * 60)
    append(database, old, younger)
    retained(database, Terms(DAY))
    assert all_records(database) == [younger, old]
    retained(database, Terms(DAY, unsettled=20 * DAY))
    assert all_records(database) == [younger]


@pytest.mark.parametrize("given", [{}, {"keep_decisions_days": 30}])
def test_days_for_unsettled_decisions_need_at_least_as_many_as_the_others(
    tmp_path: Path, given: dict[str, int]
) -> None:
    with pytest.raises(BadInput, match="delete_unsettled_after_days: needs keep_decisions_days"):
        open_settings(tmp_path, delete_unsettled_after_days=7, **given)


def test_operators_are_warned_by_readiness_that_old_decisions_stay(tmp_path: Path) -> None:
    with LocalClient(open_settings(tmp_path, keep_decisions_days=1), StandingClock(NOON + 30 * DAY)) as client:
        append(client.app.state.service.database, decision(0))
        client.app.state.service.retention_task.warning = None
        client.ask("GET", "/healthz")
        client._runner.run(client.app.state.service.retention_task._delete())
        told = client.get("/readyz").json()
    assert told["ready"] is True
    assert [warning["about"] for warning in told["warnings"]] == ["retention"]
