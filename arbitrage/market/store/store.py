"""The store of market records: one Parquet file for each piece of a dataset, with every revision.

Contract
- Nothing is overwritten or lost. A record equal to the last revision of its start adds nothing; a different one is
  added as a further revision, with the time from which it was known (`first_seen`).
- The revision to use is chosen when reading. Validated records come first, then those of a dataset of the past before
  those of a live one, then the one seen last.
- A piece is final when every interval in it is present and validated, or when it was fetched so long after its end
  that no change is expected. A record with the status "not validated" keeps its piece open.

Layout: `RECORD_TYPE/DATASET/PIECE.parquet`, for example `prices/ods134/2024-06.parquet`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd

from arbitrage.arrays import Flags
from arbitrage.market.files.schemas import QUALITY, START, RecordQuality
from arbitrage.market.store import parquet as store_files
from arbitrage.market.store.datasets import DATASETS, Chunk, Dataset, Reach, RecordType

FIRST_SEEN = "first_seen"
DATASET = "dataset"
_LIVE = frozenset(dataset.name for dataset in DATASETS if dataset.reach is Reach.LIVE)


class Stage(StrEnum):
    """Which revision of a record to read."""

    LATEST = "latest"
    FIRST = "first"
    """The revision that was seen first."""
    VALIDATED = "validated"
    """The validated revision; records without one are absent."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a response added to the store."""

    added: int = 0
    """Intervals that were not in the store."""
    revised: int = 0
    """Further revisions of intervals."""
    withdrawn: int = 0
    """Intervals of the store that a complete response no longer holds; the store keeps them."""

    def plus(self, other: Change) -> Change:
        """The sum of both."""
        return Change(self.added + other.added, self.revised + other.revised, self.withdrawn + other.withdrawn)


@dataclass(frozen=True, slots=True)
class Seen:
    """The records of one response."""

    frame: pd.DataFrame
    """As returned by `read_table`: indexed by UTC start, unique."""
    at: pd.Timestamp
    """When the response was complete."""
    replaced: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Rows of the same response that a validated one replaced."""
    whole: bool = True
    """Whether it holds all records that the dataset has of the piece."""


class Store:
    """A directory of market records with all their revisions."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    def path(self, chunk: Chunk) -> Path:
        """The file of a piece; it may not exist yet."""
        return self._folder(chunk.dataset) / f"{chunk.label}.parquet"

    def is_final(self, chunk: Chunk) -> bool:
        """Whether a piece is stored and final. Raises BadInput if its file is damaged."""
        return store_files.is_final(self.path(chunk))

    def absorb(self, chunk: Chunk, seen: Seen) -> Change:
        """Add the new revisions to a piece. Raises BadInput if its file is damaged, OSError if the store is locked."""
        path = self.path(chunk)
        with store_files.writing(self.directory, path.parent):
            before = store_files.read(path) if path.exists() else seen.frame.iloc[:0].assign(**{FIRST_SEEN: seen.at})
            was_final = store_files.is_final(path)
            after = _with_rows(_with_replaced(before, seen), seen.frame, seen.at)
            final = _settled(chunk, seen) if seen.whole else was_final
            if len(after) > len(before) or final is not was_final:
                store_files.write(path, after, final=final)
        added = after.index.nunique() - before.index.nunique()
        withdrawn = len(before.index.unique().difference(seen.frame.index)) if seen.whole else 0
        return Change(added, len(after) - len(before) - added, withdrawn)

    def revisions(
        self, record_type: RecordType, start: pd.Timestamp | None = None, end: pd.Timestamp | None = None
    ) -> pd.DataFrame:
        """Every revision of the records in [start, end), or of all, sorted by start and `first_seen`.

        Indexed by UTC `start`; columns as in `read_table`, with `first_seen` and `dataset`. Empty without records.
        """
        parts = [
            store_files.read(file).assign(**{DATASET: dataset.name})
            for dataset in DATASETS
            if dataset.record_type is record_type
            for file in sorted(self._folder(dataset).glob("[0-9]*.parquet"))
            if _touches(file.stem, start, end)
        ]
        if not parts:
            return pd.DataFrame(index=pd.DatetimeIndex([], tz="UTC", name=START))
        together = pd.concat(parts)
        inside = np.ones(len(together), dtype=np.bool_)
        inside &= True if start is None else together.index >= start
        inside &= True if end is None else together.index < end
        together = together[inside]
        return together.iloc[np.lexsort((together[FIRST_SEEN], together.index))]

    def frame(
        self,
        record_type: RecordType,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        *,
        stage: Stage = Stage.LATEST,
        as_of: pd.Timestamp | None = None,
    ) -> pd.DataFrame:
        """One record for each interval in [start, end), or for all; columns as in `read_table`.

        as_of: use only revisions seen by then. Empty without records.
        """
        seen = self.revisions(record_type, start, end)
        if not len(seen):
            return seen
        if as_of is not None:
            seen = seen[seen[FIRST_SEEN] <= as_of]
        if stage is Stage.VALIDATED:
            seen = seen[_validated(seen)]
        if stage is not Stage.FIRST:
            past = ~seen[DATASET].isin(_LIVE).to_numpy()
            seen = seen.iloc[np.lexsort((seen[FIRST_SEEN], past, _validated(seen), seen.index))]
        counting = ~seen.index.duplicated(keep="first" if stage is Stage.FIRST else "last")
        return seen[counting].drop(columns=[FIRST_SEEN, DATASET])

    def _folder(self, dataset: Dataset) -> Path:
        return self.directory / dataset.record_type.name / dataset.name


