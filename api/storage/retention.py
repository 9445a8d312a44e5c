"""Old decisions are deleted, in pieces so small that other work does not wait for long.

Contract
- A decision that is not settled at validated prices is kept, however old, unless its deletion is asked for.
- What may go is looked for without the lock of writers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import delete, func, literal, select, tuple_

from api.storage.database.database import Database
from api.storage.database.tables import DecisionRow
from api.storage.price_ledger import is_settled

BATCH = 500


@dataclass(frozen=True, slots=True)
class UnsettledDecisions:
    """Decisions that are older than they have to be kept and were kept all the same."""

    count: int
    oldest: dt.datetime | None


def delete_decisions(
    database: Database, before: dt.datetime, unsettled_too: bool = False, batch: int = BATCH
) -> Iterator[int]:
    """Delete decisions generated before a time, one transaction for each `batch` looked at; yields how many after each.

    The caller may pause between pieces, or stop for good: what was deleted by then stays so.
    """
    looked_at, place = batch, None
    settled = literal(value=True) if unsettled_too else is_settled()
    while looked_at == batch:
        query = select(DecisionRow.generated_at, DecisionRow.sequence, settled.label("may_go"))
        query = query.where(DecisionRow.generated_at < before)
        if place is not None:
            query = query.where(tuple_(DecisionRow.generated_at, DecisionRow.sequence) > place)
        with database.reading() as connection:
            rows = connection.execute(query.order_by(DecisionRow.generated_at, DecisionRow.sequence).limit(batch)).all()
        looked_at = len(rows)
        gone = [row.sequence for row in rows if row.may_go]
        if gone:
            with database.writing() as connection:
                connection.execute(delete(DecisionRow).where(DecisionRow.sequence.in_(gone)))
        if rows:
            place = (rows[-1].generated_at, rows[-1].sequence)
        yield len(gone)


def kept_decisions(database: Database, before: dt.datetime) -> UnsettledDecisions:
    """What is left of the decisions generated before a time."""
    query = select(func.count(), func.min(DecisionRow.generated_at)).where(DecisionRow.generated_at < before)
    with database.reading() as connection:
        count, oldest = connection.execute(query).one()
    return UnsettledDecisions(count, oldest)
