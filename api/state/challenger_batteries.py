"""The batteries that challengers decide for; they do not exist.

Contract: a shadow begins as the asset stands when it is first asked for. It begins again if the asset gets another
battery, and if the shadow stands further ahead than the clock, which then was set back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from api.decisions.moment import Moment, is_from_the_future
from api.state.asset import StoredAsset
from arbitrage.battery import BatteryState
from arbitrage.live.live_battery import LiveBattery


@dataclass(slots=True)
class Shadow:
    """A challenger's battery, and from when on it may decide again."""

    policy_id: str
    life: LiveBattery
    free_at: int = 0
    """Epoch minute at which its running interval ends."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a decision is made for it."""


@dataclass(slots=True)
class Shadows:
    """Those of one process, by asset and policy."""

    _kept: dict[tuple[str, str], Shadow] = field(default_factory=dict)

    def of(self, kept: StoredAsset, policy_id: str, moment: Moment) -> Shadow:
        """The shadow of an asset in which a policy decides at a moment."""
        key = kept.asset.asset_id, policy_id
        found = self._kept.get(key)
        if found is None or found.life.battery != kept.battery or is_from_the_future(found.free_at, moment.now_s):
            state = kept.asset.state
            life = LiveBattery(kept.battery, BatteryState(state.soc_mwh, state.cycles_used))
            self._kept[key] = Shadow(policy_id, life)
        return self._kept[key]