def _touches(label: str, start: pd.Timestamp | None, end: pd.Timestamp | None) -> bool:
    """Whether a piece with this date or month as its label may hold records in [start, end)."""
    first = "" if start is None else f"{start.tz_convert('UTC'):%Y-%m-%d}"[: len(label)]
    last = "9" if end is None else f"{end.tz_convert('UTC'):%Y-%m-%d}"[: len(label)]
    return first <= label <= last


def _validated(frame: pd.DataFrame) -> Flags:
    """Which rows [n] are validated."""
    if QUALITY not in frame:
        return np.zeros(len(frame), dtype=np.bool_)
    return (frame[QUALITY] == RecordQuality.VALIDATED.value).to_numpy(dtype=np.bool_)


def _settled(chunk: Chunk, seen: Seen) -> bool:
    """Whether a piece is final, given its complete response."""
    frame, dataset = seen.frame, chunk.dataset
    if dataset.final_after_days is None or not len(frame):
        return False
    expected = (chunk.end - chunk.start) // pd.Timedelta(minutes=dataset.record_type.step_min)
    if len(frame) == expected and _validated(frame).all():
        return True
    still_open = QUALITY in frame and (frame[QUALITY] == RecordQuality.NOT_VALIDATED.value).any()
    return not still_open and seen.at >= chunk.end + pd.Timedelta(days=dataset.final_after_days)


def _with_rows(before: pd.DataFrame, rows: pd.DataFrame, at: pd.Timestamp) -> pd.DataFrame:
    """The revisions, with those of `rows` (unique starts) added that differ from the last revision of their start."""
    last = before[~before.index.duplicated(keep="last")]
    return _appended(before, rows[~_same(rows, last)], at)


def _with_replaced(before: pd.DataFrame, seen: Seen) -> pd.DataFrame:
    """The revisions, with the rows added that a validated one of the same response replaced, unless already stored."""
    after = before
    if len(seen.replaced):
        for rows in _layers(seen.replaced):
            known = np.zeros(len(rows), dtype=np.bool_)
            for layer in _layers(after):
                known |= _same(rows, layer)
            after = _appended(after, rows[~known], seen.at)
    return after


def _layers(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """The first row of every start, the second ones, and so on."""
    number = frame.groupby(level=0).cumcount().to_numpy()
    return [frame[number == layer] for layer in range(number.max(initial=-1) + 1)]


def _appended(before: pd.DataFrame, rows: pd.DataFrame, at: pd.Timestamp) -> pd.DataFrame:
    if not len(rows):
        return before
    stamped = rows.assign(**{FIRST_SEEN: at.as_unit("us")})
    after = pd.concat([before, stamped]) if len(before) else stamped
    return after.iloc[np.argsort(pd.DatetimeIndex(after.index).asi8, kind="stable")]


def _same(rows: pd.DataFrame, others: pd.DataFrame) -> Flags:
    """Which of `rows` [n] equal the row of the same start in `others` in every column; starts unique in both."""
    aligned = others.reindex(rows.index)
    same = np.asarray(rows.index.isin(others.index))
    for name in (rows.columns.union(others.columns)).difference([FIRST_SEEN]):
        ours, theirs = (_cells(frame, name) for frame in (rows, aligned))
        same &= ((ours == theirs) | (ours.isna() & theirs.isna())).to_numpy(dtype=np.bool_)
    return same


def _cells(frame: pd.DataFrame, name: str) -> pd.Series:
    """A column as objects; all NaN where the frame lacks it."""
    return frame[name].astype(object) if name in frame else pd.Series(np.nan, index=frame.index, dtype=object)
