"""Reconciliation on the wire."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.wire import NAME_PATTERN, Time, Wire

PAGE, LARGEST_PAGE = 1500, 5000
"""Rows; a day of decisions by the minute has 1,440."""


class ReconciliationQuery(BaseModel):
    """Which decisions; times are [start, end) of the intervals that they hold for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asset_id: Annotated[str, Field(pattern=NAME_PATTERN)]
    start: Annotated[Time | None, Field(description="Default: a day before the end.")] = None
    end: Annotated[Time | None, Field(description="Default: now.")] = None
    role: Literal["served", "challenger"] = "served"
    policy_sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$", description="Of a challenger.")] = None
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE, description="Rows of a page.")] = PAGE
    cursor: Annotated[
        Time | None, Field(description="`next_cursor` of the page before, with the same start and end.")
    ] = None


class ReconciledOut(Wire):
    """What a decision did in one quarter-hour, and what that is worth at each price; null until it is known."""

    decision_id: str
    quarter_hour: dt.datetime
    start: dt.datetime
    end: dt.datetime
    energy_mwh: Annotated[float, Field(description="Grid side, discharge positive.")]
    price_seen_eur_mwh: float | None
    price_near_real_time_eur_mwh: float | None
    price_validated_eur_mwh: float | None
    profit_seen_eur: float | None
    profit_near_real_time_eur: float | None
    profit_validated_eur: float | None


class ProfitsOut(Wire):
    """Sums over the rows whose price is known, and how many these are. Wear is not in them."""

    profit_eur: float
    energy_mwh: float
    rows_priced: int
    rows: int


class ReconciliationOut(Wire):
    """A page of rows in the order of time, and the sums over all rows from start to end by price."""

    asset_id: str
    start: dt.datetime
    end: dt.datetime
    seen: ProfitsOut
    near_real_time: ProfitsOut
    validated: ProfitsOut
    rows: list[ReconciledOut]
    next_cursor: Annotated[dt.datetime | None, Field(description="Null on the last page.")]
