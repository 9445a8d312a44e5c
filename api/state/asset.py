"""Assets between database, domain and wire."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from api.clock import minute_time, utc_text
from api.schemas.assets import AssetSpec
from api.storage.asset_lists import AssetLists, OrderedAsset
from api.storage.asset_store import Asset, OverrideKind, StoredAssetState, StoredOverride
from api.storage.database.refusals import StorageUnavailable
from arbitrage.battery import Battery, BatteryState
from arbitrage.live.decision import FOLLOW, Orders
from arbitrage.live.decision import Override as LiveOverride
from arbitrage.quarter_hour import BRUSSELS, calendar_day, day_number, epoch_minute


@dataclass(frozen=True, slots=True)
class StoredAsset:
    """An asset with the order that is in force."""

    asset: Asset
    spec: AssetSpec
    battery: Battery
    override: StoredOverride | None

    def orders(self, time: int) -> Orders:
        """The order for an interval that begins at an epoch minute, as the domain takes it."""
        order = self.override
        if order is None or order.until <= minute_time(time):
            return FOLLOW
        if order.kind is OverrideKind.WATCH_ONLY:
            return Orders(watch_only=True)
        return Orders(LiveOverride(float(order.power_mw or 0.0), epoch_minute(order.until)))

    def document(self) -> dict[str, Any]:
        """As the wire has it."""
        state = self.asset.state
        return {
            **self.spec.model_dump(mode="json"),
            "asset_id": self.asset.asset_id,
            "version": self.asset.version,
            "policy_id": self.asset.policy_id,
            "state": {
                "soc_fraction": state.soc_mwh / self.battery.capacity_mwh,
                "soc_mwh": state.soc_mwh,
                "cycles_used": state.cycles_used,
                "cycle_day": state.cycle_day.isoformat(),
                "power_mw": state.power_mw,
                "as_of": utc_text(state.as_of),
            },
            "override": None if self.override is None else _override_document(self.override),
            "changed_at": utc_text(self.asset.changed_at),
        }


def kept_asset(found: OrderedAsset) -> StoredAsset:
    """An asset as the database has it. Raises StorageUnavailable where its specification is damaged."""
    try:
        spec, battery = _specified(str(found.asset.battery["spec"]))
    except (ValueError, KeyError) as error:  # pydantic's and the domain's refusals are of the first kind
        name = found.asset.asset_id
        raise StorageUnavailable(f"the database holds an asset that cannot be read, {name}: {error}") from error
    return StoredAsset(found.asset, spec, battery, found.override)


def look_up(lists: AssetLists, asset_id: str, now: dt.datetime) -> StoredAsset:
    """One asset. Raises AssetUnknown."""
    return kept_asset(lists.one(asset_id, now))


@lru_cache(maxsize=1024)
def _specified(text: str) -> tuple[AssetSpec, Battery]:
    """A specification as the database keeps it; many assets are alike."""
    spec = AssetSpec.model_validate_json(text)
    return spec, spec.battery.battery()


def specification(spec: AssetSpec) -> dict[str, Any]:
    """What the database keeps of a specification."""
    return {"spec": AssetSpec(**{name: getattr(spec, name) for name in AssetSpec.model_fields}).model_dump_json()}


def state_at(now: dt.datetime, state: BatteryState, power_mw: float = 0.0) -> StoredAssetState:
    """A state as the database keeps it."""
    day = calendar_day(brussels_day(now))
    return StoredAssetState(
        soc_mwh=state.soc_mwh, cycles_used=state.cycles_used, cycle_day=day, power_mw=power_mw, as_of=now
    )


@lru_cache(maxsize=1024)
def brussels_day(time: dt.datetime) -> int:
    """Number of the Brussels day that a time lies in."""
    return day_number(time.astimezone(BRUSSELS).date())


def _override_document(order: StoredOverride) -> dict[str, Any]:
    return {
        "kind": order.kind.value,
        "power_mw": order.power_mw,
        "set_at": utc_text(order.set_at),
        "until": utc_text(order.until),
        "principal": order.principal,
        "reason": order.reason,
    }
