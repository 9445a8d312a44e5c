"""Fetching market records into the store, and reporting what is still missing.

Contract
- A piece is stored once its response has been read completely. An interrupted fetch therefore resumes where it
  stopped, and a repeated one changes nothing. Final pieces are not requested again unless `refresh` is set.
- An unusable response (columns of another kind, contradicting records, times outside the request) is reported and not
  stored; the other pieces are still fetched. A service that does not respond ends the fetch.
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
from arbitrage.market.store.datasets import RECORD_TYPES, Chunk, Dataset, RecordType, Source, chunks
from arbitrage.market.store.store import Change, Seen, Store
from arbitrage.progress import Progress, ProgressCallback, silent
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, EpochMinutes, epoch_minutes, utc_timestamps


class RecordProvider(Protocol):
    """A service that supplies pieces."""

    def ask(self, chunk: Chunk) -> Seen | None:
        """The published records of a piece; None if there are none. Raises FetchFailed."""


class EliaSource:
    """Pieces from Elia's open-data service."""

    def __init__(self, client: EliaClient) -> None:
        self._client = client

    def ask(self, chunk: Chunk) -> Seen | None:
        """The published records of a piece; None if there are none. Raises FetchFailed."""
        return self.ask_between(chunk.dataset, chunk.start, chunk.end)

    def ask_between(self, dataset: Dataset, start: pd.Timestamp, end: pd.Timestamp) -> Seen | None:
        """The published records of a dataset in [start, end); None if there are none. Raises FetchFailed."""
        answer = self._client.export(dataset, start, end)
        if answer.records == 0:
            return None
        name = f"{dataset.name}, {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
        try:
            table = read_answer(name, answer.content)
        except BadInput as error:
            raise Unusable(error.faults) from error
        kind = dataset.record_type.kind
        if table.kind is not kind or dataset.record_type.value not in table.frame:
            raise Unusable([Fault(name, f"holds {table.kind.value}, but {kind.value} were requested")])
        outside = table.frame.index[(table.frame.index < start) | (table.frame.index >= end)]
        if len(outside):
            message = f"{len(outside)} records lie outside the requested span, the first at {outside[0].isoformat()}"
            raise Unusable([Fault(name, message)])
        return Seen(table.frame, answer.received_at, table.replaced)


class Unusable(FetchFailed):
    """A response that cannot be read as the requested records; nothing of it was stored."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(slots=True)
class RecordTypeReport:
    """The result of a fetch for one record type."""

    record_type: RecordType
    asked: int = 0
    """Pieces requested."""
    empty: int = 0
    """Of these, pieces without published records."""
    skipped: int = 0
    """Pieces that were already final in the store."""
    change: Change = field(default_factory=Change)
    missing: list[Gap] = field(default_factory=list)
    """Spans [start, end) of the request, up to the present, for which the store has no record."""


@dataclass(frozen=True, slots=True)
class FetchReport:
    """The result of a fetch."""

    record_types: list[RecordTypeReport]
    failures: list[FetchFailed]
    """Pieces with an unusable response, each with its reasons."""


def fetch(
    store: Store,
    providers: dict[Source, RecordProvider],
    start: pd.Timestamp,
    end: pd.Timestamp,
    *,
    refresh: bool = False,
    now: Callable[[], pd.Timestamp] = utc_now,
    progress: ProgressCallback = silent,
) -> FetchReport:
    """Fetch [start, end) of each source in `providers` into the store.

    refresh: request final pieces again.
    Raises BadInput if the span is empty or a file of the store is damaged, Unreachable if the service does not respond;
    what was stored until then stays.
    """
    if start >= end:
        raise BadInput([Fault("end", f"{end.isoformat()} is not after the start, {start.isoformat()}")])
    reports = {each.name: RecordTypeReport(each) for each in RECORD_TYPES if each.source in providers}
    plan = [(source, chunk) for source in providers for chunk in chunks(source, start, end, now())]
    failures: list[FetchFailed] = []
    for done, (source, chunk) in enumerate(plan):
        progress(Progress(str(chunk), done, len(plan)))
        report = reports[chunk.dataset.record_type.name]
        if not refresh and store.is_final(chunk):
            report.skipped += 1
            continue
        report.asked += 1
        try:
            seen = providers[source].ask(chunk)
        except (Unusable, Refused) as failure:
            failures.append(failure)
            continue
        if seen is None:
            report.empty += 1
        else:
            report.change = report.change.plus(store.absorb(chunk, seen))
    progress(Progress("", len(plan), len(plan)))
    for report in reports.values():
        report.missing = missing(store, report.record_type, start, min(end, now()))
    return FetchReport(list(reports.values()), failures)


def missing(store: Store, record_type: RecordType, start: pd.Timestamp, end: pd.Timestamp) -> list[Gap]:
    """The spans of [start, end) for which the store has no value, on the grid of the record type.

    Intervals that reach beyond `end` are ignored.
    """
    step = record_type.step_min
    first, after = (int(time.timestamp()) // 60 for time in (start, end))
    grid = np.arange(-(-first // step) * step, after // step * step, step, dtype=np.int64)
    about = known_intervals(store, record_type, start, end)
    absent = grid[~np.isin(grid, about)]
    if not len(absent):
        return []
    breaks = np.flatnonzero(np.diff(absent) > step) + 1
    spans = np.split(absent, breaks)
    return [(stamps[0], stamps[1]) for stamps in (utc_timestamps([span[0], span[-1] + step]) for span in spans)]


def known_intervals(store: Store, record_type: RecordType, start: pd.Timestamp, end: pd.Timestamp) -> EpochMinutes:
    """Starts [n] of the intervals in [start, end) for which the store has a value, in epoch minutes."""
    # A forecast is dated before the interval it forecasts; an hourly price starts before three of its quarter-hours.
    frame = store.frame(record_type, start - pd.Timedelta(hours=1), end)
    if not len(frame):
        return np.zeros(0, dtype=np.int64)
    frame = frame[frame[record_type.value].notna()]
    about = frame.index if record_type.about == START else pd.DatetimeIndex(frame[record_type.about])
    starts = epoch_minutes(pd.DatetimeIndex(about))
    if DURATION not in frame:
        return starts
    repeats = frame[DURATION].to_numpy(np.int64) // MINUTES_PER_QUARTER_HOUR
    number = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    quarters: EpochMinutes = np.repeat(starts, repeats) + MINUTES_PER_QUARTER_HOUR * number
    return quarters


def span_words(gaps: Sequence[Gap]) -> list[str]:
    """Gaps as text: start and end of each in UTC."""
    return [f"{start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}" for start, end in gaps]
