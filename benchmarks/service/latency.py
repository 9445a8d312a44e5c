"""What a decision over HTTP costs beside an empty handler that parses the same body, in one run on loopback.

    python benchmarks/service/latency.py [--policy DIR] [--seconds 60] [--rate 100] [--decisions 100000] [--json FILE]

One worker each, asked by a client in this process: (1) one request after the other, for the median; (2) so many a
second for so long, for the tail, the log of decisions written before each answer; (3) as many as 16 connections can
get, for throughput and processor time, the two servers in turns; (4) so many decisions, for the memory of the service.
The empty handler is a FastAPI route that takes the same model and answers `{}`. The service asks for a key, keeps its
market from the simulator and its decisions in SQLite. Promised on two cores: median within 3 x, throughput at least
half, 99 % within 25 ms, memory flat. Without `--policy` a small one is trained on the embedded sample.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from api.http.security import ApiKey, digest_of, new_key
from api.schemas.decisions import DecisionRequest
from api.settings import Settings

ASSET = "be-1"
CONNECTIONS = 16
WARM_REQUESTS = 200
TURNS = 5
"""Times that the two servers are measured in turns."""
READY_WITHIN_S = 300.0


@dataclass
class Connection:
    """One kept-alive HTTP/1.1 connection; as little client as will do, so that the servers are measured."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """One request and its answer."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(head[9:12]), await self.reader.readexactly(length)


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


def request(method: str, path: str, key: str, body: Any = None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {key}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content


async def one_after_the_other(port: int, asked: bytes, count: int) -> np.ndarray:
    """Seconds of each request."""
    took = np.empty(count)
    async with connected(port) as connection:
        for number in range(count):
            began = time.perf_counter()
            await checked(connection, asked)
            took[number] = time.perf_counter() - began
    return took


async def paced(port: int, asked: bytes, rate: float, seconds: float) -> np.ndarray:
    """Seconds from when each request was due to its answer, so that a server that falls behind is not spared."""
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4 * CONNECTIONS):
            idle.put_nowait(await stack.enter_async_context(connected(port)))
        began = time.perf_counter()

        async def due(number: int) -> float:
            at = began + number / rate
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            connection = await idle.get()
            await checked(connection, asked)
            idle.put_nowait(connection)
            return time.perf_counter() - at

        return np.array(await asyncio.gather(*(due(number) for number in range(int(rate * seconds)))))


async def throughput(port: int, asked: bytes, seconds: float) -> float:
    """Requests a second of many connections."""
    end = time.perf_counter() + seconds
    counts = [0] * CONNECTIONS

    async def hurry(number: int) -> None:
        async with connected(port) as connection:
            while time.perf_counter() < end:
                await checked(connection, asked)
                counts[number] += 1

    await asyncio.gather(*(hurry(number) for number in range(CONNECTIONS)))
    return sum(counts) / seconds


async def memory_mb(port: int, asked: bytes, count: int, process: psutil.Process) -> list[float]:
    """Resident memory at the beginning and after each tenth of so many decisions."""
    told = [process.memory_info().rss / 2**20]
    left = iter(range(count))

    async def work() -> None:
        async with connected(port) as connection:
            for number in left:
                await checked(connection, asked)
                if (number + 1) % max(1, count // 10) == 0:
                    told.append(process.memory_info().rss / 2**20)

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return told


def processor_s(process: psutil.Process) -> float:
    """Seconds of processor that a process has taken, which other programs on the machine hardly change."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def checked(connection: Connection, asked: bytes) -> None:
    status, body = await connection.ask(asked)
    if status != 200:
        raise SystemExit(f"refused with {status}: {body.decode()}")


def serve_empty(port: int) -> None:
    """The empty handler, as FastAPI has one."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/v1/decisions")
    async def empty(body: DecisionRequest) -> dict[str, str]:  # noqa: ARG001 (parsed, and that is all)
        return {}

    uvicorn.run(app, port=port, access_log=False, log_level="warning")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[psutil.Process]:
    """A server as a process of its own."""
    with subprocess.Popen(command, cwd=PROJECT, env=os.environ | environment) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


async def ready(port: int, path: str, key: str, process: psutil.Process) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with connected(port) as connection:
                status, _ = await connection.ask(request("GET", path, key))
                if status in (200, 404):
                    return
        await asyncio.sleep(0.2)
    raise SystemExit(f"the server on port {port} did not become ready")


