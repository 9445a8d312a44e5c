"""Who runs the tasks of a sweep: processes on this machine, or a Ray cluster.

Contract
- Workers are handed the market once, a task at a time, and answer with bytes. They share no disk.
- A worker that dies takes its one task with it, which is told as lost; whether it is tried again is for others to say.
- Each works on one thread.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from typing import Any, Protocol

from arbitrage.errors import BadInput
from arbitrage.experiments.sweep.plan import SweepTask
from arbitrage.experiments.sweep.task import ONE_THREAD, TaskResult, run_task
from arbitrage.market.series import MarketSeries

_CONTEXT = get_context("spawn")
_ORPHANED = 1


@dataclass(frozen=True, slots=True)
class Job:
    """A task, and the fingerprint that it must have."""

    fingerprint: str
    task: SweepTask


@dataclass(frozen=True, slots=True)
class ProgressUpdate:
    """Progress of a job."""

    fingerprint: str
    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """A job is finished."""

    fingerprint: str
    result: TaskResult


@dataclass(frozen=True, slots=True)
class Failed:
    """A job cannot be done; trying again would not help."""

    fingerprint: str
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Whoever did the job has died."""

    fingerprint: str
    reason: str


Outcome = ProgressUpdate | Done | Failed | Lost


class Workers(Protocol):
    """Those who run tasks."""

    @property
    def has_room(self) -> bool:
        """Whether another job would be begun at once."""
        ...

    def start(self, job: Job) -> None:
        """Hand over a job."""
        ...

    def wait(self) -> list[Outcome]:
        """What has come of the jobs since the last call; waits until there is something, or for a moment."""
        ...

    def end(self) -> None:
        """Break off whatever is being done."""
        ...


class ProcessWorkers:
    """So many processes on this machine, started when they are first needed."""

    def __init__(self, market: MarketSeries, count: int) -> None:
        self._market, self._count = market, count
        self._processes: list[_Worker] = []

    @property
    def has_room(self) -> bool:
        """Whether a process is idle, or another one may be started."""
        return len(self._processes) < self._count or any(worker.job is None for worker in self._processes)

    def start(self, job: Job) -> None:
        """Hand a job to an idle process."""
        idle = next((worker for worker in self._processes if worker.job is None), None)
        if idle is None:
            idle = _Worker(self._market)
            self._processes.append(idle)
        idle.begin(job)

    def wait(self) -> list[Outcome]:
        """Wait until some process has something to say."""
        busy = {worker.ear: worker for worker in self._processes if worker.job is not None}
        outcomes = []
        for ear in connection.wait(list(busy)):
            outcome = busy[ear].listen()  # type: ignore[index]  # `wait` gives back what it was given
            outcomes.append(outcome)
            if isinstance(outcome, Lost):
                self._processes.remove(busy[ear])  # type: ignore[index]  # as above
        return outcomes

    def end(self) -> None:
        """End all processes."""
        for worker in self._processes:
            worker.end()
        self._processes.clear()


class _Worker:
    """A process, seen from outside."""

    def __init__(self, market: MarketSeries) -> None:
        self.job: Job | None = None
        self.ear, mouth = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, name="sweep-worker", args=(mouth,), daemon=True)
        with _ignoring_interrupts(), _environment(ONE_THREAD):
            self._process.start()
        mouth.close()
        self._send(market)

    def begin(self, job: Job) -> None:
        self.job = job
        self._send(job)

    def _send(self, thing: object) -> None:
        """A process that has died already is found out by listening."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.ear.send(thing)

    def listen(self) -> Outcome:
        """Take one message."""
        fingerprint = "" if self.job is None else self.job.fingerprint
        try:
            outcome: Outcome = self.ear.recv()
        except (EOFError, OSError):  # nothing more, or no whole message
            self._process.join()
            self.job = None
            return Lost(fingerprint, f"its process ended with exit code {self._process.exitcode}")
        if not isinstance(outcome, ProgressUpdate):
            self.job = None
        return outcome

    def end(self) -> None:
        self._process.terminate()
        self._process.join()
        self.ear.close()


def try_job(job: Job, market: MarketSeries, tell: Any) -> Outcome:
    """Do a job; what the user can act on becomes a failure with its reason."""
    try:
        result = run_task(
            job.task, market, job.fingerprint, lambda text, _share: tell(ProgressUpdate(job.fingerprint, text))
        )
    except (BadInput, RuntimeError, OSError) as failed:
        return Failed(job.fingerprint, str(failed) or type(failed).__name__)
    return Done(job.fingerprint, result)


def _work(mouth: connection.Connection[Any, Any]) -> None:
    """What a process does: job after job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    market: MarketSeries = mouth.recv()
    while True:
        mouth.send(try_job(mouth.recv(), market, mouth.send))


def _end_with_parent() -> None:
    """Nobody is left to work for when the parent has been killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(_ORPHANED)


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """A process started meanwhile is deaf to Ctrl-C from its first moment: that is for the parent, which ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """A process started meanwhile has these variables set."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
