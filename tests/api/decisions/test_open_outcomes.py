"""A request that is given up says whether what it asked for may have been done; what was not begun is not done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.http.problems import OUTCOME_OPEN, TYPES
from api.schemas.examples import ASSET, DECISION_REQUEST
from api.storage.database.database import Database
from tests.api.conftest import NOW
from tests.api.local_client import LocalClient, StandingClock, open_settings

TIMEOUT_S = 0.5


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    settings = open_settings(tmp_path, request_timeout_s=TIMEOUT_S)
    with LocalClient(settings, StandingClock(NOW)) as client:
        while client.post("/v1/decisions", DECISION_REQUEST | {"asset_id": "first"}).status_code != 200:
            pass  # the first decision of a process takes its time
        yield client


@contextmanager
def locked(client: LocalClient) -> Iterator[None]:
    """Another process holds the lock of the database."""
    database = Database(client.app.state.service.settings.database_url)
    with database.writing():
        yield
    database.close()


async def asked(client: LocalClient, key: str) -> httpx.Response:
    return await client._client.post("/v1/decisions", json=DECISION_REQUEST, headers={"Idempotency-Key": key})


def ask(client: LocalClient, key: str) -> httpx.Response:
    return client._runner.run(asked(client, key))


def logged(client: LocalClient) -> list[dict[str, Any]]:
    return list(client.get("/v1/decisions?asset_id=be-1").json()["decisions"])


def test_a_decision_that_may_be_written_is_an_open_outcome_and_the_same_key_gets_it(client: LocalClient) -> None:
    with locked(client):
        given_up = ask(client, "k-1")
    assert given_up.status_code == 503
    assert given_up.json()["type"] == TYPES + OUTCOME_OPEN
    assert "Idempotency-Key" in given_up.json()["detail"]
    again = ask(client, "k-1")
    assert again.status_code == 200
    assert logged(client) == [again.json()]


def test_a_decision_that_nothing_was_begun_of_is_dropped_and_no_open_outcome(client: LocalClient) -> None:
    log = client.app.state.service.log

    async def one_after_the_other() -> list[httpx.Response]:
        first = asyncio.create_task(asked(client, "taken"))
        while log.waiting or not log._writer._is_writing:  # until a group has it
            await asyncio.sleep(0.001)
        return [await asked(client, "queued"), await first]

    with locked(client):
        queued, taken = client._runner.run(one_after_the_other())
    assert taken.json()["type"] == TYPES + OUTCOME_OPEN
    assert queued.status_code == 503
    assert queued.json()["type"] != TYPES + OUTCOME_OPEN
    assert ask(client, "after").status_code == 200
    assert len(logged(client)) == 2


@pytest.mark.parametrize("path", ["/v1/assets/be-1", "/v1/backtests"])
def test_whatever_else_may_be_written_is_an_open_outcome_too(client: LocalClient, path: str) -> None:
    with locked(client):
        given_up = (
            client.put(path, ASSET) if "assets" in path else client.post(path, {"strategy": "idle", "data": "sample"})
        )
    assert given_up.json()["type"] == TYPES + OUTCOME_OPEN


def test_what_only_reads_has_no_open_outcome(client: LocalClient, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(client.app.state.service.readers.assets, "page", lambda *_: release.wait())
    given_up = client.get("/v1/assets")
    release.set()
    assert given_up.status_code == 503
    assert given_up.json()["type"] != TYPES + OUTCOME_OPEN
