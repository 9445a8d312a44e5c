"""Assets: their batteries, the state that each was last known in, and what people ordered about them.

Contract
- Every change of an asset and every order about it raises its version by one. Who changes what was read before gives
  the version that was read, and is refused if it is no longer that: no one overwrites what he has not seen.
- A decision is committed against the version that it was made on, also one that changes nothing: an order that was
  acknowledged holds for every decision that is asked for afterwards, in whatever process.
- Overrides are never changed or deleted. The newest one of an asset counts, until its end.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, select, update

from api.storage.database.database import Database
from api.storage.database.refusals import AssetUnknown, VersionConflict
from api.storage.database.tables import AssetRow, OverrideRow

ABSENT = 0
"""The version of an asset that is not there yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAssetState:
    """What a battery was last known to be like."""

    soc_mwh: float
    cycles_used: float
    cycle_day: dt.date
    """The Brussels day that `cycles_used` belongs to."""
    power_mw: float
    """What it last did, discharge positive."""
    as_of: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A battery in the service's care."""

    asset_id: str
    version: int
    battery: Mapping[str, Any]
    """Its specification, as JSON has it."""
    policy_id: str | None
    state: StoredAssetState
    changed_at: dt.datetime


class OverrideKind(StrEnum):
    """What a person ordered."""

    SETPOINT = "setpoint"
    """Run at the power given, whatever the policy says."""
    WATCH_ONLY = "watch_only"
    """Decide and log, but let nothing act on it."""
    AUTOMATIC = "automatic"
    """Ends the override before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOverride:
    """An order about an asset: what, until when, by whom and why."""

    kind: OverrideKind
    set_at: dt.datetime
    until: dt.datetime
    principal: str
    reason: str
    power_mw: float | None = None
    """Of a setpoint, discharge positive."""

    def __post_init__(self) -> None:
        if (self.kind is OverrideKind.SETPOINT) != (self.power_mw is not None):
            raise ValueError(f"power_mw belongs to a setpoint, not to {self.kind!r}, and a setpoint needs it")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """What an asset is like after a decision, provided that it is still what it was when read."""

    asset_id: str
    state: StoredAssetState | None
    """None: as it was."""
    expected_version: int


class AssetStore:
    """Reads and changes assets; several processes may do so at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(
        self,
        asset_id: str,
        battery: Mapping[str, Any],
        policy_id: str | None,
        state: StoredAssetState,
        expected_version: int | None = None,
        challenger_policy_id: str | None = None,
    ) -> Asset:
        """Make an asset, or replace what is known of it.

        Args:
            asset_id: Its name.
            battery: Its specification; must be JSON.
            policy_id: The policy that decides for it.
            state: What it is like now; `changed_at` becomes `state.as_of`.
            expected_version: The version that this replaces, `ABSENT` if there must be none; None replaces any.
            challenger_policy_id: The policy that decides in its shadow.

        Raises VersionConflict.
        """
        policies = {"policy_id": policy_id, "challenger_policy_id": challenger_policy_id}
        values = {"battery": json.dumps(battery, allow_nan=False), **policies, **_state_values(state)}
        with self._database.writing() as connection:
            if not self._made(connection, asset_id, values, expected_version):
                found = _version(connection, asset_id)
                _expect(asset_id, expected_version, found)
                _change(connection, asset_id, found, values)
            return asset_of(_row(connection, asset_id))

    def _made(
        self, connection: Connection, asset_id: str, values: Mapping[str, Any], expected_version: int | None
    ) -> bool:
        """Make an asset that is not there; False if it is, though another process made it just now."""
        if expected_version not in (None, ABSENT):
            return False
        new = self._database.insert(AssetRow).on_conflict_do_nothing()
        return bool(connection.execute(new.values(asset_id=asset_id, version=1, **values)).rowcount)

    def set_state(self, asset_id: str, state: StoredAssetState, expected_version: int | None = None) -> Asset:
        """Say what an asset is like now. Raises AssetUnknown, VersionConflict."""
        with self._database.writing() as connection:
            found = _version(connection, asset_id)
            if found == ABSENT:
                raise unknown_asset(asset_id)
            _expect(asset_id, expected_version, found)
            _change(connection, asset_id, found, _state_values(state))
            return asset_of(_row(connection, asset_id))

    def override(self, asset_id: str, override: StoredOverride) -> None:
        """Order something about an asset; it takes the place of the order before. Raises AssetUnknown."""
        with self._database.writing() as connection:
            found = _version(connection, asset_id)
            if found == ABSENT:
                raise unknown_asset(asset_id)
            _change(connection, asset_id, found, {"changed_at": override.set_at})
            connection.execute(
                insert(OverrideRow).values(
                    asset_id=asset_id,
                    kind=override.kind.value,
                    power_mw=override.power_mw,
                    set_at=override.set_at,
                    until=override.until,
                    principal=override.principal,
                    reason=override.reason,
                )
            )

    def overrides(self, asset_id: str, limit: int = 100) -> tuple[StoredOverride, ...]:
        """The orders about an asset, newest first."""
        query = select(OverrideRow.__table__).where(OverrideRow.asset_id == asset_id)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(OverrideRow.sequence.desc()).limit(limit)).all()
        return tuple(override_of(row._asdict()) for row in rows)


