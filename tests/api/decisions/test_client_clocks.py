"""A client's time is believed within bounds: no clock, its own or the service's, locks an asset or makes data fresh."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from api.decisions.moment import SKEW_MIN
from api.storage.asset_store import StoredAssetState
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.quarter_hour import epoch_minute
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed, market_in

NOON = epoch_minute("2025-03-20T12:00Z")
MIDNIGHT = epoch_minute("2025-03-21T00:00+01:00")
YEAR_MIN = 365 * 24 * 60
ASSET: dict[str, Any] = {"battery": {"max_cycles_per_day": 1.1}, "policy_id": "threshold", "state": {"soc_mwh": 1.0}}
BY_MINUTE = {**ASSET, "policy_id": "minute-spread"}


@pytest.fixture(scope="module")
def market() -> MarketSeries:
    return sample_market(with_minutes=True)


@pytest.fixture
def client(tmp_path: Any, market: MarketSeries) -> Iterator[LocalClient]:
    """Half a minute before noon."""
    clock = StandingClock()
    clock.set_minute(NOON, -30.0)
    with LocalClient(open_settings(tmp_path), clock, PlayedFeed(market, clock)) as client:
        client.poll()
        yield client


def text(minute: int) -> str:
    return dt.datetime.fromtimestamp(minute * 60, dt.UTC).isoformat().replace("+00:00", "Z")


def ask(client: LocalClient, **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/decisions", {"asset_id": "be-1", **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refused(client: LocalClient, status: int = 422, **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/decisions", {"asset_id": "be-1", **more})
    assert answer.status_code == status, answer.text
    (fault,) = answer.json()["faults"]
    return dict(fault)


def warned(decision: dict[str, Any]) -> dict[str, Any]:
    """Parameters of the warnings, by code."""
    return {each["code"]: each["params"] for each in decision["warnings"]}


def state_of(client: LocalClient) -> dict[str, Any]:
    return dict(client.get("/v1/assets/be-1").json()["state"])


def keep_state(client: LocalClient, minute: int, **more: Any) -> None:
    """Put a state of some time into the database, as a clock that was wrong would."""
    time = dt.datetime.fromtimestamp(minute * 60, dt.UTC)
    values = {"soc_mwh": 1.0, "cycles_used": 0.2, "cycle_day": time.date(), "power_mw": 0.0, "as_of": time} | more
    client.app.state.service.assets.set_state("be-1", StoredAssetState(**values))
    client.app.state.service.asset_cache.forget("be-1")


def own_market(market: MarketSeries, end: int, **more: Any) -> dict[str, Any]:
    """A request that brings what is published by an epoch minute."""
    records = market_in(market, end - 16 * 24 * 60, end)
    about = {"policy_id": "threshold", "battery": {"max_cycles_per_day": 1.1}, "state": {"soc_mwh": 1.0}}
    return about | {"market": records} | more


@pytest.mark.parametrize("ahead_min", [SKEW_MIN + 1, 60, YEAR_MIN, 50 * YEAR_MIN])
@pytest.mark.parametrize("asset", [ASSET, BY_MINUTE], ids=["by quarter-hour", "by minute"])
def test_a_time_beyond_the_next_interval_is_refused_and_leaves_the_asset_as_it_was(
    client: LocalClient, asset: dict[str, Any], ahead_min: int
) -> None:
    client.put("/v1/assets/be-1", asset)
    before = client.get("/v1/assets/be-1").json()
    fault = refused(client, at=text(NOON + ahead_min))
    assert (fault["field"], fault["code"]) == ("at", "beyond_next_interval")
    assert "2025-03-20T11:59:30Z" in fault["message"]
    assert client.get("/v1/assets/be-1").json() == before
    assert ask(client)["valid_from"] == text(NOON)


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept asset", "unknown asset"])
def test_a_time_beyond_the_next_interval_is_refused_with_own_market_and_state_too(
    client: LocalClient, market: MarketSeries, is_kept: bool
) -> None:
    if is_kept:
        client.put("/v1/assets/be-1", ASSET)
    later = NOON + 24 * 60
    assert refused(client, **own_market(market, later, at=text(later)))["field"] == "at"
    assert client.get("/v1/decisions").json()["decisions"] == []


@pytest.mark.parametrize(
    ("at_min", "valid_from_min", "warning"),
    [(0, 0, None), (1, 0, "client_clock_ahead"), (SKEW_MIN, 0, "client_clock_ahead"), (-1, -1, None)],
)
def test_a_clock_that_is_fast_by_minutes_gets_the_next_interval_and_is_told(
    client: LocalClient, at_min: int, valid_from_min: int, warning: str | None
) -> None:
    client.put("/v1/assets/be-1", BY_MINUTE)
    decision = ask(client, at=text(NOON + at_min))
    assert decision["valid_from"] == text(NOON + valid_from_min)
    assert list(warned(decision)) == ([] if warning is None else [warning])
    if warning is not None:
        assert warned(decision)[warning] == {"seconds": at_min * 60 + 30.0, "service_time": "2025-03-20T11:59:30Z"}
    assert ask(client)["valid_from"] == text(NOON)


def test_clocks_that_are_fast_and_slow_by_turns_are_always_answered(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", BY_MINUTE)
    for minute in range(30):
        client.clock.set_minute(NOON + minute, -30.0)
        for skew_min in (SKEW_MIN, 0, -SKEW_MIN, 2):
            ask(client, at=text(NOON + minute + skew_min))
        assert ask(client)["valid_from"] == text(NOON + minute)
        assert state_of(client)["as_of"] == text(NOON + minute)


def test_a_decision_for_the_next_quarter_hour_does_not_lock_the_running_one(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    client.clock.set_minute(NOON, 7.0)
    assert ask(client, at=text(NOON + 15))["valid_from"] == text(NOON + 15)
    running = ask(client)
    assert running["valid_from"] == text(NOON + 1)
    assert warned(running)["state_is_newer"]["as_of"] == text(NOON + 15)
    assert state_of(client)["as_of"] == text(NOON + 15)
    client.clock.set_minute(NOON + 15, -20.0)
    assert warned(ask(client)) == {}


def test_an_order_counts_at_once_after_a_decision_for_the_next_quarter_hour(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    client.clock.set_minute(NOON, 7.0)
    ask(client, at=text(NOON + 15))
    order = {"kind": "setpoint", "power_mw": 0.0, "until": text(NOON + 60), "reason": "stop"}
    assert client.put("/v1/assets/be-1/override", order).status_code == 200
    decision = ask(client)
    assert (decision["mode"], decision["setpoint"]["power_mw"]) == ("override", 0.0)


def test_a_clock_that_is_slow_by_minutes_gets_its_interval_and_moves_nothing_back(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", BY_MINUTE)
    client.clock.set_minute(NOON + 4, -30.0)
    ask(client)
    before = state_of(client)
    decision = ask(client, at=text(NOON))
    assert decision["valid_from"] == text(NOON)
    assert warned(decision)["client_clock_behind"]["seconds"] == 210.0
    assert warned(decision)["state_is_newer"]["as_of"] == text(NOON + 4)
    assert state_of(client) == before


def test_data_are_as_old_as_the_service_s_clock_says_however_slow_the_client_s_is(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", BY_MINUTE)
    on_time = ask(client)
    client.clock.set_minute(NOON + 4, -30.0)
    late = ask(client, at=text(NOON))
    assert on_time["data_as_of"] == late["data_as_of"]
    assert late["data_quality"]["age_s"] == on_time["data_quality"]["age_s"] + 240.0
    assert (on_time["data_quality"]["imbalance_price"], late["data_quality"]["imbalance_price"]) == ("ok", "late")


def test_own_data_are_as_old_as_the_service_s_clock_says(client: LocalClient, market: MarketSeries) -> None:
    on_time = ask(client, **own_market(market, NOON, at=text(NOON), policy_id="minute-spread"))
    client.clock.set_minute(NOON + 4, -30.0)
    late = ask(client, **own_market(market, NOON, at=text(NOON), policy_id="minute-spread"))
    assert late["data_quality"]["age_s"] == on_time["data_quality"]["age_s"] + 240.0
    assert (on_time["data_quality"]["imbalance_price"], late["data_quality"]["imbalance_price"]) == ("ok", "late")


def test_age_counts_to_the_beginning_of_a_later_interval(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    client.clock.set_minute(NOON, 7.0)
    now, later = ask(client), ask(client, at=text(NOON + 15))
    assert now["data_as_of"] == later["data_as_of"] == text(NOON)
    assert (now["data_quality"]["age_s"], later["data_quality"]["age_s"]) == (7.0, 14 * 60 + 7.0)


def test_the_running_interval_is_not_past_at_its_beginning(client: LocalClient) -> None:
    client.clock.set_minute(NOON, -30.0)
    client.put("/v1/assets/be-1", ASSET)
    client.clock.set_minute(NOON + 10, 7.0)
    assert warned(ask(client, at=text(NOON))) == {}


@pytest.mark.parametrize("behind_min", [SKEW_MIN + 1, 60, YEAR_MIN])
def test_the_past_of_a_kept_state_is_refused(client: LocalClient, behind_min: int) -> None:
    client.put("/v1/assets/be-1", BY_MINUTE)
    before = state_of(client)
    fault = refused(client, 409, at=text(NOON - 1 - behind_min))
    assert (fault["field"], fault["code"]) == ("at", "past")
    assert state_of(client) == before


def test_a_replay_is_judged_as_it_was_says_so_and_touches_nothing_that_is_kept(
    client: LocalClient, market: MarketSeries
) -> None:
    client.put("/v1/assets/be-1", ASSET)
    keep_state(client, NOON - 10 * 24 * 60)
    before = client.get("/v1/assets/be-1").json()
    past = NOON - 7 * 24 * 60
    decision = ask(client, **own_market(market, past, at=text(past)))
    assert decision["valid_from"] == text(past)
    assert decision["fallback"]["level"] == 0
    assert warned(decision)["replay"] == {"seconds": 7 * 86400 - 30.0, "service_time": "2025-03-20T11:59:30Z"}
    assert client.get("/v1/assets/be-1").json() == before
    assert client.get("/v1/assets/be-1/prices").json()["known_at"] == text(NOON)


def test_a_replay_of_a_kept_asset_is_logged_and_not_in_its_books(client: LocalClient, market: MarketSeries) -> None:
    past = NOON - 24 * 60
    alone = ask(client, **own_market(market, past, at=text(past)))
    client.put("/v1/assets/be-1", ASSET)
    of_kept = ask(client, **own_market(market, past + 15, at=text(past + 15)))
    roles = {role: client.get(f"/v1/decisions?role={role}").json()["decisions"] for role in ("served", "replay")}
    assert roles == {"served": [alone], "replay": [of_kept]}
    span = f"asset_id=be-1&start={text(past)}&end={text(past + 60)}"
    rows = client.get(f"/v1/reconciliation?{span}").json()["rows"]
    assert {row["decision_id"] for row in rows} == {alone["decision_id"]}


def test_a_replay_on_the_kept_market_is_not_judged_fresh(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", BY_MINUTE)
    decision = ask(client, at=text(NOON - 60), state={"soc_mwh": 1.0})
    assert decision["data_quality"]["imbalance_price"] == "stale"
    assert "replay" in warned(decision)


def test_records_that_nobody_can_have_yet_are_not_decided_on(client: LocalClient, market: MarketSeries) -> None:
    client.clock.set_minute(NOON, 7.0)
    later = NOON + 15
    honest = ask(client, **own_market(market, NOON, at=text(later)))
    forged = ask(client, **own_market(market, later, at=text(later)))
    assert "not_published_yet" not in str(honest["data_quality"])
    assert forged["data_quality"]["imbalance_price"] == "clock"
    assert forged["fallback"]["level"] == 3
    (found,) = [each for each in forged["data_quality"]["findings"] if each["code"] == "not_published_yet"]
    assert found["params"]["records"] > 0
    assert forged["setpoint"]["power_mw"] == 0.0


@pytest.mark.parametrize("ahead_min", [SKEW_MIN + 16, 120, YEAR_MIN])
def test_a_kept_state_from_the_future_is_set_aside_said_and_mended(client: LocalClient, ahead_min: int) -> None:
    client.put("/v1/assets/be-1", ASSET)
    keep_state(client, NOON + ahead_min)
    decision = ask(client)
    assert decision["valid_from"] == text(NOON)
    assert decision["expected"]["soc_fraction_start"] == 0.5
    assert warned(decision)["state_from_the_future"] == {"as_of": text(NOON + ahead_min), "seconds": ahead_min * 60.0}
    assert state_of(client)["as_of"] == text(NOON)
    assert warned(ask(client)) == {}


def test_an_order_gets_through_whatever_the_kept_state_s_time(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    keep_state(client, NOON + YEAR_MIN)
    order = {"kind": "setpoint", "power_mw": 0.25, "until": text(NOON + 60), "reason": "by hand"}
    assert client.put("/v1/assets/be-1/override", order).status_code == 200
    assert ask(client)["setpoint"]["power_mw"] == 0.25


def test_a_state_of_tomorrow_leaves_no_cycles_of_today(client: LocalClient) -> None:
    client.clock.set_minute(MIDNIGHT - 10, -30.0)
    client.put("/v1/assets/be-1", ASSET | {"state": {"soc_mwh": 1.0, "cycles_used_today": 1.0}})
    ask(client, at=text(MIDNIGHT))
    assert state_of(client)["cycles_used"] == 0.0
    assert ask(client)["cycles"]["used_today"] == 1.1
    client.clock.set_minute(MIDNIGHT + 5)
    assert ask(client)["cycles"]["used_today"] < 1.1


def test_a_service_clock_that_steps_forward_and_back_locks_neither_asset_nor_challenger(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET | {"challenger_policy_id": "spread"})

    def challenged() -> list[str]:
        client.poll_and_settle()
        log = client.get("/v1/decisions?role=challenger").json()["decisions"]
        return [each["valid_from"] for each in log]

    challenged()
    client.clock.set_minute(NOON + 120, -30.0)
    ask(client)
    assert text(NOON + 120) in challenged()
    client.clock.set_minute(NOON + 1, -30.0)
    assert "state_from_the_future" in warned(ask(client))
    client.clock.set_minute(NOON + 15, -30.0)
    assert warned(ask(client)) == {}
    assert text(NOON + 15) in challenged()


@pytest.mark.parametrize(
    "night", ["2025-03-30T01:45:00+01:00", "2024-10-27T02:45:00+02:00", "2024-10-27T02:45:00+01:00"]
)
def test_the_nights_on_which_clocks_change_are_bounded_like_any_other(
    client: LocalClient, market: MarketSeries, night: str
) -> None:
    time = epoch_minute(night)
    client.clock.set_minute(time, -30.0)
    client.put("/v1/assets/be-1", ASSET)
    assert ask(client, at=night)["valid_from"] == text(time)
    next_one = dt.datetime.fromisoformat(night) + dt.timedelta(minutes=15)
    assert refused(client, at=next_one.isoformat())["field"] == "at"
    client.clock.set_minute(time + 15, -30.0)
    assert warned(ask(client)) == {}


@pytest.mark.parametrize(
    "at",
    [
        *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:00Z", "9999-12-31T23:59:00-14:00"),
        *("2025-03-20T12:00:00", "2025-03-20T12:00:30Z", "2025-03-20T12:00:00.000001Z", "2025-03-20"),
    ],
)
def test_a_time_that_is_none_is_refused_by_its_field(client: LocalClient, at: str) -> None:
    client.put("/v1/assets/be-1", ASSET)
    assert refused(client, at=at)["field"] == "at"


def test_the_end_of_an_order_is_bounded_by_the_service_s_time_which_is_named(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    for until in (NOON - 5, NOON + YEAR_MIN):
        answer = client.put(
            "/v1/assets/be-1/override", {"kind": "watch_only", "until": text(until), "reason": "a wrong clock"}
        )
        assert answer.status_code == 422
        (fault,) = answer.json()["faults"]
        assert fault["field"] == "until"
        assert "2025-03-20T11:59:30Z" in fault["message"]
