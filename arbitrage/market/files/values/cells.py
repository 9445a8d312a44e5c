"""Converting cells to numbers, times and statuses, and reporting the cells that cannot be converted.

Contract
- A column is converted as a whole. If that fails, it is converted cell by cell with the same conversion, so that both
  ways accept the same cells.
- An empty cell is an absent value (NaN, NaT); the caller decides whether it is allowed.
- A time has an explicit offset (or Z, or a time zone in Parquet), or the caller gives the time zone of times without
  one. A time without either is refused, never guessed.
"""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as compute

from arbitrage.arrays import Floats
from arbitrage.market.files.reading import Decimal
from arbitrage.market.files.records import CellFaults, Rows, shows
from arbitrage.market.files.schemas import RecordQuality, quality_of
from arbitrage.market.files.values.local_times import Times
from arbitrage.market.files.values.numbers import with_point
from arbitrage.market.files.values.times import ParsedTimes, interval_minutes, parse_times, split_intervals, utc_of

Minutes = npt.NDArray[np.int64]

_TIME = pa.timestamp("us", tz="UTC")
_DECIMAL_COMMA = r"^\s*[+-]?\d+,\d+\s*$"


def numbers(column: pa.ChunkedArray, decimal: Decimal = Decimal.POINT) -> tuple[Floats, list[CellFaults]]:
    """A column [n] as floats, NaN where empty or invalid, and the faults of invalid cells. `decimal`: not AUTO."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _floats(column.cast(pa.float64(), safe=False)), []
    column = as_strings(column)
    if decimal is Decimal.POINT:
        try:
            return _floats(compute.cast(column, pa.float64())), []
        except pa.ArrowInvalid:
            pass
    plain, no_numbers = with_point(column, decimal)
    values, bad = _converted(plain, pa.float64())
    return _floats(values), _bad_numbers(column, np.union1d(no_numbers, bad), decimal)


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _bad_numbers(texts: pa.ChunkedArray, rows: Rows, decimal: Decimal) -> list[CellFaults]:
    with_comma = [decimal is Decimal.POINT and bool(re.match(_DECIMAL_COMMA, str(texts[row].as_py()))) for row in rows]
    comma = np.array(with_comma, dtype=np.bool_)
    says = shows(texts, "is not a number")
    instead = "" if decimal is Decimal.POINT else "the decimal sign is a comma"
    remedy = "the decimal sign is a point; give --decimal , if it is a comma here"
    return [CellFaults(rows[~comma], says, instead), CellFaults(rows[comma], says, remedy)]


def times(column: pa.ChunkedArray, zone: dt.tzinfo | None = None) -> tuple[Times, list[CellFaults]]:
    """A column [n] as UTC times (datetime64[us]), NaT where empty or invalid, and the faults of invalid cells.

    zone: of times without an offset; None: such times are invalid.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return _stamps(column.cast(_TIME, safe=False)), []
    texts = as_strings(column)
    try:
        return _stamps(compute.cast(texts, _TIME)), []
    except pa.ArrowInvalid:
        parsed = parse_times(texts)
    utc, cell_faults = utc_of(parsed, zone, texts)
    return utc, [*cell_faults, *_other_times(texts, parsed, utc), *_month_first(parsed)]


def intervals(column: pa.ChunkedArray, zone: dt.tzinfo | None) -> tuple[Times, Minutes, list[CellFaults]]:
    """A column [n] of intervals as UTC starts and minutes, NaT and 0 where invalid, and the faults of invalid cells."""
    texts = as_strings(column)
    first, second = split_intervals(texts)
    start, end = parse_times(first), parse_times(second)
    of_both = (start.mark == "") & np.isin(end.mark.astype(np.str_), ("UTC", "CET/CEST"))
    start.mark[of_both] = end.mark[of_both]
    no_interval = np.flatnonzero(np.isnat(start.clock) | np.isnat(end.clock))
    utc, cell_faults = utc_of(start, zone, texts)
    minutes = interval_minutes(utc, start, end, zone)
    odd = np.flatnonzero(~np.isnat(utc) & ~np.isnat(end.clock) & (minutes == 0))
    utc[no_interval] = np.datetime64("NaT")
    filled = ~texts.is_null().to_numpy()
    cell_faults.append(CellFaults(no_interval[filled[no_interval]], shows(texts, "is not an interval of two times")))
    cell_faults.append(CellFaults(odd, shows(texts, "is neither an hour nor a quarter-hour")))
    return utc, minutes, cell_faults


def texts(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """A column [n] as strings, None where empty."""
    return np.asarray(as_strings(column).to_numpy(zero_copy_only=False), dtype=np.object_)


def qualities(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """A column [n] of statuses as positions in `RecordQuality`."""
    encoded = as_strings(column).combine_chunks().dictionary_encode(null_encoding="encode")
    order = list(RecordQuality)
    positions = np.array([order.index(quality_of(status)) for status in encoded.dictionary.to_pylist()], dtype=np.int64)
    codes: npt.NDArray[np.int64] = positions[encoded.indices.to_numpy()]
    return codes


def _none() -> Rows:
    return np.zeros(0, dtype=np.intp)


def _stamps(column: pa.ChunkedArray) -> Times:
    return np.asarray(column.cast(pa.timestamp("us")).to_numpy()).astype("datetime64[us]")


def _other_times(texts: pa.ChunkedArray, parsed: ParsedTimes, utc: Times) -> list[CellFaults]:
    """Fill in `utc` [n] where only the library can parse a cell; return the faults of the other cells."""
    rows = np.flatnonzero(np.isnat(parsed.clock) & ~texts.is_null().to_numpy())
    values, bad = _converted(texts.take(pa.array(rows)), _TIME)
    utc[rows] = _stamps(values)
    return [CellFaults(rows[bad], shows(texts, "is not an ISO 8601 time with an offset"))]


def _month_first(parsed: ParsedTimes) -> list[CellFaults]:
    if not parsed.month_first:
        return []
    first = np.flatnonzero(~np.isnat(parsed.clock))[:1]
    remedy = "give them as day/month/year or year-month-day"
    return [CellFaults(first, lambda _: "dates are consecutive only if the month stands before the day", remedy)]


def as_strings(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as strings; values of other types in the notation of Python."""
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_large_string(column.type):
        return column.cast(pa.string())
    try:
        shown = [None if value is None else str(value) for value in column.to_pylist()]
    except (pa.ArrowException, OverflowError, ValueError):  # values without a Python type
        shown = [f"a value of type {column.type}" if valid else None for valid in column.is_valid().to_pylist()]
    return pa.chunked_array([pa.array(shown, pa.string())])


def _converted(column: pa.ChunkedArray, to: pa.DataType) -> tuple[pa.ChunkedArray, Rows]:
    """A column of strings as another type, and the rows that cannot be converted (null in the result)."""
    try:
        return compute.cast(column, to), _none()
    except pa.ArrowInvalid:
        cells = [_converted_cell(text, to) for text in column.to_pylist()]
    bad = np.array([row for row, (_, fine) in enumerate(cells) if not fine], dtype=np.intp)
    return pa.chunked_array([pa.array([value for value, _ in cells], to)], to), bad


def _converted_cell(text: str | None, to: pa.DataType) -> tuple[object, bool]:
    """One cell, stripped and converted, and whether it could be converted."""
    if text is None or not text.strip():
        return None, True
    try:
        return pa.scalar(text.strip(), pa.string()).cast(to), True
    except pa.ArrowInvalid:
        return None, False
