"""A market file taken apart into cells that nothing has interpreted yet, each row knowing where it stands.

Contract
- Every row keeps its place: the physical line of a CSV, the number of a JSON record or of a Parquet row (from 1).
  Whatever is found wrong with a row later is reported with that place.
- Faults of one kind are listed one by one where there are few. Many are one fault, which stands at the first of them
  and gives their count, some of their places and one remedy: a file of a year has 35,040 rows.
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
"""Faults of one kind that are listed one by one; more of them are folded into one, which names as many places."""
_LONGEST_CELL = 60

Places = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Describe = Callable[[int], str]
"""What is wrong with the cell or row of that number."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One kind of fault of some rows of a column."""

    rows: Rows
    what: Describe
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Records:
    """A file as columns of cells."""

    path: str
    names: tuple[str, ...]
    columns: tuple[pa.ChunkedArray, ...]
    """One Arrow column a name: strings for CSV and JSON, whatever was stored for Parquet; null where empty."""
    places: Places
    """Shape [rows]; where each row stands in the file."""
    place_word: str
    """What `places` counts: line, record or row."""
    faults: tuple[Fault, ...] = ()
    """What is wrong with rows that could not be taken apart."""
    header_line: int | None = None
    """Line of the column names, where lines mean something."""
    records_left_out: int = 0
    """Records that the answer of a service announces but does not hold."""

    def take(self, keep: npt.NDArray[np.bool_]) -> Records:
        """The rows [rows] that are to be kept."""
        if keep.all():
            return self
        columns = tuple(column.filter(pa.array(keep)) for column in self.columns)
        return dataclasses.replace(self, columns=columns, places=self.places[keep])

    def faults_at(self, rows: Rows, describe: Describe, remedy: str = "") -> list[Fault]:
        """Faults of one kind in some rows, `describe(row)` saying what is wrong with one."""
        places = self.places[rows]
        return list_faults(self.path, self.place_word, places, lambda number: describe(int(rows[number])), remedy)


def list_faults(path: str, place_word: str, places: Places, describe: Describe, remedy: str = "") -> list[Fault]:
    """Faults of one kind at `places` [n], one by one or folded into one; `describe` takes 0..n-1."""
    ending = f": {remedy}" if remedy else ""
    if len(places) <= FAULTS_LISTED:
        return [fault_at(path, place_word, int(place), describe(n) + ending) for n, place in enumerate(places)]
    first = int(np.argmin(places))
    shown = ", ".join(str(place) for place in np.sort(places)[:FAULTS_LISTED])
    folded = f"{describe(first)}; the same in {len(places):,} {place_word}s ({shown} ... {places.max()}){ending}"
    return [fault_at(path, place_word, int(places[first]), folded)]


def fault_at(path: str, place_word: str, place: int, message: str) -> Fault:
    """A fault with its place: a line of text is a line, a record or row is named in the message."""
    return Fault(path, message, place) if place_word == "line" else Fault(path, f"{place_word} {place}: {message}")


def shows(texts: pa.ChunkedArray, what: str) -> Describe:
    """A description of a row: its cell in quotes, and what is wrong with it."""
    return lambda row: f"{quoted(str(texts[row].as_py()))} {what}"


def quoted(text: str) -> str:
    """A cell or name as messages show it: in quotes, control characters escaped, the middle of a long one left out."""
    shown = text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL // 2]}...{text[-_LONGEST_CELL // 4 :]}"
    return repr(shown)
