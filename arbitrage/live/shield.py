"""What stands between a policy's request and a battery: orders, unfamiliarity, the ramp limit, then the battery law.

Contract
- The rule that is named is the last one that changed the power.
- A hold that is ordered (watch-only, expiry) is 0 MW at once; the ramp limit bounds what moves energy.
- The battery law comes last and is never overruled, not by a ramp limit and not by a person.
"""

from __future__ import annotations

from dataclasses import dataclass

from arbitrage.battery import Battery, Step
from arbitrage.dispatch import Decision, ShieldRule, shield_rule
from arbitrage.live.decision import LiveRule, Mode, Orders


@dataclass(frozen=True, slots=True)
class PowerRequest:
    """A power on its way to the battery."""

    requested_mw: float
    """The power that was asked for."""
    power_mw: float
    """What is left of it."""
    mode: Mode
    rule: ShieldRule | LiveRule | None = None
    """The last rule that changed it."""

    @property
    def holds_at_once(self) -> bool:
        """Whether a hold was ordered that no ramp limit may delay."""
        return self.rule in (LiveRule.WATCH_ONLY, LiveRule.EXPIRED)


def ordered(asked_mw: float, careful_mw: float, orders: Orders, begins: int, expired: bool) -> PowerRequest:
    """The request after the operator's orders, for an interval that begins at an epoch minute.

    asked_mw: the policy's request; careful_mw: what is left of it where the market is unfamiliar, else the same.
    """
    override = orders.override
    if override is not None and begins >= override.until:
        override = None
    requested_mw = asked_mw if override is None else override.power_mw
    mode = Mode.POLICY if override is None else Mode.OVERRIDE
    if orders.watch_only:
        mode = Mode.WATCH_ONLY
    if expired:
        return PowerRequest(requested_mw, 0.0, mode, LiveRule.EXPIRED)
    if orders.watch_only:
        return PowerRequest(requested_mw, 0.0, mode, LiveRule.WATCH_ONLY)
    if override is None and careful_mw != asked_mw:
        return PowerRequest(requested_mw, careful_mw, mode, LiveRule.UNFAMILIAR)
    return PowerRequest(requested_mw, requested_mw, mode)


def careful_mw(asked_mw: float, averse_mw: float) -> float:
    """What an unfamiliar market leaves of a request: the smaller of two that agree on the side, else nothing."""
    if asked_mw * averse_mw <= 0.0:
        return 0.0
    return min(asked_mw, averse_mw, key=abs)


def ramped(request: PowerRequest, power_mw: float, ramp_mw_per_min: float | None, duration_min: int) -> PowerRequest:
    """The request within what the power may change by during the interval, from what flows now."""
    if ramp_mw_per_min is None or request.holds_at_once:
        return request
    most_mw = ramp_mw_per_min * duration_min
    limited_mw = min(max(request.power_mw, power_mw - most_mw), power_mw + most_mw)
    if limited_mw == request.power_mw:
        return request
    return PowerRequest(request.requested_mw, limited_mw, request.mode, LiveRule.RAMP)


def flowing(
    request: PowerRequest, decision: Decision, battery: Battery, duration_min: int
) -> tuple[Step, PowerRequest]:
    """What the battery law makes of the request; where nothing has changed the policy's, that is its own decision's."""
    if request.power_mw == decision.intent.power_mw:
        flow, rule = decision.flow, decision.shield
    else:
        flow = battery.step(decision.state, request.power_mw, duration_min)
        cut = flow.power_mw != request.power_mw
        rule = shield_rule(battery, decision.state, request.power_mw, flow.power_mw) if cut else None
    return flow, PowerRequest(request.requested_mw, flow.power_mw, request.mode, rule or request.rule)
