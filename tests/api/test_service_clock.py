"""The service's own clock: while it has left the steady one and nothing speaks for it, nothing kept is moved."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from api.clock import DOUBT_S, JUMP_S, JumpWatch, machine_clock, machine_steady_s
from arbitrage.live.quality import Finding, Quality
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.quarter_hour import epoch_minute
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed

NOON = epoch_minute("2025-03-20T12:00Z")
ASSET: dict[str, Any] = {"battery": {"max_cycles_per_day": 1.1}, "policy_id": "threshold", "state": {"soc_mwh": 1.0}}
JUMPED = "clock_jumped"


class Steady:
    """A steady clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def client(tmp_path: Any, steady: Steady) -> Iterator[LocalClient]:
    clock = StandingClock()
    clock.set_minute(NOON, -30.0)
    feed = PlayedFeed(sample_market(), clock)
    with LocalClient(open_settings(tmp_path), clock, feed, steady) as client:
        client.poll()
        client.put("/v1/assets/be-1", ASSET)
        yield client


def ask(client: LocalClient) -> dict[str, Any]:
    answer = client.post("/v1/decisions", {"asset_id": "be-1"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def jumped_s(decision: dict[str, Any]) -> float | None:
    findings = {each["code"]: each["params"] for each in decision["data_quality"]["findings"]}
    return findings[JUMPED]["seconds"] if JUMPED in findings else None


@pytest.mark.parametrize("jump_min", [120, -120])
def test_a_clock_that_steps_is_held_on_and_moves_nothing_until_it_is_back(client: LocalClient, jump_min: int) -> None:
    ask(client)
    before = client.get("/v1/assets/be-1").json()
    client.clock.set_minute(NOON + jump_min, -30.0)
    held = ask(client)
    assert (held["fallback"]["level"], held["setpoint"]["power_mw"]) == (3, 0.0)
    assert jumped_s(held) == jump_min * 60.0
    assert client.get("/v1/assets/be-1").json() == before
    client.clock.set_minute(NOON, -20.0)
    back = ask(client)
    assert back["fallback"]["level"] == 0
    assert jumped_s(back) is None


def test_an_order_counts_while_the_clock_is_doubted(client: LocalClient) -> None:
    client.clock.set_minute(NOON + 120, -30.0)
    until = dt.datetime.fromtimestamp((NOON + 180) * 60, dt.UTC).isoformat()
    client.put("/v1/assets/be-1/override", {"kind": "setpoint", "power_mw": 0.25, "until": until, "reason": "by hand"})
    assert ask(client)["setpoint"]["power_mw"] == 0.25


def test_a_clock_that_the_market_fits_is_believed_again(client: LocalClient) -> None:
    feed = client.app.state.service.keeper._feed
    client.clock.set_minute(NOON + 15, -30.0)
    assert jumped_s(ask(client)) == 900.0
    feed.reported, feed.version = ((Quality.CLOCK, Finding(JUMPED, {"seconds": 900.0})),), 2
    client.poll_and_settle()
    assert ask(client)["fallback"]["level"] == 3
    feed.reported, feed.version = (), 3
    client.poll_and_settle()
    decision = ask(client)
    assert (decision["fallback"]["level"], jumped_s(decision)) == (0, None)
    assert client.get("/v1/assets/be-1").json()["state"]["as_of"] == "2025-03-20T12:15:00Z"


def test_a_clock_that_is_slewed_or_runs_with_the_steady_one_is_never_doubted(steady: Steady) -> None:
    clock = StandingClock()
    watch = JumpWatch(clock, steady)
    for _ in range(100):
        steady.now_s += 3600.0
        clock.now += dt.timedelta(seconds=3600.0 + JUMP_S)
        assert watch.jumped_s() == 0.0


@pytest.mark.parametrize("jump_s", [7200.0, -7200.0])
def test_a_clock_that_nothing_speaks_for_is_believed_once_it_has_run_evenly(steady: Steady, jump_s: float) -> None:
    clock = StandingClock()
    watch = JumpWatch(clock, steady)
    clock.now += dt.timedelta(seconds=jump_s)
    assert watch.jumped_s() == jump_s
    for seconds, expected in ((DOUBT_S, jump_s), (1.0, 0.0), (1.0, 0.0)):
        steady.now_s += seconds
        clock.now += dt.timedelta(seconds=seconds)
        assert watch.jumped_s() == expected


def test_the_machine_s_clock_is_believed() -> None:
    assert JumpWatch(machine_clock, machine_steady_s).jumped_s() == 0.0
