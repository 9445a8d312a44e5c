"""Who a request is about: its battery, its state and what people ordered, from the request and from what is kept.

Law: what the request says counts before what is kept, but an order of a person counts whichever way the request came.
"""

from __future__ import annotations

from api.deciding import Subject, state_faults, time_of
from api.kept_assets import KeptAsset, look_up
from api.policies import ServedPolicy
from api.problems import fault, unusable
from api.schemas.decisions import DecisionRequest
from api.service import Service
from api.storage.refusals import AssetUnknown
from arbitrage.battery import Battery
from arbitrage.live.decision import FOLLOW, AssetState


async def subject_of(service: Service, request: DecisionRequest) -> Subject:
    """Everything about the asset of a request that brings its own market. Raises Problem."""
    kept = None if request.asset_id is None else await service.beside(_if_known, service, request.asset_id)
    served = service.policies.named(request.policy_id or (None if kept is None else kept.asset.policy_id))
    battery = _battery(request, kept, served)
    if request.state is None:
        raise unusable([fault("state", "missing", "a market comes with the state of its battery")])
    state = AssetState(request.state.state(battery), request.state.profit_today_eur)
    if faults := state_faults(battery, state):
        raise unusable(faults)
    return Subject(
        asset_id=request.asset_id,
        served=served,
        battery=battery,
        state=state,
        orders=FOLLOW if kept is None else kept.orders,
        time=time_of(request, service.clock()),
        ramp_mw_per_min=None if kept is None else kept.spec.ramp_mw_per_min,
    )


def _if_known(service: Service, asset_id: str) -> KeptAsset | None:
    try:
        return look_up(service, asset_id)
    except AssetUnknown:
        return None


def _battery(request: DecisionRequest, kept: KeptAsset | None, served: ServedPolicy) -> Battery:
    """The battery of the request, else the asset's, else the one the policy was trained for."""
    if request.battery is not None:
        return request.battery.battery()
    if kept is not None:
        return kept.battery
    if served.battery is None:
        raise unusable([fault("battery", "missing", f"{served.policy_id} is a rule and knows no battery: give one")])
    return served.battery
