"""Old decisions are deleted, in pieces so small that nobody waits for long.

Law: a decision that is not settled at validated prices is kept, however old, unless its deletion is asked for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from sqlalchemy import Select, delete, select, tuple_

from api.storage.database import Database
from api.storage.price_ledger import is_settled
from api.storage.tables import DecisionRow

BATCH = 500
_Place = tuple[dt.datetime, int]


def delete_decisions(
    database: Database, before: dt.datetime, unsettled_too: bool = False, batch: int = BATCH
) -> Iterator[int]:
    """Delete decisions generated before a time, one transaction a batch; yields how many after each.

    Whoever iterates may pause, or stop for good: what was deleted by then stays so.
    """
    place, deleted = None, batch
    while deleted == batch:
        with database.writing() as connection:
            rows = connection.execute(_oldest(before, unsettled_too, place).limit(batch)).all()
            sequences = [row.sequence for row in rows]
            connection.execute(delete(DecisionRow).where(DecisionRow.sequence.in_(sequences)))
        deleted = len(rows)
        if rows:
            place = (rows[-1].generated_at, rows[-1].sequence)
        yield deleted


def _oldest(before: dt.datetime, unsettled_too: bool, place: _Place | None) -> Select[dt.datetime, int]:
    """What may go, oldest first, from a place on: what is kept before it is not looked at again."""
    query = select(DecisionRow.generated_at, DecisionRow.sequence).where(DecisionRow.generated_at < before)
    if not unsettled_too:
        query = query.where(is_settled())
    if place is not None:
        query = query.where(tuple_(DecisionRow.generated_at, DecisionRow.sequence) > place)
    return query.order_by(DecisionRow.generated_at, DecisionRow.sequence)
