"""Assets in the service's care: state carried forward, people's orders, and nobody overwritten unseen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from api.schemas.examples import DECISION_REQUEST
from arbitrage.battery import Battery, BatteryState
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.quarter_hour import epoch_minute
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed

NOON = epoch_minute("2025-03-20T12:00Z")
EVENING = epoch_minute("2025-03-20T23:45+01:00")
ASSET: dict[str, Any] = {"battery": {"max_cycles_per_day": 1.1}, "policy_id": "threshold", "state": {"soc_mwh": 1.0}}


@pytest.fixture
def client(tmp_path: Any) -> Iterator[LocalClient]:
    clock = StandingClock()
    clock.set_minute(NOON, -20.0)
    with LocalClient(open_settings(tmp_path), clock, PlayedFeed(sample_market(), clock)) as client:
        client.poll()
        yield client


def ask(client: LocalClient, asset_id: str = "be-1", **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/decisions", {"asset_id": asset_id, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def order(client: LocalClient, **what: Any) -> None:
    answer = client.put("/v1/assets/be-1/override", {"reason": "test", **what})
    assert answer.status_code == 200, answer.text


def until(minutes: int) -> str:
    return dt.datetime.fromtimestamp((NOON + minutes) * 60, dt.UTC).isoformat()


def test_an_asset_alone_is_decided_for(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    decision = ask(client)
    assert decision["asset_id"] == "be-1"
    assert decision["valid_from"] == "2025-03-20T12:00:00Z"
    assert decision["expected"]["soc_fraction_start"] == 0.5


def test_what_is_set_flows_until_the_end_of_its_interval_and_no_longer(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    order(client, kind="setpoint", power_mw=0.4, until=until(15))
    assert ask(client)["setpoint"]["power_mw"] == 0.4
    client.clock.set_minute(NOON + 90, -20.0)
    after = Battery().step(BatteryState(1.0), 0.4, 15).after
    assert ask(client)["expected"]["soc_fraction_start"] == after.soc_mwh / 2.0


def test_the_cycle_count_begins_anew_at_brussels_midnight(client: LocalClient) -> None:
    client.clock.set_minute(EVENING, -20.0)
    client.put("/v1/assets/be-1", ASSET | {"state": {"soc_mwh": 1.0, "cycles_used_today": 0.7}})
    assert ask(client)["cycles"]["used_today"] == 0.7
    client.clock.set_minute(EVENING + 15, -20.0)
    assert ask(client)["cycles"]["used_today"] == 0.0


def test_the_same_interval_asked_again_is_decided_alike_and_moves_no_state(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    first = ask(client)
    version = client.get("/v1/assets/be-1").json()["version"]
    again = ask(client)
    assert {**again, "decision_id": ""} == {**first, "decision_id": ""}
    assert client.get("/v1/assets/be-1").json()["version"] == version


def test_an_interval_before_the_kept_state_is_past(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    answer = client.post("/v1/decisions", {"asset_id": "be-1", "at": until(-15)})
    assert answer.status_code == 409
    assert answer.json()["faults"][0]["field"] == "at"


def test_a_state_that_is_told_replaces_the_kept_one(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    assert ask(client, state={"soc_mwh": 0.2})["expected"]["soc_fraction_start"] == 0.1
    assert client.get("/v1/assets/be-1").json()["state"]["soc_mwh"] == 0.2


def test_an_order_counts_until_its_end_and_then_the_policy_again(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    order(client, kind="setpoint", power_mw=-0.3, until=until(15))
    decision = ask(client)
    assert (decision["mode"], decision["setpoint"]["power_mw"]) == ("override", -0.3)
    assert client.get("/v1/assets/be-1").json()["override"]["principal"] == "anonymous"
    client.clock.set_minute(NOON + 15, -20.0)
    assert ask(client)["mode"] == "policy"
    assert client.get("/v1/assets/be-1").json()["override"] is not None
    client.clock.set_minute(NOON + 15)
    assert client.get("/v1/assets/be-1").json()["override"] is None


def test_watching_only_holds_and_says_what_would_have_been_done(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    wanted = ask(client)["shield"]["requested_mw"]
    order(client, kind="watch_only", until=until(60))
    decision = ask(client)
    assert decision["mode"] == "watch_only"
    assert decision["setpoint"]["power_mw"] == 0.0
    assert decision["shield"] == {"applied": True, "rule": "watch_only", "requested_mw": wanted}
    order(client, kind="automatic")
    assert ask(client)["mode"] == "policy"


def test_an_order_counts_also_where_the_request_brings_its_own_market(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    order(client, kind="setpoint", power_mw=0.1, until=until(15))
    asked = DECISION_REQUEST | {
        "at": until(0),
        "market": {"imbalance_price_eur_mwh": {"start": until(-60), "values": [1.0] * 4}},
    }
    assert client.post("/v1/decisions", asked).json()["mode"] == "override"


def test_an_order_beyond_the_battery_is_cut_by_its_law(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    order(client, kind="setpoint", power_mw=50.0, until=until(15))
    decision = ask(client)
    assert decision["setpoint"]["power_mw"] == 1.0
    assert decision["shield"] == {"applied": True, "rule": "rated_power", "requested_mw": 50.0}


def test_the_power_changes_no_faster_than_the_asset_may(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET | {"ramp_mw_per_min": 0.01})
    order(client, kind="setpoint", power_mw=1.0, until=until(60))
    assert ask(client)["setpoint"]["power_mw"] == pytest.approx(0.15)
    client.clock.set_minute(NOON + 15, -20.0)
    assert ask(client)["setpoint"]["power_mw"] == pytest.approx(0.30)


def test_nobody_overwrites_what_he_has_not_seen(client: LocalClient) -> None:
    assert client.put("/v1/assets/be-1", ASSET | {"version": 0}).json()["version"] == 1
    refused = client.put("/v1/assets/be-1", ASSET | {"version": 0})
    assert refused.status_code == 409
    assert refused.json()["faults"][0]["field"] == "version"
    assert client.put("/v1/assets/be-1", ASSET | {"version": 1}).json()["version"] == 2


def test_assets_are_listed_by_name_as_they_were_described(client: LocalClient) -> None:
    for name in ("b", "a"):
        client.put(f"/v1/assets/{name}", ASSET | {"ramp_mw_per_min": 0.5})
    listed = client.get("/v1/assets").json()["assets"]
    assert [asset["asset_id"] for asset in listed] == ["a", "b"]
    assert listed[0]["battery"]["max_cycles_per_day"] == 1.1
    assert listed[0]["ramp_mw_per_min"] == 0.5


def test_the_log_gives_the_answers_back_page_by_page(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    given = []
    for quarter in range(5):
        client.clock.set_minute(NOON + 15 * quarter, -20.0)
        given.append(ask(client))
    first = client.get("/v1/decisions?limit=3&asset_id=be-1").json()
    rest = client.get(f"/v1/decisions?limit=3&asset_id=be-1&cursor={first['next_cursor']}").json()
    assert first["decisions"] + rest["decisions"] == given[::-1]
    assert rest["next_cursor"] is None
    assert client.get("/v1/decisions?asset_id=other").json()["decisions"] == []


def test_decisions_are_reconciled_with_the_prices_that_became_known(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    order(client, kind="setpoint", power_mw=0.4, until=until(60))
    ask(client)
    client.clock.set_minute(NOON + 20)
    client.poll_and_settle()
    told = client.get("/v1/reconciliation?asset_id=be-1").json()
    (row,) = told["rows"]
    market = sample_market()
    price = float(market.price_eur_mwh[market.rows(NOON, NOON + 15)][0])
    assert row["energy_mwh"] == 0.1
    assert row["price_near_real_time_eur_mwh"] == price
    assert told["near_real_time"]["profit_eur"] == pytest.approx(0.1 * price)
    assert row["profit_validated_eur"] is None
    assert told["validated"]["rows_priced"] == 0


def test_without_any_data_the_battery_is_held_and_the_answer_says_so(tmp_path: Any) -> None:
    clock = StandingClock()
    clock.set_minute(NOON + 10_000_000)
    with LocalClient(open_settings(tmp_path), clock, PlayedFeed(sample_market(), clock)) as client:
        client.put("/v1/assets/be-1", ASSET)
        decision = ask(client)
    assert decision["setpoint"]["power_mw"] == 0.0
    assert decision["fallback"]["level"] == 3
