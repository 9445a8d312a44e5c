"""`/v1/reconciliation`: what decisions earned at the price they saw, near real time, and validated."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from starlette.responses import Response

from api.clock import utc_text
from api.dependencies import ReadingDep, ServiceDep
from api.http.problems import fault, unusable
from api.http.responses import JSON
from api.schemas.reconciliation import ReconciliationOut, ReconciliationQuery
from api.storage.database.deadline import check_deadline
from api.storage.decision_record import Role
from api.storage.price_ledger import PriceLedger
from api.storage.reconciliation import Reconciled, reconcile

router = APIRouter(prefix="/v1/reconciliation", tags=["reconciliation"])
LONGEST = dt.timedelta(days=8)
_DAY = dt.timedelta(days=1)
_STAGES = ("seen", "near_real_time", "validated")


@router.get("", summary="What decisions earned, price by price", responses={200: {"model": ReconciliationOut}})
async def get_reconciliation(
    service: ServiceDep, query: Annotated[ReconciliationQuery, Query()], read: ReadingDep
) -> Response:
    """One row for each decision and quarter-hour, a page at a time, and the sums over all of them."""
    end = query.end or service.clock()
    start = query.start or end - _DAY
    if not start < end <= start + LONGEST:
        message = f"must lie before end, by at most {LONGEST.days} days"
        raise unusable([fault("start", "out_of_range", message)])
    if query.role == "challenger" and query.policy_sha256 is None:
        raise unusable([fault("policy_sha256", "missing", "which challenger?")])
    return Response(await read(_reconciled, service.readers.prices, query, start, end), media_type=JSON)


def _reconciled(ledger: PriceLedger, query: ReconciliationQuery, start: dt.datetime, end: dt.datetime) -> bytes:
    chain = ledger.chain(query.asset_id, start, end, Role(query.role), query.policy_sha256)
    rows = list(reconcile(chain, ledger.prices(start, end), start, end))
    check_deadline()
    sums = {stage: _sums(rows, stage) for stage in _STAGES}
    check_deadline()
    # Rows do not overlap: the time at which one begins is its place.
    left = rows if query.cursor is None else [row for row in rows if row.start >= query.cursor]
    page, more = left[: query.limit], left[query.limit :]
    document = {"asset_id": query.asset_id, "start": utc_text(start), "end": utc_text(end), **sums}
    following = {"next_cursor": utc_text(more[0].start) if more else None}
    return orjson.dumps(document | {"rows": [_document(row) for row in page]} | following)


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
