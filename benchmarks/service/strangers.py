"""What half-open connections and slow readers do to decisions.

    python benchmarks/service/strangers.py [--seconds 30] [--rate 20] [--half-open 500] [--readers 6] [--workers 1]

One service on loopback. Strangers hold so many half-open connections (nothing sent, a head without end, a head byte by
byte) and open each again half a second after it is closed; slow readers ask for the largest documents and read a
kilobyte a second. Beside them so many decisions a second are asked with a key, each on a new connection half of the
time, and `/readyz` each second. Prints JSON; exit code 1 if one decision failed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from api.http.security import ApiKey, digest_of, new_key
from api.schemas.examples import DECISION_REQUEST
from benchmarks.service.half_open import Connections, hold_half_open
from tests.api.served import served

LARGE = b"GET /openapi.json HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


@dataclass
class Seen:
    """What happened."""

    decision_s: list[float] = field(default_factory=list)
    readyz_s: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    connections: Connections = field(default_factory=Connections)
    """Of strangers; those of slow readers are counted as made only."""


async def slow_reader(port: int, seen: Seen) -> None:
    """Ask for much and read little."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            seen.connections.made += 1
            writer.write(LARGE * 20)
            while await reader.read(1024):
                await asyncio.sleep(1.0)
            writer.close()
        await asyncio.sleep(0.5)


async def decide(client: httpx.AsyncClient, number: int, due_s: float, seen: Seen) -> None:
    """One decision, timed from when it was due."""
    headers = {"connection": "close"} if number % 2 else {}
    try:
        answer = await client.post("/v1/decisions", json=DECISION_REQUEST, headers=headers)
    except httpx.TransportError as error:
        seen.failures[type(error).__name__] += 1
        return
    if answer.status_code == httpx.codes.OK:
        seen.decision_s.append(time.perf_counter() - due_s)
    else:
        seen.failures[str(answer.status_code)] += 1


async def probe(client: httpx.AsyncClient, seen: Seen) -> None:
    while True:
        began_s = time.perf_counter()
        await client.get("/readyz")
        seen.readyz_s.append(time.perf_counter() - began_s)
        await asyncio.sleep(1.0)


async def measure(options: argparse.Namespace, port: int, key: str) -> Seen:
    seen = Seen()
    crowd = [hold_half_open(port, options.half_open, seen.connections)]
    crowd += [slow_reader(port, seen) for _ in range(options.readers)]
    strangers = [asyncio.create_task(each) for each in crowd]
    await asyncio.sleep(2.0)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": key}, timeout=10.0
    ) as client:
        probing = asyncio.create_task(probe(client, seen))
        began_s = time.perf_counter()
        async with asyncio.TaskGroup() as asking:
            for number in range(int(options.rate * options.seconds)):
                due_s = began_s + number / options.rate
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                asking.create_task(decide(client, number, due_s, seen))
        probing.cancel()
    for each in strangers:
        each.cancel()
    return seen


def figures(seen: Seen, options: argparse.Namespace) -> dict[str, Any]:
    def quantiles_ms(took_s: list[float]) -> dict[str, float]:
        return {f"p{q}": round(float(np.percentile(took_s, q)) * 1e3, 2) for q in (50, 99, 100)} if took_s else {}

    return {
        "half_open": options.half_open,
        "slow_readers": options.readers,
        "workers": options.workers,
        "files": options.files,
        "connections_made_by_strangers": seen.connections.made,
        "decisions": len(seen.decision_s),
        "failed_decisions": seen.failures.total(),
        "failures": dict(seen.failures),
        "decision_ms": quantiles_ms(seen.decision_s),
        "readyz_ms": quantiles_ms(seen.readyz_s),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--half-open", type=int, default=500)
    parser.add_argument("--readers", type=int, default=6)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--files", type=int, help="how many files the service may open")
    options = parser.parse_args()
    key = new_key()
    given = {"authentication": "keys", "keys": (ApiKey(name="bench", sha256=digest_of(key)),), "log_level": "warning"}
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder), options.files, workers=options.workers, **given) as running,
    ):
        seen = asyncio.run(measure(options, running.port, key))
    print(json.dumps(figures(seen, options), indent=2))
    return 1 if seen.failures else 0


if __name__ == "__main__":
    sys.exit(main())
