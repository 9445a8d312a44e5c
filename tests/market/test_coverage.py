"""What a strategy rests on is counted: present, late, absent, and filled by a stand-in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.features.encoder import MarketFeatures, encoder_needs
from arbitrage.features.names import FeatureSet
from arbitrage.market.coverage import Need, SourceCoverage, day_ahead_steps_min, source_coverage
from arbitrage.market.point_in_time import DAY_AHEAD, INDICATIVE, PRICE, WIND_FORECAST
from arbitrage.market.series import MarketSeries, build_market
from arbitrage.market.timing import with_decision_latency
from arbitrage.quarter_hour import utc_timestamps
from tests.minute_worlds import market_of_minutes, minute_table
from tests.worlds import MIDNIGHTS, SUMMER_MIDNIGHT, market_of, noisy_market

ENCODED = encoder_needs(FeatureSet.QUARTER_HOUR, (PRICE, DAY_AHEAD))
DAY = 96


def without_day_ahead(market: MarketSeries, first: int, last: int) -> MarketSeries:
    """The same market with the day-ahead prices of rows [first, last) gone."""
    values = market.known_series[DAY_AHEAD].values.copy()
    values[first:last] = np.nan
    return replace(
        market, known_series={**market.known_series, DAY_AHEAD: replace(market.known_series[DAY_AHEAD], values=values)}
    )


def covered(market: MarketSeries, *needs: Need) -> dict[str, SourceCoverage]:
    return {each.source: each for each in source_coverage(market, needs, market.quarter_hours)}


def test_a_series_that_ends_early_is_absent_for_the_rest() -> None:
    market = without_day_ahead(noisy_market(1, 4), 2 * DAY, 4 * DAY)
    found = covered(market, Need(DAY_AHEAD))[DAY_AHEAD]
    assert (found.intervals, found.present, found.late, found.absent) == (4 * DAY, 2 * DAY, 0, 2 * DAY)
    assert found.warning() == ("day-ahead prices are missing for 192 of 384 quarter-hours; the strategy idles there")


def test_a_gap_in_the_middle_is_counted_and_so_is_its_substitute() -> None:
    market = without_day_ahead(noisy_market(1, 4), DAY + 40, DAY + 44)
    found = covered(market, *ENCODED)[DAY_AHEAD]
    assert (found.present, found.absent) == (4 * DAY - 4, 4)
    assert found.filled == 44, "from midnight to the gap the rest of the day's curve is not whole"
    assert "missing for 4 of 384" in str(found.warning())
    assert "weekly mean" in str(found.warning())


def test_two_hours_of_day_ahead_prices_leave_the_rest_of_the_day_to_a_substitute() -> None:
    market = without_day_ahead(noisy_market(1, 1), 8, DAY)
    found = source_coverage(market, ENCODED, market.quarter_hours[:8])
    day_ahead = {each.source: each for each in found}[DAY_AHEAD]
    assert (day_ahead.present, day_ahead.absent, day_ahead.filled) == (8, 0, 8)
    assert "do not reach the end of the day for 8 of 8 quarter-hours" in str(day_ahead.warning())


@pytest.mark.parametrize("day", MIDNIGHTS)
def test_a_whole_day_of_any_length_is_covered(day: str) -> None:
    start, quarter_hours = MIDNIGHTS[day]
    market = noisy_market(1, 3, start=start - 15 * DAY)
    times = start + 15 * np.arange(quarter_hours)
    needs = encoder_needs(FeatureSet.QUARTER_HOUR, market.known_series)
    assert [each.complete for each in source_coverage(market, needs, times)] == [True] * 4


def test_a_source_that_the_market_does_not_carry_is_absent_throughout() -> None:
    found = covered(market_of(np.ones(DAY)), Need(WIND_FORECAST, "zero", rest_of_day=True))[WIND_FORECAST]
    assert (found.present, found.absent, found.filled) == (0, DAY, DAY)


def test_the_newest_price_that_the_delay_lets_through_is_the_one_that_is_due() -> None:
    prices = np.ones(8)
    prices[3] = np.nan
    index = utc_timestamps(SUMMER_MIDNIGHT + 15 * np.arange(8))
    for delay_min, first in ((0, 1), (1, 2), (15, 2), (16, 3)):
        market = build_market(pd.DataFrame({PRICE: prices}, index=index), publication_delay_min=delay_min)
        found = covered(market, Need(PRICE))[PRICE]
        assert found.absent == first + 1, "the quarter-hours before the first record, and the one that rests on the gap"


def test_a_record_that_comes_after_its_decision_is_late() -> None:
    market = noisy_market(1, 2)
    recorded = market.known_series[PRICE]
    late = recorded.available_at.copy()
    late[10:14] += 15
    market = replace(market, known_series={**market.known_series, PRICE: replace(recorded, available_at=late)})
    found = covered(market, Need(PRICE, "an older price"))[PRICE]
    assert (found.late, found.absent, found.filled) == (4, 1, 5)
    assert "(4 of them late)" in str(found.warning())


def test_a_decision_latency_does_not_count_as_late() -> None:
    market = with_decision_latency(noisy_market(1, 2), 1)
    assert covered(market, Need(PRICE))[PRICE].late == 0


def test_minutes_that_end_early_are_counted_by_the_decision() -> None:
    minutes = minute_table(**{PRICE: np.ones(60)})
    market = market_of_minutes(minutes, np.ones(8), delay_min=1)
    times = SUMMER_MIDNIGHT + np.arange(120)
    found = source_coverage(market, [Need(INDICATIVE), Need(PRICE)], times)
    assert (found[0].intervals, found[0].present, found[0].absent) == (120, 60, 60)
    assert "60 of 120 decisions" in str(found[0].warning())
    assert found[1].intervals == 8


def by_quarter_hour_from(market: MarketSeries, first: int) -> MarketSeries:
    """The same market with day-ahead prices by the hour up to a row, and by the quarter-hour from then on."""
    prices = np.repeat(50.0 + np.arange(len(market) // 4), 4)
    prices[first:] += np.arange(len(market) - first) % 4
    series = replace(market.known_series[DAY_AHEAD], values=prices)
    return replace(market, known_series={**market.known_series, DAY_AHEAD: series})


def test_prices_within_the_hour_are_unfamiliar_to_a_strategy_that_learned_on_whole_hours() -> None:
    market = by_quarter_hour_from(noisy_market(1, 4), 3 * DAY)
    learned = MarketFeatures(learned_day_ahead_min=(60,))
    found = covered(market, *learned.needs((PRICE, DAY_AHEAD)))
    assert (found[DAY_AHEAD].unfamiliar, found[PRICE].unfamiliar) == (DAY, 0)
    assert "differ within the hour in 96 of 384 quarter-hours" in str(found[DAY_AHEAD].warning())
    assert covered(by_quarter_hour_from(market, 4 * DAY), *learned.needs((DAY_AHEAD,)))[DAY_AHEAD].warning() is None


@pytest.mark.parametrize(
    "features",
    [
        MarketFeatures(learned_day_ahead_min=(60,), hour_means=True),
        MarketFeatures(learned_day_ahead_min=(15, 60)),
        MarketFeatures(),
    ],
)
def test_prices_within_the_hour_are_familiar_as_hour_means_or_once_learned(features: MarketFeatures) -> None:
    market = by_quarter_hour_from(noisy_market(1, 4), 3 * DAY)
    found = covered(market, *features.needs((DAY_AHEAD,)))[DAY_AHEAD]
    assert found.unfamiliar == 0
    assert found.warning() is None


def test_the_resolutions_of_day_ahead_prices_are_stated_by_the_day() -> None:
    market = by_quarter_hour_from(noisy_market(1, 4), 3 * DAY)
    starts = market.quarter_hours
    assert day_ahead_steps_min(market, starts[: 3 * DAY]) == (60,)
    assert day_ahead_steps_min(market, starts[3 * DAY :]) == (15,)
    assert day_ahead_steps_min(market, starts) == (15, 60)
    assert day_ahead_steps_min(without_day_ahead(market, 0, 4 * DAY), starts) == ()


def test_what_the_encoder_does_not_read_is_not_counted() -> None:
    known_series = (PRICE, DAY_AHEAD, INDICATIVE)
    assert [need.series for need in encoder_needs(FeatureSet.REFERENCE, known_series)] == [INDICATIVE]
    assert [need.series for need in encoder_needs(FeatureSet.QUARTER_HOUR, (PRICE,))] == [PRICE]


@given(seed=st.integers(0, 50), gaps=st.lists(st.tuples(st.integers(0, 190), st.integers(1, 40)), max_size=4))
def test_present_late_and_absent_make_all_and_values_do_not_matter(seed: int, gaps: list[tuple[int, int]]) -> None:
    market = noisy_market(seed, 2, gaps=seed)
    for first, length in gaps:
        market = without_day_ahead(market, first, first + length)
    for each in source_coverage(market, ENCODED, market.quarter_hours):
        assert each.present + each.late + each.absent == each.intervals
        assert each.missing <= each.filled <= each.intervals
    scaled = {name: replace(recorded, values=7.0 * recorded.values) for name, recorded in market.known_series.items()}
    again = source_coverage(replace(market, known_series=scaled), ENCODED, market.quarter_hours)
    assert again == source_coverage(market, ENCODED, market.quarter_hours)
