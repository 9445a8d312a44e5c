"""Old decisions are deleted beside the work of the service, if the settings say after how long.

Contract
- One small batch at a time with a pause after it, so that no answer waits for long.
- Decisions that are not settled at validated prices stay, unless it is set after how long they go all the same. That
  old ones stay is said: in the log once a day, in the figures and in the warnings of readiness.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from api.clock import Clock, utc_text
from api.metrics import Metrics
from api.storage.database.database import Database
from api.storage.database.refusals import StorageRefusal
from api.storage.retention import UnsettledDecisions, delete_decisions, kept_decisions

LOOK_S = 3600.0
"""From one look for old decisions to the next."""
PAUSE_S = 0.1
SAY_EVERY = dt.timedelta(days=1)
log = structlog.get_logger("api.background.retention")


@dataclass(frozen=True, slots=True)
class Terms:
    """How long decisions are kept."""

    settled: dt.timedelta
    unsettled: dt.timedelta | None = None
    """None keeps decisions that are not settled for ever."""


class RetentionTask:
    """Belongs to one event loop; several workers may each have one."""

    def __init__(
        self, database: Database, terms: Terms, clock: Clock, threads: ThreadPoolExecutor, metrics: Metrics
    ) -> None:
        self.warning: str | None = None
        """What is amiss; None if nothing is."""
        self._database = database
        self._terms = terms
        self._metrics = metrics
        self._said_at: dt.datetime | None = None
        self._clock = clock
        self._threads = threads
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look for old decisions from now on."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no more; a batch that was begun is finished."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._delete()
            except StorageRefusal as refused:
                log.warning("old_decisions_not_deleted", reason=str(refused))
            await asyncio.sleep(LOOK_S)

    async def _delete(self) -> None:
        loop, now = asyncio.get_running_loop(), self._clock()
        deleted = await self._all_of(delete_decisions(self._database, now - self._terms.settled))
        if deleted:
            log.info("old_decisions_deleted", count=deleted)
        if self._terms.unsettled is not None:
            deleted = await self._all_of(
                delete_decisions(self._database, now - self._terms.unsettled, unsettled_too=True)
            )
            if deleted:
                log.warning("unsettled_decisions_deleted", count=deleted, after_days=self._terms.unsettled.days)
        kept = await loop.run_in_executor(self._threads, kept_decisions, self._database, now - self._terms.settled)
        self._say(kept, now)

    async def _all_of(self, batches: Iterator[int]) -> int:
        """How many were deleted."""
        loop, deleted = asyncio.get_running_loop(), 0
        while (batch := await loop.run_in_executor(self._threads, next, batches, None)) is not None:
            deleted += batch
            await asyncio.sleep(PAUSE_S)
        return deleted

    def _say(self, kept: UnsettledDecisions, now: dt.datetime) -> None:
        self._metrics.unsettled.set(kept.count)
        if kept.oldest is None:
            self.warning = self._said_at = None
            return
        self.warning = (
            f"{kept.count} decisions older than {self._terms.settled.days} days are kept because no validated price "
            f"of theirs is known, the oldest of {utc_text(kept.oldest)}: give a store that has validated prices "
            "(ARBITRAGE_SERVE_STORE, filled by `arbitrage data fetch`), or set "
            "ARBITRAGE_SERVE_DELETE_UNSETTLED_AFTER_DAYS"
        )
        if self._said_at is None or not self._said_at <= now < self._said_at + SAY_EVERY:
            self._said_at = now
            log.warning("old_decisions_not_settled", count=kept.count, meaning=self.warning)
