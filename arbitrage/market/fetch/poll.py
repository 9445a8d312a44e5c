"""OutputOptions the store up to the minute from the live sets.

Contract
- A poll that fails is reported as an outage with its beginning and its reason, and the next one comes as planned. What
  was missed meanwhile is asked for again, as far back as two days; whether the service still has it is up to it.
- Every record that was seen is stored before it is reported.
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
"""Before the newest record that is known, as far as records are asked for again: they are revised for a while."""


@dataclass(frozen=True, slots=True)
class Poll:
    """What one poll of one live set brought."""

    dataset: Dataset
    at: pd.Timestamp
    change: Change
    newest: pd.Series | None
    """The newest record of the shelf with its price; its name is its UTC start. None if there is none yet."""
    failure: FetchFailed | None = None
    failing_since: pd.Timestamp | None = None
    """When the first poll failed of those that have failed without a break."""
    restored_after: pd.Timedelta | None = None
    """How long it had failed, where this poll is the first to succeed again."""

    @property
    def age_s(self) -> float | None:
        """Seconds since the end of the interval of the newest record."""
        if self.newest is None:
            return None
        end = pd.Timestamp(str(self.newest.name)) + pd.Timedelta(minutes=self.dataset.shelf.step_min)
        return (self.at - end).total_seconds()


def live_datasets(topics: tuple[Source, ...]) -> tuple[Dataset, ...]:
    """The sets of these topics that are published live. Raises BadInput for a topic that has none."""
    live = (dataset for dataset in DATASETS if dataset.reach is not Reach.PAST)
    found = tuple(dataset for dataset in live if dataset.shelf.topic in topics)
    without = set(topics) - {dataset.shelf.topic for dataset in found}
    if without:
        raise BadInput([Fault("what", f"nothing is published live of {', '.join(sorted(without))}")])
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
    """Poll live sets for ever, one `Poll` a set and round. It ends by an exception of `sleep` or of whoever iterates.

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
    until = began.floor("D") + pd.Timedelta(days=1 + dataset.shelf.ahead_days)
    try:
        seen = source.ask_between(dataset, since, until)
    except FetchFailed as failure:
        return Poll(dataset, now(), Change(), newest, failure, failing_since or began)
    change = Change() if seen is None else _absorb(store, dataset, seen)
    restored_after = None if failing_since is None else now() - failing_since
    return Poll(dataset, now(), change, _newest(store, dataset, began), restored_after=restored_after)


def _absorb(store: Store, dataset: Dataset, seen: Seen) -> Change:
    """Store an answer in the pieces that it touches."""
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
    """The record of the last interval that has begun and has a value, of the last days."""
    frame = store.frame(dataset.shelf, at.floor("D") - pd.Timedelta(days=LIVE_DAYS), at)
    known = frame[frame[dataset.shelf.value].notna()] if len(frame) else frame
    return None if not len(known) else known.iloc[-1]
