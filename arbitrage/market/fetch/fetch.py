"""Filling the store: which pieces are asked for, what an answer must be like, and what is missing afterwards.

Contract
- A piece is stored after its answer was read whole, so a fetch that was interrupted is taken up where it stopped, and
  one that is repeated changes nothing. Pieces that are final are not asked for again unless that is wanted.
- An answer that cannot be used (columns of another kind, records that contradict each other, times that were not asked
  for) is named and not stored, and the other pieces are fetched; a service that does not answer ends the fetch.
- A gap is reported, never filled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd

from arbitrage.errors import BadInput, Fault
from arbitrage.market.fetch.elia_client import EliaClient, FetchFailed, Refused, utc_now
from arbitrage.market.files.read import Gap, read_answer
from arbitrage.market.files.schemas import DURATION, START
from arbitrage.market.store.datasets import SHELVES, Chunk, Dataset, RecordType, Source, chunks
from arbitrage.market.store.store import Change, Seen, Store
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, EpochMinutes, epoch_minutes, utc_timestamps

Progress = Callable[[int, int, str], None]
"""Told how many pieces are done, of how many, and which is next."""


class RecordProvider(Protocol):
    """Where pieces come from."""

    def ask(self, chunk: Chunk) -> Seen | None:
        """What is published of a piece; None if nothing is. Raises FetchFailed."""


class EliaSource:
    """Pieces from Elia's open-data service."""

    def __init__(self, client: EliaClient) -> None:
        self._client = client

    def ask(self, chunk: Chunk) -> Seen | None:
        """All of a piece. Raises FetchFailed."""
        return self.ask_between(chunk.dataset, chunk.start, chunk.end)

    def ask_between(self, dataset: Dataset, start: pd.Timestamp, end: pd.Timestamp) -> Seen | None:
        """What is published of a dataset in [start, end); None if nothing is. Raises FetchFailed."""
        answer = self._client.export(dataset, start, end)
        if answer.records == 0:
            return None
        name = f"{dataset.name}, {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
        try:
            table = read_answer(name, answer.content)
        except BadInput as error:
            raise Unusable(error.faults) from error
        kind = dataset.shelf.kind
        if table.kind is not kind or dataset.shelf.value not in table.frame:
            raise Unusable([Fault(name, f"holds {table.kind.value} without what is looked for, {kind.value}")])
        outside = table.frame.index[(table.frame.index < start) | (table.frame.index >= end)]
        if len(outside):
            message = f"{len(outside)} records lie outside of what was asked for, the first at {outside[0].isoformat()}"
            raise Unusable([Fault(name, message)])
        return Seen(table.frame, answer.received_at, table.replaced)


class Unusable(FetchFailed):
    """An answer that cannot be read as what it should be; nothing of it was stored."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(slots=True)
class RecordTypeReport:
    """What a fetch did for one shelf of the store."""

    shelf: RecordType
    asked: int = 0
    """Pieces asked for."""
    empty: int = 0
    """Of these, pieces of which nothing is published."""
    skipped: int = 0
    """Pieces that were there and final."""
    change: Change = field(default_factory=Change)
    missing: list[Gap] = field(default_factory=list)
    """Spans [start, end) within what was asked for, and not in the future, that the store does not know."""


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What a fetch did."""

    shelves: list[RecordTypeReport]
    failures: list[FetchFailed]
    """Pieces whose answers could not be used, each with its reasons."""


def fetch(
    store: Store,
    sources: dict[Source, RecordProvider],
    start: pd.Timestamp,
    end: pd.Timestamp,
    *,
    refresh: bool = False,
    now: Callable[[], pd.Timestamp] = utc_now,
    progress: Progress = lambda done, total, text: None,
) -> FetchReport:
    """Bring [start, end) of each topic of `sources` into the store.

    Raises BadInput if the span is empty or a file of the store is damaged, Unreachable if the service does not answer;
    what was stored until then stays.
    """
    if start >= end:
        raise BadInput([Fault("end", f"{end.isoformat()} is not after the start, {start.isoformat()}")])
    reports = {shelf.name: RecordTypeReport(shelf) for shelf in SHELVES if shelf.topic in sources}
    plan = [(topic, chunk) for topic in sources for chunk in chunks(topic, start, end, now())]
    failures: list[FetchFailed] = []
    for done, (topic, chunk) in enumerate(plan):
        progress(done, len(plan), str(chunk))
        report = reports[chunk.dataset.shelf.name]
        if not refresh and store.is_final(chunk):
            report.skipped += 1
            continue
        report.asked += 1
        try:
            seen = sources[topic].ask(chunk)
        except (Unusable, Refused) as failure:
            failures.append(failure)
            continue
        if seen is None:
            report.empty += 1
        else:
            report.change = report.change.plus(store.absorb(chunk, seen))
    progress(len(plan), len(plan), "")
    for report in reports.values():
        report.missing = missing(store, report.shelf, start, min(end, now()))
    return FetchReport(list(reports.values()), failures)


def missing(store: Store, shelf: RecordType, start: pd.Timestamp, end: pd.Timestamp) -> list[Gap]:
    """The spans of [start, end) about which the store has no value, on the grid of the shelf.

    Intervals that reach beyond `end` do not count.
    """
    step = shelf.step_min
    first, after = (int(time.timestamp()) // 60 for time in (start, end))
    grid = np.arange(-(-first // step) * step, after // step * step, step, dtype=np.int64)
    about = known_intervals(store, shelf, start, end)
    absent = grid[~np.isin(grid, about)]
    if not len(absent):
        return []
    breaks = np.flatnonzero(np.diff(absent) > step) + 1
    spans = np.split(absent, breaks)
    return [(stamps[0], stamps[1]) for stamps in (utc_timestamps([span[0], span[-1] + step]) for span in spans)]


def known_intervals(store: Store, shelf: RecordType, start: pd.Timestamp, end: pd.Timestamp) -> EpochMinutes:
    """Starts [n] of the intervals in [start, end) about which the store has a value, in epoch minutes."""
    # A forecast lies before the interval that it is about, an hourly price begins before three of its quarter-hours.
    frame = store.frame(shelf, start - pd.Timedelta(hours=1), end)
    if not len(frame):
        return np.zeros(0, dtype=np.int64)
    frame = frame[frame[shelf.value].notna()]
    about = frame.index if shelf.about == START else pd.DatetimeIndex(frame[shelf.about])
    starts = epoch_minutes(pd.DatetimeIndex(about))
    if DURATION not in frame:
        return starts
    repeats = frame[DURATION].to_numpy(np.int64) // MINUTES_PER_QUARTER_HOUR
    number = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    quarters: EpochMinutes = np.repeat(starts, repeats) + MINUTES_PER_QUARTER_HOUR * number
    return quarters


def span_words(gaps: Sequence[Gap]) -> list[str]:
    """Gaps as people and files read them."""
    return [f"{start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}" for start, end in gaps]
