"""A corpus of bad requests: each is refused, each fault is named at its field, and nothing is written down."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from api.schemas.examples import ASSET, BACKTEST, DECISION_REQUEST, OVERRIDE
from tests.api.local_client import LocalClient

ABSENT = object()
NO_NUMBER: tuple[Any, ...] = ("1", True, [], {}, float("nan"), float("inf"), float("-inf"))
NO_TIME: tuple[Any, ...] = (
    "",
    "yesterday",
    "2026-11-22",
    "2026-11-22T12:00:00",
    5,
    True,
    None,
    "1999-12-31T23:00:00Z",
    "2100-01-01T00:00:00Z",
)
NO_NAME: tuple[Any, ...] = ("", "a b", "../etc", "x" * 65, 7, "-a", "é", "a\nb")
PRICES = "market.imbalance_price_eur_mwh"
Case = tuple[str, str, Any, str]
"""Address, field, value put there, and the field that the fault must name."""


def decisions() -> Iterator[Case]:
    """Bodies of POST /v1/decisions with one thing wrong."""
    address = "/v1/decisions"
    for field in ("power_mw", "capacity_mwh"):
        yield from ((address, f"battery.{field}", value, f"battery.{field}") for value in (*NO_NUMBER, 0.0, -1.0, None))
    for field in ("charge_efficiency", "discharge_efficiency"):
        yield from ((address, f"battery.{field}", value, f"battery.{field}") for value in (*NO_NUMBER, 0.0, -0.1, 1.01))
    for field in ("max_cycles_per_day", "import_limit_mw", "export_limit_mw", "wear_cost_eur_mwh"):
        yield from ((address, f"battery.{field}", value, f"battery.{field}") for value in (*NO_NUMBER, -0.1))
    for field, value in (
        ("min_soc_fraction", 1.0),
        ("min_soc_fraction", -0.1),
        ("max_soc_fraction", 0.0),
        ("max_soc_fraction", 1.1),
    ):
        yield address, f"battery.{field}", value, f"battery.{field}"
    yield address, "battery", {"min_soc_fraction": 0.6, "max_soc_fraction": 0.5}, "battery"
    yield from ((address, "state.soc_fraction", value, "state.soc_fraction") for value in (*NO_NUMBER, -0.01, 1.01))
    yield from (
        (address, "state.cycles_used_today", value, "state.cycles_used_today") for value in (*NO_NUMBER, -0.01, 1e9)
    )
    yield from ((address, "state.profit_today_eur", value, "state.profit_today_eur") for value in NO_NUMBER)
    yield address, "state.soc_mwh", 1.0, "state"
    yield address, "state", {}, "state"
    yield address, "state", {"soc_mwh": 2.5}, "state.soc_mwh"
    yield address, "state", ABSENT, "body"
    yield from ((address, field, value, field) for field in ("asset_id", "policy_id") for value in NO_NAME)
    yield address, "policy_id", "nobody", "policy_id"
    yield from ((address, "schema_version", value, "schema_version") for value in ("2.0", 1.0, None))
    yield from (
        (address, "at", value, "at")
        for value in (*(time for time in NO_TIME if time is not None), "2026-11-22T15:31:30Z")
    )
    yield from ((address, f"{PRICES}.start", value, f"{PRICES}.start") for value in (*NO_TIME, "2026-11-22T12:01:00Z"))
    yield from ((address, f"{PRICES}.values", value, f"{PRICES}.values") for value in ([], None, 1.0, "1,2", {}))
    yield from ((address, f"{PRICES}.values", [1.0, value], f"{PRICES}.values.1") for value in NO_NUMBER)
    yield address, f"{PRICES}.values", [None, None], "market.prices"
    yield address, "market", {}, PRICES
    yield address, PRICES, ABSENT, PRICES
    yield from (
        (address, "market.publication_delay_min", value, "market.publication_delay_min")
        for value in (-1, 1441, 0.5, "1", True)
    )
    yield (
        address,
        "market.day_ahead_price_eur_mwh",
        {"start": "2026-11-22T12:00:00Z", "step_min": 30, "values": [1.0]},
        "market.day_ahead_price_eur_mwh.step_min",
    )
    yield (
        address,
        "market.day_ahead_price_eur_mwh",
        {"start": "2020-11-22T12:00:00Z", "values": [1.0]},
        "market.day_ahead_price_eur_mwh",
    )
    yield (
        address,
        "market.minutes",
        {"start": "2026-11-22T12:00:00Z", "indicative_price_eur_mwh": [None]},
        "market.minutes",
    )
    yield (
        address,
        "market.minutes",
        {"start": "2026-11-22T12:00:30Z", "indicative_price_eur_mwh": [1.0]},
        "market.minutes.start",
    )
    uneven = {"start": "2026-11-22T12:00:00Z", "indicative_price_eur_mwh": [1.0, 2.0], "cumulative_imbalance_mw": [1.0]}
    yield address, "market.minutes", uneven, "market.minutes.cumulative_imbalance_mw"
    for field, value in (("aversion", -0.1), ("aversion", 0.99), ("weight", -1.0), ("measure", "luck"), ("level", "x")):
        yield address, f"risk.{field}", value, f"risk.{field}"
    yield address, "risk", {"measure": "cvar", "level": 0.0, "weight": 0.3}, "risk"
    yield address, "risk", {"aversion": 0.5}, "risk.aversion"
    yield from (
        (address, field, 1, field)
        for field in ("surprise", "battery.surprise", "state.surprise", "market.surprise", f"{PRICES}.surprise")
    )
    yield from (
        (address, field, value, field)
        for field in ("battery", "state", "market", "risk")
        for value in (1, "x", [], True)
    )


def others() -> Iterator[Case]:
    """Bodies of the other addresses."""
    for field, value in (
        ("battery", ABSENT),
        ("battery.power_mw", 0.0),
        ("battery.capacity_mwh", "2"),
        ("state", ABSENT),
        ("state.soc_fraction", 1.5),
        ("ramp_mw_per_min", 0.0),
        ("version", -1),
        ("surprise", 1),
    ):
        yield "/v1/assets/be-9", field, value, field
    yield "/v1/assets/be-9", "policy_id", "nobody", "policy_id"
    yield "/v1/assets/be-9", "policy_id", "a b", "policy_id"
    yield "/v1/assets/be-9", "state", {"soc_mwh": 3.0}, "state.soc_mwh"
    for field, value in (
        ("kind", "pause"),
        ("power_mw", "1"),
        ("reason", ""),
        ("reason", ABSENT),
        ("reason", "x" * 501),
        ("until", "soon"),
        ("surprise", 1),
    ):
        yield "/v1/assets/be-9/override", field, value, field
    for value in ("2026-11-22T15:30:00Z", "2027-11-22T15:30:00Z"):
        yield "/v1/assets/be-9/override", "until", value, "until"
    for field, value in (("kind", "watch_only"), ("power_mw", ABSENT), ("until", ABSENT)):
        yield "/v1/assets/be-9/override", field, value, "body"
    for field, value in (
        ("strategy", "nobody"),
        ("strategy", ABSENT),
        ("data", "nowhere"),
        ("days_of_month", "a-b"),
        ("soc_reset", "weekly"),
        ("start", "2025-04-01T00:01:00Z"),
        ("battery.power_mw", -1.0),
        ("with_report", 1),
        ("surprise", 1),
    ):
        yield "/v1/backtests", field, value, field
    yield "/v1/backtests", "end", "2025-03-01T00:00:00Z", "body"


EXAMPLES = {
    "/v1/decisions": DECISION_REQUEST,
    "/v1/assets/be-9": ASSET,
    "/v1/assets/be-9/override": OVERRIDE,
    "/v1/backtests": BACKTEST,
}
CASES = [*decisions(), *others()]


def spoiled(example: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """The example with one value put in its place."""
    body = copy.deepcopy(example)
    *parents, last = field.split(".")
    place = body
    for parent in parents:
        place = place.setdefault(parent, {})
    if value is ABSENT:
        del place[last]
    else:
        place[last] = value
    return body


def send(client: LocalClient, address: str, body: Any) -> Any:
    method = "PUT" if "/assets/" in address else "POST"
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.ask(method, address, content=content, headers={"content-type": "application/json"})


def test_the_corpus_is_large_enough_to_mean_something() -> None:
    assert len(CASES) >= 200
    assert len({(address, field, repr(value)) for address, field, value, _ in CASES}) == len(CASES)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_bad_body_is_refused_with_the_field_named(client: LocalClient, number: int) -> None:
    address, field, value, named = CASES[number]
    answer = send(client, address, spoiled(EXAMPLES[address], field, value))
    assert answer.status_code == 422, f"{field}={value!r}: {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 422
    assert named in [item["field"] for item in problem["faults"]], f"{field}={value!r}: {problem['faults']}"
    assert all(item["code"] and item["message"] for item in problem["faults"])


@pytest.mark.parametrize("at", [1767225600, "1767225600", "1767225600.0", 1767225600.0, True])
def test_seconds_since_1970_are_no_time(client: LocalClient, at: object) -> None:
    answer = client.post("/v1/decisions", {"asset_id": "be-1", "at": at})
    assert answer.status_code == 422
    assert answer.json()["faults"][0]["field"] == "at"


def test_all_faults_of_a_body_are_named_together(client: LocalClient) -> None:
    body = spoiled(spoiled(DECISION_REQUEST, "battery.power_mw", -1.0), "state.soc_fraction", 2.0)
    body = spoiled(spoiled(body, f"{PRICES}.start", "soon"), "surprise", 1)
    fields = [item["field"] for item in send(client, "/v1/decisions", body).json()["faults"]]
    assert sorted(fields) == ["battery.power_mw", f"{PRICES}.start", "state.soc_fraction", "surprise"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"{'a': 1}", b'{"a": 1,}', b"[" * 300])
def test_what_is_not_json_is_a_bad_request(client: LocalClient, body: bytes) -> None:
    answer = send(client, "/v1/decisions", body)
    assert answer.status_code == 400
    assert answer.json()["faults"]


@pytest.mark.parametrize("body", [b"null", b"1", b"[]", b'"x"', b"true"])
def test_json_that_is_no_object_is_refused(client: LocalClient, body: bytes) -> None:
    assert send(client, "/v1/decisions", body).status_code == 422


@pytest.mark.parametrize("kind", ["", "text/plain", "application/xml", "application/json; charset=latin-1"])
def test_a_body_of_another_kind_is_refused(client: LocalClient, kind: str) -> None:
    content = json.dumps(DECISION_REQUEST).encode()
    answer = client.ask("POST", "/v1/decisions", content=content, headers={"content-type": kind})
    assert answer.status_code == 415


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_an_idempotency_key_that_cannot_be_kept_is_refused(client: LocalClient, key: str) -> None:
    answer = client.post("/v1/decisions", DECISION_REQUEST, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert answer.json()["faults"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    "query",
    [
        *(
            "limit=0",
            "limit=1001",
            "limit=x",
            "cursor=nonsense",
            "cursor=%FF",
            "start=2026-01-01T00:00:00",
            "action=wait",
        ),
        *("end=0", "start=1700000000", "end=1700000000000.5", "end=2026-01-01", "limit=5&limit=6"),
        *("mode=auto", "min_fallback_level=4", "policy_sha256=abc", "asset_id=a%20b", "surprise=1", "role=king"),
    ],
)
def test_a_bad_query_of_the_log_is_refused(client: LocalClient, query: str) -> None:
    answer = client.get(f"/v1/decisions?{query}")
    assert answer.status_code == 422
    assert answer.json()["faults"][0]["field"] in (query.split("=")[0], "body")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "asset_id=be-1&start=2026-11-23T00:00:00Z",
        "asset_id=be-1&start=2026-01-01T00:00:00Z",
        "asset_id=be-1&role=challenger",
        "asset_id=be-1&end=never",
        "asset_id=be-1&end=1700000000",
        "asset_id=be-1&asset_id=be-2",
        "asset_id=be-1&surprise=1",
    ],
)
def test_a_bad_query_of_the_reconciliation_is_refused(client: LocalClient, query: str) -> None:
    assert client.get(f"/v1/reconciliation?{query}").status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "/v1/assets/nobody",
        "/v1/backtests/00000000-0000-0000-0000-000000000000",
        "/v1/backtests/00000000-0000-0000-0000-000000000000/report",
        "/v1/nowhere",
    ],
)
def test_what_is_not_there_is_not_found(client: LocalClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_asset_that_nobody_knows_cannot_be_decided_for(client: LocalClient) -> None:
    assert client.post("/v1/decisions", {"asset_id": "nobody"}).status_code == 404


def test_nothing_of_all_that_was_written_down(client: LocalClient) -> None:
    assert client.get("/v1/decisions").json() == {"decisions": [], "next_cursor": None}
    assert client.get("/v1/assets").json() == {"assets": [], "next_cursor": None}
    assert client.get("/v1/backtests").json() == {"backtests": []}


def test_the_examples_themselves_are_taken(client: LocalClient) -> None:
    for address in ("/v1/decisions", "/v1/assets/be-9", "/v1/assets/be-9/override", "/v1/backtests"):
        answer = send(client, address, EXAMPLES[address])
        assert answer.status_code in (200, 202), f"{address}: {answer.text}"
