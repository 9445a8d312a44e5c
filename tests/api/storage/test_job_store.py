from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.storage.database.database import Database
from api.storage.database.refusals import JobLost, JobsTooMany, JobUnknown
from api.storage.job_store import STOPPED, JobStatus, JobStore
from tests.api.storage.decisions import MINUTE, NOON

REQUEST = {"strategy": "threshold", "days_of_month": "26-31"}


@pytest.fixture
def store(database: Database) -> JobStore:
    return JobStore(database)


def at(minute: float) -> dt.datetime:
    return NOON + minute * MINUTE


def test_a_job_goes_from_the_queue_to_its_result(store: JobStore) -> None:
    queued = store.add("a", "analyst", REQUEST, at(0))
    assert (queued.status, queued.request, queued.progress_fraction) == (JobStatus.QUEUED, REQUEST, 0.0)
    taken = store.take("worker-1", at(1))
    assert taken is not None
    assert (taken.job_id, taken.status, taken.worker, taken.started_at) == ("a", JobStatus.RUNNING, "worker-1", at(1))
    store.beat("a", "worker-1", at(2), 0.5)
    assert store.get("a").progress_fraction == 0.5
    store.finish("a", "worker-1", at(3), {"profit_eur": 0.1 + 0.2}, "reports/a.html")
    done = store.get("a")
    assert (done.status, done.progress_fraction, done.ended_at) == (JobStatus.DONE, 1.0, at(3))
    assert (done.result, done.report_path, done.failure) == ({"profit_eur": 0.1 + 0.2}, "reports/a.html", None)
    assert store.take("worker-1", at(4)) is None


def test_a_job_that_fails_says_why(store: JobStore) -> None:
    store.add("a", "analyst", REQUEST, at(0))
    store.take("worker-1", at(1))
    store.fail("a", "worker-1", at(2), "no prices after 2024-05-21")
    failed = store.get("a")
    assert (failed.status, failed.failure, failed.result) == (JobStatus.FAILED, "no prices after 2024-05-21", None)


def test_jobs_are_taken_in_the_order_of_asking_and_listed_in_the_other(store: JobStore) -> None:
    for number, principal in enumerate(("analyst", "trader", "analyst")):
        store.add(f"job-{number}", principal, REQUEST, at(number))
    assert [job.job_id for job in store.newest()] == ["job-2", "job-1", "job-0"]
    taken = store.take("worker-1", at(3))
    assert taken is not None
    assert taken.job_id == "job-0"
    assert [job.job_id for job in store.newest(principal="analyst", limit=1)] == ["job-2"]
    assert [job.job_id for job in store.newest(status=JobStatus.QUEUED)] == ["job-2", "job-1"]


def test_many_workers_at_once_take_each_job_once(store: JobStore) -> None:
    for number in range(12):
        store.add(f"job-{number}", "analyst", REQUEST, at(0))
    with ThreadPoolExecutor(6) as threads:
        taken = list(threads.map(lambda number: store.take(f"worker-{number}", at(1)), range(20)))
    found = [job.job_id for job in taken if job is not None]
    left = [job.job_id for job in store.newest(status=JobStatus.QUEUED)]
    assert len(set(found)) == len(found)
    assert sorted(found + left) == sorted(f"job-{number}" for number in range(12))
    assert left == []


def test_the_jobs_of_a_worker_that_died_are_found_and_those_of_the_living_left(store: JobStore) -> None:
    for name in ("dead", "alive", "queued"):
        store.add(name, "analyst", REQUEST, at(0))
    store.take("worker-1", at(1))
    store.take("worker-2", at(1))
    store.beat("alive", "worker-2", at(9), 0.1)
    assert store.lose_silent(at(5), at(10)) == 1
    assert [store.get(name).status for name in ("dead", "alive", "queued")] == ["lost", "running", "queued"]
    assert store.get("dead").ended_at == at(10)
    assert store.lose_silent(at(5), at(11)) == 0


def test_who_does_not_run_a_job_has_no_say_in_it(store: JobStore) -> None:
    store.add("a", "analyst", REQUEST, at(0))
    with pytest.raises(JobLost, match="queued"):
        store.beat("a", "worker-1", at(1), 0.5)
    store.take("worker-1", at(1))
    with pytest.raises(JobLost, match="worker-2"):
        store.finish("a", "worker-2", at(2), {})
    store.lose_silent(at(5), at(6))
    with pytest.raises(JobLost, match="lost"):
        store.finish("a", "worker-1", at(7), {"profit_eur": 1.0})
    assert store.get("a").result is None


def test_a_job_that_is_not_there_is_named(store: JobStore) -> None:
    with pytest.raises(JobUnknown, match="'a'"):
        store.get("a")


def test_what_an_ended_worker_still_ran_has_failed_and_nothing_else(store: JobStore) -> None:
    for name in ("finished", "running"):
        store.add(name, "analyst", REQUEST, at(0))
        store.take("worker-1", at(1))
        if name == "finished":
            store.finish(name, "worker-1", at(2), {})
    assert store.fail_of("worker-1", at(3), "its process was ended by SIGKILL") == 1
    assert [store.get(name).status for name in ("finished", "running")] == ["done", "failed"]
    assert (store.get("running").failure, store.get("running").ended_at) == ("its process was ended by SIGKILL", at(3))
    assert store.fail_of("worker-1", at(4), "again") == 0


def test_a_job_that_was_stopped_with_its_service_is_queued_as_if_it_had_not_begun(store: JobStore) -> None:
    store.add("a", "analyst", REQUEST, at(0))
    store.take("worker-1", at(1))
    store.fail_of("worker-1", at(2), "its process was ended by SIGTERM")
    assert store.queue_again("worker-1") == 1
    queued = store.get("a")
    assert (queued.status, queued.failure, queued.worker, queued.ended_at) == (JobStatus.QUEUED, STOPPED, None, None)
    taken = store.take("worker-2", at(3))
    assert taken is not None
    assert taken.failure is None
    assert store.queue_again("worker-1") == 0


def test_a_job_is_called_off_while_it_is_open_and_its_worker_finds_out(store: JobStore) -> None:
    for name in ("running", "queued"):
        store.add(name, "analyst", REQUEST, at(0))
    store.take("worker-1", at(1))
    assert store.keep_alive("worker-1", at(2))
    assert store.get("running").heartbeat_at == at(2)
    for name in ("running", "queued"):
        assert store.cancel(name, "trader", at(3)).status is JobStatus.CANCELLED
    assert not store.keep_alive("worker-1", at(4))
    assert store.keep_alive("worker-2", at(4))
    with pytest.raises(JobLost, match="cancelled"):
        store.finish("running", "worker-1", at(4), {})
    with pytest.raises(JobUnknown):
        store.cancel("nothing", "trader", at(5))


def test_a_principal_has_only_so_many_jobs_open(store: JobStore) -> None:
    store.add("a", "analyst", REQUEST, at(0), most_open=1)
    with pytest.raises(JobsTooMany, match="1 backtests of 'analyst'"):
        store.add("b", "analyst", REQUEST, at(1), most_open=1)
    store.add("c", "trader", REQUEST, at(1), most_open=1)
    store.cancel("a", "analyst", at(2))
    store.add("b", "analyst", REQUEST, at(3), most_open=1)
