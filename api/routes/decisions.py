"""`/v1/decisions`: decide, and look up what was decided."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated

import orjson
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api.decisions.decide import Answered, decide
from api.decisions.log_record import record_of
from api.dependencies import CallerDep, ReadingDep, ServiceDep
from api.http.bodies import described, parse, read_bytes
from api.http.middleware import MAY_BE_WRITTEN
from api.http.problems import Problem, fault, unusable
from api.http.responses import JSON
from api.schemas.decisions import DecisionOut, DecisionRequest
from api.schemas.log import DecisionPage, LogQuery
from api.service import Service
from api.storage.database.refusals import IdempotencyKeyReused, VersionConflict
from api.storage.decision_record import DecisionRecord
from api.storage.log_reader import DecisionFilter, LogReader
from arbitrage.live.decision import LiveDecision

router = APIRouter(prefix="/v1/decisions", tags=["decisions"])
IDEMPOTENCY_KEY = "idempotency-key"
_LONGEST_KEY = 255
_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body get the same answer, however often they are sent.",
    "schema": {"type": "string", "minLength": 1, "maxLength": _LONGEST_KEY, "pattern": "^[ -~]+$"},
}
_TRIES = 5
"""Times that a decision is made again because its asset was changed meanwhile."""


@router.post(
    "",
    summary="Decide one interval",
    responses={
        200: {"model": DecisionOut},
        404: {"description": "There is no such asset."},
        409: {"description": "The interval is past, or the asset changes too often."},
    },
    openapi_extra=described(DecisionRequest, parameters=[_KEY_PARAMETER]),
)
async def post_decision(request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Decide, write the decision down, and answer it."""
    body = await read_bytes(request)
    key = idempotency_key(request)
    asked = parse(body, DecisionRequest)
    may_be_written = partial(request.scope.__setitem__, MAY_BE_WRITTEN)
    may_be_written(False)
    if key is not None and (given := await _given_before(service, caller, key, body)) is not None:
        return given
    for _ in range(_TRIES):
        may_be_written(False)
        answered = await decide(service, asked)
        try:
            return await _logged(
                service, answered, record_of(answered, caller, body, key), partial(may_be_written, True)
            )
        except VersionConflict:
            service.asset_cache.forget(str(asked.asset_id))
    raise Problem(HTTPStatus.CONFLICT, "The asset changes too often to be decided for; try again.")


@router.get("", summary="Decisions that were made, newest first", responses={200: {"model": DecisionPage}})
async def get_decisions(service: ServiceDep, query: Annotated[LogQuery, Query()], read: ReadingDep) -> Response:
    """A page of the log, as the decisions were answered."""
    return Response(await read(_listed, service.readers.log, query), media_type=JSON)


def idempotency_key(request: Request) -> str | None:
    """The key of the request, if it has one. Raises Problem."""
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        message = f"must be 1 to {_LONGEST_KEY} printable ASCII characters"
        raise unusable([fault("Idempotency-Key", "invalid", message)])
    return key


def _listed(log: LogReader, query: LogQuery) -> bytes:
    asked = query.model_dump(exclude={"limit", "cursor"})
    page = log.answers(DecisionFilter(**asked), query.limit, query.cursor)
    cursor = orjson.dumps(page.next_cursor).decode()
    return f'{{"decisions":[{",".join(page.answers)}],"next_cursor":{cursor}}}'.encode()


async def _given_before(service: Service, caller: str, key: str, body: bytes) -> Response | None:
    """What the caller was answered under that key, if anything. Raises IdempotencyKeyReused."""
    record = await service.for_deciding(service.log.by_idempotency_key, caller, key)
    if record is None:
        return None
    if record.request_sha256 != hashlib.sha256(body).hexdigest():
        raise IdempotencyKeyReused(f"the idempotency key {key!r} was used before, for another request")
    service.metrics.repeated.inc()
    return Response(record.answer, media_type=JSON)


async def _logged(
    service: Service, answered: Answered, record: DecisionRecord, on_taken: Callable[[], None]
) -> Response:
    """Write the decision down, then answer what the log holds. Raises StorageRefusal."""
    appended = await service.log.append(record, answered.change, on_taken)
    if appended.is_new:
        _count(service, answered.decision)
        if answered.change is not None and answered.change.state is not None:
            service.asset_cache.forget(answered.change.asset_id)
    else:
        service.metrics.repeated.inc()
    return Response(appended.record.answer, media_type=JSON)


def _count(service: Service, decision: LiveDecision) -> None:
    metrics, frame = service.metrics, decision.frame
    metrics.decided(decision.action, decision.mode.value, frame.level.number)
    if decision.shield.rule is not None:
        metrics.shielded.labels(decision.shield.rule.value).inc()
    if frame.judgement.age_s is not None:
        metrics.data_age.set(frame.judgement.age_s)
