"""Cells to numbers, times and statuses, and what is wrong with those that are none.

Law
- A whole column is converted at once. Only where that fails is it gone through cell by cell, by the same conversion,
  so that both ways accept the same.
- An empty cell is an absent value here (NaN, NaT); whether that may be is for the caller to say.
- A time has an explicit offset (or Z, or a time zone in Parquet). One without is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as compute

from arbitrage.market.dialects import Quality, quality_of
from arbitrage.market.records import Rows

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.datetime64]
Complaint = Callable[[int], str]
"""What is wrong with the cell in a row."""

_TIME = pa.timestamp("us", tz="UTC")
_CLOCK_TIME = re.compile(r"\d{1,2}:\d{2}")
_OFFSET = re.compile(r"\d(Z|[+-]\d{2}(:?\d{2})?)$")


def numbers(column: pa.ChunkedArray) -> tuple[Floats, Rows, Complaint]:
    """A column [n] as floats, NaN where empty or bad, with the bad rows and what to say of them."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values, bad = column.cast(pa.float64()), _none()
    else:
        column = _texts(column)
        values, bad = _converted(column, pa.float64())
    return values.to_numpy().astype(np.float64), bad, lambda row: _not_a_number(str(column[row].as_py()))


def times(column: pa.ChunkedArray) -> tuple[Times, Rows, Complaint]:
    """A column [n] as UTC times (datetime64[us]), NaT where empty or bad, with the bad rows and what to say."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        values, bad = column.cast(_TIME, safe=False), _none()
    else:
        column = _texts(column)
        values, bad = _converted(column, _TIME)
    utc = values.cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]")
    return utc, bad, lambda row: _not_a_time(str(column[row].as_py()))


def texts(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """A column [n] as strings, None where empty."""
    return np.asarray(_texts(column).to_numpy(zero_copy_only=False), dtype=np.object_)


def qualities(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """A column [n] of statuses as positions in `Quality`."""
    encoded = _texts(column).combine_chunks().dictionary_encode(null_encoding="encode")
    order = list(Quality)
    positions = np.array([order.index(quality_of(status)) for status in encoded.dictionary.to_pylist()], dtype=np.int64)
    codes: npt.NDArray[np.int64] = positions[encoded.indices.to_numpy()]
    return codes


def _none() -> Rows:
    return np.zeros(0, dtype=np.intp)


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as strings; values of types that are neither text, numbers nor aware times are shown as Python does."""
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_dictionary(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.string())
    shown = [None if value is None else str(value) for value in column.to_pylist()]
    return pa.chunked_array([pa.array(shown, pa.string())])


def _converted(column: pa.ChunkedArray, to: pa.DataType) -> tuple[pa.ChunkedArray, Rows]:
    """A column of strings as another type, and the rows that cannot be (null in the result)."""
    try:
        return compute.cast(column, to), _none()
    except pa.ArrowInvalid:
        cells = [_converted_cell(text, to) for text in column.to_pylist()]
    bad = np.array([row for row, (_, fine) in enumerate(cells) if not fine], dtype=np.intp)
    return pa.chunked_array([pa.array([value for value, _ in cells], to)], to), bad


def _converted_cell(text: str | None, to: pa.DataType) -> tuple[object, bool]:
    """One cell without the blanks around it, and whether it could be converted."""
    if text is None or not text.strip():
        return None, True
    try:
        return pa.scalar(text.strip(), pa.string()).cast(to), True
    except pa.ArrowInvalid:
        return None, False


def _not_a_number(text: str) -> str:
    if re.fullmatch(r"\s*[+-]?\d+,\d+\s*", text):
        return f"{text!r} is not a number: the decimal sign is a point"
    return f"{text!r} is not a number"


def _not_a_time(text: str) -> str:
    if _CLOCK_TIME.search(text) and not _OFFSET.search(text.strip()):
        return f"{text!r} has no time zone: give UTC (Z) or an explicit offset, local time alone is ambiguous"
    return f"{text!r} is not an ISO 8601 time with an offset"
