"""Elia's live sets as a feed: what was published is stored and known, an outage is told, and passes by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from arbitrage.live.elia_feed import EliaFeed
from arbitrage.live.feed import Feed
from arbitrage.live.window import Window
from arbitrage.market.fetch.elia_client import EliaClient, RetryLimits
from arbitrage.market.fetch.fetch import EliaSource
from arbitrage.market.point_in_time import INDICATIVE, PRICE
from arbitrage.market.store.datasets import DATASETS, Source
from arbitrage.market.store.store import Store
from tests.live.worlds import Turned
from tests.market.fetch import elia_server as double
from tests.market.fetch.elia_server import EliaServer

NOW_S = pd.Timestamp("2024-12-01T10:01:20Z").timestamp()


@pytest.fixture
def server() -> Iterator[EliaServer]:
    sets = {dataset.name: [] for dataset in DATASETS}
    sets["ods161"] = double.minutes("2024-12-01T08:00", "2024-12-01T10:00")
    sets["ods162"] = double.quarter_hours("2024-12-01T00:00", "2024-12-01T10:00")
    with EliaServer(datasets=sets).running() as running:
        yield running


@pytest.fixture
def clock() -> Turned:
    return Turned(NOW_S)


@pytest.fixture
def feed(server: EliaServer, clock: Turned, tmp_path: Path) -> Iterator[Feed]:
    limits = RetryLimits(tries=1, read_s=5.0)
    with EliaClient(server.url, limits, sleep=lambda seconds: None) as client:
        topics = (Source.PRICES, Source.MINUTES)
        source = EliaFeed(Store(tmp_path / "store"), EliaSource(client), topics, now_s=lambda: clock.now_s)
        yield Feed(source, Window(1), clocks=clock.clocks)


def test_what_is_published_live_is_known_and_stored(feed: Feed, tmp_path: Path) -> None:
    market = feed.poll().market
    minutes, prices = market.known_series[INDICATIVE], market.known_series[PRICE]
    assert len(minutes.values) == 120
    assert minutes.values[-1] == double.price_of(pd.Timestamp("2024-12-01T09:59Z"))
    assert prices.values[-1] == double.price_of(pd.Timestamp("2024-12-01T09:45Z"))
    assert feed.snapshot.reported == ()
    assert list((tmp_path / "store").rglob("*.parquet"))


def test_the_days_that_a_policy_looks_back_on_are_fetched_once_and_first(feed: Feed, server: EliaServer) -> None:
    server.datasets["ods134"] = double.quarter_hours("2024-11-01T00:00", "2024-11-30T00:00")
    server.bad_days.append(double.says(503))
    assert [finding.code for _, finding in feed.poll().reported] == ["silence"]
    market = feed.poll().market
    assert market.frame.index[0] == pd.Timestamp("2024-11-13T00:00Z")
    asked = len(server.requests)
    feed.poll()
    assert len(server.requests) == asked + 2


def test_an_outage_is_told_with_its_reason_and_what_was_missed_is_caught_up(
    feed: Feed, server: EliaServer, clock: Turned
) -> None:
    first = feed.poll()
    server.bad_days.extend([double.says(503)] * 4)
    for _ in range(2):
        clock.pass_s(60)
        failing = feed.poll()
        assert [finding.code for _, finding in failing.reported] == ["silence"]
        assert "503" in str(failing.reported[0][1].params["reason"])
        assert failing.market is first.market
        assert failing.failing_since_s == NOW_S + 60
    clock.pass_s(60)
    server.datasets["ods161"] = double.minutes("2024-12-01T08:00", "2024-12-01T10:04")
    restored = feed.poll()
    assert restored.failing_since_s is None
    assert restored.reported == ()
    assert len(restored.market.known_series[INDICATIVE].values) == 124


def test_a_damaged_store_is_told_and_the_feed_goes_on_when_it_is_mended(
    feed: Feed, clock: Turned, tmp_path: Path
) -> None:
    feed.poll()
    (file,) = (tmp_path / "store").rglob("ods161/*.parquet")
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    clock.pass_s(60)
    assert [finding.code for _, finding in feed.poll().reported] == ["silence"]
    file.write_bytes(whole)
    clock.pass_s(60)
    assert feed.poll().reported == ()
