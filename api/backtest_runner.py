"""Starts the processes that run backtests, one at a time in each worker, and finds out which of them have died."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from api.clock import machine_clock
from api.settings import Settings
from api.storage.job_store import JobStatus, JobStore
from api.storage.refusals import StorageRefusal

SILENCE = dt.timedelta(seconds=60)
"""A job whose process says nothing for so long is lost."""
LOOK_S = 5.0
"""How often jobs are looked for that another worker's caller has queued."""
log = structlog.get_logger("api.backtest_runner")


class BacktestRunner:
    """Belongs to one event loop."""

    def __init__(self, settings: Settings, jobs: JobStore, threads: ThreadPoolExecutor) -> None:
        self._settings = settings
        self._jobs = jobs
        self._threads = threads
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    def start(self) -> None:
        """Look for jobs from now on."""
        self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """There is a new job."""
        self._woken.set()

    async def stop(self) -> None:
        """Look no more, and end the process that is running; its job is found lost."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except StorageRefusal as refused:
                log.warning("jobs_not_found", reason=str(refused))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK_S)
            self._woken.clear()

    async def _look(self) -> None:
        now = machine_clock()
        lost = await self._beside(lambda: self._jobs.lose_silent(now - SILENCE, now))
        if lost:
            log.warning("jobs_lost", count=lost)
        while await self._beside(lambda: len(self._jobs.newest(1, status=JobStatus.QUEUED))):
            environment = os.environ | self._settings.as_environment()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "api.backtest_job", env=environment, stdin=asyncio.subprocess.DEVNULL
            )
            if await self._process.wait():
                log.warning("backtest_process_failed", exit_code=self._process.returncode)
                return

    async def _beside(self, work: Callable[[], int]) -> int:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
