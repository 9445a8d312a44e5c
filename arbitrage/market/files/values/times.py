"""Times as they are written in files: a clock time of a day, and beside it perhaps an offset or the name of one.

Contract
- The year stands first (2022-12-31 23:45) or the day does (31/12/2022 23:45, 31-12-2022 23:45, 31.12.2022 23:45:00).
  The month never stands first. A column whose dates make sense only so is refused.
- What stands beside a time goes before the zone that is taken for granted: Z, an offset, UTC, CET, CEST. CET/CEST is
  the time of Brussels.
- An interval is two such times with a dash between them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as compute

from arbitrage.arrays import Flags
from arbitrage.market.files.records import Complaint, Rows, shows
from arbitrage.market.files.values.local_times import EARLIER, LATER, UNKNOWN, Times, possible_utc, to_utc
from arbitrage.quarter_hour import BRUSSELS, MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR

GIVE_ZONE = "give --timezone Europe/Brussels if these are Belgian local times, or times with an offset (Z is UTC)"
_CLOCK = r"[ T]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.0*)?)?"
_MARK = r"\s*(?P<mark>Z|[+-]\d{2}:?\d{2}|[+-]\d{2}|\(?(?:UTC|GMT|CET|CEST|CET/CEST)\)?)?"
_DAY_FIRST = rf"^(?P<day>\d{{1,2}})[-/.](?P<month>\d{{1,2}})[-/.](?P<year>\d{{4}}){_CLOCK}{_MARK}$"
_YEAR_FIRST = rf"^(?P<year>\d{{4}})[-/](?P<month>\d{{1,2}})[-/](?P<day>\d{{1,2}}){_CLOCK}{_MARK}$"
_INTERVAL = r"^(?P<first>.*\S)\s+-\s+(?P<second>\S.*)$"
_OFFSETS_MIN = {"Z": 0, "UTC": 0, "GMT": 0, "CET": 60, "CEST": 120}
_BRUSSELS_MARK = "CET/CEST"
_SPAN = (np.datetime64("1990-01-01"), np.datetime64("2110-01-01"))
"""Local times outside of this are not converted; they are refused later for lying outside of it."""
_NO_TIME = np.datetime64("NaT", "us")

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Written:
    """Cells [n] taken apart."""

    clock: Times
    """What the clock showed; NaT where the cell is no time."""
    mark: npt.NDArray[np.object_]
    """What stands beside it, without brackets; empty if nothing does."""
    month_first: bool
    """Whether the dates make sense with the month first only."""


def written_times(texts: pa.ChunkedArray) -> Written:
    """Take cells [n] apart."""
    clock = np.full(len(texts), _NO_TIME)
    mark = np.full(len(texts), "", dtype=np.object_)
    trimmed = compute.utf8_trim_whitespace(texts)
    month_first = False
    for pattern in (_YEAR_FIRST, _DAY_FIRST):
        fields = compute.extract_regex(trimmed, pattern=pattern).combine_chunks()
        rows = np.flatnonzero(fields.is_valid().to_numpy(zero_copy_only=False))
        if not len(rows):
            continue
        found = fields.take(pa.array(rows))
        year, month, day = (_ints(found, name) for name in ("year", "month", "day"))
        clock[rows] = _moment(year, month, day, _ints(found, "hour"), _ints(found, "minute"), _ints(found, "second"))
        marks = compute.utf8_trim(found.field("mark"), "()")
        mark[rows] = np.asarray(marks.to_numpy(zero_copy_only=False), dtype=np.object_)
        month_first |= pattern == _DAY_FIRST and _month_stands_first(year, month, day)
    return Written(clock, mark, month_first)


def _ints(fields: pa.StructArray, name: str) -> Ints:
    column = fields.field(name)
    filled = compute.if_else(compute.equal(column, ""), "0", column)
    return np.asarray(compute.cast(filled, pa.int64()).to_numpy(), dtype=np.int64)


def _moment(year: Ints, month: Ints, day: Ints, hour: Ints, minute: Ints, second: Ints) -> Times:
    """Times [n], NaT where a field is out of its range."""
    inside = (month >= 1) & (month <= 12) & (day >= 1) & (hour < 24) & (minute < 60) & (second < 60)
    months = (12 * (year - 1970) + np.where(inside, month, 1) - 1).astype("datetime64[M]")
    date = months.astype("datetime64[D]") + (day - 1)
    inside &= date.astype("datetime64[M]") == months
    time = date.astype("datetime64[us]") + (3600 * hour + 60 * minute + second).astype("timedelta64[s]")
    return np.where(inside, time, _NO_TIME)


def _month_stands_first(year: Ints, month: Ints, day: Ints) -> bool:
    """Whether the dates follow each other day by day if month and day change places, and not as they stand."""
    if (day > 12).any() or (month > 12).any():
        return False
    ones = np.zeros_like(year)
    as_read = np.unique(_moment(year, month, day, ones, ones, ones).astype("datetime64[D]"))
    changed = np.unique(_moment(year, day, month, ones, ones, ones).astype("datetime64[D]"))
    a_day = np.timedelta64(1, "D")
    return len(as_read) > 1 and bool((np.diff(changed) == a_day).all() and not (np.diff(as_read) == a_day).any())


def utc_of(written: Written, zone: dt.tzinfo | None, texts: pa.ChunkedArray) -> tuple[Times, list[Complaint]]:
    """UTC times [n] of cells taken apart, NaT where there is none, and what is wrong with those that have no UTC."""
    utc = np.full(len(written.clock), _NO_TIME)
    there = ~np.isnat(written.clock)
    outside = there & ((written.clock < _SPAN[0]) | (written.clock >= _SPAN[1]))
    utc[outside] = written.clock[outside]
    for mark in np.unique(written.mark[there].astype(np.str_)):
        offset_min = _offset_min(mark)
        if offset_min is not None:
            rows = there & (written.mark == mark)
            utc[rows] = written.clock[rows] - np.timedelta64(offset_min, "m")
    bare = there & ~outside & np.isin(written.mark.astype(np.str_), ("", _BRUSSELS_MARK))
    zones = np.where(written.mark == _BRUSSELS_MARK, _BRUSSELS_MARK, "")
    complaints = []
    for mark in np.unique(zones[bare].astype(np.str_)):
        here = BRUSSELS if mark == _BRUSSELS_MARK else zone
        rows = bare & (zones == mark)
        if here is None:
            complaints.append(Complaint(np.flatnonzero(rows), shows(texts, "has no time zone"), GIVE_ZONE))
        else:
            complaints += _localised(written, rows, here, utc, texts)
    return utc, complaints


def _localised(written: Written, rows: Flags, zone: dt.tzinfo, utc: Times, texts: pa.ChunkedArray) -> list[Complaint]:
    """Fill in `utc` at `rows` [n], rows marked CET or CEST helping to see their order; what is wrong with them."""
    told = np.isin(written.mark.astype(np.str_), ("CET", "CEST")) & ~np.isnat(utc)
    numbers = np.flatnonzero(rows | told)
    said = np.full(len(numbers), UNKNOWN, dtype=np.int8)
    said[written.mark[numbers] == "CET"], said[written.mark[numbers] == "CEST"] = LATER, EARLIER
    found, missing, ambiguous = to_utc(written.clock[numbers], zone, said)
    mine = rows[numbers]
    utc[numbers[mine]] = found[mine]
    never = shows(texts, f"does not exist in {zone}: the clock goes forward over it")
    twice = shows(texts, f"occurs twice in {zone}, and the order of the rows does not say which of the two it is")
    return [
        Complaint(numbers[missing[mine[missing]]], never, "give times with an offset"),
        Complaint(numbers[ambiguous[mine[ambiguous]]], twice, "give times with an offset (+02:00, +01:00)"),
    ]


def _offset_min(mark: str) -> int | None:
    """Minutes ahead of UTC that a mark stands for; None for none."""
    if mark in _OFFSETS_MIN:
        return _OFFSETS_MIN[mark]
    if mark[:1] not in ("+", "-"):
        return None
    digits = mark[1:].replace(":", "").ljust(4, "0")
    minutes = 60 * int(digits[:2]) + int(digits[2:])
    return -minutes if mark[0] == "-" else minutes


def split_intervals(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Beginnings and ends of cells [n] such as `01.01.2022 00:00 - 01.01.2022 01:00`; null where a cell is none."""
    fields = compute.extract_regex(texts, pattern=_INTERVAL).combine_chunks()
    first, second = (pa.chunked_array([fields.field(name)]) for name in ("first", "second"))
    empty = fields.is_null()
    return tuple(compute.if_else(empty, pa.scalar(None, pa.string()), part) for part in (first, second))


