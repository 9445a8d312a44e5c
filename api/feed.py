"""The market that the service keeps: polled beside the event loop, read ahead of the minute that asks for it.

Law
- What a poll left replaces what was kept at once and as a whole. How fit the data are is judged when a decision is
  prepared, by `arbitrage.live`.
- Readings for the coming minute are made before it comes, so that whoever asks then waits for none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import structlog

from arbitrage.live.quality import Finding, Quality
from arbitrage.market.series import MarketSeries

log = structlog.get_logger("api.feed")
Ahead = Callable[[], Awaitable[None]]
"""Makes the readings that will be asked for next."""


@dataclass(frozen=True, slots=True)
class FeedView:
    """The market as it is known, and what the feed itself noticed."""

    market: MarketSeries
    version: Hashable
    """Another one for other records."""
    reported: tuple[tuple[Quality, Finding], ...] = ()


class Snapshot(Protocol):
    """What a poll of a feed left; see `arbitrage.live.feed`."""

    @property
    def version(self) -> int:
        """Grows when there is something new to know."""
        ...

    @property
    def market(self) -> MarketSeries:
        """The last days of it; without tapes where nothing is known."""
        ...

    @property
    def reported(self) -> tuple[tuple[Quality, Finding], ...]:
        """What the poll noticed."""
        ...


class Feed(Protocol):
    """Where the market comes from."""

    def poll(self) -> Snapshot:
        """Ask once; may take its time. What fails is in the snapshot."""
        ...


class MarketKeeper:
    """Keeps one feed's newest view; belongs to one event loop."""

    def __init__(self, feed: Feed, threads: ThreadPoolExecutor, interval_s: float) -> None:
        self._feed = feed
        self._threads = threads
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None
        self.view: FeedView | None = None
        """None until there is anything to know."""

    def start(self, ahead: Ahead) -> None:
        """Poll from now on, again and again."""
        self._task = asyncio.create_task(self._run(ahead))

    async def stop(self) -> None:
        """Poll no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def turn(self) -> None:
        """Ask the feed once."""
        snapshot = await asyncio.get_running_loop().run_in_executor(self._threads, self._feed.poll)
        if snapshot.market.tapes:
            self.view = FeedView(snapshot.market, snapshot.version, snapshot.reported)

    async def _run(self, ahead: Ahead) -> None:
        while True:
            try:
                await self.turn()
                await ahead()
            except Exception:
                log.exception("feed_failed")  # told, and tried again as planned: deciding falls back by age meanwhile
            await asyncio.sleep(self._interval_s)