def small_policy(folder: Path) -> Path:
    """Trained on the embedded sample, in seconds."""
    from arbitrage.battery import Battery
    from arbitrage.features.names import FeatureSet
    from arbitrage.learners.closed_form.config import Preset
    from arbitrage.market.simulation.embedded_sample import sample_market
    from arbitrage.market.splits import DaysOfMonth
    from arbitrage.training.closed_form import ClosedFormTrainer
    from arbitrage.training.data_split import DataSplit

    split = DataSplit(market=sample_market(), train_days=DaysOfMonth(1, 20), validation_days=DaysOfMonth(21, 25))
    trainer = ClosedFormTrainer.of(split, FeatureSet.QUARTER_HOUR, Preset.QUICK)
    trainer.fit(split, Battery(max_cycles_per_day=1.1), 0, folder)
    return folder


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    key, ports = new_key(), {"service": free_port(), "empty": free_port()}
    policy = options.policy or small_policy(folder / "policy")
    settings = Settings(
        port=ports["service"],
        policies={"be": policy.resolve()},
        keys=(ApiKey(name="bench", sha256=digest_of(key)),),
        database_url=f"sqlite:///{folder / 'log.db'}",
        feed="simulator",
        requests_per_s=1e9,
        burst=10**9,
        log_level="warning",
    )
    serve = [sys.executable, "-m", "arbitrage", "serve"]
    empty = [sys.executable, __file__, "--serve-empty", str(ports["empty"])]
    with running(serve, settings.as_environment()) as process, running(empty, {}) as other:
        await ready(ports["service"], "/readyz", key, process)
        await ready(ports["empty"], "/nothing", key, other)
        await make_asset(ports["service"], key, policy)
        asked = request("POST", "/v1/decisions", key, {"asset_id": ASSET})
        for port in ports.values():
            await one_after_the_other(port, asked, WARM_REQUESTS)
        return await compare(options, ports, asked, {"service": process, "empty": other})


async def make_asset(port: int, key: str, policy: Path) -> None:
    battery = json.loads((policy / "card.json").read_text())["battery"]
    numbers = {name: float(value) for name, value in battery.items() if value is not None}
    body = {"battery": numbers, "policy_id": "be", "state": {"soc_fraction": 0.5}}
    async with connected(port) as connection:
        await checked(connection, request("PUT", f"/v1/assets/{ASSET}", key, body))


async def compare(
    options: argparse.Namespace, ports: dict[str, int], asked: bytes, processes: dict[str, psutil.Process]
) -> dict[str, Any]:
    """Everything, the two servers in turns."""
    medians: dict[str, list[float]] = {name: [] for name in ports}
    rates: dict[str, list[float]] = {name: [] for name in ports}
    processor_ms: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(TURNS):
        for name, port in ports.items():
            medians[name].append(float(np.median(await one_after_the_other(port, asked, options.requests))) * 1e3)
            began_s = processor_s(processes[name])
            rates[name].append(await throughput(port, asked, options.seconds / 10))
            count = rates[name][-1] * options.seconds / 10
            processor_ms[name].append((processor_s(processes[name]) - began_s) / count * 1e3)
    tail = await paced(ports["service"], asked, options.rate, options.seconds)
    memory = await memory_mb(ports["service"], asked, options.decisions, processes["service"])
    median = {name: float(np.median(values)) for name, values in medians.items()}
    rate = {name: float(np.median(values)) for name, values in rates.items()}
    return {
        "median_ms": median,
        "median_ratio": median["service"] / median["empty"],
        "requests_per_s": rate,
        "throughput_ratio": rate["service"] / rate["empty"],
        "processor_ms": {name: float(np.median(values)) for name, values in processor_ms.items()},
        "paced_per_s": options.rate,
        "paced_seconds": options.seconds,
        "paced_ms": {f"p{q}": float(np.percentile(tail, q)) * 1e3 for q in (50, 95, 99, 100)},
        "decisions": options.decisions,
        "memory_mb": memory,
    }


def report(figures: dict[str, Any]) -> None:
    table = Table("", "service", "empty handler", "ratio", "promised")
    median, rate, paced_ms, memory = (
        figures[name] for name in ("median_ms", "requests_per_s", "paced_ms", "memory_mb")
    )
    table.add_row(
        "median, ms", f"{median['service']:.3f}", f"{median['empty']:.3f}", f"{figures['median_ratio']:.2f}", "3"
    )
    ratio = f"{figures['throughput_ratio']:.2f}"
    table.add_row("requests a second", f"{rate['service']:.0f}", f"{rate['empty']:.0f}", ratio, "0.5")
    processor = figures["processor_ms"]
    ratio = f"{processor['service'] / processor['empty']:.2f}"
    table.add_row("processor, ms a request", f"{processor['service']:.3f}", f"{processor['empty']:.3f}", ratio, "")
    pace = f"{figures['paced_per_s']:g} a second for {figures['paced_seconds']:g} s"
    table.add_row(f"p50 / p99, ms, at {pace}", f"{paced_ms['p50']:.2f} / {paced_ms['p99']:.2f}", "", "", "p99 25 ms")
    told = f"{memory[0]:.0f}, {memory[len(memory) // 2]:.0f}, {memory[-1]:.0f}"
    table.add_row(f"memory over {figures['decisions']} decisions, MiB", told, "", "", "flat")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--decisions", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve-empty", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_empty is not None:
        serve_empty(options.serve_empty)
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(options, Path(folder)))
    report(figures)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
