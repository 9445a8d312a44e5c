"""A market file taken apart into cells that nobody has interpreted yet, each row knowing where it stands.

Law: every row keeps its place: the physical line of a CSV, the number of a JSON record or of a Parquet row (from 1).
Whatever is found wrong with a row later is told with that place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from arbitrage.errors import Fault

FAULTS_LISTED = 20
"""Faults of one sort that are listed before the rest are only counted."""

Places = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]


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

    def faults_at(self, rows: Rows, describe: Callable[[int], str]) -> list[Fault]:
        """One fault a row, `describe(row)` saying what is wrong; of many, the first and the count of the rest."""
        return list_faults(self.path, self.place_word, self.places[rows], lambda number: describe(int(rows[number])))


def list_faults(path: str, place_word: str, places: Places, describe: Callable[[int], str]) -> list[Fault]:
    """Faults of one sort at `places` [n], the first ones listed and the rest counted; `describe` takes 0..n-1."""
    faults = [fault_at(path, place_word, int(place), describe(n)) for n, place in enumerate(places[:FAULTS_LISTED])]
    more = len(places) - FAULTS_LISTED
    if more > 0:
        faults.append(Fault(path, f"and {more} more of this sort, up to {place_word} {int(places.max())}"))
    return faults


def fault_at(path: str, place_word: str, place: int, message: str) -> Fault:
    """A fault with its place: a line of text is a line, a record or row is named in the message."""
    return Fault(path, message, place) if place_word == "line" else Fault(path, f"{place_word} {place}: {message}")
