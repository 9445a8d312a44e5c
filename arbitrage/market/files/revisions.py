"""One record for one start, where files or rows give several.

Contract
- A validated record replaces one of the same start that is not: that is a revision.
- Records of the same standing must not contradict each other in any number; which of them is right is not for a
  program to say. Where one lacks a value that the other has, they complete each other.
- Nothing is averaged, and the order of files and rows decides no number and no status.
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
    """Rows of one or several files, with the place of each."""

    frame: pd.DataFrame
    """Indexed by UTC start, in any order, starts possibly repeated."""
    files: npt.NDArray[np.int64]
    """Shape [rows]; which of `paths` each row comes from."""
    places: Places
    """Shape [rows]; where in its file each row stands."""
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
        """Where a row stands, told to a reader who looks at row `beside`."""
        file = self.files[row]
        place = f"{self.place_words[file]} {self.places[row]}"
        return place if file == self.files[beside] else f"{place} of {self.paths[file]}"


@dataclass(frozen=True, slots=True)
class Unique:
    """The rows that remain, sorted by start, and what became of the others."""

    frame: pd.DataFrame
    places: Places
    """Shape [rows]; place of the first row that each remaining one was made of."""
    collapsed: int
    """Rows that only repeated another."""
    replaced: pd.DataFrame
    """Rows that a validated one replaced, in the order of the pile."""
    faults: tuple[Fault, ...]
    """Contradictions between rows of the same standing."""


def unique_starts(pile: RecordBatch) -> Unique:
    """Bring every start down to one row."""
    standing = pile.frame[QUALITY].cat.codes.to_numpy() if QUALITY in pile.frame else np.zeros(len(pile.frame))
    pile = pile.take(np.lexsort((standing, pile.starts)))
    repeated = pile.frame.index.duplicated(keep=False)
    if not repeated.any():
        return Unique(pile.frame, pile.places, 0, pile.frame.iloc[:0], ())
    single, several = pile.take(np.flatnonzero(~repeated)), pile.take(np.flatnonzero(repeated))
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
    """Rows [n] that are not validated while another of the same start is."""
    if QUALITY not in frame:
        return np.zeros(len(frame), dtype=np.bool_)
    validated = (frame[QUALITY] == RecordQuality.VALIDATED.value).to_numpy(dtype=np.bool_)
    groups, _ = pd.factorize(frame.index)
    return np.asarray(np.bincount(groups, weights=validated)[groups].astype(np.bool_) & ~validated)


def _contradictions(pile: RecordBatch) -> list[Fault]:
    """A fault for every row that differs from the first value given for its start, in any column of numbers."""
    numeric = pile.frame.select_dtypes("number")
    first = numeric.groupby(level=0).transform("first")
    differs = (numeric.notna() & (numeric != first)).to_numpy(dtype=np.bool_)
    rows = np.flatnonzero(differs.any(axis=1))
    return [
        fault for file in range(len(pile.paths)) for fault in _in_file(pile, differs, rows[pile.files[rows] == file])
    ]


def _in_file(pile: RecordBatch, differs: npt.NDArray[np.bool_], rows: Rows) -> list[Fault]:
    """Faults of contradicting rows that all stand in one file."""
    if len(rows) == 0:
        return []
    file = int(pile.files[rows[0]])
    return list_faults(
        pile.paths[file],
        pile.place_words[file],
        pile.places[rows],
        lambda number: _contradiction(pile, differs, int(rows[number])),
    )


def _contradiction(pile: RecordBatch, differs: npt.NDArray[np.bool_], row: int) -> str:
    name = str(pile.frame.select_dtypes("number").columns[int(np.argmax(differs[row]))])
    given = pile.frame[name].to_numpy(dtype=np.float64)
    same_start = pile.starts == pile.starts[row]
    other = int(np.flatnonzero(same_start & ~np.isnan(given))[0])
    start = pd.DatetimeIndex(pile.frame.index)[row]
    return (
        f"gives {name} {given[row]} for {start:%Y-%m-%dT%H:%M}Z, "
        f"but {pile.place(other, beside=row)} gives {given[other]}"
    )
