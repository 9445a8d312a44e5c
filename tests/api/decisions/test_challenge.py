"""Challengers decide in the shadow: logged and scored, never acted on; validated prices come from the store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from api.storage.price_ledger import PriceStage
from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery
from arbitrage.market.files.schemas import QUALITY, RecordQuality
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import Span
from arbitrage.market.store.datasets import DATASETS, PRICES, Reach, pieces
from arbitrage.market.store.store import Seen, Store
from arbitrage.policies.rules import ThresholdRule
from arbitrage.quarter_hour import epoch_minute
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed

MIDNIGHT = epoch_minute("2025-03-20T00:00+01:00")
ASSET: dict[str, Any] = {
    "battery": {"max_cycles_per_day": 1.1},
    "policy_id": "idle",
    "challenger_policy_id": "threshold",
    "state": {"soc_mwh": 0.0},
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    clock = StandingClock()
    clock.set_minute(MIDNIGHT, -20.0)
    with LocalClient(open_settings(tmp_path), clock, PlayedFeed(sample_market(), clock)) as client:
        yield client


def live_through(client: LocalClient, quarter_hours: int) -> None:
    for number in range(quarter_hours):
        client.clock.set_minute(MIDNIGHT + 15 * number, -20.0)
        client.poll_and_settle()


def log_of(client: LocalClient, role: str) -> list[dict[str, Any]]:
    return list(reversed(client.get(f"/v1/decisions?role={role}&limit=1000").json()["decisions"]))


def test_a_challenger_decides_as_it_would_have_alone_and_nothing_is_served(client: LocalClient) -> None:
    assert client.put("/v1/assets/be-1", ASSET).status_code == 200
    live_through(client, 40)
    market = sample_market()
    first = int((market.quarter_hours == MIDNIGHT).argmax())
    alone = run_backtest(market, Battery(max_cycles_per_day=1.1), ThresholdRule(), [Span(first, first + 40)]).ledger
    decided = log_of(client, "challenger")
    assert [each["setpoint"]["power_mw"] for each in decided] == (alone["net_energy_mwh"] * 4).tolist()
    assert any(each["setpoint"]["power_mw"] for each in decided)
    assert {each["policy"]["id"] for each in decided} == {"threshold"}
    assert log_of(client, "served") == []
    assert client.get("/v1/assets/be-1").json()["state"]["soc_mwh"] == 0.0


def test_a_challenger_decides_once_an_interval_however_often_the_feed_is_asked(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    for _ in range(3):
        live_through(client, 1)
    client.app.state.service.shadows._kept.clear()  # as another process, or this one after a restart, would begin
    live_through(client, 1)
    assert len(log_of(client, "challenger")) == 1


def test_an_order_for_the_asset_does_not_reach_its_challenger(client: LocalClient) -> None:
    client.put("/v1/assets/be-1", ASSET)
    until = dt.datetime.fromtimestamp((MIDNIGHT + 600) * 60, dt.UTC).isoformat()
    order = {"kind": "setpoint", "power_mw": -0.3, "until": until, "reason": "test"}
    assert client.put("/v1/assets/be-1/override", order).status_code == 200
    live_through(client, 40)
    assert {each["mode"] for each in log_of(client, "challenger")} == {"policy"}
    assert -0.3 not in {each["setpoint"]["power_mw"] for each in log_of(client, "challenger")}


def test_a_challenger_that_is_not_served_is_refused(client: LocalClient) -> None:
    answer = client.put("/v1/assets/be-1", ASSET | {"challenger_policy_id": "nobody", "policy_id": "no-one"})
    assert answer.status_code == 422
    assert {item["field"] for item in answer.json()["faults"]} == {"policy_id", "challenger_policy_id"}


def test_validated_prices_reach_old_decisions_from_the_store_once_an_hour(tmp_path: Path) -> None:
    clock = StandingClock()
    clock.set_minute(MIDNIGHT, -20.0)
    settings = open_settings(tmp_path, store=tmp_path / "store")
    with LocalClient(settings, clock, PlayedFeed(sample_market(), clock)) as client:
        client.put("/v1/assets/be-1", ASSET)
        client.post("/v1/decisions", {"asset_id": "be-1"})
        start = pd.Timestamp(MIDNIGHT * 60, unit="s", tz="UTC")
        ledger = client.app.state.service.prices

        def validated() -> dict[Any, float]:
            found = ledger.prices(start.to_pydatetime(), (start + pd.Timedelta(hours=1)).to_pydatetime())
            return {time: price for (time, stage), price in found.items() if stage == PriceStage.VALIDATED}

        client.clock.set_minute(MIDNIGHT + 40 * 24 * 60)
        client.poll_and_settle()
        assert validated() == {}
        keep(Store(tmp_path / "store"), start, 123.25)
        client.poll_and_settle()
        assert validated() == {}
        client.clock.set_minute(MIDNIGHT + 40 * 24 * 60 + 60)
        client.poll_and_settle()
        assert validated() == {start.to_pydatetime(): 123.25}


def keep(store: Store, start: pd.Timestamp, price: float) -> None:
    past = next(d for d in DATASETS if d.record_type is PRICES and d.reach is not Reach.LIVE and d.name == "ods134")
    (chunk,) = pieces(past, start, start + pd.Timedelta(minutes=15))
    frame = pd.DataFrame(
        {PRICE: [price], QUALITY: [RecordQuality.VALIDATED.value]}, index=pd.DatetimeIndex([start], name="start")
    )
    store.absorb(chunk, Seen(frame, start + pd.Timedelta(days=39), whole=False))
