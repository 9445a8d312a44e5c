"""Every parameter at its ends and beyond, on both databases: the caller's fault is never the service's."""

from __future__ import annotations

import base64
import copy
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.schemas.examples import ASSET, BACKTEST, DECISION_REQUEST, OVERRIDE
from arbitrage.market.simulation.embedded_sample import sample_market
from tests.api.conftest import NOW
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed

Asked = tuple[str, str, Any]
"""Method, address with its query, and body."""

TIMES = (
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00%2B14:00", "1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z"),
    *("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:00-14:00", "-1", "1e300", "9" * 30, "0"),
)
NUMBERS = (
    *("0", "-1", "1", "1e308", "-1e308", "5e-324", "9" * 19, "9" * 20, "9" * 400),
    *("nan", "inf", "1e400", "%00", "x", "", "true"),
)
TEXTS = ("%00", "%FF", "%F0%9F%98%80", "a" * 65, "..", "%2e%2e%2f")
VALUES = (0, -0.0, 5e-324, 1e300, 1.7e308, -1.7e308, 10**30, -(10**30), 2**63, 2**64, 10**400)
WORDS = ("\x00", "a\x00b", "\ud800", "\ufeff", "\U0001f600", "\u2028", "x" * 500, "\n", "'; drop table x;--")


@pytest.fixture
def client(tmp_path: Path, migrated_url: str) -> Iterator[LocalClient]:
    """A service that keeps an asset and a market, and runs no backtest."""
    clock = StandingClock(NOW)
    settings = open_settings(tmp_path, database_url=migrated_url, most_open_backtests=10_000)
    with LocalClient(settings, clock, PlayedFeed(sample_market(with_minutes=True), clock)) as client:
        client.app.state.service.runner._task.cancel()
        client.poll()
        assert client.put("/v1/assets/be-1", ASSET).status_code == 200
        yield client


def cursors() -> Iterator[str]:
    times = ("0", "1", "-1", str(2**63), str(-(2**63)), "9" * 30, "253402300799999999", "-62135596800000000", "1e5")
    sequences = ("0", "1", "-1", str(2**63 - 1), str(2**63), "9" * 30, "-" + "9" * 30, "x")
    for time, sequence in itertools.product(times, sequences):
        yield base64.urlsafe_b64encode(f"{time}.{sequence}".encode()).decode()


def queries() -> Iterator[str]:
    """Addresses that only read."""
    for start, end in itertools.product(("", *TIMES), repeat=2):
        times = "".join(f"&{name}={time}" for name, time in (("start", start), ("end", end)) if time)
        yield f"/v1/reconciliation?asset_id=be-1{times}"
        yield f"/v1/decisions?asset_id=be-1{times}"
    yield from (f"/v1/decisions?cursor={cursor}" for cursor in cursors())
    for number in NUMBERS:
        yield from (f"/v1/decisions?{name}={number}" for name in ("limit", "min_fallback_level"))
        yield f"/v1/assets/be-1/prices?hours={number}"
        yield from (f"/v1/assets/be-1/preview?{name}={number}" for name in ("aversion", "level", "weight"))
        yield f"/readyz?max_age_seconds={number}"
    for text in (*TEXTS, *NUMBERS):
        names = ("asset_id", "mode", "role", "action", "policy_sha256", "cursor")
        yield from (f"/v1/decisions?{name}={text}" for name in names)
        yield from (f"/v1/assets/{text}{what}" for what in ("", "/day", "/prices", "/preview"))
        yield from (f"/v1/backtests/{text}{what}" for what in ("", "/report"))


