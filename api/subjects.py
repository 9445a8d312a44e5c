"""Who a request is about: its battery, its state and what people ordered, from the request and from what is kept.

Law: what the request says counts before what is kept, but an order of a person counts whichever way the request came.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from api.carrying import carried, is_before
from api.kept_assets import KeptAsset
from api.policies import Policies, ServedPolicy
from api.problems import FaultItem, Problem, fault, unusable
from api.schemas.decisions import DecisionRequest
from arbitrage.battery import Battery
from arbitrage.live.decision import FOLLOW, AssetState, Orders
from arbitrage.quarter_hour import epoch_minute

_MOST_CYCLES = 1_000.0


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is decided for, by which policy, from when on."""

    asset_id: str | None
    served: ServedPolicy
    battery: Battery
    state: AssetState
    orders: Orders
    time: int
    """Epoch minute at which the interval begins."""
    ramp_mw_per_min: float | None = None


def subject_of(policies: Policies, request: DecisionRequest, kept: KeptAsset | None, now_minute: int) -> Subject:
    """Everything about the asset of a request; `now_minute` is where the next interval begins. Raises Problem."""
    if kept is None and request.market is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no asset {request.asset_id}.")
    served = policies.named(request.policy_id or (None if kept is None else kept.asset.policy_id))
    battery = _battery(request, kept, served)
    time = now_minute if request.at is None else epoch_minute(request.at)
    state = _state(request, kept, served, battery, time)
    if faults := state_faults(battery, state):
        raise unusable(faults)
    return Subject(
        asset_id=request.asset_id,
        served=served,
        battery=battery,
        state=state,
        orders=FOLLOW if kept is None else kept.orders(time),
        time=time,
        ramp_mw_per_min=None if kept is None else kept.spec.ramp_mw_per_min,
    )


def state_faults(battery: Battery, state: AssetState) -> list[FaultItem]:
    """What a state must not be, whatever the policy."""
    faults = []
    if state.battery.soc_mwh > battery.capacity_mwh:
        message = f"must be at most the capacity, {battery.capacity_mwh} MWh"
        faults.append(fault("state.soc_mwh", "above_capacity", message))
    if state.battery.cycles_used > _MOST_CYCLES:
        faults.append(fault("state.cycles_used_today", "implausible", f"must be at most {_MOST_CYCLES:g}"))
    return faults


def _battery(request: DecisionRequest, kept: KeptAsset | None, served: ServedPolicy) -> Battery:
    """The battery of the request, else the asset's, else the one the policy was trained for."""
    if request.battery is not None:
        return request.battery.battery()
    if kept is not None:
        return kept.battery
    if served.battery is None:
        raise unusable([fault("battery", "missing", f"{served.policy_id} is a rule and knows no battery: give one")])
    return served.battery


def _state(
    request: DecisionRequest, kept: KeptAsset | None, served: ServedPolicy, battery: Battery, time: int
) -> AssetState:
    """The state of the request, else the kept one carried forward. Raises Problem."""
    before = None if kept is None else carried(battery, kept.asset.state, served.policy.step_min, time)
    if request.state is not None:
        power_mw = 0.0 if before is None else before.power_mw
        return AssetState(request.state.state(battery), request.state.profit_today_eur, power_mw)
    if kept is None or before is None:
        raise unusable([fault("state", "missing", "a market comes with the state of its battery")])
    if is_before(kept.asset.state, time):
        message = f"the asset's state is newer, of {kept.asset.state.as_of.isoformat()}"
        raise Problem(HTTPStatus.CONFLICT, "The interval is past.", faults=[fault("at", "past", message)])
    return before
