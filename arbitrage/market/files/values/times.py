"""Times as written in files: a date and a clock time, optionally with an offset or a zone abbreviation.

Contract
- The year comes first (2022-12-31 23:45) or the day does (31/12/2022 23:45, 31-12-2022 23:45, 31.12.2022 23:45:00).
  The month never comes first. A column whose dates are consecutive only with the month first is refused.
- An offset or abbreviation beside a time (Z, UTC, CET, CEST, +01:00) takes precedence over the zone given by the user.
  CET/CEST means Brussels time.
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
from arbitrage.market.files.records import CellFaults, Rows, shows
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
"""Local times outside this range are not converted; a later check refuses them."""
_NO_TIME = np.datetime64("NaT", "us")

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ParsedTimes:
    """Parsed cells [n]."""

    clock: Times
    """The local clock time; NaT where the cell is not a time."""
    mark: npt.NDArray[np.object_]
    """The offset or abbreviation beside it, without brackets; empty if there is none."""
    month_first: bool
    """Whether the dates are consecutive only with the month first."""


def parse_times(texts: pa.ChunkedArray) -> ParsedTimes:
    """Parse cells [n] of text."""
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
    return ParsedTimes(clock, mark, month_first)


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
    """Whether the dates are consecutive with month and day exchanged, and not as written."""
    if (day > 12).any() or (month > 12).any():
        return False
    ones = np.zeros_like(year)
    as_read = np.unique(_moment(year, month, day, ones, ones, ones).astype("datetime64[D]"))
    changed = np.unique(_moment(year, day, month, ones, ones, ones).astype("datetime64[D]"))
    a_day = np.timedelta64(1, "D")
    return len(as_read) > 1 and bool((np.diff(changed) == a_day).all() and not (np.diff(as_read) == a_day).any())


def utc_of(parsed: ParsedTimes, zone: dt.tzinfo | None, texts: pa.ChunkedArray) -> tuple[Times, list[CellFaults]]:
    """UTC times [n] of parsed cells, NaT where there is none, and the faults of cells without a UTC time."""
    utc = np.full(len(parsed.clock), _NO_TIME)
    there = ~np.isnat(parsed.clock)
    outside = there & ((parsed.clock < _SPAN[0]) | (parsed.clock >= _SPAN[1]))
    utc[outside] = parsed.clock[outside]
    for mark in np.unique(parsed.mark[there].astype(np.str_)):
        offset_min = _offset_min(mark)
        if offset_min is not None:
            rows = there & (parsed.mark == mark)
            utc[rows] = parsed.clock[rows] - np.timedelta64(offset_min, "m")
    bare = there & ~outside & np.isin(parsed.mark.astype(np.str_), ("", _BRUSSELS_MARK))
    zones = np.where(parsed.mark == _BRUSSELS_MARK, _BRUSSELS_MARK, "")
    cell_faults = []
    for mark in np.unique(zones[bare].astype(np.str_)):
        here = BRUSSELS if mark == _BRUSSELS_MARK else zone
        rows = bare & (zones == mark)
        if here is None:
            cell_faults.append(CellFaults(np.flatnonzero(rows), shows(texts, "has no time zone"), GIVE_ZONE))
        else:
            cell_faults += _localised(parsed, rows, here, utc, texts)
    return utc, cell_faults


def _localised(
    parsed: ParsedTimes, rows: Flags, zone: dt.tzinfo, utc: Times, texts: pa.ChunkedArray
) -> list[CellFaults]:
    """Fill in `utc` at `rows` [n] and return their faults; rows marked CET or CEST help to find the order."""
    marked = np.isin(parsed.mark.astype(np.str_), ("CET", "CEST")) & ~np.isnat(utc)
    numbers = np.flatnonzero(rows | marked)
    stated = np.full(len(numbers), UNKNOWN, dtype=np.int8)
    stated[parsed.mark[numbers] == "CET"], stated[parsed.mark[numbers] == "CEST"] = LATER, EARLIER
    found, missing, ambiguous = to_utc(parsed.clock[numbers], zone, stated)
    mine = rows[numbers]
    utc[numbers[mine]] = found[mine]
    never = shows(texts, f"does not exist in {zone}: the clock skips it when summer time begins")
    twice = shows(texts, f"occurs twice in {zone}, and the order of the rows does not show which of the two is meant")
    return [
        CellFaults(numbers[missing[mine[missing]]], never, "give times with an offset"),
        CellFaults(numbers[ambiguous[mine[ambiguous]]], twice, "give times with an offset (+02:00, +01:00)"),
    ]


def _offset_min(mark: str) -> int | None:
    """Minutes ahead of UTC for an offset or abbreviation; None for other text."""
    if mark in _OFFSETS_MIN:
        return _OFFSETS_MIN[mark]
    if mark[:1] not in ("+", "-"):
        return None
    digits = mark[1:].replace(":", "").ljust(4, "0")
    minutes = 60 * int(digits[:2]) + int(digits[2:])
    return -minutes if mark[0] == "-" else minutes


def split_intervals(texts: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Starts and ends of cells [n] such as `01.01.2022 00:00 - 01.01.2022 01:00`; null for other cells."""
    fields = compute.extract_regex(texts, pattern=_INTERVAL).combine_chunks()
    first, second = (pa.chunked_array([fields.field(name)]) for name in ("first", "second"))
    empty = fields.is_null()
    return tuple(compute.if_else(empty, pa.scalar(None, pa.string()), part) for part in (first, second))


def interval_minutes(start_utc: Times, start: ParsedTimes, end: ParsedTimes, zone: dt.tzinfo | None) -> Ints:
    """Minutes [n] of intervals of an hour or a quarter-hour; 0 for any other duration.

    At a clock change, the duration may be correct in UTC or in local clock time; either is accepted.
    """
    shown = end.clock - start.clock
    candidates = [shown, *(moment - start_utc for moment in _possible_ends(end, zone))]
    minutes = np.zeros(len(start_utc), dtype=np.int64)
    for allowed in (MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR):
        for candidate in candidates:
            minutes[candidate == np.timedelta64(allowed, "m")] = allowed
    return minutes


def _possible_ends(end: ParsedTimes, zone: dt.tzinfo | None) -> tuple[Times, Times]:
    """Both UTC times [n] that each end may have, by its mark or the zone."""
    rows: Rows = np.flatnonzero(~np.isnat(end.clock) & (end.clock >= _SPAN[0]) & (end.clock < _SPAN[1]))
    moments = np.full((2, len(end.clock)), _NO_TIME)
    if zone is not None:
        moments[:, rows] = possible_utc(end.clock[rows], zone)
    for row in rows:
        offset_min = _offset_min(str(end.mark[row]))
        if offset_min is not None:
            moments[:, row] = end.clock[row] - np.timedelta64(offset_min, "m")
    return moments[0], moments[1]
