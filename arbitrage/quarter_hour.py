"""The clock: UTC quarter-hours, minutes within them, and the Brussels day.

Contract: a time is an int64 count of whole minutes since 1970-01-01T00:00Z ("epoch minute") inside, a
timezone-aware UTC timestamp at the borders. It names the START of its interval; ranges are [start, end).
Brussels time serves two purposes only: the day of the cycle budget, and display. Naive times are refused.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.numeric import as_written, is_whole

MINUTES_PER_QUARTER_HOUR = 15
STEPS_MIN = (1, 3, 5, 15)
"""Minutes between decisions that there can be: whole numbers of them make a quarter-hour."""
MINUTES_PER_HOUR = 60
QUARTER_HOUR_H = MINUTES_PER_QUARTER_HOUR / MINUTES_PER_HOUR
BRUSSELS = ZoneInfo("Europe/Brussels")

_PLAIN_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()

EpochMinutes = npt.NDArray[np.int64]
DayNumbers = npt.NDArray[np.int64]


def step_faults(step_min: object, where: str = "step_min") -> list[Fault]:
    """What is wrong with the minutes between decisions: anything but a whole number of `STEPS_MIN`."""
    if is_whole(step_min) and step_min in STEPS_MIN:
        return []
    return [Fault(where, f"must be one of {', '.join(map(str, STEPS_MIN))} minutes, not {as_written(step_min)}")]


def refuse_step(step_min: object) -> None:
    """Raise BadInput unless so many minutes between decisions divide the quarter-hour."""
    refuse(step_faults(step_min))


def epoch_minutes(index: pd.DatetimeIndex) -> EpochMinutes:
    """Timezone-aware timestamps as epoch minutes, shape [n].

    Raises BadInput for naive timestamps and for timestamps that are not on a whole minute.
    """
    if index.tz is None:
        raise BadInput([Fault("timestamps", "have no time zone; give UTC or an explicit offset")])
    microseconds = index.tz_convert("UTC").as_unit("us").asi8
    minutes, rest = np.divmod(microseconds, 60_000_000)
    if np.any(rest):
        first = index[int(np.flatnonzero(rest)[0])]
        raise BadInput([Fault("timestamps", f"{first} is not on a whole minute")])
    return minutes


def epoch_minute(time: dt.datetime | str, where: str = "time") -> int:
    """One time as an epoch minute: an aware datetime, ISO 8601 text with an offset, or a day such as 2022-01-01.

    A day means the midnight at which it begins in Brussels. Raises BadInput, naming `where`, for a time without an
    offset, one that is not on a whole minute, and for what is no time.
    """
    try:
        if isinstance(time, str) and _PLAIN_DAY.fullmatch(time.strip()):
            return brussels_midnight(day_number(dt.date.fromisoformat(time.strip())))
        stamp = pd.Timestamp(time)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput([Fault(where, f"{time!r} is not an ISO 8601 time")]) from error
    if pd.isna(stamp):
        raise BadInput([Fault(where, f"{time!r} is not an ISO 8601 time")])
    if stamp.tz is None:
        remedy = f"add its offset, as in {stamp.isoformat()}+01:00, or give the day alone for midnight in Brussels"
        raise BadInput([Fault(where, f"{time} has no time zone: {remedy}")])
    return int(epoch_minutes(pd.DatetimeIndex([stamp]))[0])


def utc_timestamps(minutes: npt.ArrayLike) -> pd.DatetimeIndex:
    """Epoch minutes [n] as UTC timestamps."""
    seconds = np.asarray(minutes, dtype=np.int64) * 60
    return pd.DatetimeIndex(seconds.astype("datetime64[s]"), tz="UTC")


def brussels_local(minutes: npt.ArrayLike) -> pd.DatetimeIndex:
    """Epoch minutes [n] as Brussels timestamps, for display and for the calendar."""
    return utc_timestamps(minutes).tz_convert(BRUSSELS)


def brussels_day_numbers(minutes: npt.ArrayLike) -> DayNumbers:
    """The Brussels calendar day of each epoch minute [n], counted from 1970-01-01."""
    local = brussels_local(minutes).tz_localize(None).as_unit("s").asi8
    return np.floor_divide(local, 86_400)


def brussels_minutes_of_day(minutes: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Wall-clock minute of the Brussels day (0..1439) of each epoch minute [n]."""
    local = brussels_local(minutes).tz_localize(None).as_unit("s").asi8
    return np.mod(local, 86_400) // 60


