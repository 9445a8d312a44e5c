"""Backtests that were asked for: queued, run by whichever worker takes them, and found again when it dies.

Contract
- A job is taken by one worker. Only that worker says how far it is and how it ended.
- A worker says that it is alive. A job whose worker has been silent for too long is lost, and stays so: what its worker
  still says is refused. A queued job outlives everybody.
- Who started a worker says how it ended: its job has failed, or is queued again where the service itself was stopped.
- A job that was called off is cancelled; its worker finds out when it next says something.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, and_, func, insert, select, update

from api.storage.database.database import Database
from api.storage.database.refusals import JobLost, JobsTooMany, JobUnknown
from api.storage.database.tables import JobRow


class JobStatus(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"
    """Its worker died, and so did who started it."""
    CANCELLED = "cancelled"
    """It was cancelled."""


_OPEN = (JobStatus.QUEUED, JobStatus.RUNNING)
STOPPED = "the service was stopped while it ran; it is queued again for the next start"
_SILENT = "its process and the service that started it ended without a word; ask for it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A backtest that was asked for."""

    job_id: str
    principal: str
    """Who asked."""
    request: Mapping[str, Any]
    status: JobStatus
    progress_fraction: float
    queued_at: dt.datetime
    worker: str | None
    started_at: dt.datetime | None
    heartbeat_at: dt.datetime | None
    ended_at: dt.datetime | None
    result: Mapping[str, Any] | None
    """The summary, of a job that is done."""
    report_path: str | None
    failure: str | None
    """Why it failed, or why a queued job has to run again, for people."""


