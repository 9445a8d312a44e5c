"""Polling the live datasets into the store.

Contract
- A failed poll is reported as an outage with its beginning and its reason; the next poll comes as planned. Records
  missed during an outage are requested again, up to two days back; the service may no longer hold them.
- Every record is stored before it is reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from arbitrage.errors import BadInput, Fault
from arbitrage.market.fetch.elia_client import FetchFailed, utc_now
from arbitrage.market.fetch.fetch import EliaSource
from arbitrage.market.store.datasets import DATASETS, LIVE_DAYS, Dataset, Reach, Source, pieces
from arbitrage.market.store.store import Change, Seen, Store

INTERVAL_S = 60.0
_OVERLAP = pd.Timedelta(hours=2)
"""Time before the newest known record from which records are requested again, because recent ones are revised."""


@dataclass(frozen=True, slots=True)
class Poll:
    """The result of one poll of one live dataset."""

    dataset: Dataset
    at: pd.Timestamp
    change: Change
    newest: pd.Series | None
    """The newest record of the record type that has a value; its name is its UTC start. None if there is none yet."""
    failure: FetchFailed | None = None
    failing_since: pd.Timestamp | None = None
    """When the current run of failed polls began."""
    restored_after: pd.Timedelta | None = None
    """Duration of the outage, if this poll is the first to succeed after one."""

    @property
    def age_s(self) -> float | None:
        """Seconds since the end of the interval of the newest record."""
        if self.newest is None:
            return None
        end = pd.Timestamp(str(self.newest.name)) + pd.Timedelta(minutes=self.dataset.record_type.step_min)
        return (self.at - end).total_seconds()


def live_datasets(sources: tuple[Source, ...]) -> tuple[Dataset, ...]:
    """The live datasets of these sources. Raises BadInput for a source that has none."""
    live = (dataset for dataset in DATASETS if dataset.reach is not Reach.PAST)
    found = tuple(dataset for dataset in live if dataset.record_type.source in sources)
    without = set(sources) - {dataset.record_type.source for dataset in found}
    if without:
        raise BadInput([Fault("what", f"no live dataset is published for {', '.join(sorted(without))}")])
    return found


def watch(
    store: Store,
    source: EliaSource,
    datasets: tuple[Dataset, ...],
    *,
    interval_s: float = INTERVAL_S,
    now: Callable[[], pd.Timestamp] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Poll]:
    """Poll live datasets without end; each round yields one `Poll` for each dataset.

    To stop it, close the iterator or let `sleep` raise.
    Raises BadInput if a file of the store is damaged, OSError if the disk fails.
    """
    failing_since: dict[str, pd.Timestamp] = {}
    while True:
        began = now()
        for dataset in datasets:
            poll = _poll(store, source, dataset, now, failing_since.get(dataset.name))
            if poll.failing_since is None:
                failing_since.pop(dataset.name, None)
            else:
                failing_since[dataset.name] = poll.failing_since
            yield poll
        sleep(max(0.0, interval_s - (now() - began).total_seconds()))


def _poll(
    store: Store,
    source: EliaSource,
    dataset: Dataset,
    now: Callable[[], pd.Timestamp],
    failing_since: pd.Timestamp | None,
) -> Poll:
    began = now()
    newest = _newest(store, dataset, began)
    since = began - _OVERLAP if newest is None else min(began, pd.Timestamp(str(newest.name))) - _OVERLAP
    since = max(since, began.floor("D") - pd.Timedelta(days=LIVE_DAYS))
    until = began.floor("D") + pd.Timedelta(days=1 + dataset.record_type.ahead_days)
    try:
        seen = source.ask_between(dataset, since, until)
    except FetchFailed as failure:
        return Poll(dataset, now(), Change(), newest, failure, failing_since or began)
    change = Change() if seen is None else _absorb(store, dataset, seen)
    restored_after = None if failing_since is None else now() - failing_since
    return Poll(dataset, now(), change, _newest(store, dataset, began), restored_after=restored_after)


def _absorb(store: Store, dataset: Dataset, seen: Seen) -> Change:
    """Store a response in the pieces that it covers."""
    change = Change()
    for chunk in pieces(dataset, seen.frame.index[0], seen.frame.index[-1] + pd.Timedelta(microseconds=1)):
        frame, replaced = (
            rows[(rows.index >= chunk.start) & (rows.index < chunk.end)] if len(rows) else rows
            for rows in (seen.frame, seen.replaced)
        )
        if len(frame):
            change = change.plus(store.absorb(chunk, Seen(frame, seen.at, replaced, whole=False)))
    return change


def _newest(store: Store, dataset: Dataset, at: pd.Timestamp) -> pd.Series | None:
    """The newest record of the last days, up to `at`, that has a value."""
    frame = store.frame(dataset.record_type, at.floor("D") - pd.Timedelta(days=LIVE_DAYS), at)
    known = frame[frame[dataset.record_type.value].notna()] if len(frame) else frame
    return None if not len(known) else known.iloc[-1]
