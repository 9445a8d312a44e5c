"""Elia's near-real-time sets as a live source: polls go into the store, and the window is read from it.

Contract
- Every record that was seen is stored before it counts.
- Before the first poll, and until it has succeeded once, the window's past is fetched: what a policy looks back on.
- Day-ahead prices are not among Elia's sets; they come from whatever has been fetched into the same store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pandas as pd

from arbitrage.errors import BadInput
from arbitrage.live.window import AHEAD_DAYS, DAYS, MINUTE_DAYS, Brought
from arbitrage.market.fetch.fetch import EliaSource, fetch
from arbitrage.market.fetch.poll import Poll, live_datasets, watch
from arbitrage.market.store.datasets import Source
from arbitrage.market.store.store import Store
from arbitrage.market.store.stored_market import stored_tables

TOPICS = (Source.PRICES, Source.MINUTES, Source.WIND_SOLAR)


class EliaFeed:
    """Polls the live sets of some topics; raises BadInput for a topic of which nothing is published live."""

    def __init__(
        self,
        store: Store,
        source: EliaSource,
        topics: tuple[Source, ...] = TOPICS,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._source, self._now_s = store, source, now_s
        self._datasets = live_datasets(topics)
        self._polls: Iterator[Poll] | None = None
        self._past_is_there = False

    def poll(self, now_s: float) -> Brought:
        """Ask each set once, and read the window from the store.

        Raises FetchFailed if its past cannot be fetched, BadInput or OSError for a damaged store.
        """
        now = _stamp(now_s)
        failures = self._fetch_past(now)
        failures += [str(poll.failure) for poll in self._round() if poll.failure is not None]
        start, end = now.floor("D") - pd.Timedelta(days=DAYS), now.floor("D") + pd.Timedelta(days=AHEAD_DAYS)
        tables = stored_tables(self._store, start, end)
        return Brought(tables.prices, tables.minutes, tables.day_ahead, tables.forecasts, "; ".join(failures) or None)

    def _fetch_past(self, now: pd.Timestamp) -> list[str]:
        """Bring the days of the window into the store; what cannot be used of them is returned, and asked again."""
        failures: list[str] = []
        for topic in () if self._past_is_there else sorted({dataset.record_type.source for dataset in self._datasets}):
            days = MINUTE_DAYS if topic is Source.MINUTES else DAYS
            start = now.floor("D") - pd.Timedelta(days=days)
            report = fetch(self._store, {topic: self._source}, start, now, now=lambda: now)
            failures += [str(failure) for failure in report.failures]
        self._past_is_there = not failures
        return failures

    def _round(self) -> list[Poll]:
        """One poll of every set; after a failure of the store the next round starts from the beginning."""
        if self._polls is None:
            self._polls = watch(
                self._store, self._source, self._datasets, now=lambda: _stamp(self._now_s()), sleep=lambda _: None
            )
        try:
            return [next(self._polls) for _ in self._datasets]
        except (BadInput, OSError):
            self._polls = None
            raise


def _stamp(seconds: float) -> pd.Timestamp:
    return pd.Timestamp(seconds, unit="s", tz="UTC")
