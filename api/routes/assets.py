"""`/v1/assets`: the batteries in the service's care, and what people order about them."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from api.clock import utc_text
from api.dependencies import CallerDep, ReadingDep, ServiceDep
from api.http.bodies import described, read_body
from api.http.problems import FaultItem, domain_faults, fault, unusable
from api.http.responses import JSON, json_response
from api.schemas.assets import AssetIn, AssetList, AssetOut, AssetQuery, OverrideIn
from api.schemas.wire import NAME_PATTERN
from api.service import Service
from api.state.asset import kept_asset, look_up, specification, state_at
from api.state.subject import state_faults
from api.storage.asset_lists import AssetLists
from api.storage.asset_store import OverrideKind, StoredOverride
from arbitrage.errors import BadInput
from arbitrage.live.decision import AssetState
from arbitrage.policies.compatibility import mismatches

router = APIRouter(prefix="/v1/assets", tags=["assets"])
LONGEST_OVERRIDE = dt.timedelta(days=31)
AssetId = Annotated[str, Path(pattern=NAME_PATTERN)]
_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "There is no such asset."}}


@router.get("", summary="Assets by name, a page at a time", responses={200: {"model": AssetList}})
async def get_assets(service: ServiceDep, query: Annotated[AssetQuery, Query()], read: ReadingDep) -> Response:
    """A page of assets with the orders in force."""
    body = await read(_listed, service.readers.assets, query, service.clock())
    return Response(body, media_type=JSON)


@router.get("/{asset_id}", summary="One asset", responses={200: {"model": AssetOut}, **_UNKNOWN})
async def get_asset(asset_id: AssetId, service: ServiceDep, read: ReadingDep) -> Response:
    """What the service knows of an asset."""
    kept = await read(look_up, service.readers.assets, asset_id, service.clock())
    return json_response(kept.document())


@router.put(
    "/{asset_id}",
    summary="Make or replace an asset",
    responses={200: {"model": AssetOut}, 409: {"description": "It was changed since it was read."}},
    openapi_extra=described(AssetIn),
)
async def put_asset(asset_id: AssetId, request: Request, service: ServiceDep) -> Response:
    """Describe a battery and its present state."""
    asked = await read_body(request, AssetIn)
    if faults := _asset_faults(service, asked):
        raise unusable(faults)
    state = state_at(service.clock(), asked.state.state(asked.battery.battery()))
    await service.beside(
        service.assets.put,
        asset_id,
        specification(asked),
        asked.policy_id,
        state,
        expected_version=asked.version,
        challenger_policy_id=asked.challenger_policy_id,
    )
    return await _shown(service, asset_id)


@router.put(
    "/{asset_id}/override",
    summary="Set the power by hand, watch only, or let the policy decide again",
    responses={200: {"model": AssetOut}, **_UNKNOWN},
    openapi_extra=described(OverrideIn),
)
async def put_override(asset_id: AssetId, request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """A person's order, until it ends."""
    asked = await read_body(request, OverrideIn)
    now = service.clock()
    if asked.until is not None and not now < asked.until <= now + LONGEST_OVERRIDE:
        message = f"must lie after the service's time, {utc_text(now)}, and within {LONGEST_OVERRIDE.days} days of it"
        raise unusable([fault("until", "out_of_range", message)])
    order = StoredOverride(
        kind=OverrideKind(asked.kind),
        set_at=now,
        until=asked.until or now,
        principal=caller,
        reason=asked.reason,
        power_mw=asked.power_mw,
    )
    await service.beside(service.assets.override, asset_id, order)
    return await _shown(service, asset_id)


async def _shown(service: Service, asset_id: str) -> Response:
    service.asset_cache.forget(asset_id)
    service.watched_assets.forget(asset_id)
    kept = await service.beside(look_up, service.asset_lists, asset_id, service.clock())
    return json_response(kept.document())


def _listed(lists: AssetLists, query: AssetQuery, now: dt.datetime) -> bytes:
    page = lists.page(now, query.limit, query.cursor, query.prefix)
    assets = [kept_asset(found).document() for found in page.assets]
    return orjson.dumps({"assets": assets, "next_cursor": page.next_cursor})


def _asset_faults(service: Service, asked: AssetIn) -> list[FaultItem]:
    """What is wrong with an asset beyond its form."""
    battery = asked.battery.battery()
    faults = state_faults(battery, AssetState(asked.state.state(battery)))
    known = {served.policy_id: served for served in service.policies.all()}
    for name in ("policy_id", "challenger_policy_id"):
        wanted = getattr(asked, name)
        served = service.policies.default if wanted is None and name == "policy_id" else known.get(wanted)
        if served is None and wanted is not None:
            faults.append(fault(name, "unknown_policy", f"{wanted} is none of {', '.join(sorted(known))}"))
        if served is not None and served.battery is not None:
            faults += domain_faults(BadInput(mismatches(served.battery, battery)), "battery", "unsuitable")
    return faults
