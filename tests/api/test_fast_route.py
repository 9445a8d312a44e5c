"""Decisions are served past the framework, and answered as it would."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.fast_route import DirectRoute, documented_route
from api.http.middleware import Receive, Scope, Send
from api.routes import decisions
from tests.api.local_client import LocalClient, StandingClock, open_settings

NOON = dt.datetime(2024, 7, 2, 12, 0, 7, tzinfo=dt.UTC)
PRICES = {"start": "2024-07-01T00:00:00Z", "values": [100.0, -50.0] * 74}
BODY = {
    "policy_id": "threshold",
    "battery": {"power_mw": 1.0, "capacity_mwh": 2.0},
    "state": {"soc_fraction": 0.5},
    "market": {"imbalance_price_eur_mwh": PRICES},
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    with LocalClient(open_settings(tmp_path), StandingClock(NOON)) as client:
        yield client


def test_the_route_that_is_served_is_the_documented_one() -> None:
    route = documented_route(decisions.router, decisions.post_decision)
    assert (route.path, route.methods, route.endpoint) == ("/v1/decisions", {"POST"}, decisions.post_decision)


def test_an_endpoint_that_no_route_documents_is_not_served() -> None:
    with pytest.raises(LookupError, match="no documented route"):
        documented_route(decisions.router, decisions.idempotency_key)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        ({}, 422),
        ({"asset_id": "nobody"}, 404),
        (BODY | {"policy_id": "unknown"}, 422),
        (BODY | {"risk": {"aversion": 1.0}}, 422),
        (BODY, 200),
    ],
)
def test_the_framework_would_answer_the_same(
    client: LocalClient, monkeypatch: pytest.MonkeyPatch, body: object, status: int
) -> None:
    direct = client.post("/v1/decisions", body)
    monkeypatch.setattr(DirectRoute, "__call__", hand_on)
    by_framework = client.post("/v1/decisions", body)
    assert direct.status_code == by_framework.status_code == status
    assert direct.headers == by_framework.headers
    assert said(direct) == said(by_framework)


async def hand_on(route: DirectRoute, scope: Scope, receive: Receive, send: Send) -> None:
    """As if no request were the plain one."""
    await route.app(scope, receive, send)


def said(answer: httpx.Response) -> dict[str, Any]:
    """All that does not differ between two answers to the same request."""
    return {name: value for name, value in answer.json().items() if name != "decision_id"}


def test_a_decision_is_counted_under_its_documented_path(client: LocalClient) -> None:
    client.post("/v1/decisions", BODY)
    line = 'arbitrage_requests_total{method="POST",route="/v1/decisions",status="200"} 1.0'
    assert line in client.get("/metrics").text