def day_number(day: dt.date) -> int:
    """A calendar day counted from 1970-01-01."""
    return day.toordinal() - _EPOCH_DAY


def calendar_day(number: int) -> dt.date:
    """The inverse of `day_number`."""
    return dt.date.fromordinal(number + _EPOCH_DAY)


def brussels_day(day: object, where: str = "day") -> dt.date:
    """The Brussels calendar day that a date, a time or ISO 8601 text means.

    Accepted are `datetime.date`, `datetime.datetime`, `pandas.Timestamp`, `numpy.datetime64` and text. An aware time
    means the Brussels day that it lies in. A time without a zone means its calendar day, and has to be midnight.
    Raises BadInput, naming `where`, for everything else.
    """
    given = _as_date(day)
    if given is None:
        raise BadInput([Fault(where, f"{day!r} is not an ISO 8601 day; give a date such as 2025-03-30")])
    if not isinstance(given, dt.datetime):
        return given
    if given.tzinfo is not None:
        return _brussels_date(given, where)
    if given != dt.datetime.combine(given, dt.time()):
        fault = f"{day} is a time without a zone; give the day alone, or the time with its offset"
        raise BadInput([Fault(where, fault)])
    return given.date()


def _as_date(day: object) -> dt.date | None:
    """The date or time that was given; None if it is neither."""
    if isinstance(day, np.datetime64):
        # A month or a week is no day, and numpy would take the first one of it.
        whole = np.datetime_data(day)[0] not in ("Y", "M", "W", "generic")
        return _as_date(pd.Timestamp(day)) if whole and _fits_a_date(day) else None
    if isinstance(day, str):
        return _read_date(day)
    return day if isinstance(day, dt.date) and not pd.isna(day) else None


def _fits_a_date(day: np.datetime64) -> bool:
    whole = day.astype("datetime64[D]")
    return bool(np.datetime64("0001-01-02") <= whole <= np.datetime64("9999-12-30"))


def _read_date(text: str) -> dt.date | None:
    for read in (dt.date.fromisoformat, dt.datetime.fromisoformat):
        try:
            return read(text)
        except ValueError:
            continue
    return None


def _brussels_date(time: dt.datetime, where: str) -> dt.date:
    try:
        return time.astimezone(BRUSSELS).date()
    except OverflowError as error:
        raise BadInput([Fault(where, f"{time} lies beyond the calendar")]) from error


def brussels_midnight(number: int) -> int:
    """Epoch minute at which the Brussels day of that number begins."""
    midnight = dt.datetime.combine(calendar_day(number), dt.time(), tzinfo=BRUSSELS)
    return int(midnight.timestamp()) // 60


def quarter_hours_in_day(number: int) -> int:
    """Quarter-hours in a Brussels day: 92 when clocks go forward, 100 when they go back, else 96."""
    length = brussels_midnight(number + 1) - brussels_midnight(number)
    return length // MINUTES_PER_QUARTER_HOUR


def days_of_month(day_numbers: DayNumbers, first: int, last: int) -> npt.NDArray[np.bool_]:
    """Which Brussels days [n] fall on day `first` to `last` (both included) of their month."""
    unique, inverse = np.unique(day_numbers, return_inverse=True)
    chosen = np.array([first <= calendar_day(int(number)).day <= last for number in unique], dtype=np.bool_)
    return chosen[inverse] if len(unique) else np.zeros(0, dtype=np.bool_)


def quarter_hour_starts(minutes: npt.ArrayLike) -> EpochMinutes:
    """Start of the quarter-hour that each epoch minute [n] lies in."""
    times = np.asarray(minutes, dtype=np.int64)
    return times - times % MINUTES_PER_QUARTER_HOUR


def quarter_hour_grid(start: int, end: int) -> EpochMinutes:
    """Starts of all quarter-hours in [start, end), both epoch minutes on the quarter-hour."""
    return np.arange(start, end, MINUTES_PER_QUARTER_HOUR, dtype=np.int64)


Amount = TypeVar("Amount", float, npt.NDArray[np.float64])
"""One number, or an array of any shape."""


def energy_mwh(power_mw: Amount, duration_min: int) -> Amount:
    """Energy of a constant power over some minutes."""
    return power_mw * duration_min / MINUTES_PER_HOUR
