"""The versions of assets as a condition of an insert, in the driver's own words; see `bulk_insert`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import bindparam, or_, select

from api.storage.asset_store import StateChange
from api.storage.database.database import Database, DriverCheck, DriverStatement
from api.storage.database.tables import AssetRow


class VersionCheck:
    """Makes checks that assets are at the versions that decisions rest on."""

    def __init__(self, database: Database) -> None:
        self._dialect = database.engine.dialect
        self._query = lru_cache(self._compiled)

    def check(self, changes: Sequence[StateChange]) -> DriverCheck:
        """The check for some decisions; it does not hold where two of them rest on different versions of an asset."""
        expected = {(change.asset_id, change.expected_version) for change in changes}
        names = sorted({change.asset_id for change in changes})
        text, parameters = self._query(len(names))
        given = names if self._dialect.positional else dict(zip(parameters, names, strict=True))
        return DriverCheck(DriverStatement(text, given), expected)

    def _compiled(self, count: int) -> tuple[str, list[str]]:
        """The query for so many assets, and its parameters; their rows stay as they are until the transaction ends."""
        parameters = [f"asset_{number}" for number in range(count)]
        any_of = or_(*(AssetRow.asset_id == bindparam(name) for name in parameters))
        query = select(AssetRow.asset_id, AssetRow.version).where(any_of).order_by(AssetRow.asset_id)
        return str(query.with_for_update(read=True).compile(dialect=self._dialect)), parameters
