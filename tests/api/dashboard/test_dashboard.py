"""What people watch: prices as they were known, the day in euros worked by hand, previews that nothing logs."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from api.dashboard.day_account import book_day
from api.decisions.market_records import market_of
from api.schemas.dashboard import DayOut, PricesOut
from api.schemas.decisions import DecisionOut, PreviewOut
from api.schemas.market import MarketIn
from api.storage.decision_record import DecisionRecord
from api.storage.price_ledger import PriceStage
from arbitrage.battery import Battery
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed
from tests.api.told_policy import save_told_policy

OUTCOMES = {
    "charge": (-50.0, -10.0, 10.0, 30.0),
    "idle": (0.0, 8.0, 12.0, 20.0),
    "discharge": (-100.0, 0.0, 80.0, 140.0),
}
"""Means -5, 10 and 30; worst quarters -50, 0 and -100: discharging is best in the mean, idling for the averse."""
NOON = dt.datetime(2024, 7, 2, 12, 0, 7, tzinfo=dt.UTC)
MIDNIGHT = dt.datetime(2024, 7, 1, 22, 0, tzinfo=dt.UTC)
QUARTER_HOUR = dt.timedelta(minutes=15)


def body(**more: Any) -> dict[str, Any]:
    prices = {"start": "2024-06-17T22:00:00Z", "values": [100.0, -50.0] * 708}
    day_ahead = {"start": "2024-06-30T22:00:00Z", "values": [80.0] * 72}
    market = {"imbalance_price_eur_mwh": prices, "day_ahead_price_eur_mwh": day_ahead, "publication_delay_min": 0}
    return {"asset_id": "be-1", "state": {"soc_fraction": 0.5}, "market": market} | more


@pytest.fixture
def client(tmp_path: Path) -> LocalClient:
    policy = save_told_policy(tmp_path / "told", OUTCOMES)
    with LocalClient(open_settings(tmp_path, policies={"told": policy}), StandingClock(NOON)) as client:
        yield client


def test_prices_are_those_known_when_the_asset_was_decided_for_and_no_later_ones(client: LocalClient) -> None:
    assert client.post("/v1/decisions", body()).status_code == 200
    told = PricesOut.model_validate_json(client.get("/v1/assets/be-1/prices?hours=2").content)
    final = told.imbalance_price_eur_mwh
    # 12:01 less two hours is 10:01, so the first is 10:15; the last that is over at 12:01 is 11:45.
    assert final.start == dt.datetime(2024, 7, 2, 10, 15, tzinfo=dt.UTC)
    assert final.values == [-50.0, 100.0, -50.0, 100.0, -50.0, 100.0, -50.0]
    assert told.indicative_price_eur_mwh is None
    ahead = told.day_ahead_price_eur_mwh
    assert ahead.start + dt.timedelta(minutes=ahead.step_min * len(ahead.values)) > told.now


def test_there_are_no_prices_and_no_preview_of_an_asset_that_nothing_was_decided_for(client: LocalClient) -> None:
    for what in ("prices", "preview"):
        answer = client.get(f"/v1/assets/be-1/{what}")
        assert answer.status_code == 404
        assert "be-1" in answer.json()["detail"]


def test_a_preview_turns_the_decision_and_is_neither_logged_nor_a_decision(client: LocalClient) -> None:
    decision = client.post("/v1/decisions", body()).json()
    assert decision["setpoint"]["action"] == "discharge"
    answer = client.get("/v1/assets/be-1/preview?measure=cvar&level=0.25&weight=1")
    preview = PreviewOut.model_validate_json(answer.content)
    # discharge 30 - 100, idle 10 + 0, charge -5 - 50
    assert preview.setpoint.action == "idle"
    assert preview.valid_from == DecisionOut.model_validate(decision, strict=False).valid_from
    assert "decision_id" not in answer.json()
    assert len(client.get("/v1/decisions").json()["decisions"]) == 1


def test_a_preview_at_the_risk_of_the_decision_is_the_decision(client: LocalClient) -> None:
    decision = client.post("/v1/decisions", body()).json()
    preview = client.get("/v1/assets/be-1/preview").json()
    del decision["decision_id"], preview["preview"]
    assert preview == decision


def test_a_dial_that_the_policy_does_not_have_or_beyond_its_end_is_refused_by_name(client: LocalClient) -> None:
    client.post("/v1/decisions", body())
    for query, field in (("aversion=0.5", "risk.aversion"), ("aversion=2", "aversion"), ("level=7&weight=1", "")):
        answer = client.get(f"/v1/assets/be-1/preview?{query}")
        assert answer.status_code == 422, query
        assert any(field in fault["field"] for fault in answer.json()["faults"]), answer.json()


def test_the_day_is_in_the_form_of_its_schema_and_settles_at_the_prices_of_the_market(client: LocalClient) -> None:
    client.post("/v1/decisions", body())
    client.clock.now = NOON + dt.timedelta(minutes=30)
    client.post("/v1/decisions", body(state={"soc_fraction": 0.3}))
    day = DayOut.model_validate_json(client.get("/v1/assets/be-1/day").content)
    assert (day.begins_at, day.ends_at) == (MIDNIGHT, MIDNIGHT + dt.timedelta(days=1))
    # 1 MW from 12:01 to 12:15 in a quarter-hour at 100; the second decision begins at 12:31, after now.
    assert day.discharged_mwh == pytest.approx(14 / 60)
    assert day.cash_eur == pytest.approx(100.0 * 14 / 60)
    assert day.open_eur == 0.0


def record(number: int, power_mw: float, soc: tuple[float, float], seen: float | None) -> DecisionRecord:
    begins = MIDNIGHT + number * QUARTER_HOUR
    answer = f'{{"expected":{{"soc_fraction_start":{soc[0]},"soc_fraction_end":{soc[1]}}},"reasons":[]}}'
    return DecisionRecord(
        decision_id=str(number),
        asset_id="be-1",
        generated_at=begins,
        valid_from=begins,
        valid_until=begins + QUARTER_HOUR,
        action="-",
        power_mw=power_mw,
        mode="policy",
        principal="test",
        request_sha256="",
        answer=answer,
        price_seen_eur_mwh=seen,
    )


def test_a_day_worked_by_hand() -> None:
    """Yesterday's last decision, one charged, one discharged and validated, one open, one without any price."""
    battery = Battery(wear_cost_eur_mwh=9.0)
    chain = [
        record(-1, 1.0, (0.9, 0.4), 10.0),
        record(0, -1.0, (0.4, 0.5), 20.0),
        record(1, 0.4, (0.5, 0.45), 90.0),
        record(2, 0.8, (0.45, 0.35), 200.0),
        record(3, 0.4, (0.35, 0.3), None),
    ]
    prices = {
        (MIDNIGHT, PriceStage.NEAR_REAL_TIME): 40.0,
        (MIDNIGHT + QUARTER_HOUR, PriceStage.NEAR_REAL_TIME): 70.0,
        (MIDNIGHT + QUARTER_HOUR, PriceStage.VALIDATED): 80.0,
    }
    answer_of = {each.decision_id: each.answer for each in chain}.__getitem__
    day = book_day(chain, prices, MIDNIGHT, MIDNIGHT + 3.5 * QUARTER_HOUR, battery, answer_of)
    assert [entry.price_stage for entry in day.quarter_hours] == ["near_real_time", "validated", "indicative", None]
    assert day.cash_eur == pytest.approx(-0.25 * 40 + 0.1 * 80)
    assert day.open_eur == pytest.approx(0.2 * 200)
    assert day.unpriced_mwh == pytest.approx(0.05)
    assert (day.charged_mwh, day.discharged_mwh) == (pytest.approx(0.25), pytest.approx(0.1 + 0.2 + 0.05))
    assert day.wear_eur == pytest.approx(0.35 / 0.9 * 9.0)
    # From 0.4 at midnight to halfway between 0.35 and 0.3, of 2 MWh; the last decision saw no price to mark it at.
    assert day.stored_mwh == pytest.approx((0.325 - 0.4) * 2.0)
    assert day.marked_eur is None
    earlier = book_day(chain[:-1], prices, MIDNIGHT, MIDNIGHT + 3 * QUARTER_HOUR, battery, answer_of)
    assert earlier.mark_price == "newest_seen"
    assert earlier.stored_eur == pytest.approx((0.35 - 0.4) * 2.0 * 0.9 * 200.0)
    assert earlier.marked_eur == pytest.approx(earlier.cash_eur + earlier.open_eur + earlier.stored_eur)


