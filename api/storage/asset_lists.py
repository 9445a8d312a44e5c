"""Assets with the orders that are in force, as many as are asked for in one query."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select

from api.storage.asset_store import Asset, OverrideKind, StoredOverride, asset_of, override_of, unknown_asset
from api.storage.database.database import Database
from api.storage.database.refusals import StorageUnavailable
from api.storage.database.tables import AssetRow, OverrideRow

_ORDER = "order_"
_ORDER_NAMES = ("kind", "power_mw", "set_at", "until", "principal", "reason")


@dataclass(frozen=True, slots=True)
class OrderedAsset:
    """An asset with the order that is in force; None where the policy decides."""

    asset: Asset
    override: StoredOverride | None


@dataclass(frozen=True, slots=True)
class AssetPage:
    """Some assets, by name, and where the next page begins."""

    assets: tuple[OrderedAsset, ...]
    next_cursor: str | None
    """The last name of this page; None on the last page."""


class AssetLists:
    """Reads assets. Everything raises StorageUnavailable, or ReadTooLong where there is a deadline."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def one(self, asset_id: str, now: dt.datetime) -> OrderedAsset:
        """One asset. Raises AssetUnknown."""
        found = self._read(_with_orders().where(AssetRow.asset_id == asset_id), now)
        if not found:
            raise unknown_asset(asset_id)
        return found[0]

    def page(self, now: dt.datetime, limit: int, cursor: str | None = None, prefix: str | None = None) -> AssetPage:
        """Up to `limit` assets after the name `cursor`; `prefix`: how their names begin."""
        query = _with_orders().order_by(AssetRow.asset_id).limit(limit + 1)
        if cursor is not None:
            query = query.where(AssetRow.asset_id > cursor)
        if prefix:
            query = query.where(_begins(prefix))
        found = self._read(query, now)
        more = len(found) > limit
        return AssetPage(found[:limit], found[limit - 1].asset.asset_id if more else None)

    def challenged(self, now: dt.datetime) -> tuple[OrderedAsset, ...]:
        """The assets that have a challenger, by name."""
        return self._read(
            _with_orders().where(AssetRow.challenger_policy_id.is_not(None)).order_by(AssetRow.asset_id), now
        )

    def kinds(self, now: dt.datetime, most: int) -> tuple[OrderedAsset, ...]:
        """One asset of each kind (specification and policy), of up to `most` kinds, last changed first."""
        last = func.max(AssetRow.changed_at)
        kinds = select(func.max(AssetRow.asset_id).label("asset_id"), last.label("last"))
        newest = kinds.group_by(AssetRow.battery, AssetRow.policy_id).order_by(last.desc()).limit(most).subquery()
        return self._read(_with_orders().join(newest, newest.c.asset_id == AssetRow.asset_id), now)

    def _read(self, query: Select[Any], now: dt.datetime) -> tuple[OrderedAsset, ...]:
        with self._database.reading() as connection:
            rows: Sequence[Row[Any]] = connection.execute(query).all()
        try:
            return tuple(_ordered(row, now) for row in rows)
        except (ValueError, TypeError, KeyError) as error:
            raise StorageUnavailable(f"the database holds an asset that cannot be read: {error}") from error


def _with_orders() -> Select[Any]:
    """Assets, each with its newest order."""
    own = select(func.max(OverrideRow.sequence)).where(OverrideRow.asset_id == AssetRow.asset_id)
    newest = own.correlate(AssetRow).scalar_subquery()
    orders = (getattr(OverrideRow, name).label(_ORDER + name) for name in _ORDER_NAMES)
    return select(AssetRow.__table__, *orders).outerjoin(OverrideRow, OverrideRow.sequence == newest)


def _begins(prefix: str) -> ColumnElement[bool]:
    return func.substr(AssetRow.asset_id, 1, len(prefix)) == prefix


def _ordered(row: Row[Any], now: dt.datetime) -> OrderedAsset:
    values = row._asdict()
    if values[_ORDER + "kind"] is None:
        return OrderedAsset(asset_of(row), None)
    order = override_of({name: values[_ORDER + name] for name in _ORDER_NAMES})
    holds = order.kind is not OverrideKind.AUTOMATIC and order.until > now
    return OrderedAsset(asset_of(row), order if holds else None)
