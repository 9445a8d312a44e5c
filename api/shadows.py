"""The batteries that challengers decide for; they do not exist.

Law: a shadow begins as the asset stands when it is first asked for, and begins anew if the asset gets another battery.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from api.kept_assets import KeptAsset
from arbitrage.battery import BatteryState
from arbitrage.live.asset import LiveBattery


@dataclass(slots=True)
class Shadow:
    """A challenger's battery, and from when on it may decide again."""

    policy_id: str
    life: LiveBattery
    free_at: int = 0
    """Epoch minute at which its running interval ends."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever decides for it."""


@dataclass(slots=True)
class Shadows:
    """Those of one process, by asset and policy."""

    _kept: dict[tuple[str, str], Shadow] = field(default_factory=dict)

    def of(self, kept: KeptAsset, policy_id: str) -> Shadow:
        """The shadow of an asset in which a policy decides."""
        key = kept.asset.asset_id, policy_id
        if key not in self._kept or self._kept[key].life.battery != kept.battery:
            state = kept.asset.state
            life = LiveBattery(kept.battery, BatteryState(state.soc_mwh, state.cycles_used))
            self._kept[key] = Shadow(policy_id, life)
        return self._kept[key]
