"""The log of decisions as it is read: by filter and page, or one by one.

Contract
- A page is newest first, by the time of the decision and then by its number in the log. It goes on where the one before
  it ended, whatever was appended or deleted meanwhile.
- Each filter by itself has an index, so that a page costs what is on it and not what is in the log.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, literal, literal_column, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from api.storage.database.columns import LARGEST_SEQUENCE, microseconds, utc_time
from api.storage.database.database import Database
from api.storage.database.refusals import StorageUnavailable
from api.storage.database.tables import FALLBACK_LEVELS, DecisionRow
from api.storage.decision_record import COLUMNS, DecisionRecord
from arbitrage.errors import BadInput, Fault

LARGEST_PAGE = 1000
_FILTERS = ("asset_id", "policy_sha256", "mode", "action")
"""By how few decisions they are likely to leave, fewest first."""
_COMMON_MODE = "policy"
_Column = InstrumentedAttribute[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFilter:
    """Which decisions are asked for; None asks for any. Times are [start, end) of `generated_at`."""

    asset_id: str | None = None
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    action: str | None = None
    mode: str | None = None
    role: str | None = None
    policy_sha256: str | None = None
    min_fallback_level: int | None = None


EVERYTHING = DecisionFilter()


@dataclass(frozen=True, slots=True)
class Page:
    """Some decisions, newest first, and where the next page begins."""

    records: tuple[DecisionRecord, ...]
    next_cursor: str | None
    """None on the last page."""


@dataclass(frozen=True, slots=True)
class AnswerPage:
    """What was answered, newest first, and where the next page begins."""

    answers: tuple[str, ...]
    next_cursor: str | None


class LogReader:
    """Finds decisions. Everything raises StorageUnavailable, or ReadTooLong where there is a deadline."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_idempotency_key(self, principal: str, idempotency_key: str) -> DecisionRecord | None:
        """What a principal was answered under a key; None if nothing."""
        same = and_(DecisionRow.principal == principal, DecisionRow.idempotency_key == idempotency_key)
        with self._database.reading() as connection:
            return stored(connection, select(*COLUMNS).where(same))

    def find(self, wanted: DecisionFilter = EVERYTHING, limit: int = 100, cursor: str | None = None) -> Page:
        """Up to `limit` decisions, newest first, from where `cursor` (a page's `next_cursor`) points.

        Raises BadInput for a limit outside 1 to 1000 and for a cursor that no page gave.
        """
        rows, following = self._page(COLUMNS, wanted, limit, cursor)
        return Page(tuple(DecisionRecord.of(row) for row in rows), following)

    def answers(self, wanted: DecisionFilter, limit: int, cursor: str | None = None) -> AnswerPage:
        """As `find`, with nothing but what was answered."""
        rows, following = self._page((DecisionRow.generated_at, DecisionRow.answer), wanted, limit, cursor)
        return AnswerPage(tuple(row.answer for row in rows), following)

    def answer(self, decision_id: str) -> str:
        """What was answered with a decision that is in the log. Raises StorageUnavailable if it is not any more."""
        query = select(DecisionRow.answer).where(DecisionRow.decision_id == decision_id)
        with self._database.reading() as connection:
            found = connection.execute(query).scalar_one_or_none()
        if found is None:
            raise StorageUnavailable(f"decision {decision_id!r} was deleted meanwhile")
        return found

    def _page(
        self, columns: Sequence[_Column], wanted: DecisionFilter, limit: int, cursor: str | None
    ) -> tuple[Sequence[Row[Any]], str | None]:
        """Rows that have the columns, and the cursor of those that follow. Raises BadInput."""
        if not 1 <= limit <= LARGEST_PAGE:
            raise BadInput([Fault("limit", f"must be from 1 to {LARGEST_PAGE}, not {limit}")])
        order = (DecisionRow.generated_at.desc(), DecisionRow.sequence.desc())
        query = select(DecisionRow.sequence, *columns).where(*_conditions(wanted)).order_by(*order).limit(limit + 1)
        if cursor is not None:
            query = query.where(_before(cursor))
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        more = len(rows) > limit
        return rows[:limit], _cursor(rows[limit - 1].generated_at, rows[limit - 1].sequence) if more else None


def stored(connection: Connection, query: Select[Any]) -> DecisionRecord | None:
    """The one decision of a query; None if it finds none."""
    row = connection.execute(query).one_or_none()
    return None if row is None else DecisionRecord.of(row)


def _conditions(wanted: DecisionFilter) -> list[ColumnElement[bool]]:
    leading = _leading(wanted)
    conditions: list[ColumnElement[bool]] = []
    for name in ("role", *_FILTERS):
        value, column = getattr(wanted, name), getattr(DecisionRow, name)
        if value is not None:
            # An expression has no index: without statistics SQLite may take that of a filter that most decisions pass.
            conditions.append(column == value if name in ("role", leading) else column + literal("") == value)
    if wanted.start is not None:
        conditions.append(DecisionRow.generated_at >= wanted.start)
    if wanted.end is not None:
        conditions.append(DecisionRow.generated_at < wanted.end)
    level = wanted.min_fallback_level
    if level is not None:
        in_words = literal_column(str(int(level))) if level in FALLBACK_LEVELS else literal(level)
        conditions.append(DecisionRow.fallback_level >= in_words)
    return conditions


def _leading(wanted: DecisionFilter) -> str | None:
    """The filter whose index is used: the one that is likely to leave the fewest decisions."""
    if wanted.mode not in (None, _COMMON_MODE):
        return "mode"
    if wanted.asset_id is None and wanted.min_fallback_level in FALLBACK_LEVELS:
        return None  # which has indexes of its own
    return next((name for name in _FILTERS if getattr(wanted, name) is not None), None)


def _cursor(generated_at: dt.datetime, sequence: int) -> str:
    return base64.urlsafe_b64encode(f"{microseconds(generated_at)}.{sequence}".encode()).decode()


def _before(cursor: str) -> ColumnElement[bool]:
    try:
        time, sequence = (
            int(part) for part in base64.b64decode(cursor, altchars=b"-_", validate=True).decode().split(".")
        )
        place = (utc_time(time), sequence)
    except (ValueError, binascii.Error, OverflowError) as error:
        raise _no_cursor() from error
    if not 0 <= sequence <= LARGEST_SEQUENCE:
        raise _no_cursor()
    return tuple_(DecisionRow.generated_at, DecisionRow.sequence) < place


def _no_cursor() -> BadInput:
    return BadInput([Fault("cursor", "is not one that a page of decisions gave")])