class JobStore:
    """Queues jobs, hands them out and keeps their results; several processes may do so at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, job_id: str, principal: str, request: Mapping[str, Any], now: dt.datetime, most_open: int | None = None
    ) -> Job:
        """Queue a job. `request` must be JSON, `job_id` new.

        most_open: jobs of the principal that may be queued or running. Raises JobsTooMany beyond.
        """
        own = and_(JobRow.principal == principal, JobRow.status.in_(_OPEN))
        with self._database.writing() as connection:
            if most_open is not None and (
                connection.execute(select(func.count()).where(own)).scalar_one() >= most_open
            ):
                raise JobsTooMany(f"{most_open} backtests of {principal!r} are queued or running already")
            connection.execute(
                insert(JobRow).values(
                    job_id=job_id,
                    principal=principal,
                    request=json.dumps(request, allow_nan=False),
                    status=JobStatus.QUEUED,
                    progress_fraction=0.0,
                    queued_at=now,
                )
            )
        return self.get(job_id)

    def get(self, job_id: str) -> Job:
        """One job. Raises JobUnknown."""
        with self._database.reading() as connection:
            row = connection.execute(select(JobRow.__table__).where(JobRow.job_id == job_id)).one_or_none()
        if row is None:
            raise JobUnknown(f"there is no job {job_id!r}")
        return _job(row)

    def newest(
        self, limit: int = 100, principal: str | None = None, status: JobStatus | None = None
    ) -> tuple[Job, ...]:
        """The jobs asked for last, newest first; of one principal and of one status if given."""
        query = select(JobRow.__table__).order_by(JobRow.sequence.desc()).limit(limit)
        if principal is not None:
            query = query.where(JobRow.principal == principal)
        if status is not None:
            query = query.where(JobRow.status == status)
        with self._database.reading() as connection:
            return tuple(_job(row) for row in connection.execute(query))

    def take(self, worker: str, now: dt.datetime) -> Job | None:
        """Take the job that has been queued longest; None if none is."""
        oldest = select(JobRow.sequence).where(JobRow.status == JobStatus.QUEUED).order_by(JobRow.sequence).limit(1)
        with self._database.writing() as connection:
            sequence = connection.execute(oldest.with_for_update(skip_locked=True)).scalar_one_or_none()
            if sequence is None:
                return None
            taken = {
                "status": JobStatus.RUNNING,
                "worker": worker,
                "started_at": now,
                "heartbeat_at": now,
                "failure": None,
            }
            connection.execute(update(JobRow).where(JobRow.sequence == sequence).values(**taken))
            return _job(connection.execute(select(JobRow.__table__).where(JobRow.sequence == sequence)).one())

    def beat(self, job_id: str, worker: str, now: dt.datetime, progress_fraction: float) -> None:
        """Say that the worker is alive and how far it is. Raises JobLost if the job is no longer its own."""
        self._say(job_id, worker, heartbeat_at=now, progress_fraction=progress_fraction)

    def finish(
        self, job_id: str, worker: str, now: dt.datetime, result: Mapping[str, Any], report_path: str | None = None
    ) -> None:
        """Keep a job's result, which must be JSON, and where its report is. Raises JobLost."""
        text = json.dumps(result, allow_nan=False)
        ended = {"status": JobStatus.DONE, "ended_at": now, "heartbeat_at": now, "progress_fraction": 1.0}
        self._say(job_id, worker, result=text, report_path=report_path, **ended)

    def fail(self, job_id: str, worker: str, now: dt.datetime, failure: str) -> None:
        """Keep why a job failed. Raises JobLost."""
        self._say(job_id, worker, status=JobStatus.FAILED, ended_at=now, heartbeat_at=now, failure=failure)

    def keep_alive(self, worker: str, now: dt.datetime) -> bool:
        """Say for a worker that it is alive; False once its job was called off or given up."""
        alive = and_(JobRow.worker == worker, JobRow.status == JobStatus.RUNNING)
        over = and_(JobRow.worker == worker, JobRow.status.in_((JobStatus.CANCELLED, JobStatus.LOST)))
        with self._database.writing() as connection:
            if connection.execute(update(JobRow).where(alive).values(heartbeat_at=now)).rowcount:
                return True
            return not connection.execute(select(func.count()).where(over)).scalar_one()

    def fail_of(self, worker: str, now: dt.datetime, failure: str) -> int:
        """A worker has ended: what it still ran has failed; returns how many jobs."""
        running = and_(JobRow.worker == worker, JobRow.status == JobStatus.RUNNING)
        failed = {"status": JobStatus.FAILED, "ended_at": now, "failure": failure}
        with self._database.writing() as connection:
            return connection.execute(update(JobRow).where(running).values(**failed)).rowcount

    def queue_again(self, worker: str) -> int:
        """A worker was stopped with its service: what it ran, or failed in by that, is queued again; how many jobs."""
        unfinished = and_(JobRow.worker == worker, JobRow.status.in_((JobStatus.RUNNING, JobStatus.FAILED)))
        times = {"started_at": None, "heartbeat_at": None, "ended_at": None}
        fresh = {"status": JobStatus.QUEUED, "progress_fraction": 0.0, "worker": None, "failure": STOPPED, **times}
        with self._database.writing() as connection:
            return connection.execute(update(JobRow).where(unfinished).values(**fresh)).rowcount

    def cancel(self, job_id: str, principal: str, now: dt.datetime) -> Job:
        """Call a job off; one that has ended stays as it is. Raises JobUnknown."""
        mine = and_(JobRow.job_id == job_id, JobRow.status.in_(_OPEN))
        cancelled = {"status": JobStatus.CANCELLED, "ended_at": now, "failure": f"called off by {principal}"}
        with self._database.writing() as connection:
            connection.execute(update(JobRow).where(mine).values(**cancelled))
        return self.get(job_id)

    def lose_silent(self, silent_since: dt.datetime, now: dt.datetime) -> int:
        """Give up the jobs whose worker has said nothing since a time; returns how many."""
        silent = and_(JobRow.status == JobStatus.RUNNING, JobRow.heartbeat_at < silent_since)
        lost = {"status": JobStatus.LOST, "ended_at": now, "failure": _SILENT}
        with self._database.writing() as connection:
            return connection.execute(update(JobRow).where(silent).values(**lost)).rowcount

    def _say(self, job_id: str, worker: str, **values: Any) -> None:
        own = and_(JobRow.job_id == job_id, JobRow.worker == worker, JobRow.status == JobStatus.RUNNING)
        with self._database.writing() as connection:
            changed = connection.execute(update(JobRow).where(own).values(**values)).rowcount
        if not changed:
            raise JobLost(f"job {job_id!r} is {self.get(job_id).status} and not run by {worker!r}")


def _job(row: Row[Any]) -> Job:
    return Job(
        job_id=row.job_id,
        principal=row.principal,
        request=json.loads(row.request),
        status=JobStatus(row.status),
        progress_fraction=row.progress_fraction,
        queued_at=row.queued_at,
        worker=row.worker,
        started_at=row.started_at,
        heartbeat_at=row.heartbeat_at,
        ended_at=row.ended_at,
        result=None if row.result is None else json.loads(row.result),
        report_path=row.report_path,
        failure=row.failure,
    )
