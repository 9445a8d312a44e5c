"""Day-ahead prices by the quarter-hour read as the means of their hours."""

from __future__ import annotations

import numpy as np

from arbitrage.market.point_in_time import (
    DAY_AHEAD,
    PRICE,
    RESIDUAL,
    KnownMarket,
    PointInTimeSeries,
    hour_means,
    residual,
)

HOUR = 60 * 500_000


def series(values: list[float], first_minute: int = HOUR) -> PointInTimeSeries:
    return PointInTimeSeries(first_minute, np.array(values), np.full(len(values), HOUR - 600))


def test_quarter_hours_take_the_mean_of_their_hour() -> None:
    np.testing.assert_array_equal(
        hour_means(series([10.0, 20.0, 30.0, 60.0, 1.0, 1.0, 2.0, 2.0])).values, [30.0] * 4 + [1.5] * 4
    )


def test_hourly_prices_stay_as_they_are_to_the_last_bit() -> None:
    values = np.repeat(np.random.default_rng(0).normal(60.0, 80.0, 500), 4)
    np.testing.assert_array_equal(hour_means(series(list(values))).values, values)


def test_what_is_absent_stays_absent_and_the_others_of_its_hour_are_averaged() -> None:
    np.testing.assert_array_equal(hour_means(series([10.0, np.nan, 30.0, 20.0])).values, [20.0, np.nan, 20.0, 20.0])


def test_a_series_that_begins_within_an_hour_keeps_to_the_clock() -> None:
    means = hour_means(series([1.0, 3.0, 10.0, 20.0, 30.0, 40.0, 7.0], HOUR + 30)).values
    np.testing.assert_array_equal(means, [2.0, 2.0, 25.0, 25.0, 25.0, 25.0, 7.0])


def test_residuals_are_to_the_means() -> None:
    day_ahead, price = series([10.0, 20.0, 30.0, 60.0]), series([100.0, 90.0, 80.0, 70.0])
    times = np.array([HOUR + 60])
    known_series = {PRICE: price, DAY_AHEAD: day_ahead, RESIDUAL: residual(price, day_ahead)}
    known = KnownMarket(times, times, known_series).with_hour_means()
    np.testing.assert_array_equal(known.gather(RESIDUAL, [-60, -45, -30, -15]), [[70.0, 60.0, 50.0, 40.0]])
    np.testing.assert_array_equal(known.gather(DAY_AHEAD, [-60, -15]), [[30.0, 30.0]])


def test_prices_that_are_not_known_yet_stay_unknown() -> None:
    day_ahead = PointInTimeSeries(HOUR, np.array([1.0, 2.0, 3.0, 4.0]), np.full(4, HOUR - 600))
    times = np.array([HOUR - 601])
    known = KnownMarket(times, np.array([HOUR]), {DAY_AHEAD: day_ahead}).with_hour_means()
    assert np.isnan(known.gather(DAY_AHEAD, [0, 15])).all()
