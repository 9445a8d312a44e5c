"""A sweep: the tasks of a plan, run by its workers, each result in a folder of its own.

    OUT/<task>-<fingerprint>/policy    of a learned strategy: its tensors and card
    OUT/<task>-<fingerprint>/run       the run folder, whose presence says that the task is done
    OUT/sweep.json                     all figures, at the end

Contract
- What a task leaves depends on the task, the data and the program alone, never on the worker or on other tasks.
- A task that is done is not run again. An interruption loses what was being done and nothing else.
- A task whose worker died is tried again, so many times; one that fails takes no other with it and is named at the end.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from arbitrage.backtest.runs.folder import read_files, summary_of, write_files
from arbitrage.errors import BadInput, Fault
from arbitrage.experiments.sweep.plan import SweepPlan, SweepTask
from arbitrage.experiments.sweep.task import TaskResult
from arbitrage.experiments.sweep.workers import Done, Failed, Job, Lost, Outcome, Update, Workers
from arbitrage.market.series import MarketSeries
from arbitrage.progress import Progress, ProgressCallback, silent

RUN, POLICY = "run", "policy"
RETRIES = 2
"""How often a task is tried again whose worker died."""


@dataclass(frozen=True, slots=True)
class SweepResults:
    """What came of each task."""

    folders: tuple[tuple[SweepTask, Path], ...]
    """Where the results of the finished tasks are, in the order of the plan."""
    failures: dict[str, str]
    """Why the others are not, by label."""


def run_sweep(
    plan: SweepPlan,
    market: MarketSeries,
    out: Path,
    workers: Workers,
    *,
    retries: int = RETRIES,
    progress: ProgressCallback = silent,
) -> SweepResults:
    """Run what is not done yet. `progress` counts the tasks that are finished, earlier ones and failures included.

    Raises BadInput where a plan tests what it learns from, where a result that is there cannot be used, and where
    another sweep is at work in the folder.
    """
    plan.refuse_leaks(market)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            return _Sweep(plan, market, out, progress).run(workers, retries)
    except Timeout as taken:
        raise BadInput([Fault(str(out), "another sweep is at work there")]) from taken


@dataclass
class _Sweep:
    """A sweep while it runs."""

    plan: SweepPlan
    market: MarketSeries
    out: Path
    progress: ProgressCallback
    jobs: dict[str, Job] = field(default_factory=dict)
    """All, by fingerprint."""
    doing: dict[str, str] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    losses: Counter[str] = field(default_factory=Counter)

    def run(self, workers: Workers, retries: int) -> SweepResults:
        data_hash = self.market.data_hash
        for task in self.plan.tasks():
            job = Job(task.fingerprint(data_hash), task)
            self.jobs[job.fingerprint] = job
        self.finished = {fingerprint for fingerprint in self.jobs if self._is_done(fingerprint)}
        waiting = [fingerprint for fingerprint in self.jobs if fingerprint not in self.finished]
        self._report(None)
        try:
            while waiting or self.doing:
                while waiting and workers.has_room:
                    self.doing[waiting[0]] = "beginning"
                    workers.start(self.jobs[waiting.pop(0)])
                    self._report(None)
                for outcome in workers.wait():
                    self._take(outcome, waiting, retries)
        finally:
            workers.end()
        folders = tuple((job.task, self._folder(each)) for each, job in self.jobs.items() if each in self.finished)
        failures = {self.jobs[each].task.label: why for each, why in self.failures.items()}
        return SweepResults(folders, failures)

    def _take(self, outcome: Outcome, waiting: list[str], retries: int) -> None:
        fingerprint, remark = outcome.fingerprint, None
        label = self.jobs[fingerprint].task.label
        if isinstance(outcome, Update):
            self.doing[fingerprint] = outcome.progress.doing
            self._report(None)
            return
        del self.doing[fingerprint]
        if isinstance(outcome, Done):
            self._keep(fingerprint, outcome.result)
        elif isinstance(outcome, Failed):
            self.failures[fingerprint], remark = outcome.reason, f"{label} failed: {outcome.reason}"
        else:
            remark = self._lose(fingerprint, outcome, waiting, retries)
        self._report(remark)

    def _lose(self, fingerprint: str, lost: Lost, waiting: list[str], retries: int) -> str:
        self.losses[fingerprint] += 1
        label = self.jobs[fingerprint].task.label
        if self.losses[fingerprint] <= retries:
            waiting.insert(0, fingerprint)
            return f"{label} is tried again: {lost.reason}"
        self.failures[fingerprint] = f"lost {self.losses[fingerprint]} times, last because {lost.reason}"
        return f"{label} is given up: {lost.reason}"

    def _keep(self, fingerprint: str, result: TaskResult) -> None:
        """The policy first: the run folder says that all is there."""
        folder = self._folder(fingerprint)
        shutil.rmtree(folder / POLICY, ignore_errors=True)
        if result.policy:
            write_files(folder / POLICY, result.policy)
        write_files(folder / RUN, result.run)
        self.finished.add(fingerprint)

    def _is_done(self, fingerprint: str) -> bool:
        """Raises BadInput if a result is there that cannot be used."""
        run = self._folder(fingerprint) / RUN
        if not run.exists():
            return False
        found = summary_of(read_files(run), str(run))["config"].get("fingerprint")
        if found != fingerprint:
            raise BadInput([Fault(str(run), "is the result of another task; delete it, or name another folder")])
        return True

    def _folder(self, fingerprint: str) -> Path:
        return self.out / self.jobs[fingerprint].task.folder(fingerprint)

    def _report(self, remark: str | None) -> None:
        running = [f"{self.jobs[each].task.label}: {text}" for each, text in self.doing.items()]
        failed = [f"{len(self.failures)} failed"] if self.failures else []
        completed, total = len(self.finished) + len(self.failures), len(self.jobs)
        self.progress(Progress("; ".join([*failed, *running]), completed, total, remark=remark))
