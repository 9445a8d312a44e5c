"""Every test that asks for `database_url` or `database` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from api.storage.database import Database
from tests.api.storage import postgresql

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    programs = postgresql.server_programs()
    if programs is None:
        pytest.skip(postgresql.INSTALL)
    with postgresql.server(programs) as url:
        yield url


@pytest.fixture
def postgresql_schema_url(postgresql_url: str) -> str:
    """A schema of its own on the server, empty."""
    name = f"test_{next(_numbers)}"
    engine = create_engine(postgresql_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return f"{postgresql_url}&options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    url: str = request.getfixturevalue("postgresql_schema_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with the tables of this version."""
    database = Database(database_url)
    database.migrate()
    yield database
    database.close()
