"""Whether decisions can be written, known at any time without asking the database.

Contract: the database is asked at most once a second, on a thread of its own. Who wants to know waits for `PATIENCE_S`
at most and else gets the last outcome; a database that is silent for `SILENCE_S` is not fit. What the service's own
writes came to counts at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from api.storage.database.database import Database
from api.storage.database.probe import Prober, take_up
from api.storage.database.refusals import StorageRefusal

EVERY_S = 1.0
PATIENCE_S = 0.05
SILENCE_S = 2.0
_NOT_ASKED = "the database is being asked for the first time"
log = structlog.get_logger("api.background.storage_watch")


class StorageWatch:
    """Belongs to one event loop."""

    def __init__(self, database: Database, reading: Database, note: Callable[[float], None] = lambda _: None) -> None:
        """`reading`: the connections of readers, which rest on the same file. `note`: is given 1 if fit, else 0."""
        self._note = note
        self._prober = Prober(database)
        self._health = database.health
        self._reading = reading
        self._thread = ThreadPoolExecutor(1, "probe")
        self._probe: asyncio.Task[None] | None = None
        self._began_s = -float("inf")
        self._reason: str | None = _NOT_ASKED
        self._said: str | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Ask the database every second from now on, so that it recovers without being asked."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ask no more."""
        for task in (self._task, self._probe):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def reason(self) -> str | None:
        """Why the next decision could not be written; None if it can be."""
        probe = self._asked()
        if not probe.done():
            await asyncio.wait({probe}, timeout=PATIENCE_S)
        reason = self._known()
        self._note(float(reason is None))
        if reason != self._said:
            self._said = reason
            log.info("storage_is_fit") if reason is None else log.error("storage_is_not_fit", reason=reason)
        return reason

    def _asked(self) -> asyncio.Task[None]:
        """The probe that is running, or the last one if it is young."""
        now_s = time.monotonic()
        if self._probe is None or (self._probe.done() and now_s - self._began_s >= EVERY_S):
            self._began_s = now_s
            self._probe = asyncio.create_task(self._ask())
        return self._probe

    def _known(self) -> str | None:
        silent_s = time.monotonic() - self._began_s
        if self._probe is not None and not self._probe.done() and silent_s > SILENCE_S:
            return f"the database has not answered for {silent_s:.0f} s"
        return self._reason or self._health.failure or self._health.damage

    async def _ask(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._probe_all)
            self._reason = None
        except (StorageRefusal, OSError) as refused:
            self._reason = str(refused)

    def _probe_all(self) -> None:
        take_up(self._reading)
        self._prober.probe()

    async def _run(self) -> None:
        while True:
            await self.reason()
            await asyncio.sleep(EVERY_S)