def change_state(connection: Connection, change: StateChange) -> None:
    """Change an asset's state inside a writing transaction. Raises AssetUnknown, VersionConflict."""
    if change.state is None:
        found = _version(connection, change.asset_id)
        if found == ABSENT:
            raise unknown_asset(change.asset_id)
        _expect(change.asset_id, change.expected_version, found)
        return
    same = and_(AssetRow.asset_id == change.asset_id, AssetRow.version == change.expected_version)
    values = {"version": change.expected_version + 1, **_state_values(change.state)}
    if not connection.execute(update(AssetRow).where(same).values(values)).rowcount:
        raise VersionConflict(change.asset_id, change.expected_version, _row(connection, change.asset_id).version)


def _row(connection: Connection, asset_id: str) -> Row[Any]:
    row = connection.execute(select(AssetRow.__table__).where(AssetRow.asset_id == asset_id)).one_or_none()
    if row is None:
        raise unknown_asset(asset_id)
    return row


def unknown_asset(asset_id: str) -> AssetUnknown:
    """What to raise where there is no such asset."""
    return AssetUnknown(f"there is no asset {asset_id!r}")


def _version(connection: Connection, asset_id: str) -> int:
    """The version that is there, its row locked until the transaction ends; `ABSENT` if none is."""
    query = select(AssetRow.version).where(AssetRow.asset_id == asset_id).with_for_update()
    return connection.execute(query).scalar_one_or_none() or ABSENT


def _expect(asset_id: str, expected: int | None, found: int) -> None:
    if expected is not None and expected != found:
        raise VersionConflict(asset_id, expected, found)


def _change(connection: Connection, asset_id: str, found: int, values: Mapping[str, Any]) -> None:
    same = update(AssetRow).where(AssetRow.asset_id == asset_id)
    connection.execute(same.values(version=found + 1, **values))


def _state_values(state: StoredAssetState) -> dict[str, Any]:
    return {
        "soc_mwh": state.soc_mwh,
        "cycles_used": state.cycles_used,
        "cycle_day": state.cycle_day.isoformat(),
        "power_mw": state.power_mw,
        "state_as_of": state.as_of,
        "changed_at": state.as_of,
    }


def asset_of(row: Row[Any]) -> Asset:
    """From a row that has the columns of `AssetRow`. Raises ValueError if it is damaged."""
    state = StoredAssetState(
        soc_mwh=row.soc_mwh,
        cycles_used=row.cycles_used,
        cycle_day=dt.date.fromisoformat(row.cycle_day),
        power_mw=row.power_mw,
        as_of=row.state_as_of,
    )
    return Asset(
        asset_id=row.asset_id,
        version=row.version,
        battery=json.loads(row.battery),
        policy_id=row.policy_id,
        state=state,
        changed_at=row.changed_at,
    )


def override_of(values: Mapping[str, Any]) -> StoredOverride:
    """From the columns of `OverrideRow`. Raises ValueError if they are damaged."""
    return StoredOverride(
        kind=OverrideKind(values["kind"]),
        set_at=values["set_at"],
        until=values["until"],
        principal=values["principal"],
        reason=values["reason"],
        power_mw=values["power_mw"],
    )
