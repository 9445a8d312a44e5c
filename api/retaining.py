"""Old decisions are deleted beside the work of the service, if the settings say after how long.

Law: one small batch at a time with a pause after it, so that no answer waits for long. Decisions that are not settled
at validated prices stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import structlog

from api.clock import Clock
from api.storage.database import Database
from api.storage.refusals import StorageRefusal
from api.storage.retention import delete_decisions

LOOK_S = 3600.0
"""From one look for old decisions to the next."""
PAUSE_S = 0.1
log = structlog.get_logger("api.retaining")


class Retainer:
    """Belongs to one event loop; several workers may each have one."""

    def __init__(self, database: Database, kept: dt.timedelta, clock: Clock, threads: ThreadPoolExecutor) -> None:
        self._database = database
        self._kept = kept
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
        loop = asyncio.get_running_loop()
        batches = delete_decisions(self._database, self._clock() - self._kept)
        deleted = 0
        while (batch := await loop.run_in_executor(self._threads, next, batches, None)) is not None:
            deleted += batch
            await asyncio.sleep(PAUSE_S)
        if deleted:
            log.info("old_decisions_deleted", count=deleted)
