"""Workers run the tasks of a sweep: processes on this machine, or a Ray cluster.

Contract
- Workers are handed the market once, a task at a time, and answer with bytes. They share no disk.
- A worker that dies takes its one task with it, which is reported as lost; the sweep decides whether it is tried again.
- Each works on one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from arbitrage.errors import BadInput
from arbitrage.experiments.sweep.plan import SweepTask
from arbitrage.experiments.sweep.task import ONE_THREAD, TaskResult, run_task
from arbitrage.experiments.worker_process import Pipe, WorkerDied, WorkerProcess, ready
from arbitrage.market.series import MarketSeries
from arbitrage.progress import Progress


@dataclass(frozen=True, slots=True)
class Job:
    """A task, and the fingerprint that it must have."""

    fingerprint: str
    task: SweepTask


@dataclass(frozen=True, slots=True)
class Update:
    """How far a job is."""

    fingerprint: str
    progress: Progress


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
    """The worker process died."""

    fingerprint: str
    reason: str


Outcome = Update | Done | Failed | Lost


class Workers(Protocol):
    """What runs tasks."""

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
        self._processes: list[_SweepWorker] = []

    @property
    def has_room(self) -> bool:
        """Whether a process is idle, or another one may be started."""
        return len(self._processes) < self._count or any(worker.job is None for worker in self._processes)

    def start(self, job: Job) -> None:
        """Hand a job to an idle process."""
        idle = next((worker for worker in self._processes if worker.job is None), None)
        if idle is None:
            idle = _SweepWorker(self._market)
            self._processes.append(idle)
        idle.begin(job)

    def wait(self) -> list[Outcome]:
        """Wait until some process has sent something."""
        outcomes = []
        for worker in ready([worker for worker in self._processes if worker.job is not None]):
            outcome = worker.listen()
            outcomes.append(outcome)
            if isinstance(outcome, Lost):
                self._processes.remove(worker)
        return outcomes

    def end(self) -> None:
        """End all processes."""
        for worker in self._processes:
            worker.end()
        self._processes.clear()


class _SweepWorker(WorkerProcess):
    """A process that has the market and does one job after the other."""

    def __init__(self, market: MarketSeries) -> None:
        super().__init__("sweep-worker", _work, ONE_THREAD)
        self.job: Job | None = None
        self.send(market)

    def begin(self, job: Job) -> None:
        """Hand over a job."""
        self.job = job
        self.send(job)

    def listen(self) -> Outcome:
        """Take one message."""
        fingerprint = "" if self.job is None else self.job.fingerprint
        try:
            outcome: Outcome = self.receive()
        except WorkerDied as died:
            self.job = None
            return Lost(fingerprint, str(died))
        if not isinstance(outcome, Update):
            self.job = None
        return outcome


def try_job(job: Job, market: MarketSeries, send: Callable[[Outcome], None]) -> Outcome:
    """Do a job; what the user can act on becomes a failure with its reason. `send` is given the updates."""
    try:
        result = run_task(job.task, market, job.fingerprint, lambda progress: send(Update(job.fingerprint, progress)))
    except (BadInput, RuntimeError, OSError) as failed:
        return Failed(job.fingerprint, str(failed) or type(failed).__name__)
    return Done(job.fingerprint, result)


def _work(child_conn: Pipe) -> None:
    """Receive the market, then do job after job."""
    market: MarketSeries = child_conn.recv()
    while True:
        child_conn.send(try_job(child_conn.recv(), market, child_conn.send))
