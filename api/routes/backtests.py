"""`/v1/backtests`: jobs that run in processes of their own."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from api.clock import utc_text
from api.dependencies import CallerDep, ServiceDep
from api.http.bodies import described, read_body
from api.http.problems import Problem, fault, unusable
from api.http.responses import json_response
from api.schemas.backtests import SAMPLE, BacktestIn, BacktestList, BacktestOut
from api.service import Service
from api.storage.job_store import Job
from arbitrage.backtest.engine import PERFECT_FORESIGHT

router = APIRouter(prefix="/v1/backtests", tags=["backtests"])
JobId = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]
_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "There is no such job, or nothing drawn."}}


@router.post(
    "",
    summary="Ask for a backtest",
    status_code=HTTPStatus.ACCEPTED,
    responses={202: {"model": BacktestOut}, 429: {"description": "This key has as many backtests open as it may."}},
    openapi_extra=described(BacktestIn),
)
async def post_backtest(request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Queue a job, and say where it is found."""
    asked = await read_body(request, BacktestIn)
    _refuse_unknown(service, asked)
    job_id = str(uuid.uuid4())
    what = asked.model_dump(mode="json", exclude_none=True)
    most = service.settings.most_open_backtests
    job = await service.beside(service.jobs.add, job_id, caller, what, service.clock(), most)
    service.runner.wake()
    return json_response(_document(job), HTTPStatus.ACCEPTED, {"location": f"{router.prefix}/{job_id}"})


@router.get("", summary="Backtests asked for last", responses={200: {"model": BacktestList}})
async def get_backtests(service: ServiceDep) -> Response:
    """The newest hundred."""
    jobs = await service.beside(service.jobs.newest)
    return json_response({"backtests": [_document(job) for job in jobs]})


@router.get("/{job_id}", summary="One backtest", responses={200: {"model": BacktestOut}, **_UNKNOWN})
async def get_backtest(job_id: JobId, service: ServiceDep) -> Response:
    """How far it is, and what came of it."""
    return json_response(_document(await service.beside(service.jobs.get, job_id)))


@router.delete("/{job_id}", summary="Call a backtest off", responses={200: {"model": BacktestOut}, **_UNKNOWN})
async def delete_backtest(job_id: JobId, service: ServiceDep, caller: CallerDep) -> Response:
    """Cancel what is queued or running; what has ended stays as it is."""
    job = await service.beside(service.jobs.cancel, job_id, caller, service.clock())
    service.runner.wake()
    return json_response(_document(job))


@router.get(
    "/{job_id}/report",
    summary="The tear sheet of a backtest",
    response_class=FileResponse,
    responses={200: {"content": {"text/html": {}}, "description": "A self-contained page, to be kept."}, **_UNKNOWN},
)
async def get_report(job_id: JobId, service: ServiceDep) -> Response:
    """A file to keep: it brings scripts of its own, which a browser must not run as this service's."""
    job = await service.beside(service.jobs.get, job_id)
    if job.report_path is None or not FilePath(job.report_path).is_file():
        raise Problem(HTTPStatus.NOT_FOUND, f"Backtest {job_id} has no report.")
    return FileResponse(job.report_path, media_type="text/html", filename=f"backtest-{job_id}.html")


def _refuse_unknown(service: Service, asked: BacktestIn) -> None:
    """Names must mean something here. Raises Problem."""
    strategies = [served.policy_id for served in service.policies.all()] + [PERFECT_FORESIGHT]
    markets = [SAMPLE, *service.settings.markets]
    faults = []
    if asked.strategy not in strategies:
        faults.append(fault("strategy", "unknown_policy", f"{asked.strategy} is none of {', '.join(strategies)}"))
    if asked.data not in markets:
        faults.append(fault("data", "unknown_market", f"{asked.data} is none of {', '.join(markets)}"))
    if faults:
        raise unusable(faults)


def _document(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "status": job.status.value,
        "progress_fraction": job.progress_fraction,
        "request": job.request,
        "queued_at": utc_text(job.queued_at),
        "started_at": None if job.started_at is None else utc_text(job.started_at),
        "ended_at": None if job.ended_at is None else utc_text(job.ended_at),
        "summary": job.result,
        "failure": job.failure,
        "report": None if job.report_path is None else f"{router.prefix}/{job.job_id}/report",
    }
