"""A wrong body is answered briefly however wrong it is, and a field that is given twice is no field."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from api.http.bodies import MOST_FIELDS
from api.http.problems import MOST_FAULTS
from api.schemas.examples import ASSET, DECISION_REQUEST, OVERRIDE
from tests.api.local_client import LocalClient

PRICES = "market.imbalance_price_eur_mwh.values"


def with_values(values: list[Any]) -> bytes:
    body = copy.deepcopy(DECISION_REQUEST)
    body["market"]["imbalance_price_eur_mwh"]["values"] = values
    return json.dumps(body).encode()


def refused(client: LocalClient, body: bytes) -> dict[str, Any]:
    answer = client.post("/v1/decisions", body)
    assert answer.status_code == 422
    assert len(answer.content) < 100 * MOST_FAULTS * 3
    return dict(answer.json())


@pytest.mark.parametrize("wrong", ["x", True, {}, [], float("nan"), float("inf")])
@pytest.mark.parametrize("count", [MOST_FAULTS, MOST_FAULTS + 1, 50_000])
def test_the_first_wrong_values_are_listed_with_the_number_of_all(client: LocalClient, wrong: Any, count: int) -> None:
    problem = refused(client, with_values([1.0, None, 2, *([wrong] * count)]))
    listed = [each["field"] for each in problem["faults"]]
    assert listed == [f"{PRICES}.{number + 3}" for number in range(MOST_FAULTS)]
    assert problem["detail"].startswith(f"The request has {count} faults.")
    assert ("The first 100 are listed." in problem["detail"]) == (count > MOST_FAULTS)


def test_wrong_values_stand_beside_the_other_faults(client: LocalClient) -> None:
    body = json.loads(with_values(["x"] * 5000)) | {"surprise": 1}
    problem = refused(client, json.dumps(body).encode())
    assert problem["detail"].startswith("The request has 5001 faults.")


@pytest.mark.parametrize("count", [MOST_FAULTS + 1, MOST_FIELDS - 50])
def test_of_many_unknown_fields_the_first_are_listed(client: LocalClient, count: int) -> None:
    problem = refused(client, json.dumps(DECISION_REQUEST | dict.fromkeys(map(str, range(count)), 1)).encode())
    assert len(problem["faults"]) == MOST_FAULTS
    assert problem["detail"].startswith(f"The request has {count} faults.")


def test_more_fields_than_any_request_has_are_one_fault(client: LocalClient) -> None:
    problem = refused(client, json.dumps(dict.fromkeys(map(str, range(100_000)), 1)).encode())
    assert [(each["field"], each["code"]) for each in problem["faults"]] == [("body", "too_many_fields")]


@pytest.mark.parametrize(
    ("path", "example", "field"),
    [
        ("/v1/decisions", DECISION_REQUEST, "asset_id"),
        ("/v1/decisions", DECISION_REQUEST, "soc_fraction"),
        ("/v1/assets/be-8", ASSET, "power_mw"),
        ("/v1/assets/be-8/override", OVERRIDE, "power_mw"),
        ("/v1/backtests", {"strategy": "idle"}, "strategy"),
    ],
)
def test_a_field_that_is_given_twice_is_refused_by_name(
    client: LocalClient, path: str, example: dict[str, Any], field: str
) -> None:
    text = json.dumps(example)
    place = text.index(f'"{field}":')
    value = text[place:].split(",")[0].split("}")[0]
    body = f"{text[:place]}{value}, {text[place:]}".encode()
    method = "POST" if path in ("/v1/decisions", "/v1/backtests") else "PUT"
    answer = client.ask(method, path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert [(each["field"], each["code"]) for each in answer.json()["faults"]] == [(field, "given_twice")]


def test_a_name_that_is_written_in_another_way_is_the_same_field(client: LocalClient) -> None:
    body = json.dumps(DECISION_REQUEST).encode()
    twice = body.replace(b'"asset_id":', b'"\\u0061sset_id": "be-2", "asset_id":')
    assert [each["field"] for each in refused(client, twice)["faults"]] == ["asset_id"]


@pytest.mark.parametrize("reason", ['a "quoted": b', "\\", '\\": "', "{", '"kind":', "Straße: ä"])
def test_text_that_looks_like_a_field_is_text(client: LocalClient, reason: str) -> None:
    client.put("/v1/assets/be-7", ASSET)
    answer = client.put("/v1/assets/be-7/override", OVERRIDE | {"reason": reason})
    assert answer.status_code == 200, answer.text
    assert answer.json()["override"]["reason"] == reason
