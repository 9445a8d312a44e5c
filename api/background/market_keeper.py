"""The market that the service keeps: polled beside the event loop, read ahead of the minute that asks for it.

Contract
- What a poll left replaces what was kept at once and as a whole. How fit the data are is judged when a decision is
  prepared, by `arbitrage.live`.
- Readings for the coming minute are made before it comes, so that no request then waits for one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import structlog

from arbitrage.live.feed import Snapshot

log = structlog.get_logger("api.background.market_keeper")
Ahead = Callable[[], Awaitable[None]]
"""Makes the readings that will be asked for next."""


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
        self.snapshot = Snapshot()
        """What is known; at first nothing."""

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
        self.snapshot = await asyncio.get_running_loop().run_in_executor(self._threads, self._feed.poll)

    async def _run(self, ahead: Ahead) -> None:
        while True:
            try:
                await self.turn()
                await ahead()
            except Exception:
                log.exception("feed_failed")  # the next poll comes as planned; deciding falls back by age meanwhile
            await asyncio.sleep(self._interval_s)
