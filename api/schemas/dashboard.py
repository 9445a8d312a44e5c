"""What people watch on the wire: prices as they were known, the day in euros, and previews of another risk aversion."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.wire import Wire
from arbitrage.policies.closed_form.risk_head import MOST_RISK_AVERSE
from arbitrage.risk import RiskMeasure


class PriceQuery(BaseModel):
    """How far back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hours: Annotated[int, Field(ge=1, le=48)] = 6


class RiskQuery(BaseModel):
    """Risk settings, in the form of a decision request's `risk`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    aversion: Annotated[float | None, Field(ge=0.0, le=MOST_RISK_AVERSE)] = None
    measure: RiskMeasure = RiskMeasure.CVAR
    level: Annotated[float, Field(allow_inf_nan=False)] = 0.1
    weight: Annotated[float | None, Field(ge=0.0, allow_inf_nan=False)] = None


class PriceSeries(Wire):
    """Values of consecutive intervals, null where nothing was known."""

    start: dt.datetime
    step_min: int
    values: list[float | None]


class PricesOut(Wire):
    """Prices in EUR/MWh as they are known for deciding: of the kept market, else of the last request's."""

    asset_id: str
    now: Annotated[dt.datetime, Field(description="By the service's clock.")]
    known_at: dt.datetime
    indicative_price_eur_mwh: PriceSeries | None
    imbalance_price_eur_mwh: PriceSeries | None
    day_ahead_price_eur_mwh: Annotated[PriceSeries | None, Field(description="As far ahead as it is published.")]


class QuarterHourOut(Wire):
    """What one quarter-hour brought."""

    start: dt.datetime
    energy_mwh: Annotated[float, Field(description="Grid side, discharge positive.")]
    price_eur_mwh: float | None
    price_stage: Literal["validated", "near_real_time", "indicative"] | None
    profit_eur: float | None


class DayOut(Wire):
    """An asset's Brussels day so far, in euros; wear is in none of them but `wear_eur`."""

    asset_id: str
    now: Annotated[dt.datetime, Field(description="By the service's clock.")]
    begins_at: dt.datetime
    ends_at: dt.datetime
    charged_mwh: float
    discharged_mwh: float
    cash_eur: Annotated[float, Field(description="Of quarter-hours whose price is published.")]
    open_eur: Annotated[float, Field(description="Of those whose price is not, at the newest price seen in each.")]
    unpriced_mwh: Annotated[float, Field(description="Net energy for which no price at all is known.")]
    stored_mwh: Annotated[float | None, Field(description="In store now, less what was there when the day began.")]
    stored_eur: Annotated[float | None, Field(description="What that is worth, sold at `mark_price_eur_mwh`.")]
    mark_price_eur_mwh: float | None
    mark_price: Literal["day_ahead", "newest_seen"] | None
    marked_eur: Annotated[float | None, Field(description="cash_eur + open_eur + stored_eur.")]
    wear_eur: Annotated[float | None, Field(description="Null where the service does not know the battery.")]
    quarter_hours: list[QuarterHourOut]
