"""What the documents promise: they are as generated, their examples hold, and answers keep to them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from api.commands.write_contracts import generated
from api.http.openapi import CONTRACTS
from api.schemas import examples
from tests.api.local_client import LocalClient

PROMISED = (
    *("schema_version", "decision_id", "asset_id", "generated_at", "data_as_of", "valid_from", "valid_until"),
    *("sign_convention", "setpoint.action", "setpoint.power_mw", "setpoint.charge_mw", "setpoint.discharge_mw"),
    *("expected.soc_fraction_start", "expected.soc_fraction_end", "expected.profit_eur", "alternatives"),
    *("risk.measure", "risk.level", "risk.weight", "cycles.used_today", "cycles.budget", "cycles.resets_at", "mode"),
    *("fallback.level", "fallback.reason", "shield.applied", "shield.rule", "shield.requested_mw", "reasons"),
    *("data_quality.imbalance_price", "data_quality.age_s", "policy.id", "policy.sha256", "warnings"),
)
"""Every field of the decision contract, version 1.0."""


def schema(name: str) -> dict[str, Any]:
    return dict(json.loads((CONTRACTS / f"{name}.schema.json").read_text()))


def test_the_documents_that_are_kept_are_those_that_are_generated() -> None:
    kept = {path.name: path.read_text() for path in CONTRACTS.glob("*.json")}
    assert kept == generated(), "write them anew: python -m api.commands.write_contracts"


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("decision-request", examples.DECISION_REQUEST),
        ("decision-request", examples.ASSET_REQUEST),
        ("decision", examples.DECISION),
        ("asset", examples.ASSET),
        ("override", examples.OVERRIDE),
        ("backtest", examples.BACKTEST),
    ],
)
def test_an_example_keeps_to_its_schema(name: str, example: dict[str, Any]) -> None:
    jsonschema.validate(example, schema(name))


def test_an_answer_keeps_to_the_schema_and_has_every_field_of_the_contract(client: LocalClient) -> None:
    answer = client.post("/v1/decisions", examples.DECISION_REQUEST)
    assert answer.status_code == 200, answer.text
    decision = answer.json()
    jsonschema.validate(decision, schema("decision"))
    for path in PROMISED:
        place = decision
        for part in path.split("."):
            assert part in place, path
            place = place[part]


def test_a_refusal_keeps_to_the_schema_of_problems(client: LocalClient) -> None:
    jsonschema.validate(client.post("/v1/decisions", {}).json(), schema("problem"))
    jsonschema.validate(client.get("/v1/nowhere").json(), schema("problem"))


def test_every_promised_address_is_documented(client: LocalClient) -> None:
    document = client.get("/openapi.json").json()
    found = {path: sorted(operations) for path, operations in document["paths"].items()}
    promised = {
        "/healthz": ["get"],
        "/metrics": ["get"],
        "/readyz": ["get"],
        "/v1/assets": ["get"],
        "/v1/assets/{asset_id}": ["get", "put"],
        "/v1/assets/{asset_id}/override": ["put"],
        "/v1/backtests": ["get", "post"],
        "/v1/backtests/{job_id}": ["delete", "get"],
        "/v1/backtests/{job_id}/report": ["get"],
        "/v1/decisions": ["get", "post"],
        "/v1/policies": ["get"],
        "/v1/reconciliation": ["get"],
        "/v1/version": ["get"],
    }
    assert {path: found.get(path) for path in promised} == promised


def test_floats_travel_to_the_last_bit(client: LocalClient) -> None:
    state = {"soc_mwh": 0.1 + 0.2, "cycles_used_today": 1 / 3}
    decision = client.post("/v1/decisions", examples.DECISION_REQUEST | {"state": state}).json()
    assert decision["cycles"]["used_today"] == 1 / 3
    assert decision["expected"]["soc_fraction_start"] == (0.1 + 0.2) / 2.0
