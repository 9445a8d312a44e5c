"""A running service that is killed outright under load, started again, and asked again for what it left unanswered.

Contract: every request has an idempotency key of its own. Of a request that was answered the log holds that answer,
once; of one that was not, and is asked again, it holds what it is told then, once.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from api.storage.decision_record import DecisionRecord

PROJECT = Path(__file__).resolve().parents[3]
LONGEST_START_S = 120.0
LONGEST_WAIT_S = 0.05
"""From the last of the answers that a kill waits for."""
REPEATED = 20
"""Answered requests that are asked again after each kill."""
_MARKET = {"imbalance_price_eur_mwh": {"start": "2024-07-01T00:00:00Z", "values": [100.0, -50.0] * 74}}
_FREE_OF_LIMITS = {"ARBITRAGE_SERVE_REQUESTS_PER_S": "1e6", "ARBITRAGE_SERVE_BURST": "1000000"}


@dataclass(slots=True)
class Told:
    """What clients know: the answers by key, and the keys of requests without one."""

    answers: dict[str, str] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Kill:
    """One death of the service, and what came after."""

    answered: int
    """Requests that had been answered since the service was started."""
    unanswered: int
    """Requests that were under way, or put off."""
    written: int
    """Of these, the ones whose decision was in the log though nobody had been told."""
    ready_s: float
    """From starting the service again to its being ready."""
    differing: int
    """Requests that were told one thing before the kill and another after."""


class Service:
    """`arbitrage serve` in a process group of its own, always on the same port."""

    def __init__(self, database_url: str, workers: int = 1, feed: str = "none") -> None:
        self._port = _free_port()
        options = ["--no-authentication", "--port", str(self._port), "--database-url", database_url, "--feed", feed]
        command = [sys.executable, "-m", "arbitrage", "serve", *options, "--log-level", "warning"]
        self._command = [*command, *(["--workers", str(workers)] if workers > 1 else [])]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> float:
        """Start it; returns after how many seconds it was ready. Raises RuntimeError if it never is."""
        began = time.monotonic()
        environment = os.environ | _FREE_OF_LIMITS | {"PYTHONPATH": str(PROJECT)}
        # A session of its own: the kill takes all of its processes.
        self._process = subprocess.Popen(
            self._command, cwd=PROJECT, env=environment, start_new_session=True, stdout=subprocess.DEVNULL
        )
        while time.monotonic() - began < LONGEST_START_S:
            if self._process.poll() is not None:
                raise RuntimeError(f"the service ended by itself, with code {self._process.returncode}")
            if _is_ready(self.url):
                return time.monotonic() - began
            time.sleep(0.02)
        raise RuntimeError(f"the service was not ready within {LONGEST_START_S:g} s")

    @property
    def is_running(self) -> bool:
        """Whether it was started and not killed since."""
        return self._process is not None

    def kill(self) -> None:
        """End it as `kill -9` does."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Trial:
    """Kills one service again and again; knows what its clients were told."""

    def __init__(self, service: Service, chance: random.Random, clients: int = 16) -> None:
        self.told = Told()
        self._service = service
        self._chance = chance
        self._clients = clients
        self._numbers = itertools.count()

    def kill_once(self, after_answers: int) -> Kill:
        """Ask from all sides, kill after so many answers and a random moment, start again and ask again.

        Raises RuntimeError if the service refuses a request.
        """
        before = len(self.told.answers)
        asyncio.run(self._ask_until_killed(before + after_answers))
        killed_at = time.time()
        ready_s = self._service.start()
        answered, left = len(self.told.answers) - before, sorted(self.told.unanswered)
        known = dict(self._chance.sample(list(self.told.answers.items())[-200:], min(REPEATED, answered)))
        asyncio.run(self._ask_again([*left, *known]))
        return Kill(
            answered=answered,
            unanswered=len(left),
            written=sum(_generated_at(self.told.answers[key]) < killed_at for key in left),
            ready_s=ready_s,
            differing=sum(self.told.answers[key] != answer for key, answer in known.items()),
        )

    def faults(self, log: Sequence[DecisionRecord]) -> list[str]:
        """Everything by which the log differs from what the clients were told."""
        times = Counter(record.idempotency_key for record in log)
        logged = {record.idempotency_key: record.answer for record in log}
        faults = [f"{key} is in the log {count} times" for key, count in times.items() if count > 1]
        faults += [f"{key} was answered and is not in the log" for key in self.told.answers if key not in logged]
        faults += [f"{key} is in the log and was never answered" for key in logged if key not in self.told.answers]
        faults += [
            f"{key} was answered otherwise than it is in the log"
            for key, answer in self.told.answers.items()
            if logged.get(key, answer) != answer
        ]
        return faults

    async def _ask_until_killed(self, answers: int) -> None:
        async with httpx.AsyncClient(base_url=self._service.url, timeout=30.0) as client, asyncio.TaskGroup() as tasks:
            for _ in range(self._clients):
                tasks.create_task(self._ask_on(client))
            while len(self.told.answers) < answers:
                await asyncio.sleep(0.001)
            # Beside the event loop, so that the moment does not depend on what the clients are at.
            await asyncio.to_thread(self._kill_after, self._chance.uniform(0.0, LONGEST_WAIT_S))

    def _kill_after(self, wait_s: float) -> None:
        time.sleep(wait_s)
        self._service.kill()

    async def _ask_on(self, client: httpx.AsyncClient) -> None:
        """One request after another, until the service is gone."""
        while True:
            key = f"request-{next(self._numbers)}"
            self.told.unanswered.add(key)
            try:
                await self._ask(client, key)
            except httpx.TransportError:
                if self._service.is_running:
                    raise
                return

    async def _ask_again(self, keys: Sequence[str]) -> None:
        async with httpx.AsyncClient(base_url=self._service.url, timeout=30.0) as client:
            for key in keys:
                while not await self._ask(client, key):
                    await asyncio.sleep(1.0)

    async def _ask(self, client: httpx.AsyncClient, key: str) -> bool:
        """Whether there was an answer; a service that is too busy (503) may be asked again."""
        response = await client.post("/v1/decisions", json=_body(key), headers={"Idempotency-Key": key})
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return False
        if response.status_code != httpx.codes.OK:
            raise RuntimeError(f"{key} was refused: {response.status_code} {response.text}")
        self.told.answers[key] = response.text
        self.told.unanswered.discard(key)
        return True


def _body(key: str) -> dict[str, Any]:
    """The request of a key: always the same, and hardly like that of any other."""
    soc_fraction = random.Random(key).random()
    return {
        "policy_id": "threshold",
        "asset_id": "be-1",
        "at": "2024-07-02T12:00:00Z",
        "battery": {"power_mw": 1.0, "capacity_mwh": 2.0},
        "state": {"soc_fraction": soc_fraction},
        "market": _MARKET,
    }


def _generated_at(answer: str) -> float:
    """When an answer was made, by this machine's clock."""
    return dt.datetime.fromisoformat(json.loads(answer)["generated_at"]).timestamp()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5.0).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
