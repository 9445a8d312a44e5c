"""The database: SQLite in one file by default, PostgreSQL by URL.

Contract
- What a committed transaction wrote survives the death of this process at any moment, `kill -9` included.
- Power loss or a crash of the operating system: SQLite may lose the transactions since its last checkpoint (up to
  some hundred decisions) and never damages the file; with `?synchronous=FULL` in its URL it loses none, at one flush of
  the disk a transaction. PostgreSQL loses none unless someone turned off its own `synchronous_commit`.
- Writing transactions take SQLite's write lock when they begin: they wait for each other and never fail half-way.
- Nothing is written to a SQLite file that no longer has its name, and no file is made in the place of one that is gone.
- What reads within a `deadline` ends by it.
- Several processes may use one database at once, each with a `Database` of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InternalError, OperationalError

from api.storage.database import schema
from api.storage.database.deadline import check_deadline, imposed_on
from api.storage.database.file import DatabaseFile
from api.storage.database.health import Health
from api.storage.database.refusals import DatabaseRefused, OutcomeOpen, StorageUnavailable
from api.storage.database.tables import Tables
from arbitrage.errors import BadInput, Fault

SYNCHRONOUS = "synchronous"
"""The parameter of a SQLite URL that says what power loss may cost: NORMAL (default) or FULL."""
_SYNCHRONOUS_VALUES = ("NORMAL", "FULL")
_CHECKPOINT_PAGES = 4000
"""SQLite carries its log over into its file 16 MB at a time: the commit that does so waits for the disk."""
LOCK_WAIT_S = 5.0
"""How long a writer waits for the lock that another process holds, and a start for a connection."""
_WRITES = "arbitrage_writes"
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CANCELLED = "57014"
"""PostgreSQL's state of a statement that ran into its deadline."""


@dataclass(frozen=True, slots=True)
class DriverStatement:
    """A statement as the driver takes it."""

    text: str
    parameters: Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DriverCheck:
    """A query, and the rows that it must give."""

    query: DriverStatement
    rows: Set[tuple[Any, ...]]