def test_a_day_without_decisions_is_empty_and_worth_nothing(client: LocalClient) -> None:
    day = DayOut.model_validate_json(client.get("/v1/assets/nobody/day").content)
    assert (day.cash_eur, day.quarter_hours, day.stored_mwh) == (0.0, [], None)


def test_a_preview_shows_the_policy_whatever_a_person_has_ordered(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", {"battery": {"max_cycles_per_day": 1.1}, "state": {"soc_fraction": 0.5}})
    until = (NOON + dt.timedelta(hours=1)).replace(second=0).isoformat()
    client.put("/v1/assets/be-1/override", {"kind": "watch_only", "until": until, "reason": "looking"})
    assert client.post("/v1/decisions", body()).json()["setpoint"]["action"] == "idle"
    preview = client.get("/v1/assets/be-1/preview").json()
    assert (preview["mode"], preview["setpoint"]["action"]) == ("policy", "discharge")


def test_a_kept_asset_has_prices_and_previews_of_the_kept_market_before_anything_is_decided(tmp_path: Path) -> None:
    policy = save_told_policy(tmp_path / "told", OUTCOMES)
    market = market_of(MarketIn.model_validate_json(json.dumps(body()["market"])), 0)
    clock = StandingClock(NOON)
    with LocalClient(open_settings(tmp_path, policies={"told": policy}), clock, PlayedFeed(market, clock)) as client:
        assert client.get("/v1/assets/be-1/preview").status_code == 404
        client.put("/v1/assets/be-1", {"battery": {"max_cycles_per_day": 1.1}, "state": {"soc_fraction": 0.5}})
        client.app.state.service.asset_cache.forget("be-1")
        assert client.get("/v1/assets/be-1/preview").json()["setpoint"]["action"] == "discharge"
        known = client.get("/v1/assets/be-1/prices?hours=1").json()["imbalance_price_eur_mwh"]
        assert known["values"] == [-50.0, 100.0, -50.0]
        assert client.get("/v1/decisions").json()["decisions"] == []
