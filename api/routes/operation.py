"""How the service is: alive, ready, its figures and its version."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.decisions.readiness import unreadiness
from api.dependencies import Sees, SeesDep, ServiceDep
from api.http.responses import json_response
from api.metrics import CONTENT_TYPE
from api.schemas.decisions import SCHEMA_VERSION
from api.schemas.operation import Alive, Readiness, ReadinessQuery, VersionOut
from api.service import Service
from arbitrage.code_revision import code_revision

router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="Whether the process answers", responses={200: {"model": Alive}})
async def healthz() -> Response:
    """Alive, fit to decide or not."""
    return json_response({"status": "alive"})


@router.get(
    "/readyz",
    summary="Whether policy and data are fit to decide",
    responses={200: {"model": Readiness}, 503: {"model": Readiness, "description": "Not fit; says why."}},
)
async def readyz(service: ServiceDep, query: Annotated[ReadinessQuery, Query()], sees: SeesDep) -> Response:
    """Ready, or 503 with every reason why not, in full for a key of an operator."""
    found = await unreadiness(service, query.max_age_seconds)
    status = HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK
    return json_response(
        {"ready": not found, "reasons": _reasons(found, sees), "warnings": _warnings(service, sees)}, status
    )


def _reasons(found: dict[str, str], sees: Sees) -> list[dict[str, str]]:
    """Every reason; its words, which may name hosts and files, for operators alone."""
    plain = "is not fit to decide; a key of an operator gets the reason"
    return [{"about": about, "message": message if sees.detail else plain} for about, message in found.items()]


def _warnings(service: Service, sees: Sees) -> list[dict[str, str]]:
    """What is amiss and keeps nothing from being decided, for operators."""
    retention = service.retention_task.warning if service.retention_task is not None and sees.detail else None
    found = {"keys": sees.keys_fault, "retention": retention}
    return [{"about": about, "message": message} for about, message in found.items() if message is not None]


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
async def metrics(service: ServiceDep) -> Response:
    """Figures in Prometheus' own form."""
    return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE})


@router.get("/v1/version", summary="What is running", responses={200: {"model": VersionOut}})
async def version_of_service() -> Response:
    """Version of the package, of the decision contract, and the git revision of a checkout."""
    return json_response(_version())


@cache
def _version() -> dict[str, str | None]:
    return {"version": version("arbitrage"), "schema_version": SCHEMA_VERSION, "code_revision": code_revision()}
