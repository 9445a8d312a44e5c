"""Markets as a slower decider sees them, as they ended at a time, and as prices were first published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.errors import BadInput
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, RESIDUAL
from arbitrage.market.series import build_market
from arbitrage.market.store.datasets import DATASETS, PRICES, Reach, pieces
from arbitrage.market.store.store import Seen, Store
from arbitrage.market.timing import until, with_decision_latency, with_first_published
from arbitrage.quarter_hour import utc_timestamps
from tests.worlds import SUMMER_MIDNIGHT, noisy_market

NAMES = (PRICE, DAY_AHEAD, RESIDUAL)
BACK = tuple(range(-75, 90, 15))


@given(latency=st.integers(1, 40), minute=st.integers(0, 2 * 24 * 60))
def test_with_a_latency_is_known_now_what_was_known_that_much_earlier(latency: int, minute: int) -> None:
    market, time = noisy_market(0, 3), SUMMER_MIDNIGHT + minute + latency
    slow = with_decision_latency(market, latency)
    for name in NAMES:
        late = slow.known_at(time).gather(name, BACK)
        earlier = market.known_at(time - latency, about=time).gather(name, BACK)
        np.testing.assert_array_equal(late, earlier)


def test_a_latency_is_recorded_and_changes_no_settlement() -> None:
    market = noisy_market(0, 2)
    slow = with_decision_latency(with_decision_latency(market, 2), 3)
    assert slow.decision_latency_min == 5
    assert slow.price_eur_mwh is market.price_eur_mwh
    assert with_decision_latency(market, 0) is market
    with pytest.raises(BadInput, match="decision_latency_min"):
        with_decision_latency(market, -1)


@given(minute=st.integers(15, 3 * 24 * 60))
def test_a_market_that_ends_holds_what_was_known_then_and_nothing_later(minute: int) -> None:
    market, time = noisy_market(1, 3, gaps=7), SUMMER_MIDNIGHT + minute
    ended = until(market, time)
    for name in NAMES:
        np.testing.assert_array_equal(ended.known_at(time).gather(name, BACK), market.known_at(time).gather(name, BACK))
        assert (ended.known_series[name].available_at[np.isfinite(ended.known_series[name].values)] <= time).all()
    assert len(ended) == minute // 15
    assert ended.frame[PRICE].equals(market.frame[PRICE].iloc[: len(ended)])


def test_a_market_ended_before_its_first_price_is_refused() -> None:
    with pytest.raises(BadInput, match="no price is known"):
        until(noisy_market(1, 1), SUMMER_MIDNIGHT + 14)


def test_a_price_not_yet_published_is_not_in_the_market_that_ended() -> None:
    index = utc_timestamps(SUMMER_MIDNIGHT + 15 * np.arange(4))
    market = build_market(pd.DataFrame({PRICE: [1.0, 2.0, 3.0, 4.0]}, index=index), publication_delay_min=20)
    assert until(market, SUMMER_MIDNIGHT + 50).price_eur_mwh.tolist() == [1.0, 2.0]


def stored(folder: Path) -> Store:
    """Four quarter-hours: two seen live, one of them revised later; two fetched much later."""
    store = Store(folder)
    live = next(d for d in DATASETS if d.record_type is PRICES and d.reach is Reach.LIVE)
    index = utc_timestamps(SUMMER_MIDNIGHT + 15 * np.arange(4)).rename("start")
    (chunk,) = pieces(live, index[0], index[-1] + pd.Timedelta(minutes=15))

    def see(values: dict[int, float], at: str) -> None:
        frame = pd.DataFrame({PRICE: list(values.values())}, index=index[list(values)])
        store.absorb(chunk, Seen(frame, pd.Timestamp(at), whole=False))

    see({0: 10.0}, "2024-06-30T22:16:30Z")
    see({0: 11.0, 1: 20.0}, "2024-06-30T22:31:00Z")
    see({0: 12.0, 1: 20.0, 2: 30.0, 3: 40.0}, "2024-07-20T00:00Z")
    return store


def test_prices_are_known_as_first_published_where_the_store_saw_them_live(tmp_path: Path) -> None:
    store = stored(tmp_path)
    index = utc_timestamps(SUMMER_MIDNIGHT + 15 * np.arange(4))
    settled = build_market(pd.DataFrame({PRICE: [12.0, 20.0, 30.0, 40.0]}, index=index))
    first = with_first_published(settled, store)
    series = first.market.known_series[PRICE]
    assert series.values.tolist() == [10.0, 20.0, 30.0, 40.0]
    assert (series.available_at - SUMMER_MIDNIGHT).tolist() == [17, 31, 45, 60]
    assert (first.seen_live, first.fetched_later, first.revised) == (2, 2, 1)
    assert first.market.price_eur_mwh.tolist() == [12.0, 20.0, 30.0, 40.0]


def test_what_departs_from_day_ahead_follows_the_price_as_first_published(tmp_path: Path) -> None:
    index = utc_timestamps(SUMMER_MIDNIGHT + 15 * np.arange(4))
    prices = pd.DataFrame({PRICE: [12.0, 20.0, 30.0, 40.0]}, index=index)
    market = build_market(prices, day_ahead=pd.DataFrame({DAY_AHEAD: [5.0]}, index=index[:1]))
    first = with_first_published(market, stored(tmp_path)).market
    assert first.known_series[RESIDUAL].values.tolist() == [5.0, 15.0, 25.0, 35.0]
    assert (first.known_series[RESIDUAL].available_at == first.known_series[PRICE].available_at).all()


def test_an_empty_store_has_seen_nothing_live(tmp_path: Path) -> None:
    market = noisy_market(2, 1)
    first = with_first_published(market, Store(tmp_path))
    assert (first.seen_live, first.fetched_later) == (0, 96)
    assert first.market.data_hash == market.data_hash
