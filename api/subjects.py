"""Who a request is about: its battery, its state and what people ordered, from the request and from what is kept.

Law
- What the request says counts before what is kept; an order of a person counts whichever way the request came.
- A kept state is carried forward to the interval's beginning by the battery law: the power last set flows to the end
  of its interval, then nothing does. At Brussels midnight the cycle count begins anew.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from api.deciding import Subject, state_faults, time_of
from api.policies import ServedPolicy
from api.problems import Problem, fault, unusable
from api.schemas.decisions import DecisionRequest
from api.service import Service
from api.storage.asset_store import Asset, OverrideKind
from api.storage.asset_store import Override as KeptOverride
from api.storage.refusals import AssetUnknown
from arbitrage.battery import Battery
from arbitrage.live.decision import FOLLOW, AssetState, Orders, Override
from arbitrage.quarter_hour import epoch_minute


@dataclass(frozen=True, slots=True)
class KeptAsset:
    """An asset with the order that is in force."""

    asset: Asset
    override: KeptOverride | None


async def subject_of(service: Service, request: DecisionRequest) -> Subject:
    """Everything about the asset of a request that brings its own market. Raises Problem."""
    kept = None if request.asset_id is None else await kept_asset(service, request.asset_id)
    asset = None if kept is None else kept.asset
    policy_id = request.policy_id or (None if asset is None else asset.policy_id)
    served = service.policies.named(policy_id)
    battery = _battery(request, asset, served)
    if request.state is None:
        raise unusable([fault("state", "missing", "a market comes with the state of its battery")])
    state = AssetState(request.state.state(battery), request.state.profit_today_eur)
    if faults := state_faults(battery, state):
        raise unusable(faults)
    orders = FOLLOW if kept is None else orders_of(kept.override)
    return Subject(request.asset_id, served, battery, state, orders, time_of(request, service.clock()))


async def kept_asset(service: Service, asset_id: str) -> KeptAsset | None:
    """An asset as the database has it; None if there is none."""
    return await asyncio.get_running_loop().run_in_executor(service.threads, _look_up, service, asset_id)


def _look_up(service: Service, asset_id: str) -> KeptAsset | None:
    try:
        return KeptAsset(service.assets.get(asset_id), service.assets.override_at(asset_id, service.clock()))
    except AssetUnknown:
        return None


def orders_of(override: KeptOverride | None) -> Orders:
    """A person's order as the domain takes it."""
    if override is None:
        return FOLLOW
    if override.kind is OverrideKind.WATCH_ONLY:
        return Orders(watch_only=True)
    return Orders(Override(float(override.power_mw or 0.0), epoch_minute(override.until)))


def _battery(request: DecisionRequest, asset: Asset | None, served: ServedPolicy) -> Battery:
    """The battery of the request, else the asset's, else the one the policy was trained for."""
    if request.battery is not None:
        return request.battery.battery()
    if asset is not None:
        return Battery(**asset.battery)
    if served.battery is None:
        raise unusable([fault("battery", "missing", f"{served.policy_id} is a rule and knows no battery: give one")])
    return served.battery


def unknown_asset(asset_id: str) -> Problem:
    """There is no such asset."""
    return Problem(HTTPStatus.NOT_FOUND, f"There is no asset {asset_id}.")