def interval_minutes(start_utc: Times, start: Written, end: Written, zone: dt.tzinfo | None) -> Ints:
    """Minutes [n] from the beginning to the end of intervals that are an hour or a quarter of one; 0 for any other.

    Over a change of the clock either the moments or what the clock showed is an hour or a quarter of it.
    """
    shown = end.clock - start.clock
    candidates = [shown, *(moment - start_utc for moment in _possible_ends(end, zone))]
    minutes = np.zeros(len(start_utc), dtype=np.int64)
    for allowed in (MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR):
        for candidate in candidates:
            minutes[candidate == np.timedelta64(allowed, "m")] = allowed
    return minutes


def _possible_ends(end: Written, zone: dt.tzinfo | None) -> tuple[Times, Times]:
    """Both moments [n] that each end may be, by its mark or the zone."""
    rows: Rows = np.flatnonzero(~np.isnat(end.clock) & (end.clock >= _SPAN[0]) & (end.clock < _SPAN[1]))
    moments = np.full((2, len(end.clock)), _NO_TIME)
    if zone is not None:
        moments[:, rows] = possible_utc(end.clock[rows], zone)
    for row in rows:
        offset_min = _offset_min(str(end.mark[row]))
        if offset_min is not None:
            moments[:, row] = end.clock[row] - np.timedelta64(offset_min, "m")
    return moments[0], moments[1]
