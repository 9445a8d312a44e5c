"""What people watch of an asset: prices, the day in euros, and what another risk aversion would decide."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import ValidationError
from starlette.responses import Response

from api.dashboard.documents import day_document, prices_document
from api.dashboard.preview import newest, preview
from api.dependencies import ReadingDep, ServiceDep
from api.http.problems import from_validation
from api.http.responses import json_response
from api.schemas.dashboard import DayOut, PriceQuery, PricesOut, RiskQuery
from api.schemas.decisions import PreviewOut, RiskIn
from api.schemas.wire import NAME_PATTERN

router = APIRouter(prefix="/v1/assets", tags=["watching"])
AssetId = Annotated[str, Path(pattern=NAME_PATTERN)]
_NOTHING_YET: dict[int | str, dict[str, Any]] = {404: {"description": "Nothing was decided for the asset yet."}}


@router.get(
    "/{asset_id}/prices",
    summary="Prices of the last hours, as they were known",
    responses={200: {"model": PricesOut}, **_NOTHING_YET},
)
async def get_prices(asset_id: AssetId, query: Annotated[PriceQuery, Query()], service: ServiceDep) -> Response:
    """Indicative, final and day-ahead prices of the kept market, else of the one that was decided on last."""
    seen = await newest(service, asset_id)
    return json_response(prices_document(seen, asset_id, query.hours, service.clock()))


@router.get("/{asset_id}/day", summary="The Brussels day so far, in euros", responses={200: {"model": DayOut}})
async def get_day(asset_id: AssetId, service: ServiceDep, read: ReadingDep) -> Response:
    """Cash, open quarter-hours, and the store marked to market."""
    return json_response(await read(day_document, service, asset_id, service.clock()))


@router.get(
    "/{asset_id}/preview",
    summary="What another risk aversion would decide",
    responses={200: {"model": PreviewOut}, **_NOTHING_YET},
)
async def get_preview(asset_id: AssetId, query: Annotated[RiskQuery, Query()], service: ServiceDep) -> Response:
    """The last decided interval decided again with this risk aversion; written in no log, and not to be acted on."""
    return json_response(await preview(service, asset_id, _risk(query)))


def _risk(query: RiskQuery) -> RiskIn:
    """As a decision request has it. Raises Problem."""
    try:
        return RiskIn(**query.model_dump())
    except ValidationError as error:
        raise from_validation(error) from error
