"""Merging several records of one start into one.

Contract
- A validated record replaces one of the same start that is not validated: that is a revision.
- Records of the same status must not contradict each other in any number; a contradiction is a fault. Where one lacks
  a value that the other has, they complete each other.
- Nothing is averaged, and the order of files and rows does not affect the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.errors import Fault
from arbitrage.market.files.records import Places, Rows, list_faults
from arbitrage.market.files.schemas import QUALITY, RecordQuality


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Rows of one or several files, with the place of each row."""

    frame: pd.DataFrame
    """Indexed by UTC start, in any order; starts may repeat."""
    files: npt.NDArray[np.int64]
    """Shape [rows]; index into `paths` of the file of each row."""
    places: Places
    """Shape [rows]; the place of each row in its file."""
    paths: tuple[str, ...]
    place_words: tuple[str, ...]

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """Shape [rows]; starts as numbers, for sorting and comparing."""
        return pd.DatetimeIndex(self.frame.index).asi8

    def take(self, rows: Rows) -> RecordBatch:
        """Some of the rows."""
        return RecordBatch(self.frame.iloc[rows], self.files[rows], self.places[rows], self.paths, self.place_words)

    def place(self, row: int, beside: int) -> str:
        """The place of a row as text; names its file if row `beside` is in another one."""
        file = self.files[row]
        place = f"{self.place_words[file]} {self.places[row]}"
        return place if file == self.files[beside] else f"{place} of {self.paths[file]}"


@dataclass(frozen=True, slots=True)
class Unique:
    """The merged rows, sorted by start, and the rows that were left out."""

    frame: pd.DataFrame
    places: Places
    """Shape [rows]; place of the first row that was merged into each."""
    collapsed: int
    """Number of rows merged into another."""
    replaced: pd.DataFrame
    """Rows that a validated one replaced, in the order of the batch."""
    faults: tuple[Fault, ...]
    """Contradictions between rows of the same status."""


def unique_starts(batch: RecordBatch) -> Unique:
    """Merge the rows of each start into one."""
    standing = batch.frame[QUALITY].cat.codes.to_numpy() if QUALITY in batch.frame else np.zeros(len(batch.frame))
    batch = batch.take(np.lexsort((standing, batch.starts)))
    repeated = batch.frame.index.duplicated(keep=False)
    if not repeated.any():
        return Unique(batch.frame, batch.places, 0, batch.frame.iloc[:0], ())
    single, several = batch.take(np.flatnonzero(~repeated)), batch.take(np.flatnonzero(repeated))
    superseded = _superseded(several.frame)
    kept = several.take(np.flatnonzero(~superseded))
    merged = kept.frame.groupby(level=0, sort=True).first()
    first_of_start = ~kept.frame.index.duplicated(keep="first")
    frame = pd.concat([single.frame, merged])
    order = np.argsort(pd.DatetimeIndex(frame.index), kind="stable")
    return Unique(
        frame.iloc[order],
        np.concatenate([single.places, kept.places[first_of_start]])[order],
        collapsed=len(kept.frame) - len(merged),
        replaced=several.frame.iloc[np.flatnonzero(superseded)],
        faults=tuple(_contradictions(kept)),
    )


def _superseded(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which rows [n] are not validated while another of the same start is."""
    if QUALITY not in frame:
        return np.zeros(len(frame), dtype=np.bool_)
    validated = (frame[QUALITY] == RecordQuality.VALIDATED.value).to_numpy(dtype=np.bool_)
    groups, _ = pd.factorize(frame.index)
    return np.asarray(np.bincount(groups, weights=validated)[groups].astype(np.bool_) & ~validated)


def _contradictions(batch: RecordBatch) -> list[Fault]:
    """A fault for every row that differs from the first value given for its start, in any column of numbers."""
    numeric = batch.frame.select_dtypes("number")
    first = numeric.groupby(level=0).transform("first")
    differs = (numeric.notna() & (numeric != first)).to_numpy(dtype=np.bool_)
    rows = np.flatnonzero(differs.any(axis=1))
    return [
        fault for file in range(len(batch.paths)) for fault in _in_file(batch, differs, rows[batch.files[rows] == file])
    ]


def _in_file(batch: RecordBatch, differs: npt.NDArray[np.bool_], rows: Rows) -> list[Fault]:
    """Faults of contradicting rows of one file."""
    if len(rows) == 0:
        return []
    file = int(batch.files[rows[0]])
    return list_faults(
        batch.paths[file],
        batch.place_words[file],
        batch.places[rows],
        lambda number: _contradiction(batch, differs, int(rows[number])),
    )


def _contradiction(batch: RecordBatch, differs: npt.NDArray[np.bool_], row: int) -> str:
    name = str(batch.frame.select_dtypes("number").columns[int(np.argmax(differs[row]))])
    given = batch.frame[name].to_numpy(dtype=np.float64)
    same_start = batch.starts == batch.starts[row]
    other = int(np.flatnonzero(same_start & ~np.isnan(given))[0])
    start = pd.DatetimeIndex(batch.frame.index)[row]
    return (
        f"gives {name} {given[row]} for {start:%Y-%m-%dT%H:%M}Z, "
        f"but {batch.place(other, beside=row)} gives {given[other]}"
    )
