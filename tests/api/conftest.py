"""A service with rules alone, shared by the tests of a module, and a PostgreSQL server, shared by all tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.storage import postgresql

NOW = dt.datetime(2026, 11, 22, 15, 30, 7, tzinfo=dt.UTC)
"""When the examples of the documents are asked."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClient]:
    with LocalClient(open_settings(tmp_path_factory.mktemp("service")), StandingClock(NOW)) as client:
        yield client


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    programs = postgresql.server_programs()
    if programs is None:
        pytest.skip(postgresql.INSTALL)
    with postgresql.server(programs) as url:
        yield url
