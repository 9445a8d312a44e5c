"""A service with a million decisions and ten thousand assets, read by crowds while it decides.

    python -m benchmarks.service.crowd --folder /tmp/crowd [--decisions 1000000] [--assets 10000] [--seconds 60]
        [--readers 6] [--rate 20] [--half-open 500] [--database sqlite] [--workers 1 2] [--json out.json]

The database is made of copies of one real decision under other names and times: of SQLite once under the folder, and
used again; of PostgreSQL in a server of its own, each time. `arbitrage serve` runs on it with a simulated feed, with
each number of workers in turn. First each question is asked five times alone; then readers (lists, exports,
reconciliation, days, previews) ask as fast as they are answered, from a process of their own, and strangers hold
connections half open, from another one, beside decisions at a fixed rate, each for another asset and timed from when it
was due. Exit code 1 if a decision failed.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import itertools
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from api.schemas.assets import AssetIn
from api.schemas.examples import ASSET, DECISION_REQUEST
from api.storage.database.columns import microseconds
from api.storage.database.database import Database
from api.storage.database.tables import AssetRow, DecisionRow, Tables
from benchmarks.service.half_open import hold_for
from benchmarks.service.kill import database_of as empty_database_of
from tests.api.conftest import NOW
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.served import Served, served

MINUTE_US = 60_000_000
FIRST_ASSET_SHARE = 5
"""The first asset has one of so many decisions; the others share the rest."""
KINDS = 20
SHA256 = ("a" * 64, "b" * 64)
ALONE = 5
LIMIT_S = 30.0
BATCH = 20_000


def name_of(number: int) -> str:
    return f"be-{number:05d}"


@contextmanager
def database_of(options: argparse.Namespace) -> Iterator[str]:
    """The URL of the database, filled."""
    if options.database == "postgresql":
        with empty_database_of("postgresql") as url:
            fill(url, options.decisions, options.assets)
            yield url
        return
    file = options.folder / f"crowd_{options.decisions}_{options.assets}.db"
    if not file.exists():
        options.folder.mkdir(parents=True, exist_ok=True)
        making = file.with_suffix(".making")
        making.unlink(missing_ok=True)
        fill(f"sqlite:///{making}", options.decisions, options.assets)
        making.rename(file)
    yield f"sqlite:///{file}"


def fill(url: str, decisions: int, assets: int) -> None:
    """Make the tables and fill them: assets, and decisions of the minutes before now."""
    database = Database(url)
    database.migrate()
    insert_all(database, AssetRow, asset_rows(assets))
    insert_all(database, DecisionRow, decision_rows(decisions, assets))
    if database.dialect == "postgresql":  # what its autovacuum does within a minute, and then beside the measurement
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    database.close()


def insert_all(database: Database, table: type[Tables], rows: Iterator[dict[str, Any]]) -> None:
    """Insert rows whose values are as the database keeps them."""
    while batch := list(itertools.islice(rows, BATCH)):
        names = batch[0].keys()
        statement = f"INSERT INTO {table.__tablename__} ({', '.join(names)}) VALUES (:{', :'.join(names)})"
        with database.writing() as connection:
            connection.execute(text(statement), batch)


def asset_rows(assets: int) -> Iterator[dict[str, Any]]:
    now_us = microseconds(dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
    day = dt.datetime.now(dt.UTC).date().isoformat()
    for number in range(assets):
        battery = {"max_cycles_per_day": 1.1, "wear_cost_eur_mwh": float(number % KINDS)}
        spec = AssetIn.model_validate(ASSET | {"policy_id": "threshold", "battery": battery})
        kept = spec.model_dump_json(include={"battery", "ramp_mw_per_min", "challenger_policy_id"})
        row = {"asset_id": name_of(number), "version": 1, "battery": json.dumps({"spec": kept})}
        row |= {"policy_id": "threshold", "challenger_policy_id": None, "soc_mwh": 1.0, "cycles_used": 0.0}
        yield row | {"cycle_day": day, "power_mw": 0.0, "state_as_of": now_us, "changed_at": now_us}


def decision_rows(decisions: int, assets: int) -> Iterator[dict[str, Any]]:
    answer = real_answer()
    own_id, own_asset = json.loads(answer)["decision_id"], json.loads(answer)["asset_id"]
    others = itertools.cycle(range(1, assets))
    now_us = microseconds(dt.datetime.now(dt.UTC).replace(second=0, microsecond=0))
    minutes = -(-decisions // FIRST_ASSET_SHARE)
    for number in range(decisions):
        asset_id = name_of(0) if number % FIRST_ASSET_SHARE == 0 else name_of(next(others))
        time_us = now_us - (minutes - number // FIRST_ASSET_SHARE) * MINUTE_US
        decision_id = str(uuid.UUID(int=number + 1))
        yield {
            "decision_id": decision_id,
            "asset_id": asset_id,
            "role": "challenger" if number % 20 == 19 else "served",
            "generated_at": time_us,
            "data_as_of": time_us,
            "valid_from": time_us,
            "valid_until": time_us + MINUTE_US,
            "action": ("idle", "charge", "discharge")[number % 3] if number % 1000 else "discharge",
            "power_mw": 0.5,
            "fallback_level": 0 if number % 200 else 1 + number // 200 % 3,
            "mode": "policy" if number % 997 else "override",
            "policy_id": "threshold",
            "policy_sha256": SHA256[number % 100_003 == 0],
            "price_seen_eur_mwh": 50.0,
            "principal": "crowd",
            "request_sha256": "0" * 64,
            "idempotency_key": None,
            "answer": answer.replace(own_id, decision_id).replace(f'"{own_asset}"', f'"{asset_id}"'),
        }


def real_answer() -> str:
    with tempfile.TemporaryDirectory() as folder, LocalClient(open_settings(Path(folder)), StandingClock(NOW)) as own:
        answered = own.post("/v1/decisions", DECISION_REQUEST)
        answered.raise_for_status()
        return answered.text


def questions(since: dt.datetime) -> dict[str, str]:
    """What is asked alone, by what it is called."""
    week = (since - dt.timedelta(days=8)).strftime("%Y-%m-%dT%H:%M:%SZ")
    end = since.strftime("%Y-%m-%dT%H:%M:%SZ")
    first = name_of(0)
    return {
        "assets, first page": "/v1/assets",
        "assets, page of 1000": "/v1/assets?limit=1000",
        "newest 100": "/v1/decisions",
        "newest 1000": "/v1/decisions?limit=1000",
        "page's log": f"/v1/decisions?asset_id={first}&limit=12",
        "mode=override": "/v1/decisions?mode=override",
        "mode=watch_only": "/v1/decisions?mode=watch_only",
        "role=challenger": "/v1/decisions?role=challenger",
        "role=replay": "/v1/decisions?role=replay",
        "action=charge": "/v1/decisions?action=charge",
        "min_fallback_level=1": "/v1/decisions?min_fallback_level=1",
        "min_fallback_level=3": "/v1/decisions?min_fallback_level=3",
        "policy_sha256, rare": f"/v1/decisions?policy_sha256={SHA256[1]}",
        "policy_sha256, none": f"/v1/decisions?policy_sha256={'c' * 64}",
        "day": f"/v1/assets/{first}/day",
        "prices": f"/v1/assets/{first}/prices",
        "reconciliation, 1 day": f"/v1/reconciliation?asset_id={first}",
        "reconciliation, 8 days": f"/v1/reconciliation?asset_id={first}&start={week}&end={end}",
        "readyz": "/readyz",
    }


@dataclass(slots=True)
class Tally:
    """Times of one kind of request, and what was answered."""

    times_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    size: int = 0

    def note(self, answer: httpx.Response | None, took_s: float) -> None:
        self.times_s.append(took_s)
        self.statuses[0 if answer is None else answer.status_code] += 1
        self.size = max(self.size, 0 if answer is None else len(answer.content))

    def document(self) -> dict[str, Any]:
        times = sorted(self.times_s) or [float("nan")]
        at = lambda share: 1000.0 * times[min(len(times) - 1, int(share * len(times)))]  # noqa: E731
        figures = {"count": len(self.times_s), "p50_ms": at(0.5), "p99_ms": at(0.99), "most_ms": 1000.0 * times[-1]}
        return figures | {"statuses": dict(self.statuses), "largest_bytes": self.size}


async def ask(client: httpx.AsyncClient, tally: Tally, method: str, path: str, due_s: float, **what: Any) -> Any:
    try:
        answer = await client.request(method, path, **what)
    except httpx.TransportError:
        answer = None
    tally.note(answer, time.monotonic() - due_s)
    return answer


def read_on(url: str, paths: list[str], seconds: float, told: Any) -> None:
    """Read as fast as answered, in a process of its own; pages are followed to their end."""

    async def one(path: str) -> Tally:
        tally, ends = Tally(), time.monotonic() + seconds
        async with httpx.AsyncClient(base_url=url, timeout=LIMIT_S) as client:
            cursor = None
            while time.monotonic() < ends:
                given = {} if cursor is None else {"cursor": cursor}
                asked = httpx.URL(path).copy_merge_params(given)
                answer = await ask(client, tally, "GET", str(asked), time.monotonic())
                cursor = answer.json().get("next_cursor") if answer is not None and answer.is_success else None
        return tally

    async def together() -> list[Tally]:
        return list(await asyncio.gather(*map(one, paths)))

    told.put({path: tally.document() for path, tally in zip(paths, asyncio.run(together()), strict=True)})


async def decide(url: str, rate: float, seconds: float, assets: int) -> tuple[Tally, Tally]:
    """Decisions at a rate, and readiness four times a second."""
    decisions, readiness = Tally(), Tally()
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx.AsyncClient(base_url=url, timeout=LIMIT_S, limits=limits) as client, asyncio.TaskGroup() as tasks:
        began = time.monotonic()

        async def probe() -> None:
            while time.monotonic() < began + seconds:
                await ask(client, readiness, "GET", "/readyz", time.monotonic())
                await asyncio.sleep(0.25)

        tasks.create_task(probe())
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            body = {"asset_id": name_of(1 + number * 7 % (assets - 1))}
            tasks.create_task(ask(client, decisions, "POST", "/v1/decisions", due, json=body))
    return decisions, readiness


def alone(url: str) -> dict[str, dict[str, float]]:
    found = {}
    with httpx.Client(base_url=url, timeout=LIMIT_S) as client:
        for name, path in questions(dt.datetime.now(dt.UTC)).items():
            times, size, status = [], 0, 0
            for _ in range(ALONE):
                began = time.monotonic()
                answer = client.get(path)
                times.append(1000.0 * (time.monotonic() - began))
                size, status = len(answer.content), answer.status_code
            found[name] = {"median_ms": statistics.median(times), "bytes": size, "status": status}
    return found


def greedy(readers: int) -> list[str]:
    week = (dt.datetime.now(dt.UTC) - dt.timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ")
    paths = [
        "/v1/assets?limit=1000",
        "/v1/decisions?limit=1000",
        f"/v1/reconciliation?asset_id={name_of(0)}&start={week}&limit=5000",
        "/v1/decisions?mode=override&limit=1000",
        f"/v1/assets/{name_of(0)}/day",
        "/v1/decisions?min_fallback_level=1&limit=1000",
    ]
    return [path for path, _ in zip(itertools.cycle(paths), range(readers), strict=False)]


def hold_on(port: int, count: int, seconds: float, results: Any) -> None:
    """Hold connections half open, in a process of its own."""
    made, open_each_second = hold_for(port, count, seconds)
    results.put({"connections_made": made, "open_median": statistics.median(open_each_second)})


def under_load(running: Served, options: argparse.Namespace) -> dict[str, Any]:
    """The crowd, and what deciding and readiness took meanwhile."""
    context = multiprocessing.get_context("spawn")
    reads, strangers = context.Queue(), context.Queue()
    seconds = options.seconds + 2.0
    reading = context.Process(target=read_on, args=(running.url, greedy(options.readers), seconds, reads))
    holding = context.Process(target=hold_on, args=(running.port, options.half_open, seconds, strangers))
    reading.start()
    holding.start()
    time.sleep(2.0)
    decisions, readiness = asyncio.run(decide(running.url, options.rate, options.seconds, options.assets))
    report = {"decisions": decisions.document(), "readyz": readiness.document()}
    report |= {"readers": reads.get(timeout=120.0), "half_open": strangers.get(timeout=120.0)}
    reading.join()
    holding.join()
    return report


def measure(url: str, workers: int, options: argparse.Namespace) -> dict[str, Any]:
    """One service on the database."""
    given = {"database_url": url, "feed": "simulator", "requests_per_s": 1e6, "burst": 1_000_000, "workers": workers}
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), **given) as running:
        return {"workers": workers, "alone": alone(running.url), **under_load(running, options)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--assets", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--readers", type=int, default=6)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--half-open", type=int, default=500)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with database_of(options) as url:
        runs = [measure(url, workers, options) for workers in options.workers]
    report = json.dumps({"database": options.database, "half_open": options.half_open, "runs": runs}, indent=2)
    if options.json is not None:
        options.json.write_text(report, encoding="utf-8")
    print(report)
    return 0 if all(set(run["decisions"]["statuses"]) == {200} for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
