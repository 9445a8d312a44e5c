"""However a backtest ends, its job says so: real processes that raise, exit, are killed, stopped or called off."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.background.backtest_runner import BacktestRunner
from api.background.job_processes import ending_of, failure_of, kills_for_memory
from api.clock import machine_clock
from api.storage.database.database import Database
from api.storage.database.refusals import StorageUnavailable
from api.storage.job_store import STOPPED, Job, JobStatus, JobStore
from tests.api.local_client import LocalClient, open_settings

ENDED = (JobStatus.DONE, JobStatus.FAILED, JobStatus.LOST, JobStatus.CANCELLED)
ASKED = {"strategy": "idle", "with_report": False}
PROCESS = """
import os, resource, signal, sys, time
import api.background.backtest_job as job

def run(settings, asked, job_id, beat):
    beat(0.25)
    {body}

job.run_backtest_job = run
job.main()
"""


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[JobStore]:
    database = Database(open_settings(tmp_path).database_url)
    database.migrate()
    yield JobStore(database)
    database.close()


def runner_of(tmp_path: Path, jobs: JobStore, body: str) -> BacktestRunner:
    """Runs processes in which a backtest does what the text says."""
    command = (sys.executable, "-c", PROCESS.replace("{body}", body))
    return BacktestRunner(open_settings(tmp_path), jobs, ThreadPoolExecutor(1), command)


async def until(jobs: JobStore, fits: Callable[[Job], bool]) -> Job:
    """The job once it fits."""
    async with asyncio.timeout(120.0):
        while not fits(job := jobs.get("a")):
            await asyncio.sleep(0.05)
    return job


def outcome(tmp_path: Path, jobs: JobStore, body: str) -> Job:
    """How a job stands after its process has done what the text says."""

    async def ended() -> Job:
        runner = runner_of(tmp_path, jobs, body)
        runner.start()
        job = await until(jobs, lambda job: job.status in ENDED)
        await runner.stop()
        return job

    jobs.add("a", "analyst", ASKED, machine_clock())
    return asyncio.run(ended())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise KeyError('charge')", "KeyError: 'charge'"),
        ("raise AssertionError", "AssertionError"),
        ("run(settings, asked, job_id, lambda _: None)", "RecursionError: maximum recursion depth exceeded"),
        ("return {'profit_eur': float('nan')}, None", "ValueError: Out of range float values are not JSON compliant"),
        ("sys.exit(0)", "its process ended with exit code 0 and left no result"),
        ("os._exit(7)", "its process ended with exit code 7 and left no result"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "its process was ended by SIGKILL"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "its process was ended by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGTERM)", "its process was ended by SIGTERM"),
        ("os.abort()", "its process was ended by SIGABRT"),
    ],
)
def test_a_job_fails_with_its_reason_however_its_process_ends(
    tmp_path: Path, jobs: JobStore, body: str, reason: str
) -> None:
    job = outcome(tmp_path, jobs, body)
    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    assert job.failure.startswith(reason)
    assert job.ended_at is not None


def test_a_job_that_needs_more_memory_than_there_is_says_so(tmp_path: Path, jobs: JobStore) -> None:
    body = "import numpy; resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32)); numpy.ones(2**40)"
    job = outcome(tmp_path, jobs, body)
    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    assert "memory" in job.failure


@pytest.mark.parametrize("command", [(sys.executable, "-c", "1 / 0"), ("/nowhere",)], ids=["breaks", "cannot start"])
def test_a_job_whose_process_takes_none_stays_in_the_queue_for_the_next(
    tmp_path: Path, jobs: JobStore, command: tuple[str, ...]
) -> None:
    async def tried() -> None:
        runner = BacktestRunner(open_settings(tmp_path), jobs, ThreadPoolExecutor(1), command)
        runner.start()
        await asyncio.sleep(1.0)
        assert runner._task is not None
        assert not runner._task.done()
        await runner.stop()

    jobs.add("a", "analyst", ASKED, machine_clock())
    asyncio.run(tried())
    assert jobs.get("a").status is JobStatus.QUEUED
    assert outcome_of_kept(tmp_path, jobs).status is JobStatus.DONE


def outcome_of_kept(tmp_path: Path, jobs: JobStore) -> Job:
    """How the queued job stands after the next start."""

    async def ended() -> Job:
        runner = runner_of(tmp_path, jobs, "return {'profit_eur': 1.0}, None")
        runner.start()
        job = await until(jobs, lambda job: job.status in ENDED)
        await runner.stop()
        return job

    return asyncio.run(ended())


@pytest.mark.parametrize("name", [None, "SIGTERM", "SIGINT"], ids=str)
def test_a_job_of_a_service_that_is_stopped_says_so_and_is_taken_up_again(
    tmp_path: Path, jobs: JobStore, name: str | None
) -> None:
    async def stopped() -> None:
        """Stop the service; its process may have got the signal before."""
        body = "time.sleep(600)" if name is None else f"os.kill(os.getpid(), signal.{name})"
        runner = runner_of(tmp_path, jobs, body)
        runner.start()
        await until(jobs, lambda job: job.progress_fraction > 0.0 if name is None else job.status is JobStatus.FAILED)
        await runner.stop()

    jobs.add("a", "analyst", ASKED, machine_clock())
    asyncio.run(stopped())
    job = jobs.get("a")
    assert (job.status, job.failure, job.progress_fraction) == (JobStatus.QUEUED, STOPPED, 0.0)
    done = outcome_of_kept(tmp_path, jobs)
    assert (done.status, done.failure) == (JobStatus.DONE, None)


def test_a_job_that_is_called_off_has_its_process_ended(tmp_path: Path, jobs: JobStore) -> None:
    async def called_off() -> None:
        runner = runner_of(tmp_path, jobs, "time.sleep(600)")
        runner.start()
        await until(jobs, lambda job: job.progress_fraction > 0.0)
        jobs.cancel("a", "trader", machine_clock())
        jobs.add("b", "analyst", ASKED, machine_clock())
        async with asyncio.timeout(60.0):
            while jobs.get("b").status is JobStatus.QUEUED:
                runner.wake()
                await asyncio.sleep(0.1)
        await runner.stop()

    jobs.add("a", "analyst", ASKED, machine_clock())
    asyncio.run(called_off())
    job = jobs.get("a")
    assert (job.status, job.failure) == (JobStatus.CANCELLED, "called off by trader")


def test_a_process_that_is_silent_for_long_is_said_to_live_by_the_service(tmp_path: Path, jobs: JobStore) -> None:
    async def silent() -> None:
        runner = runner_of(tmp_path, jobs, "time.sleep(600)")
        runner.start()
        running = await until(jobs, lambda job: job.progress_fraction > 0.0)
        assert running.heartbeat_at is not None
        last = running.heartbeat_at + dt.timedelta(seconds=1.0)
        await until(jobs, lambda job: job.heartbeat_at is not None and job.heartbeat_at > last)
        await runner.stop()

    jobs.add("a", "analyst", ASKED, machine_clock())
    asyncio.run(silent())


def test_how_a_process_ended_is_said_once_the_database_is_back(
    tmp_path: Path, jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_of, refusals = jobs.fail_of, iter([True])

    def refused_once(*arguments: object) -> int:
        if next(refusals, False):
            raise StorageUnavailable("the disk is full")
        return fail_of(*arguments)

    monkeypatch.setattr(jobs, "fail_of", refused_once)
    assert outcome(tmp_path, jobs, "os._exit(7)").failure == "its process ended with exit code 7 and left no result"


def test_a_kill_for_lack_of_memory_is_named_where_the_system_tells() -> None:
    assert "memory ran out" in ending_of(-9, killed_for_memory=1)
    assert "memory ran out" not in ending_of(-9, killed_for_memory=0)
    assert "memory ran out" not in ending_of(-11, killed_for_memory=1)
    assert ending_of(-64, 0) == "its process was ended by SIGRTMAX"
    assert ending_of(-200, 0) == "its process was ended by signal 200"
    assert kills_for_memory() >= 0


def test_a_reason_is_one_line_of_bounded_length() -> None:
    assert failure_of(ValueError("one\ntwo")) == "ValueError: one"
    assert len(failure_of(ValueError("x" * 10_000))) <= 500


def test_backtests_are_called_off_over_http_and_a_key_has_only_so_many(tmp_path: Path) -> None:
    with LocalClient(open_settings(tmp_path, most_open_backtests=2)) as client:
        client.app.state.service.runner._task.cancel()  # nothing is run here
        places = [client.post("/v1/backtests", ASKED).headers["location"] for _ in range(2)]
        refused = client.post("/v1/backtests", ASKED)
        assert refused.status_code == 429
        assert "2 backtests" in refused.json()["detail"]
        cancelled = client.ask("DELETE", places[0])
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
        assert client.ask("DELETE", places[0]).json() == cancelled.json()
        assert client.post("/v1/backtests", ASKED).status_code == 202
        assert client.ask("DELETE", "/v1/backtests/00000000-0000-0000-0000-000000000000").status_code == 404
