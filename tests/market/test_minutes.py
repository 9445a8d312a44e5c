"""Minute records as known_series: when each may be known, at every delay, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from arbitrage.errors import BadInput
from arbitrage.market.point_in_time import (
    ALPHA_COMPONENT,
    CUMULATIVE_IMBALANCE,
    DECREMENTAL,
    INCREMENTAL,
    INDICATIVE,
    PRICE,
)
from arbitrage.market.series import MarketSeries, MinuteSource, build_market
from arbitrage.quarter_hour import utc_timestamps
from tests.minute_worlds import (
    GENUINE_MINUTES,
    GENUINE_START,
    genuine_market,
    market_of_minutes,
    minute_table,
    published_at,
    simulated_days,
    simulated_market,
)
from tests.worlds import SUMMER_MIDNIGHT

MINUTE_TAPES = {INDICATIVE, CUMULATIVE_IMBALANCE, INCREMENTAL, DECREMENTAL, ALPHA_COMPONENT}
NUMBERED = 100.0 + np.arange(30)
"""Records of two quarter-hours that name their own minute: 100 for the first, 129 for the last."""


def numbered_market(delay_min: int | None) -> MarketSeries:
    return market_of_minutes(minute_table(**{PRICE: NUMBERED}), [114.0, 129.0], delay_min)


def newest_seen(market: MarketSeries, name: str, time: int) -> float:
    """The newest value of the two quarter-hours that is known; NaN if none is."""
    seen = market.known_at(time).gather(name, SUMMER_MIDNIGHT + np.arange(30) - time)[0]
    known = seen[~np.isnan(seen)]
    return float(known[-1]) if len(known) else np.nan


@pytest.mark.parametrize(
    ("delay_min", "minute", "newest"),
    [
        # At minute k with delay d the newest record is that of minute k - 1 - d.
        (0, 0, np.nan),
        (0, 1, 100.0),
        (0, 14, 113.0),
        (0, 15, 114.0),
        (1, 1, np.nan),
        (1, 2, 100.0),
        (1, 14, 112.0),
        (1, 15, 113.0),
        (1, 16, 114.0),
        (2, 2, np.nan),
        (2, 3, 100.0),
        (2, 15, 112.0),
        (7, 7, np.nan),
        (7, 8, 100.0),
        (20, 21, 100.0),
    ],
)
def test_the_newest_record_at_minute_k_is_that_of_k_less_1_less_the_delay(
    delay_min: int, minute: int, newest: float
) -> None:
    market = numbered_market(delay_min)
    np.testing.assert_equal(newest_seen(market, INDICATIVE, SUMMER_MIDNIGHT + minute), newest)


@pytest.mark.parametrize("delay_min", [0, 1, 2, 5])
def test_a_final_price_is_published_together_with_the_record_of_its_last_minute(delay_min: int) -> None:
    market = numbered_market(delay_min)
    price, minutes = market.known_series[PRICE], market.known_series[INDICATIVE]
    np.testing.assert_array_equal(price.available_at, minutes.available_at[14::15])
    assert price.available_at[0] == SUMMER_MIDNIGHT + 15 + delay_min


def test_the_delay_is_one_minute_by_default_with_minute_records_and_none_without() -> None:
    market = numbered_market(None)
    assert market.publication_delay_min == 1
    np.testing.assert_array_equal(market.known_series[INDICATIVE].available_at, SUMMER_MIDNIGHT + np.arange(30) + 2)
    alone = build_market(pd.DataFrame({PRICE: [1.0]}, index=utc_timestamps([SUMMER_MIDNIGHT])))
    assert alone.publication_delay_min == 0
    assert alone.minute_source is None
    assert not MINUTE_TAPES & set(alone.known_series)


def test_records_may_come_in_any_order_and_with_holes_and_a_hole_stays_one() -> None:
    table = minute_table(**{PRICE: NUMBERED}).drop(index=utc_timestamps(SUMMER_MIDNIGHT + np.array([3, 4, 20])))
    market = market_of_minutes(table.sample(frac=1.0, random_state=0), [1.0, 2.0])
    expected = NUMBERED.copy()
    expected[[3, 4, 20]] = np.nan
    np.testing.assert_array_equal(market.known_series[INDICATIVE].values, expected)
    assert market.known_series[INDICATIVE].step_min == 1


def test_a_column_that_is_absent_or_empty_is_not_carried() -> None:
    table = minute_table(**{PRICE: NUMBERED, INCREMENTAL: np.full(30, np.nan), "system_imbalance_mw": NUMBERED})
    assert MINUTE_TAPES & set(market_of_minutes(table, [1.0, 2.0]).known_series) == {INDICATIVE, CUMULATIVE_IMBALANCE}


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (minute_table(**{PRICE: []}), "minutes: hold no indicative price"),
        (minute_table(**{PRICE: [np.nan]}), "minutes: hold no indicative price"),
        (minute_table(system_imbalance_mw=[1.0]), "minutes: hold no indicative price"),
        (pd.concat([minute_table(**{PRICE: [1.0, 2.0]})] * 2), "minutes: 2 starts given more than once"),
        (minute_table(**{PRICE: [1.0]}).tz_localize(None), "no time zone"),
    ],
)
def test_minutes_that_make_no_sense_are_refused(table: pd.DataFrame, fault: str) -> None:
    with pytest.raises(BadInput, match=fault):
        market_of_minutes(table, [1.0])


def test_a_negative_delay_is_refused() -> None:
    with pytest.raises(BadInput, match="publication_delay_min: must be 0 or more, not -1"):
        numbered_market(-1)


def test_the_source_of_the_minutes_is_stated_and_their_values_and_delay_are_part_of_the_hash() -> None:
    assert numbered_market(0).minute_source is MinuteSource.GIVEN
    assert simulated_market(0).minute_source is MinuteSource.SIMULATED
    other = market_of_minutes(minute_table(**{PRICE: NUMBERED + (np.arange(30) == 7)}), [114.0, 129.0], 0)
    hashes = {market.data_hash for market in (numbered_market(0), numbered_market(1), other)}
    assert len(hashes) == 3


@pytest.mark.parametrize("delay_min", [0, 1, 2])
def test_every_series_of_a_simulated_market_is_published_with_the_delay(delay_min: int) -> None:
    market = simulated_market(delay_min)
    assert set(market.known_series) >= MINUTE_TAPES
    for name, series in market.known_series.items():
        np.testing.assert_array_equal(series.available_at, published_at(name, series, delay_min))
    # Simulated quarter-hours settle at the price of their last minute.
    np.testing.assert_array_equal(market.price_eur_mwh, market.known_series[INDICATIVE].values[14::15])
    assert not MINUTE_TAPES & set(simulated_days().market().known_series)


def test_the_genuine_minutes_make_a_market_that_settles_at_their_last_records() -> None:
    market = genuine_market()
    assert (market.quarter_hours[0], len(market)) == (GENUINE_START, GENUINE_MINUTES // 15)
    assert (market.publication_delay_min, market.minute_source) == (1, MinuteSource.GIVEN)
    assert set(market.known_series) == {PRICE, *MINUTE_TAPES}
    for name in MINUTE_TAPES:
        assert len(market.known_series[name].values) == GENUINE_MINUTES
        assert not np.isnan(market.known_series[name].values).any()
    # The first quarter-hour of the file: from 80.000 in its first minute to 289.001 in its last.
    assert market.price_eur_mwh[0] == 289.001
    assert newest_of_genuine(market, GENUINE_START + 1) is None
    assert newest_of_genuine(market, GENUINE_START + 2) == 80.0
    assert newest_of_genuine(market, GENUINE_START + 15) == 286.871
    assert newest_of_genuine(market, GENUINE_START + 16) == 289.001


def newest_of_genuine(market: MarketSeries, time: int) -> float | None:
    seen = market.known_at(time).gather(INDICATIVE, GENUINE_START + np.arange(30) - time)[0]
    known = seen[~np.isnan(seen)]
    return float(known[-1]) if len(known) else None
