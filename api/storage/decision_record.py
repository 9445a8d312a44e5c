"""What the log keeps of a decision."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Row

from api.storage.database.tables import DecisionRow

LONGEST_VALIDITY = dt.timedelta(days=1)


class Role(StrEnum):
    """Whether a decision was answered, or only thought."""

    SERVED = "served"
    CHALLENGER = "challenger"
    """What another policy would have answered, to be scored beside it."""
    REPLAY = "replay"
    """What was answered for the past of an asset in care: nothing of it was done, and its books do not count it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """One decision as it was answered, with what it is looked up by.

    Raises ValueError unless it is valid for some time, at most a day.
    """

    decision_id: str
    asset_id: str
    generated_at: dt.datetime
    valid_from: dt.datetime
    valid_until: dt.datetime
    action: str
    power_mw: float
    """Discharge positive."""
    mode: str
    """`policy`, an override, watch-only: as in the answer."""
    principal: str
    """Who asked."""
    request_sha256: str
    """Of the request's body: distinguishes a repeated request from another one under the same idempotency key."""
    answer: str
    """The body that was answered, JSON, to the last character."""
    role: str = Role.SERVED
    fallback_level: int = 0
    data_as_of: dt.datetime | None = None
    policy_id: str | None = None
    policy_sha256: str | None = None
    price_seen_eur_mwh: float | None = None
    """The indicative imbalance price that it was decided on."""
    idempotency_key: str | None = None
    """At most once a principal."""

    def __post_init__(self) -> None:
        if not dt.timedelta(0) < self.valid_until - self.valid_from <= LONGEST_VALIDITY:
            raise ValueError(f"a decision is valid for at most a day, not {self.valid_until - self.valid_from}")

    def as_row(self) -> dict[str, Any]:
        """Column values by name."""
        return {name: getattr(self, name) for name in NAMES}

    @staticmethod
    def of(row: Row[Any]) -> DecisionRecord:
        """From a row that has `COLUMNS`."""
        return DecisionRecord(**{name: getattr(row, name) for name in NAMES})


class ChainLink(NamedTuple):
    """What of a decision says what it earned."""

    decision_id: str
    valid_from: dt.datetime
    valid_until: dt.datetime
    power_mw: float
    """Discharge positive."""
    price_seen_eur_mwh: float | None


NAMES = tuple(field.name for field in fields(DecisionRecord))
"""The fields of a record, which are columns of the log."""
COLUMNS = tuple(getattr(DecisionRow, name) for name in NAMES)
"""The columns of a record, in the order of its fields."""
LINK_COLUMNS = tuple(getattr(DecisionRow, name) for name in ChainLink._fields)
"""The columns of a link, in the order of its fields."""
