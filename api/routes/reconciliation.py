"""`/v1/reconciliation`: what decisions earned at the price they saw, near real time, and validated."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.clock import utc_text
from api.dependencies import ServiceDep
from api.problems import fault, unusable
from api.responses import json_response
from api.schemas.reconciliation import ReconciliationOut, ReconciliationQuery
from api.service import Service
from api.storage.decision_record import Role
from api.storage.reconciliation import Reconciled, reconcile

router = APIRouter(prefix="/v1/reconciliation", tags=["reconciliation"])
LONGEST = dt.timedelta(days=8)
_DAY = dt.timedelta(days=1)
_STAGES = ("seen", "near_real_time", "validated")


@router.get("", summary="What decisions earned, price by price", responses={200: {"model": ReconciliationOut}})
async def get_reconciliation(service: ServiceDep, query: Annotated[ReconciliationQuery, Query()]) -> Response:
    """One row for each decision and quarter-hour, and the sums."""
    end = query.end or service.clock()
    start = query.start or end - _DAY
    if not start < end <= start + LONGEST:
        message = f"must lie before end, by at most {LONGEST.days} days"
        raise unusable([fault("start", "out_of_range", message)])
    if query.role == "challenger" and query.policy_sha256 is None:
        raise unusable([fault("policy_sha256", "missing", "which challenger?")])
    rows = await service.beside(_rows, service, query, start, end)
    sums = {stage: _sums(rows, stage) for stage in _STAGES}
    document = {"asset_id": query.asset_id, "start": utc_text(start), "end": utc_text(end), **sums}
    return json_response(document | {"rows": [_document(row) for row in rows]})


def _rows(service: Service, query: ReconciliationQuery, start: dt.datetime, end: dt.datetime) -> list[Reconciled]:
    chain = service.prices.chain(query.asset_id, start, end, Role(query.role), query.policy_sha256)
    return list(reconcile(chain, service.prices.prices(start, end), start, end))


def _sums(rows: list[Reconciled], stage: str) -> dict[str, Any]:
    priced = [(row.energy_mwh, profit) for row in rows if (profit := getattr(row, f"profit_{stage}_eur")) is not None]
    return {
        "profit_eur": sum(profit for _, profit in priced),
        "energy_mwh": sum(energy for energy, _ in priced),
        "rows_priced": len(priced),
        "rows": len(rows),
    }


def _document(row: Reconciled) -> dict[str, Any]:
    return {
        "decision_id": row.decision.decision_id,
        "quarter_hour": utc_text(row.quarter_hour),
        "start": utc_text(row.start),
        "end": utc_text(row.end),
        "energy_mwh": row.energy_mwh,
        "price_seen_eur_mwh": row.decision.price_seen_eur_mwh,
        "price_near_real_time_eur_mwh": row.near_real_time_eur_mwh,
        "price_validated_eur_mwh": row.validated_eur_mwh,
        "profit_seen_eur": row.profit_seen_eur,
        "profit_near_real_time_eur": row.profit_near_real_time_eur,
        "profit_validated_eur": row.profit_validated_eur,
    }
