"""An order that was acknowledged holds for every decision that is asked for afterwards, of whatever service.

The promise that is tested: each decision is explained by an order that was acknowledged before it was asked for and not
replaced since, or by one that was under way meanwhile. Services share a database, each with a memory of its own.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.quarter_hour import epoch_minute
from tests.api.commands.killed_service import Service
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed

NOON = epoch_minute("2025-03-20T12:00Z")
ROUNDS = 10
ASSET: dict[str, Any] = {
    "battery": {"power_mw": 1.0, "capacity_mwh": 1000.0},
    "policy_id": "threshold",
    "state": {"soc_mwh": 500.0},
}


def order(power_mw: float, until: str = "2025-03-20T23:00:00Z") -> dict[str, Any]:
    return {"kind": "setpoint", "power_mw": power_mw, "until": until, "reason": "test"}


@pytest.fixture
def services(tmp_path: Path, migrated_url: str) -> Iterator[tuple[LocalClient, LocalClient]]:
    """Two services on one database."""
    with ExitStack() as stack:

        def service() -> LocalClient:
            clock = StandingClock()
            clock.set_minute(NOON, -20.0)
            feed = PlayedFeed(sample_market(), clock)
            client = LocalClient(open_settings(tmp_path, database_url=migrated_url), clock, feed)
            stack.enter_context(client)
            client.poll()
            return client

        yield service(), service()


def test_no_service_decides_against_an_order_that_another_one_took(
    services: tuple[LocalClient, LocalClient],
) -> None:
    taker, decider = services
    taker.put("/v1/assets/be-1", ASSET)
    for round_number in range(ROUNDS):
        power_mw = 0.01 * (round_number + 1)
        decider.post("/v1/decisions", {"asset_id": "be-1"})  # it keeps the asset in memory from here on
        assert taker.put("/v1/assets/be-1/override", order(power_mw)).status_code == 200
        decision = decider.post("/v1/decisions", {"asset_id": "be-1"}).json()
        assert (decision["mode"], decision["setpoint"]["power_mw"]) == ("override", power_mw)
        assert taker.put("/v1/assets/be-1/override", {"kind": "automatic", "reason": "test"}).status_code == 200
        assert decider.post("/v1/decisions", {"asset_id": "be-1"}).json()["mode"] == "policy"


def test_an_order_counts_for_a_decision_that_moves_no_state(services: tuple[LocalClient, LocalClient]) -> None:
    taker, decider = services
    taker.put("/v1/assets/be-1", ASSET)
    taker.put("/v1/assets/be-1/override", order(0.0))
    decider.post("/v1/decisions", {"asset_id": "be-1"})
    before = decider.get("/v1/assets/be-1").json()["version"]
    taker.put("/v1/assets/be-1/override", order(0.0, until="2025-03-20T12:30:00Z"))
    assert decider.get("/v1/assets/be-1").json()["version"] == before + 1
    again = decider.post("/v1/decisions", {"asset_id": "be-1", "at": "2025-03-20T12:00:00Z"}).json()
    assert again["setpoint"]["power_mw"] == 0.0


def test_an_order_raises_the_version_that_a_client_changes_the_asset_by(
    services: tuple[LocalClient, LocalClient],
) -> None:
    taker, other = services
    version = taker.put("/v1/assets/be-1", ASSET).json()["version"]
    ordered = other.put("/v1/assets/be-1/override", order(0.0)).json()["version"]
    assert ordered == version + 1
    assert taker.put("/v1/assets/be-1", ASSET | {"version": version}).status_code == 409


@dataclass(slots=True)
class History:
    """What clients did and were answered; times by one steady clock."""

    orders: list[tuple[float, float, float]] = field(default_factory=list)
    """Asked at, acknowledged at, power in MW."""
    decisions: list[tuple[float, float, float]] = field(default_factory=list)
    """Asked at, answered at, power in MW."""

    def unexplained(self) -> list[tuple[float, float, float]]:
        """Decisions at a power that no order explains."""
        return [each for each in self.decisions if each[2] not in self._explaining(*each[:2])]

    def _explaining(self, asked_s: float, answered_s: float) -> set[float]:
        before = [power_mw for _, acknowledged_s, power_mw in self.orders if acknowledged_s <= asked_s]
        meanwhile = {p for began_s, ended_s, p in self.orders if ended_s > asked_s and began_s < answered_s}
        return {*before[-1:], *meanwhile}


def test_concurrent_clients_of_two_processes_see_orders_in_one_order(migrated_url: str) -> None:
    first, second = Service(migrated_url, feed="simulator"), Service(migrated_url, feed="simulator")
    history, over = History(), threading.Event()
    try:
        first.start()
        second.start()
        until = time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(time.time() + 3600))
        assert httpx.put(f"{first.url}/v1/assets/be-1", json=ASSET).status_code == 200
        assert httpx.put(f"{first.url}/v1/assets/be-1/override", json=order(0.001, until)).status_code == 200
        history.orders.append((0.0, 0.0, 0.001))

        def decide(url: str) -> None:
            with httpx.Client(base_url=url, timeout=30.0) as client:
                while not over.is_set():
                    asked_s = time.monotonic()
                    answer = client.post("/v1/decisions", json={"asset_id": "be-1"})
                    if answer.status_code == httpx.codes.OK:
                        history.decisions.append((asked_s, time.monotonic(), answer.json()["setpoint"]["power_mw"]))

        threads = [threading.Thread(target=decide, args=[each.url]) for each in (first, second, second)]
        for thread in threads:
            thread.start()
        with httpx.Client(timeout=30.0) as client:
            for number, service in zip(range(2, 42), itertools.cycle((first, second)), strict=False):
                asked_s = time.monotonic()
                answer = client.put(f"{service.url}/v1/assets/be-1/override", json=order(0.001 * number, until))
                assert answer.status_code == 200
                history.orders.append((asked_s, time.monotonic(), 0.001 * number))
                time.sleep(0.02)
        over.set()
        for thread in threads:
            thread.join()
    finally:
        first.kill()
        second.kill()
    assert len(history.decisions) > 40
    assert history.unexplained() == []