class Database:
    """Connections to one database. Usable from several threads; not across a fork.

    Raises BadInput for a URL that is not one of a SQLite file or of PostgreSQL.
    """

    def __init__(self, url: str) -> None:
        self.url = _checked_url(url)
        self.dialect = self.url.get_backend_name()
        self.health = Health()
        self.file: DatabaseFile | None = None
        """Of SQLite."""
        if self.dialect == "sqlite":
            self.file = DatabaseFile(Path(str(self.url.database)).resolve())
            self.engine: Engine = _sqlite_engine(self.url, self.file)
        else:
            self.engine = _postgresql_engine(self.url)
        self._writing_engine = self.engine.execution_options(**{_WRITES: True})

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

    def migrate(self) -> None:
        """Make or update the tables; safe when several processes start at once.

        Raises DatabaseRefused for a database that is out of reach, of a newer version or of another program.
        """
        try:
            with self._writing_engine.begin() as connection:
                schema.migrate(connection)
            if self.file is not None:
                self.file.remember()
        except DBAPIError as error:
            raise DatabaseRefused(f"cannot use the database {self}: {reason(error)}") from error
        except DatabaseRefused as error:
            raise DatabaseRefused(f"cannot use the database {self}: {error}") from error

    def insert(self, table: type[Tables]) -> sqlite.Insert | postgresql.Insert:
        """An insertion that can say what to do about rows that are there, and returns how many it made (`rowcount`)."""
        insert = sqlite.insert if self.dialect == "sqlite" else postgresql.insert
        return insert(table).execution_options(preserve_rowcount=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads. Raises StorageUnavailable, ReadTooLong."""
        with self._outages(), self.engine.begin() as connection, imposed_on(connection):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end of the block, undone if it raises.

        Raises StorageUnavailable, or OutcomeOpen if the connection breaks or the file is gone by the end.
        """
        self._check_file()
        with self._outages(writes=True), self._writing_engine.begin() as connection:
            yield connection
        self._wrote()

    def driver_insert(self, insert: DriverStatement, check: DriverCheck | None = None) -> bool:
        """One statement in the driver's own words, in a transaction of its own; False if it is refused.

        check: what must hold in the same transaction; else nothing is done and the result is False.
        Raises StorageUnavailable, or OutcomeOpen if the connection breaks; what the driver says of values that it
        cannot send is raised as it is.
        """
        self._check_file()
        driver = self.engine.dialect.loaded_dbapi
        try:
            connection = self.engine.raw_connection()  # undone when it goes back uncommitted
        except (driver.Error, DBAPIError) as error:
            raise self._outage(error, is_open=False) from error
        try:
            cursor = connection.cursor()
            if check is not None and not self._holds(cursor, check):
                return False
            cursor.execute(insert.text, insert.parameters)
            connection.commit()  # in SQLite, a statement outside of a transaction is one by itself
        except driver.OperationalError as error:
            broke = self.engine.dialect.is_disconnect(error, connection, None)
            connection.invalidate()
            raise self._outage(error, broke) from error
        except driver.Error:
            return False
        finally:
            connection.close()
        self._wrote()
        return True

    def _holds(self, cursor: Any, check: DriverCheck) -> bool:
        if self.dialect == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
        cursor.execute(check.query.text, check.query.parameters)
        return {tuple(row) for row in cursor.fetchall()} == check.rows

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _check_file(self) -> None:
        """Raise StorageUnavailable where what is written would be lost."""
        fault = None if self.file is None else self.file.fault()
        if fault is not None:
            self.health.failed(fault, is_damage=False)
            raise StorageUnavailable(fault)

    def _wrote(self) -> None:
        """Something was committed. Raises OutcomeOpen where the file went away meanwhile."""
        fault = None if self.file is None else self.file.fault()
        if fault is not None:
            self.health.failed(fault, is_damage=False)
            raise OutcomeOpen(fault)
        self.health.wrote()

    @contextmanager
    def _outages(self, writes: bool = False) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if is_outage(error):
                _check_stopped(error)
                raise self._outage(_first(error), writes and error.connection_invalidated) from error
            raise

    def _outage(self, error: Exception, is_open: bool) -> StorageUnavailable:
        """`is_open`: whether what was to be written may be there."""
        is_damage = getattr(getattr(error, "orig", error), "sqlite_errorcode", 0) & 0xFF in _DAMAGED
        self.health.failed(reason(error), is_damage=is_damage)
        if is_damage:
            self.engine.dispose()  # what connections remember of the file need not be so any more
        kind = OutcomeOpen if is_open else StorageUnavailable
        return kind(f"the database did not do its work: {reason(error)}")


def is_outage(error: Exception) -> bool:
    """Whether the database failed, rather than what it was asked to do; damage is of the first kind."""
    if isinstance(error, OperationalError | InternalError) or type(error) is DatabaseError:
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _check_stopped(error: DBAPIError) -> None:
    """Raise ReadTooLong where it is the deadline that ended the statement."""
    code, state = (getattr(error.orig, name, None) for name in ("sqlite_errorcode", "sqlstate"))
    if code == sqlite3.SQLITE_INTERRUPT or state == _CANCELLED:
        check_deadline()


def _first(error: DBAPIError) -> DBAPIError:
    """What went wrong first: a full disk ends the transaction, and then its savepoint cannot be undone either."""
    first, before = error, error.__context__
    while before is not None:
        first = before if isinstance(before, DBAPIError) else first
        before = before.__context__
    return first


def reason(error: Exception) -> str:
    """What the database said, in one line, without the statement and its parameters."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def _checked_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise BadInput([Fault("database_url", "is not a URL such as sqlite:///arbitrage.db")]) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise BadInput([Fault("database_url", "names no file, and a database in memory keeps no decision")])
        if parsed.query.get(SYNCHRONOUS, "NORMAL") not in _SYNCHRONOUS_VALUES:
            raise BadInput([Fault("database_url", f"{SYNCHRONOUS} is one of {', '.join(_SYNCHRONOUS_VALUES)}")])
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise BadInput([Fault("database_url", f"{backend} is not known; use sqlite:/// or postgresql://")])


def _sqlite_engine(url: URL, file: DatabaseFile) -> Engine:
    if not file.path.parent.is_dir():
        raise BadInput([Fault("database_url", f"the folder {file.path.parent} does not exist")])
    pragmas = {
        "journal_mode": "WAL",
        "synchronous": url.query.get(SYNCHRONOUS, "NORMAL"),
        "foreign_keys": "ON",
        "wal_autocheckpoint": _CHECKPOINT_PAGES,
    }
    engine = create_engine(url.difference_update_query([SYNCHRONOUS]), connect_args={"timeout": LOCK_WAIT_S})

    @event.listens_for(engine, "do_connect")
    def _connect(dialect: Any, _record: Any, _given: Any, parameters: dict[str, Any]) -> Any:
        mode = "rw" if file.is_known else "rwc"
        return dialect.connect(f"file:{quote(str(file.path))}?mode={mode}", uri=True, **parameters)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver's guesses
        try:
            for name, value in pragmas.items():
                connection.execute(f"PRAGMA {name} = {value}")
        except sqlite3.Error:  # of a damaged file, or on a full disk
            connection.close()
            raise

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql_engine(url: URL) -> Engine:
    options = {"connect_timeout": int(LOCK_WAIT_S), "application_name": "arbitrage"}
    try:
        return create_engine(url, connect_args=options, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        message = "PostgreSQL needs a driver: pip install 'arbitrage[postgres]'"
        raise BadInput([Fault("database_url", message)]) from error
