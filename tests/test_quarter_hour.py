"""The clock: days of 92, 96 and 100 quarter-hours, refusals, and the calendar of Brussels."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.errors import BadInput
from arbitrage.quarter_hour import (
    BRUSSELS,
    brussels_day,
    brussels_day_numbers,
    brussels_local,
    brussels_midnight,
    brussels_minutes_of_day,
    calendar_day,
    day_number,
    days_of_month,
    energy_mwh,
    epoch_minute,
    epoch_minutes,
    quarter_hour_grid,
    quarter_hours_in_day,
    refuse_step,
    utc_timestamps,
)
from tests.examples import examples


@pytest.mark.parametrize(
    ("day", "midnight_utc", "count"),
    [
        ("2024-03-30", "2024-03-29T23:00Z", 96),
        ("2024-03-31", "2024-03-30T23:00Z", 92),  # Winter time at midnight, summer time at the end.
        ("2024-04-01", "2024-03-31T22:00Z", 96),
        ("2024-10-26", "2024-10-25T22:00Z", 96),
        ("2024-10-27", "2024-10-26T22:00Z", 100),  # The other way round.
        ("2024-10-28", "2024-10-27T23:00Z", 96),
    ],
)
def test_a_brussels_day_begins_at_its_own_midnight_and_has_92_96_or_100_quarter_hours(
    day: str, midnight_utc: str, count: int
) -> None:
    number = day_number(dt.date.fromisoformat(day))
    assert brussels_midnight(number) == epoch_minute(midnight_utc)
    assert quarter_hours_in_day(number) == count
    grid = quarter_hour_grid(brussels_midnight(number), brussels_midnight(number + 1))
    assert len(grid) == count
    assert set(brussels_day_numbers(grid).tolist()) == {number}
    assert brussels_day_numbers([grid[0] - 1, grid[-1] + 15]).tolist() == [number - 1, number + 1]


def test_the_wall_clock_skips_an_hour_in_spring_and_repeats_one_in_autumn() -> None:
    spring = quarter_hour_grid(epoch_minute("2024-03-31T01:45+01:00"), epoch_minute("2024-03-31T03:15+02:00"))
    assert brussels_minutes_of_day(spring).tolist() == [105, 180]
    autumn = quarter_hour_grid(epoch_minute("2024-10-27T02:45+02:00"), epoch_minute("2024-10-27T02:15+01:00"))
    assert brussels_minutes_of_day(autumn).tolist() == [165, 120]
    assert [time.isoformat() for time in brussels_local(autumn)] == [
        "2024-10-27T02:45:00+02:00",
        "2024-10-27T02:00:00+01:00",
    ]


def test_an_epoch_minute_counts_from_1970_in_utc_whatever_the_offset() -> None:
    # 1970-01-02 01:30 at +01:00 is 00:30 UTC on the second day: 1440 + 30.
    assert epoch_minute("1970-01-02T01:30+01:00") == 1470
    assert epoch_minute(dt.datetime(1970, 1, 2, 0, 30, tzinfo=dt.UTC)) == 1470
    assert [time.isoformat() for time in utc_timestamps([1470])] == ["1970-01-02T00:30:00+00:00"]


@pytest.mark.parametrize("naive", ["2024-07-01T00:00", dt.datetime(2024, 7, 1)])
def test_a_naive_time_is_refused(naive: str | dt.datetime) -> None:
    with pytest.raises(BadInput, match="has no time zone: add its offset, as in 2024-07-01T00:00:00"):
        epoch_minute(naive)


@pytest.mark.parametrize(
    ("day", "midnight"),
    [
        ("2022-01-01", "2021-12-31T23:00Z"),
        ("2022-07-01", "2022-06-30T22:00Z"),
        ("2024-03-31", "2024-03-30T23:00Z"),  # the clocks go forward on this day
        ("2024-04-01", "2024-03-31T22:00Z"),
        ("2024-10-27", "2024-10-26T22:00Z"),  # and back on this one
        (" 2024-10-28 ", "2024-10-27T23:00Z"),
    ],
)
def test_a_day_alone_is_the_midnight_at_which_it_begins_in_brussels(day: str, midnight: str) -> None:
    assert epoch_minute(day) == epoch_minute(midnight)


@pytest.mark.parametrize("text", ["2022-02-30", "2022-13-01", "NaT"])
def test_a_day_that_is_none_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(BadInput, match=f"start: '{text}' is not an ISO 8601 time"):
        epoch_minute(text, "start")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_naive_timestamps_are_refused_and_aware_ones_read_in_every_resolution(
    unit: Literal["s", "ms", "us", "ns"],
) -> None:
    naive = pd.DatetimeIndex(["2024-07-01T00:00", "2024-07-01T00:15"]).as_unit(unit)
    with pytest.raises(BadInput, match="have no time zone"):
        epoch_minutes(naive)
    expected = epoch_minute("2024-07-01T00:00Z")
    assert epoch_minutes(naive.tz_localize("UTC")).tolist() == [expected, expected + 15]


@pytest.mark.parametrize("text", ["2024-07-01T00:00:30Z", "2024-07-01T00:00:00.000001Z"])
def test_a_time_off_the_minute_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadInput, match=r"2024-07-01 00:00:.* is not on a whole minute"):
        epoch_minute(text)


@pytest.mark.parametrize("time", ["tomorrow-ish", "", [], {}, True])
def test_what_is_not_a_time_is_refused(time: Any) -> None:
    with pytest.raises(BadInput, match=r"time: .* is not an ISO 8601 time|has no time zone"):
        epoch_minute(time)


def test_days_of_the_month_are_chosen_with_both_ends_and_to_the_end_of_short_months() -> None:
    dates = ["2024-02-25", "2024-02-26", "2024-02-29", "2024-03-01", "2024-03-31", "2024-02-26"]
    numbers = np.array([day_number(dt.date.fromisoformat(date)) for date in dates])
    assert days_of_month(numbers, 26, 31).tolist() == [False, True, True, False, True, True]
    assert days_of_month(numbers, 1, 25).tolist() == [True, False, False, True, False, False]
    assert days_of_month(numbers[:0], 1, 31).tolist() == []


def test_energy_is_power_times_hours() -> None:
    assert energy_mwh(2.0, 15) == 0.5
    assert energy_mwh(-3.0, 1) == pytest.approx(-0.05, abs=1e-15)


@examples(50)
@given(number=st.integers(day_number(dt.date(1980, 1, 1)), day_number(dt.date(2037, 12, 31))))
def test_every_minute_lies_in_the_day_whose_midnight_came_last(number: int) -> None:
    start, end = brussels_midnight(number), brussels_midnight(number + 1)
    assert (end - start) // 15 in (92, 96, 100)
    assert brussels_day_numbers([start, end - 1]).tolist() == [number, number]
    assert brussels_minutes_of_day([start, end - 1]).tolist() == [0, 1439]
    assert day_number(calendar_day(number)) == number


@pytest.mark.parametrize("step_min", [1, 3, 5, 15, np.int64(5), np.uint8(15)])
def test_a_step_that_divides_the_quarter_hour_is_accepted(step_min: int) -> None:
    refuse_step(step_min)


@pytest.mark.parametrize(
    "step_min",
    [0, -1, -15, 2, 7, 10, 30, 60, 15.0, 5.5, np.float64(15), math.nan, math.inf, True, "15", None, [15], 15j],
)
def test_any_other_step_is_refused_by_name(step_min: object) -> None:
    with pytest.raises(BadInput, match="step_min: must be one of 1, 3, 5, 15 minutes, not"):
        refuse_step(step_min)


THE_30TH = dt.date(2025, 3, 30)
"""A day of 23 hours."""


@pytest.mark.parametrize(
    "day",
    [
        THE_30TH,
        dt.datetime(2025, 3, 30),
        dt.datetime(2025, 3, 30, 0, 0, tzinfo=BRUSSELS),
        dt.datetime(2025, 3, 30, 23, 59, tzinfo=BRUSSELS),
        dt.datetime(2025, 3, 29, 23, 0, tzinfo=dt.UTC),
        dt.datetime(2025, 3, 30, 21, 59, tzinfo=dt.UTC),
        pd.Timestamp("2025-03-30"),
        pd.Timestamp("2025-03-29T23:00Z"),
        pd.Timestamp("2025-03-30T12:00", tz="Europe/Brussels"),
        np.datetime64("2025-03-30"),
        np.datetime64("2025-03-30T00:00"),
        np.datetime64("2025-03-30T00:00:00.000000000"),
        "2025-03-30",
        np.str_("2025-03-30"),
        "2025-03-30T00:00",
        "2025-03-29T23:00Z",
        "2025-03-30T23:59+02:00",
    ],
)
def test_a_day_of_any_type_is_the_brussels_day(day: object) -> None:
    found = brussels_day(day)
    assert found == THE_30TH
    assert type(found) is dt.date


@pytest.mark.parametrize(
    "day",
    [
        dt.datetime(2025, 3, 30, 23, 0),
        pd.Timestamp("2025-03-30T00:00:00.000000001"),
        np.datetime64("2025-03-30T23:00"),
        np.datetime64("2025-03-30T00:00:00.000000001"),
        "2025-03-30T12:00",
    ],
)
def test_a_time_without_a_zone_is_no_day(day: object) -> None:
    with pytest.raises(BadInput, match=r"asked: .* is a time without a zone; give the day alone"):
        brussels_day(day, "asked")


@pytest.mark.parametrize(
    "day",
    [
        np.datetime64("2025-03"),
        np.datetime64("2025"),
        np.datetime64("2025-03-27", "W"),
        np.datetime64("NaT"),
        np.datetime64(2**60, "D"),
        np.datetime64(-(2**62), "s"),
        np.datetime64("20250-01-01"),
        pd.NaT,
        None,
        20177,
        20250330,
        np.int64(20177),
        20177.0,
        math.nan,
        True,
        b"2025-03-30",
        "",
        "soon",
        "30/03/2025",
        "2025-03-32",
        [THE_30TH],
        np.array("2025-03-30", dtype="datetime64[D]"),
        dt.time(),
        pd.Period("2025-03-30"),
    ],
)
def test_what_is_not_a_day_is_refused_by_name(day: object) -> None:
    with pytest.raises(BadInput, match=r"asked: .* is not an ISO 8601 day"):
        brussels_day(day, "asked")


def test_a_time_beyond_the_calendar_is_refused() -> None:
    for time in (dt.datetime.max, dt.datetime.min):
        offset = dt.timezone(dt.timedelta(hours=-14 if time.year > 1 else 14))
        with pytest.raises(BadInput, match=r"asked: .* lies beyond the calendar"):
            brussels_day(time.replace(tzinfo=offset), "asked")
