"""Which answer each refusal becomes; whatever is refused is a problem document."""

from __future__ import annotations

from http import HTTPStatus

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.http.problems import Problem, fault, from_bad_input, outcome_open, unusable
from api.storage.database.refusals import (
    AssetUnknown,
    IdempotencyKeyReused,
    JobsTooMany,
    JobUnknown,
    OutcomeOpen,
    ReadTooLong,
    RecordRefused,
    StorageBusy,
    StorageRefusal,
    VersionConflict,
)
from arbitrage.errors import BadInput

REFUSALS = (Problem, BadInput, StorageRefusal)
"""What routes raise to refuse a request."""
log = structlog.get_logger("api.http.error_handlers")


def add_refusals(app: FastAPI) -> None:
    """Answer what routes raise."""

    async def refuse(request: Request, refused: Exception) -> Response:
        return problem_of(refused).response(request.url.path)

    for kind in REFUSALS:
        app.add_exception_handler(kind, refuse)

    @app.exception_handler(RequestValidationError)
    async def refuse_arguments(request: Request, error: RequestValidationError) -> Response:
        faults = [fault(".".join(map(str, item["loc"][1:])), item["type"], item["msg"]) for item in error.errors()]
        return unusable(faults).response(request.url.path)

    @app.exception_handler(HTTPException)
    async def refuse_route(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        return Problem(status, f"{error.detail}.", headers=error.headers).response(request.url.path)


def problem_of(refused: Exception) -> Problem:
    """One of `REFUSALS` as an answer; anything else is raised as it is."""
    if isinstance(refused, Problem):
        return refused
    if isinstance(refused, BadInput):
        return from_bad_input(refused)
    if isinstance(refused, StorageRefusal):
        return storage_problem(refused)
    raise refused


def storage_problem(refused: StorageRefusal) -> Problem:
    """What the storage would not do, as an answer."""
    if isinstance(refused, AssetUnknown | JobUnknown):
        return Problem(HTTPStatus.NOT_FOUND, f"{refused}.".capitalize())
    if isinstance(refused, JobsTooMany):
        return Problem(HTTPStatus.TOO_MANY_REQUESTS, f"{refused}: wait for one, or call one off.", kind="too-many-jobs")
    if isinstance(refused, VersionConflict):
        return Problem(HTTPStatus.CONFLICT, f"{refused}.", faults=[fault("version", "changed", str(refused))])
    if isinstance(refused, IdempotencyKeyReused):
        return unusable([fault("Idempotency-Key", "reused", str(refused))])
    if isinstance(refused, RecordRefused):
        return unusable([fault("body", "cannot_be_stored", str(refused))])
    if isinstance(refused, OutcomeOpen):
        log.error("outcome_open", reason=str(refused))
        return outcome_open()
    if isinstance(refused, ReadTooLong):
        log.warning("read_too_long", reason=str(refused))
        again = {"Retry-After": "1"}
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{refused}.", kind="read-too-long", headers=again)
    log.error("storage_refused", kind=type(refused).__name__, reason=str(refused))
    detail = "It could not be written down or looked up, so it is not answered."
    wait = "1" if isinstance(refused, StorageBusy) else "5"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, kind="storage", headers={"Retry-After": wait})
