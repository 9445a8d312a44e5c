"""Every test that asks for `database_url` or `database` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from api.storage.database.database import Database
from api.storage.database.tables import Tables
from tests.api.storage.postgresql import fresh_schema


def migrated(url: str) -> str:
    database = Database(url)
    database.migrate()
    database.close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    return fresh_schema(request.getfixturevalue("postgresql_url"))


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "log.db"
    migrated(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def migrated_schema_url(postgresql_url: str) -> str:
    return migrated(fresh_schema(postgresql_url))


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the tables of this version, and nothing in them."""
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(request.getfixturevalue('migrated_file'), tmp_path / 'log.db')}"
    url: str = request.getfixturevalue("migrated_schema_url")
    database = Database(url)
    with database.writing() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(Tables.metadata.tables)}"))
    database.close()
    return url


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """A connection to `migrated_url`."""
    database = Database(migrated_url)
    yield database
    database.close()
