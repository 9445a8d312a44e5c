"""The feed is judged, never the price: ages, gaps, records that stand still or contradict themselves."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.live.quality import Bounds, Judgement, Quality, judge, without_faulty
from arbitrage.market.files.read import read_table
from arbitrage.market.point_in_time import CUMULATIVE_IMBALANCE, INDICATIVE, PRICE, PointInTimeSeries
from arbitrage.market.series import MarketSeries, build_market
from arbitrage.quarter_hour import utc_timestamps
from tests.examples import examples
from tests.live.worlds import DELAY_MIN, FROM, world
from tests.properties.test_no_leak import scramble
from tests.shared_data import shared_file
from tests.worlds import SUMMER_MIDNIGHT, market_of

NOON = SUMMER_MIDNIGHT + 12 * 60


def judged(market: MarketSeries, time: int, series: str = PRICE, **bounds: Any) -> Judgement:
    return judge(market, time, time * 60.0, series, Bounds(**bounds))


def codes(judgement: Judgement) -> set[str]:
    return {finding.code for finding in judgement.findings}


def with_values(market: MarketSeries, name: str, values: np.ndarray) -> MarketSeries:
    return dataclasses.replace(
        market,
        known_series={**market.known_series, name: dataclasses.replace(market.known_series[name], values=values)},
    )


def minutes_row(market: MarketSeries, time: int) -> int:
    return time - market.known_series[INDICATIVE].first_minute


@pytest.fixture(scope="module")
def minutes() -> MarketSeries:
    return world().market(with_minutes=True, publication_delay_min=DELAY_MIN)


@examples(40)
@given(prices=st.lists(st.floats(-10_000.0, 10_000.0), min_size=20, max_size=20))
def test_no_price_is_a_fault_by_its_level(prices: list[float]) -> None:
    assert judged(market_of(prices), SUMMER_MIDNIGHT + 300).quality is Quality.OK


def test_the_same_price_all_day_is_no_fault() -> None:
    assert judged(market_of(np.full(96, -999.0)), NOON).quality is Quality.OK


@pytest.mark.parametrize(
    ("behind", "quality"),
    [(0, Quality.OK), (1, Quality.LATE), (2, Quality.LATE), (3, Quality.STALE), (40, Quality.STALE)],
)
def test_prices_of_quarter_hours_are_late_for_half_an_hour_and_then_stale(behind: int, quality: Quality) -> None:
    judgement = judged(market_of(np.arange(48.0 - behind)), NOON)
    assert judgement.quality is quality
    assert judgement.age_s == behind * 900.0
    assert judgement.data_as_of == NOON - 15 * behind


def test_what_was_published_too_recently_to_be_here_is_not_late(minutes: MarketSeries) -> None:
    series = minutes.known_series[INDICATIVE]
    behind = with_values(minutes, INDICATIVE, np.where(series.available_at >= FROM, np.nan, series.values))
    assert judge(behind, FROM, FROM * 60.0, INDICATIVE, Bounds()).quality is Quality.LATE
    assert judge(behind, FROM, FROM * 60.0 - 8.0, INDICATIVE, Bounds(), FROM * 60.0 - 8.0).quality is Quality.OK
    assert judge(behind, FROM, FROM * 60.0, INDICATIVE, Bounds(), FROM * 60.0 + 90.0).quality is Quality.LATE


def test_a_delay_of_publication_is_no_lateness(minutes: MarketSeries) -> None:
    judgement = judged(minutes, FROM, INDICATIVE)
    assert judgement.quality is Quality.OK
    assert judgement.age_s == 60.0 * DELAY_MIN


def test_missing_records_before_the_newest_are_a_gap_and_many_an_outage() -> None:
    prices = np.arange(48.0)
    prices[40] = np.nan
    one = judged(market_of(prices), NOON)
    assert (one.quality, codes(one)) == (Quality.GAP, {"gap"})
    prices[34:46] = np.nan
    assert judged(market_of(prices), NOON).quality is Quality.STALE


def test_nothing_known_is_absent() -> None:
    assert judged(market_of([5.0]), SUMMER_MIDNIGHT).quality is Quality.ABSENT
    assert judged(market_of([5.0]), NOON, INDICATIVE).quality is Quality.ABSENT


def test_a_system_imbalance_that_repeats_to_the_last_digit_is_stale_though_stamps_are_new(
    minutes: MarketSeries,
) -> None:
    values = minutes.known_series[CUMULATIVE_IMBALANCE].values.copy()
    row = minutes_row(minutes, FROM)
    values[row - 6 : row] = values[row - 6]
    judgement = judged(with_values(minutes, CUMULATIVE_IMBALANCE, values), FROM, INDICATIVE, jump_eur_mwh=1e9)
    assert (judgement.quality, codes(judgement)) == (Quality.STALE, {"frozen"})


def test_a_price_that_its_own_record_does_not_explain_is_left_out(minutes: MarketSeries) -> None:
    values = minutes.known_series[INDICATIVE].values.copy()
    row = minutes_row(minutes, FROM) - 4
    values[row] += 26.0
    broken = with_values(minutes, INDICATIVE, values)
    judgement = judged(broken, FROM, INDICATIVE)
    assert (judgement.quality, codes(judgement)) == (Quality.JUMP, {"jump"})
    mended = without_faulty(broken, judgement).known_series[INDICATIVE].values
    assert np.flatnonzero(np.isnan(mended)).tolist() == [row]
    assert not np.isnan(broken.known_series[INDICATIVE].values).any()


def test_an_imbalance_that_no_system_can_have_is_left_out(minutes: MarketSeries) -> None:
    values = minutes.known_series[CUMULATIVE_IMBALANCE].values.copy()
    row = minutes_row(minutes, FROM) - 3
    values[row] = np.copysign(8e4, values[row])
    judgement = judged(with_values(minutes, CUMULATIVE_IMBALANCE, values), FROM, INDICATIVE)
    assert judgement.quality is Quality.JUMP
    assert judgement.faulty is not None
    assert row + minutes.known_series[INDICATIVE].first_minute in judgement.faulty[INDICATIVE]


def test_final_prices_and_last_minutes_that_differ_again_and_again_disagree(minutes: MarketSeries) -> None:
    prices = minutes.known_series[PRICE].values
    judgement = judged(with_values(minutes, PRICE, prices + 400.0), FROM + 15, INDICATIVE)
    assert (judgement.quality, codes(judgement)) == (Quality.DISAGREEMENT, {"disagreement"})
    once = prices.copy()
    once[(FROM - minutes.known_series[PRICE].first_minute) // 15 - 2] += 3_000.0
    assert judged(with_values(minutes, PRICE, once), FROM + 15, INDICATIVE).quality is Quality.OK


def test_a_clean_market_stays_one_object(minutes: MarketSeries) -> None:
    assert without_faulty(minutes, judged(minutes, FROM, INDICATIVE)) is minutes


@examples(25)
@given(minute=st.integers(0, 24 * 60), seed=st.integers(0, 2**32 - 1))
def test_what_is_published_later_changes_no_judgement(minutes: MarketSeries, minute: int, seed: int) -> None:
    time = FROM + minute
    later = scramble(minutes, time, seed)
    now, then = judged(minutes, time, INDICATIVE), judged(later, time, INDICATIVE)
    assert (now.quality, now.findings, now.data_as_of) == (then.quality, then.findings, then.data_as_of)


def test_no_record_of_a_simulated_fortnight_is_a_fault(minutes: MarketSeries) -> None:
    found = {judged(minutes, FROM - 13 * 37 * k, INDICATIVE).quality for k in range(40)}
    assert found == {Quality.OK}


def test_no_record_of_the_genuine_day_contradicts_itself_or_stands_still() -> None:
    table = read_table(shared_file("imbalance_minute_2024-09-06.parquet")).frame.dropna(subset=[PRICE])
    quarters = table[table.index.minute % 15 == 14]
    prices = quarters.set_index(quarters.index - pd.Timedelta(minutes=14))[[PRICE]]
    market = build_market(prices, minutes=table)
    series: PointInTimeSeries = market.known_series[INDICATIVE]
    times = series.first_minute + np.arange(120, len(series.values), 7)
    found = [judged(market, int(time), INDICATIVE) for time in times]
    assert not {"jump", "frozen", "disagreement"} & set.union(*(codes(each) for each in found))
    assert utc_timestamps(times[-1:])[0].year == 2024
