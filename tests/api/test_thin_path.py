"""A market and a battery go in, a decision comes out."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from api.schemas.decisions import DecisionOut
from tests.api.local_client import LocalClient, StandingClock, open_settings

NOON = dt.datetime(2024, 7, 2, 12, 0, 7, tzinfo=dt.UTC)
PRICES = {"start": "2024-07-01T00:00:00Z", "values": [100.0, -50.0] * 74}
BODY = {
    "policy_id": "threshold",
    "asset_id": "be-1",
    "battery": {"power_mw": 1.0, "capacity_mwh": 2.0, "max_cycles_per_day": 1.1},
    "state": {"soc_fraction": 0.5, "cycles_used_today": 0.3},
    "market": {"imbalance_price_eur_mwh": PRICES},
}


@pytest.fixture
def client(tmp_path: Path) -> LocalClient:
    with LocalClient(open_settings(tmp_path), StandingClock(NOON)) as client:
        yield client


def test_a_market_and_a_battery_make_a_decision_in_the_form_of_the_contract(client: LocalClient) -> None:
    answer = client.post("/v1/decisions", BODY)
    assert answer.status_code == 200, answer.text
    decision = DecisionOut.model_validate_json(answer.content)
    assert decision.valid_from == dt.datetime(2024, 7, 2, 12, 1, tzinfo=dt.UTC)
    assert decision.valid_until == dt.datetime(2024, 7, 2, 12, 15, tzinfo=dt.UTC)
    assert decision.asset_id == "be-1"
    assert decision.setpoint.discharge_mw - decision.setpoint.charge_mw == decision.setpoint.power_mw


def test_a_key_given_again_gets_the_same_answer_and_for_another_request_none(client: LocalClient) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = client.post("/v1/decisions", BODY, headers=key)
    client.clock.set_minute(int(NOON.timestamp() // 60) + 30)
    again = client.post("/v1/decisions", BODY, headers=key)
    assert again.content == first.content
    other = client.post("/v1/decisions", BODY | {"asset_id": "be-2"}, headers=key)
    assert other.status_code == 422
    assert [item["field"] for item in other.json()["faults"]] == ["Idempotency-Key"]