def changed(example: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    body = copy.deepcopy(example)
    *parents, last = field.split(".")
    place = body
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return body


def with_numbers() -> Iterator[Asked]:
    """Bodies with numbers at the ends of what a double or an integer holds; what they leave is looked at."""
    battery = ("power_mw", "capacity_mwh", "charge_efficiency", "discharge_efficiency", "max_cycles_per_day")
    battery += ("import_limit_mw", "export_limit_mw", "wear_cost_eur_mwh", "min_soc_fraction", "max_soc_fraction")
    state = ("soc_fraction", "cycles_used_today", "profit_today_eur")
    fields = [*(f"battery.{name}" for name in battery), *(f"state.{name}" for name in state)]
    more = ("risk.aversion", "risk.level", "risk.weight", "market.publication_delay_min")
    series = "market.imbalance_price_eur_mwh.values"
    for value in VALUES:
        yield from (("POST", "/v1/decisions", changed(DECISION_REQUEST, name, value)) for name in (*fields, *more))
        yield "POST", "/v1/decisions", changed(DECISION_REQUEST, series, [value] * 14)
        yield "POST", "/v1/decisions", changed(DECISION_REQUEST, "state", {"soc_mwh": value})
        for name in (*fields, "ramp_mw_per_min", "version"):
            yield "PUT", "/v1/assets/be-1", changed(ASSET, name, value)
        yield "PUT", "/v1/assets/be-1/override", changed(OVERRIDE, "power_mw", value)
        yield "POST", "/v1/decisions", {"asset_id": "be-1"}
        yield from (("GET", f"/v1/assets/be-1/{what}", None) for what in ("day", "prices", "preview"))
        yield "PUT", "/v1/assets/be-1/override", {"kind": "automatic", "reason": "x"}
        yield "PUT", "/v1/assets/be-1", ASSET
        yield "GET", "/v1/reconciliation?asset_id=be-1&end=2026-11-22T16:00:00Z", None
        yield "GET", "/v1/decisions?limit=1000", None


def with_words() -> Iterator[Asked]:
    """Bodies with text that some databases do not keep."""
    for word in WORDS:
        yield "PUT", "/v1/assets/be-1/override", changed(OVERRIDE, "reason", word)
        for name in ("policy_id", "asset_id", "schema_version", "at"):
            yield "POST", "/v1/decisions", changed(DECISION_REQUEST, name, word)
        for name in ("policy_id", "challenger_policy_id"):
            yield "PUT", "/v1/assets/be-1", changed(ASSET, name, word)
        for name in ("strategy", "data", "days_of_month", "tune_days", "start"):
            yield "POST", "/v1/backtests", changed(BACKTEST, name, word)


def ask(client: LocalClient, method: str, address: str, body: Any) -> None:
    """Ask, and look at the answer."""
    content = None if body is None else json.dumps(body).encode()
    headers = {} if body is None else {"content-type": "application/json"}
    answer = client.ask(method, address, content=content, headers=headers)
    assert answer.status_code < 500 or address.startswith("/readyz"), (method, address, body, answer.text)
    if answer.headers.get("content-type", "").endswith("json"):
        json.loads(answer.content, parse_constant=lambda name: pytest.fail(f"{name} in the answer to {address}"))


def test_no_query_at_its_ends_is_the_service_s_fault(client: LocalClient) -> None:
    for query in queries():
        ask(client, "GET", query, None)


def test_no_number_at_its_ends_is_the_service_s_fault(client: LocalClient) -> None:
    for asked in with_numbers():
        ask(client, *asked)


def test_no_text_is_the_service_s_fault(client: LocalClient) -> None:
    for asked in with_words():
        ask(client, *asked)


@pytest.mark.parametrize("reason", ["\x00", "a\x00b"])
def test_a_reason_that_a_database_does_not_keep_is_refused_by_its_field(client: LocalClient, reason: str) -> None:
    answer = client.put("/v1/assets/be-1/override", OVERRIDE | {"reason": reason})
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["faults"]] == ["reason"]


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_years_beyond_all_decisions_are_refused_by_their_field(client: LocalClient, end: str) -> None:
    answer = client.get("/v1/reconciliation", params={"asset_id": "be-1", "end": end})
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["faults"]] == ["end"]
