"""The quick way into the log stores all or nothing; on both databases."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Any

import pytest

from api.storage.bulk_insert import BulkInsert
from api.storage.database.database import Database
from api.storage.database.refusals import StorageUnavailable
from api.storage.database.tables import DecisionRow
from api.storage.decision_log import DecisionLog
from api.storage.decision_record import NAMES
from tests.api.storage.decisions import NOON, decision


def bulk(database: Database) -> BulkInsert:
    return BulkInsert(database, DecisionRow, NAMES)


@pytest.mark.parametrize("count", [1, 2, 256])
def test_rows_are_stored_in_order_and_come_back_as_they_were(database: Database, count: int) -> None:
    records = [
        decision(price_seen_eur_mwh=0.1 * number, data_as_of=NOON, policy_id=f"p{number}", idempotency_key=f"k{number}")
        for number in range(count)
    ]
    assert bulk(database).store(records)
    assert DecisionLog(database).find(limit=1000).records == tuple(reversed(records))


@pytest.mark.parametrize(
    "fault",
    [{"power_mw": math.nan}, {"data_as_of": dt.datetime(2026, 11, 22)}, {"asset_id": None}, {"fallback_level": 2**70}],
    ids=lambda fault: next(iter(fault)),
)
def test_one_row_that_is_refused_leaves_nothing(database: Database, fault: dict[str, Any]) -> None:
    assert not bulk(database).store([decision(), decision(**fault)])
    assert DecisionLog(database).find().records == ()


def test_a_row_that_is_there_already_is_refused_with_all_beside_it(database: Database) -> None:
    there = decision()
    assert bulk(database).store([there])
    assert not bulk(database).store([decision(), there])
    assert DecisionLog(database).find().records == (there,)


def test_a_full_disk_is_an_outage_and_over_when_there_is_room(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'log.db'}")
    database.migrate()
    large = decision(answer="x" * 1_000_000)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # at least as many as there are
    with pytest.raises(StorageUnavailable, match="full"):
        bulk(database).store([large])
    assert bulk(database).store([large])  # on a new connection, which has no such limit
    database.close()
