"""The market as a series: what may be known when, days of 92 and 100 quarter-hours, gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.errors import BadInput
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, WIND_FORECAST
from arbitrage.market.series import DURATION, MarketSeries, build_market
from arbitrage.quarter_hour import BRUSSELS, brussels_midnight, epoch_minute, epoch_minutes, utc_timestamps
from tests.examples import examples
from tests.worlds import SUMMER_MIDNIGHT, market_of

START = epoch_minute("2024-03-30T23:00Z")
"""Midnight in Brussels at the beginning of the day on which clocks go forward, which has 92 quarter-hours."""


def prices(values: list[float], start: int = START, step_min: int = 15) -> pd.DataFrame:
    minutes = start + step_min * np.arange(len(values))
    return pd.DataFrame({PRICE: np.array(values, dtype=np.float64)}, index=utc_timestamps(minutes))


def hourly(values: list[float], start: int = START) -> pd.DataFrame:
    return prices(values, start, step_min=60).rename(columns={PRICE: DAY_AHEAD})


def brussels(text: str) -> int:
    return int(epoch_minutes(pd.DatetimeIndex([pd.Timestamp(text, tz=BRUSSELS)]))[0])


@pytest.mark.parametrize("delay_min", [0, 1, 7])
def test_a_price_is_known_from_the_end_of_its_quarter_hour_plus_the_delay(delay_min: int) -> None:
    market = build_market(prices([10.0, 20.0]), publication_delay_min=delay_min)
    published = START + 15 + delay_min
    # Asked about the first quarter-hour: a minute before it is published, and when it is.
    early = market.known_at(published - 1).gather(PRICE, [START - (published - 1)])
    due = market.known_at(published).gather(PRICE, [START - published])
    np.testing.assert_array_equal(early, [[np.nan]])
    np.testing.assert_array_equal(due, [[10.0]])


def test_the_price_of_the_running_quarter_hour_and_of_later_ones_is_never_known() -> None:
    market = build_market(prices([10.0, 20.0, 30.0]))
    np.testing.assert_array_equal(market.known_at(START + 15).gather(PRICE, [-15, 0, 15]), [[10.0, np.nan, np.nan]])


def test_day_ahead_prices_are_known_from_13_o_clock_in_brussels_the_day_before() -> None:
    midnight = brussels("2024-07-02T00:00")
    market = build_market(prices([0.0] * 4, midnight), day_ahead=hourly([50.0, 60.0], midnight))
    at_13 = brussels("2024-07-01T13:00")
    times = np.array([at_13 - 1, at_13])
    known = [market.known_at(time).gather(DAY_AHEAD, [midnight - time, midnight + 60 - time])[0] for time in times]
    np.testing.assert_array_equal(known, [[np.nan, np.nan], [50.0, 60.0]])


@pytest.mark.parametrize(
    ("day", "clocks_before"), [("2024-03-31", "2024-03-30"), ("2024-04-01", "2024-03-31"), ("2024-10-28", "2024-10-27")]
)
def test_publication_is_by_the_brussels_clock_also_around_the_change_of_the_clocks(
    day: str, clocks_before: str
) -> None:
    midnight = brussels(f"{day}T00:00")
    market = build_market(prices([0.0], midnight), day_ahead=hourly([50.0, 60.0], midnight))
    published = brussels(f"{clocks_before}T13:00")
    for time, expected in ((published - 1, np.nan), (published, 50.0)):
        np.testing.assert_array_equal(market.known_at(time).gather(DAY_AHEAD, [midnight - time]), [[expected]])


def test_wind_forecasts_are_known_from_18_o_clock_in_brussels_the_day_before() -> None:
    midnight = brussels("2024-01-02T00:00")
    forecast = prices([700.0, 710.0], midnight).rename(columns={PRICE: WIND_FORECAST})
    market = build_market(prices([0.0], midnight), forecasts=forecast)
    published = brussels("2024-01-01T18:00")
    for time, expected in ((published - 1, np.nan), (published, 710.0)):
        np.testing.assert_array_equal(market.known_at(time).gather(WIND_FORECAST, [midnight + 15 - time]), [[expected]])


@pytest.mark.parametrize(("day", "quarter_hours"), [("2024-03-31", 92), ("2024-07-01", 96), ("2024-10-27", 100)])
def test_a_brussels_day_has_92_96_or_100_quarter_hours(day: str, quarter_hours: int) -> None:
    first = brussels(f"{day}T00:00") - 15
    market = build_market(prices([0.0] * 110, first))
    days, counts = np.unique(market.day_numbers, return_counts=True)
    assert counts[1] == quarter_hours
    assert brussels_midnight(int(days[1])) == first + 15
    assert market.rows(first + 15, brussels_midnight(int(days[2]))) == slice(1, 1 + quarter_hours)


def test_the_quarter_hours_of_an_hour_share_its_day_ahead_price() -> None:
    market = build_market(prices([0.0]), day_ahead=hourly([50.0, 60.0]))
    known = market.known_at(START).gather(DAY_AHEAD, [0, 15, 30, 45, 60, 105, 120])
    np.testing.assert_array_equal(known, [[50.0, 50.0, 50.0, 50.0, 60.0, 60.0, np.nan]])


def day_ahead_by_quarter_hour(rows: dict[int, float], quarter_hours: int, **columns: list[int]) -> list[float]:
    """What a day-ahead table with these rows, keyed by minutes from START, says of the first quarter-hours."""
    index = utc_timestamps(START + np.array(list(rows)))
    table = pd.DataFrame({DAY_AHEAD: list(rows.values()), **columns}, index=index)
    known = build_market(prices([0.0]), day_ahead=table).known_at(START)
    return [float(value) for value in known.gather(DAY_AHEAD, 15 * np.arange(quarter_hours))[0]]


NAN = float("nan")


def test_an_hourly_price_covers_its_hour_only_when_hours_are_missing_after_it() -> None:
    np.testing.assert_array_equal(
        day_ahead_by_quarter_hour({0: 50.0, 360: 60.0}, 29), [50.0] * 4 + [NAN] * 20 + [60.0] * 4 + [NAN]
    )
    np.testing.assert_array_equal(
        day_ahead_by_quarter_hour({0: 50.0, 60: 55.0, 180: 60.0}, 17),
        [50.0] * 4 + [55.0] * 4 + [NAN] * 4 + [60.0] * 4 + [NAN],
    )


def test_a_quarter_hourly_price_covers_its_quarter_hour_only_when_rows_are_missing_after_it() -> None:
    # Missing: 15 and 30; then the three after 60, which an hourly row would have covered; then a longer gap.
    rows = {0: 1.0, 45: 2.0, 60: 3.0, 120: 4.0, 135: 5.0, 300: 6.0}
    expected = [1.0, NAN, NAN, 2.0, 3.0, NAN, NAN, NAN, 4.0, 5.0, *[NAN] * 10, 6.0, NAN]
    np.testing.assert_array_equal(day_ahead_by_quarter_hour(rows, 22), expected)


def test_hours_and_quarter_hours_may_follow_each_other_in_one_table() -> None:
    hours, quarters = {0: 1.0, 60: 2.0}, {120: 3.0, 135: 4.0, 150: 5.0, 165: 6.0}
    expected = [1.0] * 4 + [2.0] * 4 + [3.0, 4.0, 5.0, 6.0]
    np.testing.assert_array_equal(day_ahead_by_quarter_hour(hours | quarters, 13), [*expected, NAN])
    later = {180: 7.0, 240: 8.0, 300: 9.0}
    every = expected + [7.0] * 4 + [8.0] * 4 + [9.0] * 4
    np.testing.assert_array_equal(day_ahead_by_quarter_hour(hours | quarters | later, 25), [*every, NAN])


def test_a_duration_given_with_each_row_is_used() -> None:
    rows = {0: 1.0, 60: 2.0, 120: 3.0}
    np.testing.assert_array_equal(
        day_ahead_by_quarter_hour(rows, 9, **{DURATION: [15, 60, 15]}), [1.0, NAN, NAN, NAN, *[2.0] * 4, 3.0]
    )
    with pytest.raises(BadInput, match="duration_min must be 15 or 60"):
        day_ahead_by_quarter_hour(rows, 9, **{DURATION: [15, 30, 15]})


def test_a_single_row_is_an_hour_and_a_table_without_rows_is_refused() -> None:
    np.testing.assert_array_equal(day_ahead_by_quarter_hour({0: 50.0}, 5), [50.0] * 4 + [NAN])
    with pytest.raises(BadInput, match="holds no rows"):
        day_ahead_by_quarter_hour({}, 1)


@pytest.mark.parametrize(
    ("minutes", "fault"), [((0, 7), "1 starts not on a quarter-hour"), ((0, 15, 15), "1 starts given")]
)
def test_starts_off_the_quarter_hour_or_given_twice_are_refused(minutes: tuple[int, ...], fault: str) -> None:
    index = utc_timestamps(START + np.array(minutes))
    table = pd.DataFrame({PRICE: 1.0, DAY_AHEAD: 2.0, WIND_FORECAST: 3.0}, index=index)
    good = prices([1.0])
    with pytest.raises(BadInput, match=f"prices: {fault}"):
        build_market(table)
    with pytest.raises(BadInput, match=f"{DAY_AHEAD}: {fault}"):
        build_market(good, day_ahead=table)
    with pytest.raises(BadInput, match=f"{WIND_FORECAST}: {fault}"):
        build_market(good, forecasts=table)


def test_a_gap_stays_a_gap() -> None:
    whole = prices([10.0, 20.0, 30.0, np.nan, 50.0])
    market = build_market(whole.drop(whole.index[1]))
    np.testing.assert_array_equal(market.price_eur_mwh, [10.0, np.nan, 30.0, np.nan, 50.0])
    assert list(market.gaps()) == list(utc_timestamps([START + 15, START + 45]))
    np.testing.assert_array_equal(
        market.known_at(START + 75).gather(PRICE, [-75, -60, -45, -30, -15]), [[10.0, np.nan, 30.0, np.nan, 50.0]]
    )


def test_the_order_of_the_rows_does_not_matter() -> None:
    table = prices([10.0, 20.0, 30.0])
    assert build_market(table.iloc[[2, 0, 1]]).data_hash == build_market(table).data_hash


def test_the_hash_distinguishes_markets_by_value_and_by_publication() -> None:
    base = build_market(prices([10.0, 20.0]))
    assert base.data_hash != build_market(prices([10.0, 20.5])).data_hash
    assert base.data_hash != build_market(prices([10.0, 20.0]), publication_delay_min=1).data_hash
    assert base.data_hash != build_market(prices([10.0, 20.0], START + 15)).data_hash


def test_a_market_without_a_price_and_a_negative_delay_are_refused() -> None:
    with pytest.raises(BadInput, match="holds no imbalance price"):
        build_market(prices([np.nan]))
    with pytest.raises(BadInput, match="must be 0 or more, not -1"):
        build_market(prices([1.0]), publication_delay_min=-1)


def _market(price: np.ndarray, day_ahead: np.ndarray, wind: np.ndarray, delay_min: int) -> MarketSeries:
    return build_market(
        prices(price.tolist()),
        day_ahead=hourly(day_ahead.tolist()),
        forecasts=prices(wind.tolist()).rename(columns={PRICE: WIND_FORECAST}),
        publication_delay_min=delay_min,
    )


@examples(60)
@given(
    now=st.integers(-1500, 4 * 24 * 60),
    delay_min=st.integers(0, 20),
    seed=st.integers(0, 2**32 - 1),
)
def test_nothing_that_is_published_later_changes_what_is_known_now(now: int, delay_min: int, seed: int) -> None:
    # Three days across the change of the clocks; everything not yet published is scrambled.
    random = np.random.default_rng(seed)
    quarter_hours = START + 15 * np.arange(3 * 96)
    hours = START + 60 * np.arange(3 * 24)
    time = START + now
    price, wind = random.normal(size=(2, len(quarter_hours)))
    day_ahead = random.normal(size=len(hours))

    def scrambled(values: np.ndarray, published: np.ndarray) -> np.ndarray:
        return np.where(published > time, random.normal(size=len(values)), values)

    def day_before_at(hour: int, starts: np.ndarray) -> np.ndarray:
        days = utc_timestamps(starts).tz_convert(BRUSSELS).tz_localize(None).normalize()
        return epoch_minutes((days - pd.Timedelta(1, "D") + pd.Timedelta(hour, "h")).tz_localize(BRUSSELS))

    later = _market(
        scrambled(price, quarter_hours + 15 + delay_min),
        scrambled(day_ahead, day_before_at(13, hours)),
        scrambled(wind, day_before_at(18, quarter_hours)),
        delay_min,
    )
    is_known, was_known = later.known_at(time), _market(price, day_ahead, wind, delay_min).known_at(time)
    offsets = np.arange(-60 * 96, 60 * 96, 15)
    for name in (PRICE, DAY_AHEAD, WIND_FORECAST):
        np.testing.assert_array_equal(is_known.gather(name, offsets), was_known.gather(name, offsets))
        for about in (time - 1440, time, time + 720):
            day = np.array([about]), np.array([about + 1440])
            np.testing.assert_array_equal(is_known.mean_between(name, *day), was_known.mean_between(name, *day))
            is_seen, was_seen = (known.as_of([time], [about]) for known in (is_known, was_known))
            for count in (50, 400):
                seen = is_seen.trailing_moments(name, count)
                np.testing.assert_array_equal(seen, was_seen.trailing_moments(name, count))


def test_means_and_moments_are_of_known_records_only_as_computed_by_hand() -> None:
    # Three prices of 10, 20, 60 and a gap between the last two. At the end all are known; a quarter-hour earlier two.
    market = build_market(prices([10.0, 20.0, np.nan, 60.0]))
    start, end = np.array([START, START + 15]), np.array([START + 60, START + 60])
    at_end, earlier = START + 60, START + 59
    np.testing.assert_array_equal(market.known_at([at_end, at_end]).mean_between(PRICE, start, end), [30.0, 40.0])
    np.testing.assert_array_equal(market.known_at([earlier, earlier]).mean_between(PRICE, start, end), [15.0, 20.0])
    # Of the last three intervals 20 and 60 are known: mean 40, standard deviation 20.
    moments = market.known_at([at_end, earlier, START]).trailing_moments(PRICE, 3)
    np.testing.assert_array_equal(moments, [[2.0, 2.0, 0.0], [40.0, 15.0, np.nan], [20.0, 5.0, np.nan]])


def test_moments_are_of_the_same_intervals_wherever_the_record_has_ended_so_far() -> None:
    # Live, the record ends with what is published; a finished one goes on with what is not known yet.
    values = (100.0 * np.random.default_rng(1).standard_normal(300)).tolist()
    now = START + 15 * 250
    live = build_market(prices(values[:248])).known_at([now], [now + 15 * 20]).trailing_moments(PRICE, 200)
    finished = build_market(prices(values), publication_delay_min=30)
    np.testing.assert_array_equal(live, finished.known_at([now], [now + 15 * 20]).trailing_moments(PRICE, 200))
    assert live[0, 0] == 248 - 70


def test_long_windows_hold_every_known_record_once_and_do_not_depend_on_what_else_is_asked_or_stored() -> None:
    random = np.random.default_rng(0)
    values = np.where(random.random(700) < 0.1, np.nan, 100.0 * random.standard_normal(700))
    market = build_market(prices(values.tolist()), publication_delay_min=20)
    times = START + 15 * np.arange(250, 701, 7)
    moments = market.known_at(times).trailing_moments(PRICE, 200)
    later = build_market(prices(values[37:].tolist(), START + 15 * 37), publication_delay_min=20)
    np.testing.assert_array_equal(later.known_at(times).trailing_moments(PRICE, 200), moments)
    for time, seen in zip(times, moments.T, strict=True):
        row = (time - START) // 15
        # Twenty minutes late: the two newest of the 200 before are not known yet.
        known = values[row - 200 : row - 2]
        known = known[~np.isnan(known)]
        np.testing.assert_allclose(seen, [len(known), known.mean(), known.std()], rtol=1e-12)
        np.testing.assert_array_equal(market.known_at([time]).trailing_moments(PRICE, 200)[:, 0], seen)


def test_a_known_market_cannot_be_asked_as_of_a_later_time() -> None:
    known = build_market(prices([10.0, 20.0])).known_at([START, START + 15])
    known.as_of([START + 15], [START + 90])
    with pytest.raises(ValueError, match="later than the latest time"):
        known.as_of([START + 16], [START + 90])


def test_a_value_is_not_known_before_it_is_published() -> None:
    series = market_of([50.0, 60.0]).known_series[PRICE]
    published = int(series.available_at[0])
    assert series.known_value(SUMMER_MIDNIGHT, published) == 50.0
    assert series.known_value(SUMMER_MIDNIGHT, published - 1) is None
    assert series.known_value(SUMMER_MIDNIGHT - 15, published) is None
