from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from api.retaining import Retainer
from api.storage.database import Database
from api.storage.decision_log import DecisionLog
from api.storage.price_ledger import KnownPrice, PriceLedger, PriceStage
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
            retainer = Retainer(database, DAY, lambda: NOON + DAY + 30 * MINUTE, threads)
            retainer.start()
            await until(lambda: len(all_records(database)) < 3)
            await retainer.stop()
        await log.close()

    asyncio.run(scenario())
    assert all_records(database) == [young, unsettled]


def test_a_database_that_fails_is_asked_again_later(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.retaining.LOOK_S", 0.01)
    with database.writing() as connection:
        connection.execute(text("ALTER TABLE decisions RENAME TO away"))

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as threads:
            retainer = Retainer(database, DAY, lambda: NOON + 2 * DAY, threads)
            retainer.start()
            await asyncio.sleep(0.1)
            with database.writing() as connection:
                connection.execute(text("ALTER TABLE away RENAME TO decisions"))
            PriceLedger(database).record([KnownPrice(NOON, PriceStage.VALIDATED, 5.0, NOON)])
            log = DecisionLog(database)
            await log.append(decision(0))
            await until(lambda: not all_records(database))
            await retainer.stop()
            await log.close()

    asyncio.run(scenario())


def test_the_service_keeps_decisions_as_long_as_its_settings_say(tmp_path: Path) -> None:
    settings = open_settings(tmp_path, keep_decisions_days=3)
    with LocalClient(settings, StandingClock(NOON)) as client:
        assert client.app.state.service.retainer is not None
    with LocalClient(open_settings(tmp_path), StandingClock(NOON)) as client:
        assert client.app.state.service.retainer is None
