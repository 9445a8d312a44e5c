"""A kept state carried forward to the interval that is decided next.

Contract
- The power last set flows to the end of its interval and no longer, by the battery law: of consecutive decisions the
  state is that of a backtest, bit for bit.
- At Brussels midnight the cycle count restarts.
- A state that is newer than the interval stands as it is: nothing flows backwards. What it says of another day's
  cycles says nothing of the interval's day, so none are left of that day's budget.
"""

from __future__ import annotations

from api.clock import minute_time
from api.state.asset import brussels_day, state_at
from api.storage.asset_store import StoredAssetState
from arbitrage.battery import Battery, BatteryState
from arbitrage.live.decision import AssetState, LiveDecision
from arbitrage.quarter_hour import calendar_day


def carried(battery: Battery, kept: StoredAssetState, step_min: int, time: int) -> AssetState:
    """The state at an epoch minute; `step_min` is the policy's."""
    if is_before(kept, time):
        return AssetState(_newer(battery, kept, time), power_mw=kept.power_mw)
    state = BatteryState(kept.soc_mwh, kept.cycles_used)
    began = kept_minute(kept)
    ends = began + step_min - began % step_min
    flowed_min = min(ends, time) - began
    if kept.power_mw and flowed_min > 0:
        state = battery.step(state, kept.power_mw, flowed_min).after
    if calendar_day(brussels_day(minute_time(time))) != kept.cycle_day:
        state = BatteryState(state.soc_mwh)
    return AssetState(state, power_mw=kept.power_mw if time <= ends else 0.0)


def state_to_keep(decision: LiveDecision) -> StoredAssetState:
    """What to keep of an asset once its interval is decided."""
    return state_at(minute_time(decision.frame.valid_from), decision.state.battery, decision.power_mw)


def is_before(kept: StoredAssetState, time: int) -> bool:
    """Whether an interval begins before the minute of the state that is kept."""
    return time < kept_minute(kept)


def kept_minute(kept: StoredAssetState) -> int:
    """Epoch minute that a kept state is of."""
    return int(kept.as_of.timestamp() // 60)


def _newer(battery: Battery, kept: StoredAssetState, time: int) -> BatteryState:
    """A state of a later time, taken for one at `time`."""
    is_of_day = calendar_day(brussels_day(minute_time(time))) == kept.cycle_day
    unknown = 0.0 if battery.max_cycles_per_day is None else battery.max_cycles_per_day
    return BatteryState(kept.soc_mwh, kept.cycles_used if is_of_day else max(kept.cycles_used, unknown))
