"""Rows of one table inserted all at once or not at all, by one statement that is compiled once for each number of rows.

Contract
- What the database gets is what SQLAlchemy would send: its own text of the statement, its own conversion of values.
- It is the quick way for the usual case and decides nothing: where any row is refused, nothing is stored and the caller
  goes the careful way.

Making a statement and a transaction through SQLAlchemy costs several times what SQLite needs to store a row. And one
statement for all rows lets go of the interpreter once, where a statement a row would wait for the event loop each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

from sqlalchemy import BindParameter, Table, bindparam

from api.storage.database.database import Database, DriverCheck, DriverStatement
from api.storage.database.tables import Tables

_REFUSED_BY_DRIVER = (ValueError, TypeError, OverflowError)
"""Values that no statement can hold."""


class BulkInsert:
    """Inserts objects into one table by their attributes; the named columns are filled, the database fills the rest."""

    def __init__(self, database: Database, table: type[Tables], names: Sequence[str]) -> None:
        self._database = database
        self._table = _table(table)
        self._dialect = database.engine.dialect
        columns = [column for column in self._table.columns if column.name in names]
        self._names = [column.name for column in columns]
        self._values = attrgetter(*self._names)
        self._conversions: list[tuple[int, Callable[[Any], Any]]] = [
            (place, convert)
            for place, column in enumerate(columns)
            if (convert := column.type.dialect_impl(self._dialect).bind_processor(self._dialect)) is not None
        ]
        self._statement = lru_cache(self._compiled)

    def store(self, items: Sequence[Any], check: DriverCheck | None = None) -> bool:
        """Whether all are stored, in a transaction of their own in which `check` holds; else none is.

        Raises StorageUnavailable.
        """
        try:
            text, parameters = self._statement(len(items))
            values = [value for item in items for value in self._row(item)]
            given = values if self._dialect.positional else dict(zip(parameters, values, strict=True))
            return self._database.driver_insert(DriverStatement(text, given), check)
        except _REFUSED_BY_DRIVER:
            return False

    def _compiled(self, count: int) -> tuple[str, list[str]]:
        """The statement for so many rows, and its parameters row by row."""
        rows: list[dict[str, BindParameter[Any]]] = [
            {name: bindparam(f"{name}_{number}") for name in self._names} for number in range(count)
        ]
        statement = self._table.insert().values(rows)
        return str(statement.compile(dialect=self._dialect)), [row[name].key for row in rows for name in self._names]

    def _row(self, item: Any) -> list[Any]:
        row = list(self._values(item))
        for place, convert in self._conversions:
            row[place] = convert(row[place])
        return row


def _table(table: type[Tables]) -> Table:
    made = table.__table__
    if not isinstance(made, Table):
        raise TypeError(f"{made} is no table")
    return made
