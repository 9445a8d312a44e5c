"""A parsed market file: cells that are not interpreted yet, and the place of each row.

Contract
- Every row keeps its place: the physical line of a CSV, the number of a JSON record or of a Parquet row (from 1).
  Faults of a row are reported with that place.
- Few faults of one kind are listed one by one. Many are combined into one fault at the first place, with their number,
  some of their places and one remedy, because a file of a year has 35,040 rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from arbitrage.errors import Fault

FAULTS_LISTED = 3
"""Most faults of one kind that are listed one by one; more are combined into one fault with as many places."""
_LONGEST_CELL = 60

Places = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Describe = Callable[[int], str]
"""Describes the fault of the cell or row with that number."""


@dataclass(frozen=True, slots=True)
class CellFaults:
    """One kind of fault, with the rows of a column that have it."""

    rows: Rows
    what: Describe
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Records:
    """A file as columns of cells."""

    path: str
    names: tuple[str, ...]
    columns: tuple[pa.ChunkedArray, ...]
    """One Arrow column for each name: strings for CSV and JSON, the stored type for Parquet; null where empty."""
    places: Places
    """Shape [rows]; the place of each row in the file."""
    place_word: str
    """What `places` counts: line, record or row."""
    faults: tuple[Fault, ...] = ()
    """Faults of rows that could not be parsed."""
    header_line: int | None = None
    """Line of the column names; None for formats without lines."""
    records_left_out: int = 0
    """Records that the response of a service announces but does not contain."""

    def take(self, keep: npt.NDArray[np.bool_]) -> Records:
        """The rows for which `keep` [rows] is true."""
        if keep.all():
            return self
        columns = tuple(column.filter(pa.array(keep)) for column in self.columns)
        return dataclasses.replace(self, columns=columns, places=self.places[keep])

    def faults_at(self, rows: Rows, describe: Describe, remedy: str = "") -> list[Fault]:
        """Faults of one kind in some rows; `describe(row)` describes one of them."""
        places = self.places[rows]
        return list_faults(self.path, self.place_word, places, lambda number: describe(int(rows[number])), remedy)


def list_faults(path: str, place_word: str, places: Places, describe: Describe, remedy: str = "") -> list[Fault]:
    """Faults of one kind at `places` [n], one by one or combined into one; `describe` takes 0..n-1."""
    ending = f": {remedy}" if remedy else ""
    if len(places) <= FAULTS_LISTED:
        return [fault_at(path, place_word, int(place), describe(n) + ending) for n, place in enumerate(places)]
    first = int(np.argmin(places))
    shown = ", ".join(str(place) for place in np.sort(places)[:FAULTS_LISTED])
    combined = f"{describe(first)}; the same in {len(places):,} {place_word}s ({shown} ... {places.max()}){ending}"
    return [fault_at(path, place_word, int(places[first]), combined)]


def fault_at(path: str, place_word: str, place: int, message: str) -> Fault:
    """A fault with its place: as the line of the fault for text, otherwise in the message."""
    return Fault(path, message, place) if place_word == "line" else Fault(path, f"{place_word} {place}: {message}")


def shows(texts: pa.ChunkedArray, what: str) -> Describe:
    """Describes a row by its cell in quotes, followed by `what`."""
    return lambda row: f"{quoted(str(texts[row].as_py()))} {what}"


def quoted(text: str) -> str:
    """A cell or name for messages: in quotes, control characters escaped, the middle of a long text left out."""
    shown = text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL // 2]}...{text[-_LONGEST_CELL // 4 :]}"
    return repr(shown)
