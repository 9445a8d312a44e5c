"""Decisions for tests of the storage."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

from sqlalchemy import select

from api.storage.database.database import Database
from api.storage.database.tables import DecisionRow
from api.storage.decision_record import COLUMNS, DecisionRecord
from api.storage.log_reader import LARGEST_PAGE, LogReader, stored

NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
_numbers = itertools.count()


def all_records(database: Database) -> list[DecisionRecord]:
    """The whole log, newest first."""
    log = LogReader(database)
    page = log.find(limit=LARGEST_PAGE)
    found = list(page.records)
    while page.next_cursor is not None:
        page = log.find(limit=LARGEST_PAGE, cursor=page.next_cursor)
        found += page.records
    return found


def logged(database: Database, decision_id: str) -> DecisionRecord | None:
    """One decision of the log; None if the log does not hold it."""
    with database.reading() as connection:
        return stored(connection, select(*COLUMNS).where(DecisionRow.decision_id == decision_id))


def decision(minute: float = 0, **changes: Any) -> DecisionRecord:
    """A decision generated `minute` minutes after noon, valid for the minute after; each with an id of its own."""
    time = NOON + minute * MINUTE
    values: dict[str, Any] = {
        "decision_id": f"decision-{next(_numbers)}",
        "asset_id": "be-1",
        "generated_at": time,
        "valid_from": time,
        "valid_until": time + MINUTE,
        "action": "discharge",
        "power_mw": 0.8,
        "mode": "policy",
        "principal": "trader",
        "request_sha256": "0" * 64,
        "answer": '{"schema_version": "1.0"}',
    }
    return DecisionRecord(**(values | changes))
