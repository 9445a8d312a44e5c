from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from api.storage.database import schema
from api.storage.database.database import Database
from api.storage.database.refusals import DatabaseRefused, StorageUnavailable
from api.storage.database.schema import LATEST, MIGRATIONS, VERSION_TABLE, schema_revision
from api.storage.database.tables import Tables
from arbitrage.errors import BadInput

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database of this test alone, migrated: the tests here alter its tables."""
    with opened(database_url) as database:
        database.migrate()
        yield database


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def test_the_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, Tables.metadata) == []
        assert set(inspect(connection).get_table_names()) == {*Tables.metadata.tables, VERSION_TABLE}


def test_the_newest_migration_is_the_one_that_a_start_looks_for() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == LATEST


def test_every_column_is_required_or_not_in_the_database_as_in_the_code(database: Database) -> None:
    with database.reading() as connection:
        for table in Tables.metadata.tables.values():
            found = {column["name"]: column["nullable"] for column in inspect(connection).get_columns(table.name)}
            assert found == {column.name: column.nullable for column in table.columns}


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("INSERT INTO prices VALUES (0, 'validated', 1.5, 0)"))
    database.migrate()
    with database.reading() as connection:
        assert connection.execute(text("SELECT price_eur_mwh FROM prices")).scalar_one() == 1.5


def test_several_starts_at_once_make_one_schema(database_url: str) -> None:
    def start(_: int) -> None:
        with opened(database_url) as database:
            database.migrate()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(start, range(4)))
    with opened(database_url) as database, database.reading() as connection:
        assert schema_revision(connection) is not None


def test_a_start_does_not_wait_for_ever_for_another_that_migrates(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.storage.database.schema._LONGEST_WAIT_S", 0.05)
    with opened(postgresql_url) as database, opened(postgresql_url) as other, other.writing() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": schema._LOCK})
        with pytest.raises(DatabaseRefused, match="lock timeout"):
            database.migrate()


def test_the_schema_of_a_newer_version_is_refused_and_left_as_it_is(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(DatabaseRefused, match=r"'9999'.*newer version"):
        database.migrate()
    with database.reading() as connection:
        assert schema_revision(connection) == "9999"


def test_a_database_with_tables_of_something_else_is_refused_and_left_as_it_is(database_url: str) -> None:
    with opened(database_url) as database:
        with database.writing() as connection:
            connection.execute(text("CREATE TABLE recipes (name TEXT)"))
        with pytest.raises(DatabaseRefused, match=r"something else \(recipes\)"):
            database.migrate()
        with database.reading() as connection:
            assert inspect(connection).get_table_names() == ["recipes"]


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "letter.db"
    file.write_text("Dear reader, " * 1000, encoding="utf-8")
    with opened(f"sqlite:///{file}") as database, pytest.raises(DatabaseRefused, match="not a database"):
        database.migrate()
    assert file.read_text(encoding="utf-8") == "Dear reader, " * 1000


def test_a_server_that_is_not_there_is_refused_without_telling_the_password(tmp_path: Path) -> None:
    with opened(f"postgresql://trader:secret@/log?host={tmp_path}") as database:
        with pytest.raises(DatabaseRefused, match=r"trader:\*\*\*") as refused:
            database.migrate()
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("arbitrage.db", "is not a URL"),
        ("", "is not a URL"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:////nowhere/at/all/log.db", "/nowhere/at/all does not exist"),
        ("sqlite:///log.db?synchronous=OFF", "synchronous is one of NORMAL, FULL"),
        ("mysql://trader@localhost/log", "mysql is not known"),
    ],
)
def test_a_url_that_is_of_no_use_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        Database(url)


def test_what_is_written_in_a_block_that_raises_is_undone(database: Database) -> None:
    def half_way() -> None:
        with database.writing() as connection:
            connection.execute(text("INSERT INTO prices VALUES (0, 'validated', 1.5, 0)"))
            raise KeyError

    with pytest.raises(KeyError):
        half_way()
    with database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM prices")).scalar_one() == 0


def test_a_lock_that_another_program_holds_too_long_is_an_outage_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.storage.database.database.LOCK_WAIT_S", 0.05)
    with opened(f"sqlite:///{tmp_path / 'log.db'}") as database:
        database.migrate()
        other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable, match="locked"), database.writing():
            pass
        with database.reading() as connection:
            assert connection.execute(text("SELECT count(*) FROM prices")).scalar_one() == 0
        other.close()


@pytest.mark.parametrize(("parameter", "number"), [("", 1), ("?synchronous=NORMAL", 1), ("?synchronous=FULL", 2)])
def test_sqlite_is_set_so_that_what_is_committed_outlives_the_process(
    tmp_path: Path, parameter: str, number: int
) -> None:
    with opened(f"sqlite:///{tmp_path / 'log.db'}{parameter}") as database, database.reading() as connection:
        settings = ("journal_mode", "synchronous", "foreign_keys")
        found = [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in settings]
    assert found == ["wal", number, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["log.db"], "its log is gone when the last connection is"


def test_storage_loads_nothing_that_slows_a_start_down() -> None:
    code = (
        "import sys, api.storage.decision_log, api.storage.asset_store, api.storage.job_store, api.storage.retention; "
        "sys.exit(bool({'torch', 'pandas', 'fastapi', 'alembic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
