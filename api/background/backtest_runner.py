"""Starts the processes that run backtests, one at a time in each worker of the service, and says how each has ended.

Contract
- However a process ends, its job has a result, a reason or a place in the queue: one that dies is failed by who started
  it, with its exit code or signal; one that is stopped with the service is queued again. So is one that got the signal
  itself shortly before: systemd sends it to all processes of a service, a terminal to all of a command.
- A process whose job was called off is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import structlog

from api.background.job_processes import ending_of, kills_for_memory, worker_name
from api.clock import machine_clock
from api.settings import Settings
from api.storage.database.refusals import StorageRefusal
from api.storage.job_store import JobStatus, JobStore

SILENCE = dt.timedelta(seconds=60)
"""A job whose process and service say nothing for so long is lost."""
LOOK_S = 5.0
"""How often jobs are looked for that another worker's caller has queued."""
KEEP_ALIVE_S = 1.0
"""How often a running job is asked after."""
END_S = 5.0
"""How long a process may take to end when it is asked to."""
STOPPED_TOGETHER_S = 30.0
"""How long after its backtest's process a service may end that is stopped together with it."""
JOB_COMMAND = (sys.executable, "-m", "api.background.backtest_job")
log = structlog.get_logger("api.background.backtest_runner")
Said = TypeVar("Said")


class BacktestRunner:
    """Belongs to one event loop."""

    def __init__(
        self,
        settings: Settings,
        jobs: JobStore,
        threads: ThreadPoolExecutor,
        command: Sequence[str] = JOB_COMMAND,
    ) -> None:
        """`command`: the process that takes and runs one job."""
        self._settings = settings
        self._jobs = jobs
        self._threads = threads
        self._command = command
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._unsaid: dict[str, str] = {}
        """How workers have ended that the database does not know of yet."""
        self._asked_to_end: tuple[str, float] | None = None
        """The last worker that a signal asked to end, and when by the steady clock."""

    def start(self) -> None:
        """Look for jobs from now on."""
        self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """There is a new job, or one was called off."""
        self._woken.set()

    async def stop(self) -> None:
        """Look no more, end the process that is running, and queue its job again."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        process = self._process
        try:
            if process is not None and process.returncode is None:
                await _end(process)
                self._asked_to_end = worker_name(process.pid), time.monotonic()
            await self._say_endings()
            if self._asked_to_end is not None and time.monotonic() - self._asked_to_end[1] < STOPPED_TOGETHER_S:
                await self._beside(partial(self._jobs.queue_again, self._asked_to_end[0]))
        except StorageRefusal as refused:
            log.warning("ending_of_job_not_kept", reason=str(refused))

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except (StorageRefusal, OSError) as refused:  # no database, or no memory or descriptors for a process
                log.warning("no_job_run", reason=str(refused))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK_S)
            self._woken.clear()

    async def _look(self) -> None:
        await self._say_endings()
        now = machine_clock()
        lost = await self._beside(partial(self._jobs.lose_silent, now - SILENCE, now))
        if lost:
            log.warning("jobs_lost", count=lost)
        while await self._beside(lambda: len(self._jobs.newest(1, status=JobStatus.QUEUED))):
            if await self._run_one():
                return

    async def _run_one(self) -> int:
        """Let one process take and run a job; returns its exit code."""
        killed_before = kills_for_memory()
        environment = os.environ | self._settings.as_environment()
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command, env=environment, stdin=asyncio.subprocess.DEVNULL
        )
        code = await self._wait(process)
        if -code in (signal.SIGTERM, signal.SIGINT):
            self._asked_to_end = worker_name(process.pid), time.monotonic()
        self._unsaid[worker_name(process.pid)] = ending_of(code, kills_for_memory() - killed_before)
        await self._say_endings()
        return code

    async def _wait(self, process: asyncio.subprocess.Process) -> int:
        """Wait for the process, and end it if its job is called off; returns its exit code."""
        ended = asyncio.ensure_future(process.wait())
        try:
            while not ended.done():
                await asyncio.wait({ended}, timeout=KEEP_ALIVE_S)
                if not ended.done() and not await self._is_wanted(worker_name(process.pid)):
                    await _end(process)
            return ended.result()
        finally:
            ended.cancel()

    async def _is_wanted(self, worker: str) -> bool:
        try:
            return await self._beside(partial(self._jobs.keep_alive, worker, machine_clock()))
        except StorageRefusal as refused:
            log.warning("job_not_kept_alive", worker=worker, reason=str(refused))
            return True

    async def _say_endings(self) -> None:
        """Fail what ended processes have left running. Raises StorageRefusal; then it is said at the next look."""
        for worker, reason in list(self._unsaid.items()):
            failed = await self._beside(partial(self._jobs.fail_of, worker, machine_clock(), reason))
            del self._unsaid[worker]
            if failed:
                log.warning("backtest_process_died", worker=worker, reason=reason)

    async def _beside(self, work: Callable[[], Said]) -> Said:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process, by force if it does not end when asked to."""
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), END_S)
    except TimeoutError:
        process.kill()
        await process.wait()
