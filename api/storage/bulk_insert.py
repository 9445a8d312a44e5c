"""Rows of one table inserted all at once or not at all, with a statement that was compiled once.

Law
- What the database gets is what SQLAlchemy would send: its own text of the statement, its own conversion of values.
- It is the quick way for the usual case and decides nothing: where any row is refused, nothing is stored and the caller
  goes the careful way.

Building a statement and a transaction through SQLAlchemy costs several times what SQLite needs to store a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Table

from api.storage.database import Database
from api.storage.tables import Tables

_REFUSED_BY_DRIVER = (ValueError, TypeError, OverflowError)
"""Values that no statement can hold."""


class BulkInsert:
    """Inserts objects into one table by their attributes; the named columns are filled, the database fills the rest."""

    def __init__(self, database: Database, table: type[Tables], names: Sequence[str]) -> None:
        self._database = database
        dialect, columns = database.engine.dialect, _table(table).columns
        statement = _table(table).insert().compile(dialect=dialect, column_keys=list(names))
        self._text = str(statement)
        self._order: list[str] = list(statement.positiontup or names)
        self._positional = statement.positional
        self._values = attrgetter(*self._order)
        self._conversions: list[tuple[int, Callable[[Any], Any]]] = [
            (place, convert)
            for place, name in enumerate(self._order)
            if (convert := columns[name].type.dialect_impl(dialect).bind_processor(dialect)) is not None
        ]

    def store(self, items: Sequence[Any]) -> bool:
        """Whether all are stored, in a transaction of their own; else none is. Raises StorageUnavailable."""
        try:
            return self._database.driver_insert(self._text, [self._row(item) for item in items])
        except _REFUSED_BY_DRIVER:
            return False

    def _row(self, item: Any) -> Any:
        row = list(self._values(item))
        for place, convert in self._conversions:
            row[place] = convert(row[place])
        return row if self._positional else dict(zip(self._order, row, strict=True))


def _table(table: type[Tables]) -> Table:
    made = table.__table__
    if not isinstance(made, Table):
        raise TypeError(f"{made} is no table")
    return made
