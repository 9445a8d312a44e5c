"""Many assets, many decisions and many who read: deciding and readiness go on, and nobody is told more than a page."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event, text
from starlette.requests import Request

from api.background.reader_threads import MOST_WAITING, Readers
from api.schemas.assets import AssetList
from api.schemas.reconciliation import ReconciliationOut
from api.storage.database.database import Database
from api.storage.database.deadline import check_deadline
from api.storage.database.refusals import ReadTooLong
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.quarter_hour import epoch_minute
from tests.api.conftest import NOW
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed

NOON = epoch_minute("2025-03-20T12:00Z")
ASSET: dict[str, Any] = {"battery": {"max_cycles_per_day": 1.1}, "policy_id": "threshold", "state": {"soc_mwh": 1.0}}
READING = ("/v1/assets", "/v1/assets/be-1", "/v1/decisions", "/v1/reconciliation?asset_id=be-1", "/v1/assets/be-1/day")
ENDLESS = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    with LocalClient(open_settings(tmp_path), StandingClock(NOW)) as client:
        yield client


@pytest.fixture
def living(tmp_path: Path) -> Iterator[LocalClient]:
    """A service that keeps a market."""
    clock = StandingClock()
    clock.set_minute(NOON, -20.0)
    with LocalClient(open_settings(tmp_path), clock, PlayedFeed(sample_market(), clock)) as client:
        yield client


def put(client: LocalClient, name: str, **more: Any) -> None:
    answer = client.put(f"/v1/assets/{name}", ASSET | more)
    assert answer.status_code == 200, answer.text


def paged(client: LocalClient, path: str, rows: str) -> list[Any]:
    """The rows of all pages."""
    told = client.get(path).json()
    found = told[rows]
    while told["next_cursor"] is not None:
        told = client.get(path, params=httpx.URL(path).params.merge({"cursor": told["next_cursor"]})).json()
        found += told[rows]
    return list(found)


def test_who_asks_as_before_gets_the_first_page_of_assets_and_where_the_next_begins(client: LocalClient) -> None:
    names = [f"be-{number:03d}" for number in range(102)]
    for name in names:
        put(client, name)
    first = AssetList.model_validate_json(client.get("/v1/assets").content)
    assert [asset.asset_id for asset in first.assets] == names[:100]
    assert first.next_cursor == names[99]
    for path in ("/v1/assets", "/v1/assets?limit=7", "/v1/assets?limit=102"):
        assert [asset["asset_id"] for asset in paged(client, path, "assets")] == names
    assert [asset["asset_id"] for asset in paged(client, "/v1/assets?prefix=be-01&limit=4", "assets")] == names[10:20]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "cursor=%20", "prefix=", "prefix=a%25", "names=1"])
def test_a_bad_query_of_the_assets_is_refused(client: LocalClient, query: str) -> None:
    assert client.get(f"/v1/assets?{query}").status_code == 422


def test_pages_of_the_reconciliation_are_parts_of_one_whole(living: LocalClient) -> None:
    put(living, "be-1")
    for number in range(9):
        living.clock.set_minute(NOON + 15 * number, -20.0)
        living.poll_and_settle()
        assert living.post("/v1/decisions", {"asset_id": "be-1"}).status_code == 200
    living.clock.set_minute(NOON + 15 * 9)
    span = "asset_id=be-1&start=2025-03-20T11:50:00Z&end=2025-03-20T14:05:00Z"
    whole = living.get(f"/v1/reconciliation?{span}").json()
    assert len(whole["rows"]) == 9
    assert whole["next_cursor"] is None
    assert paged(living, f"/v1/reconciliation?{span}&limit=4", "rows") == whole["rows"]
    page = living.get(f"/v1/reconciliation?{span}&limit=4").json()
    assert {name: page[name] for name in page if name not in ("rows", "next_cursor")} == {
        name: whole[name] for name in whole if name not in ("rows", "next_cursor")
    }, "sums are over all rows"
    ReconciliationOut.model_validate_json(living.get(f"/v1/reconciliation?{span}&limit=4").content)


def selects(client: LocalClient, work: Any) -> int:
    """Queries of assets and orders while something is done."""
    count = 0

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal count
        count += statement.startswith("SELECT") and ("FROM assets" in statement or "FROM overrides" in statement)

    service = client.app.state.service
    engines = [service.database.engine, service.readers.database.engine]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    work()
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)
    return count


def test_what_is_asked_about_assets_after_a_poll_does_not_grow_with_them(living: LocalClient) -> None:
    asked = []
    living.poll_and_settle()  # after the one that the service makes when it starts
    for number in range(12):
        put(living, f"be-{number}", challenger_policy_id="idle" if number == 0 else None)
        if number in (0, 11):
            living.clock.set_minute(NOON + 15 * number, -20.0)
            asked.append(selects(living, living.poll_and_settle))
    assert max(asked) <= 3  # two, and one where the cache of assets catches up by its own timer meanwhile
    assert selects(living, lambda: living.get("/v1/assets")) == 1


def test_readings_are_made_ahead_for_each_kind_of_asset_once(living: LocalClient) -> None:
    for number in range(6):
        put(living, f"be-{number}", battery={"max_cycles_per_day": 1.1, "wear_cost_eur_mwh": float(number % 2)})
    living.poll_and_settle()
    readings = living.app.state.service.readings._kept
    before = len(readings)
    assert before == 2
    for number in range(6):
        assert living.post("/v1/decisions", {"asset_id": f"be-{number}"}).status_code == 200
    assert len(readings) == before


@pytest.mark.parametrize("path", READING)
def test_readers_take_nothing_from_deciding_and_readiness(living: LocalClient, path: str) -> None:
    put(living, "be-1")
    living.poll()
    assert living.post("/v1/decisions", {"asset_id": "be-1"}).status_code == 200
    service, release = living.app.state.service, threading.Event()
    for _ in range(8):
        service.readers.threads.submit(release.wait)

    async def beside() -> list[int]:
        reading = [asyncio.create_task(living._client.get(path)) for _ in range(20)]
        await asyncio.sleep(0.05)
        body = {"asset_id": "be-1"}
        key = {"Idempotency-Key": "one"}
        service.asset_cache.forget("be-1")
        answers = [await living._client.post("/v1/decisions", json=body, headers=key) for _ in range(2)]
        answers.append(await living._client.get("/readyz"))
        order = {"kind": "setpoint", "power_mw": 0.0, "until": "2025-03-20T13:00:00Z", "reason": "test"}
        answers.append(await living._client.put("/v1/assets/be-1/override", json=order))
        assert not any(task.done() for task in reading)
        release.set()
        answers += await asyncio.gather(*reading)
        return [answer.status_code for answer in answers]

    assert living._runner.run(beside()) == [200] * 24


def test_beyond_those_who_may_wait_a_reader_is_refused(client: LocalClient) -> None:
    readers, release = client.app.state.service.readers, threading.Event()
    readers.threads.submit(release.wait)

    async def crowd() -> list[httpx.Response]:
        asked = [asyncio.create_task(client._client.get("/v1/decisions")) for _ in range(MOST_WAITING + 3)]
        while not any(task.done() for task in asked):
            await asyncio.sleep(0.01)
        release.set()
        return list(await asyncio.gather(*asked))

    answers = client._runner.run(crowd())
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) == 3
    assert {answer.status_code for answer in refused} == {503}
    assert all("retry-after" in answer.headers for answer in refused)


def test_what_takes_too_long_to_read_is_told_so_and_the_work_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalClient(open_settings(tmp_path, request_timeout_s=0.5), StandingClock(NOW)) as client:
        readers, ended = client.app.state.service.readers, threading.Event()

        def endless(*_: object) -> None:
            try:
                with readers.database.reading() as connection:
                    connection.execute(ENDLESS)
            finally:
                ended.set()

        with monkeypatch.context() as slow:
            slow.setattr(readers.assets, "page", endless)
            answer = client.get("/v1/assets")
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("/read-too-long")
        assert "was not read within 0.4 s: ask for less" in answer.json()["detail"]
        assert ended.wait(60.0)
        assert client.get("/v1/assets").status_code == 200


def test_who_waits_too_long_behind_others_is_told_so(tmp_path: Path) -> None:
    with LocalClient(open_settings(tmp_path, request_timeout_s=0.5), StandingClock(NOW)) as client:
        readers, release = client.app.state.service.readers, threading.Event()
        readers.threads.submit(release.wait)
        answer = client.get("/v1/decisions")
        release.set()
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("/read-too-long")
        assert client.get("/v1/decisions").status_code == 200


def test_work_ends_when_its_request_is_gone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'log.db'}")
    database.migrate()
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        try:
            while True:
                check_deadline()
                time.sleep(0.001)
        except ReadTooLong:
            ended.set()
            raise

    async def leave() -> dict[str, str]:
        while not begun.is_set():
            await asyncio.sleep(0.001)
        return {"type": "http.disconnect"}

    async def scenario() -> None:
        readers = Readers(database, request_timeout_s=1000.0)
        with pytest.raises(ReadTooLong):
            await readers.read(Request({"type": "http"}, leave), work)  # type: ignore[arg-type]
        assert await asyncio.to_thread(ended.wait, 60.0)
        readers.close()

    asyncio.run(scenario())


def test_previews_are_made_on_the_threads_of_readers(living: LocalClient) -> None:
    put(living, "be-1")
    living.poll()
    service = living.app.state.service
    made: list[str] = []
    real = service.previews._threads.submit

    def submit(*work: Any) -> Any:
        made.append("preview")
        return real(*work)

    service.previews._threads.submit = submit
    assert living.get("/v1/assets/be-1/preview?aversion=0.5").status_code == 422, "rules have no dial"
    assert made
