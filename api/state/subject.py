"""Who a request is about: its battery, its state and what people ordered, from the request and from what is kept.

Contract
- What the request says counts before what is kept, but an order of a person counts whichever way the request came.
- While the service's own clock is doubted, no kept state is moved, and the kept market is not decided on.
- A kept state never moves back in time. One that lies further ahead than any interval may be decided is wrong, whatever
  moved it there: its time is set aside, it counts as one of now, and the answer warns of `state_from_the_future`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from http import HTTPStatus

from api.clock import minute_time, utc_text
from api.decisions.moment import Moment, asked_moment, is_from_the_future, refuse_past
from api.http.problems import FaultItem, Problem, fault, unusable
from api.policies import Policies, ServedPolicy
from api.schemas.decisions import DecisionRequest
from api.state.asset import StoredAsset, state_at
from api.state.carry_forward import carried, is_before, kept_minute
from arbitrage.battery import Battery, BatteryState
from arbitrage.live.decision import FOLLOW, AssetState, Orders
from arbitrage.live.quality import SECONDS_PER_MINUTE, Finding, Params

_MOST_CYCLES = 1_000.0


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """Who is decided for, by which policy, from when on."""

    asset_id: str | None
    served: ServedPolicy
    battery: Battery
    state: AssetState
    orders: Orders
    moment: Moment
    ramp_mw_per_min: float | None = None
    moves_state: bool = False
    """Whether the decision makes the state that is kept of the asset."""
    warnings: tuple[Finding, ...] = ()
    """About the request's time and the kept state's."""

    @property
    def time(self) -> int:
        """Epoch minute at which the interval begins."""
        return self.moment.time


def subject_of(
    policies: Policies, request: DecisionRequest, kept: StoredAsset | None, now: dt.datetime, jumped_s: float = 0.0
) -> DecisionContext:
    """Everything about the asset of a request at `now`, the service's time. Raises Problem.

    jumped_s: by how much the service's clock has jumped, while it is doubted.
    """
    if kept is None and request.market is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no asset {request.asset_id}.")
    served = policies.named(request.policy_id or (None if kept is None else kept.asset.policy_id))
    battery = _battery(request, kept, served)
    moment = replace(asked_moment(request.at, now, served.policy.step_min), jumped_s=jumped_s)
    warned = () if kept is None else _state_warnings(kept, moment)
    state = _state(request, kept, served, battery, moment)
    if faults := state_faults(battery, state):
        raise unusable(faults)
    return DecisionContext(
        asset_id=request.asset_id,
        served=served,
        battery=battery,
        state=state,
        orders=FOLLOW if kept is None else kept.orders(moment.time),
        moment=moment,
        ramp_mw_per_min=None if kept is None else kept.spec.ramp_mw_per_min,
        moves_state=kept is not None and _moves_state(kept, moment),
        warnings=(*moment.warnings, *warned),
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


def _battery(request: DecisionRequest, kept: StoredAsset | None, served: ServedPolicy) -> Battery:
    """The battery of the request, else the asset's, else the one the policy was trained for."""
    if request.battery is not None:
        return request.battery.battery()
    if kept is not None:
        return kept.battery
    if served.battery is None:
        raise unusable([fault("battery", "missing", f"{served.policy_id} is a rule and knows no battery: give one")])
    return served.battery


def _state(
    request: DecisionRequest, kept: StoredAsset | None, served: ServedPolicy, battery: Battery, moment: Moment
) -> AssetState:
    """The state of the request, else the kept one carried forward. Raises Problem."""
    before = None if kept is None else _carried(kept, battery, served.policy.step_min, moment)
    if request.state is not None:
        power_mw = 0.0 if before is None else before.power_mw
        return AssetState(request.state.state(battery), request.state.profit_today_eur, power_mw)
    if kept is None or before is None:
        raise unusable([fault("state", "missing", "a market comes with the state of its battery")])
    if not _is_set_aside(kept, moment):
        refuse_past(moment, kept_minute(kept.asset.state))
    return before


def _carried(kept: StoredAsset, battery: Battery, step_min: int, moment: Moment) -> AssetState:
    """The kept state at the interval."""
    state = kept.asset.state
    if _is_set_aside(kept, moment):
        state = state_at(minute_time(moment.time), BatteryState(state.soc_mwh, state.cycles_used), state.power_mw)
    return carried(battery, state, step_min, moment.time)


def _moves_state(kept: StoredAsset, moment: Moment) -> bool:
    if moment.is_replay or moment.jumped_s:
        return False
    return _is_set_aside(kept, moment) or not is_before(kept.asset.state, moment.time)


def _is_set_aside(kept: StoredAsset, moment: Moment) -> bool:
    return is_from_the_future(kept_minute(kept.asset.state), moment.now_s)


def _state_warnings(kept: StoredAsset, moment: Moment) -> tuple[Finding, ...]:
    """What is to be said of the kept state's time."""
    as_of = kept.asset.state.as_of
    if moment.is_replay or not is_before(kept.asset.state, moment.time):
        return ()
    ahead_s = as_of.timestamp() - moment.time * SECONDS_PER_MINUTE
    params: Params = {"as_of": utc_text(as_of), "seconds": round(ahead_s, 3)}
    if _is_set_aside(kept, moment):
        return (Finding("state_from_the_future", params),)
    return (Finding("state_is_newer", params),)
