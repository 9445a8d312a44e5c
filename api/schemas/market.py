"""A market in the body of a request: every quantity a series on its own grid, gaps as null."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from api.http.problems import MORE_FAULTS, MOST_FAULTS
from api.schemas.wire import QuarterHour, WholeMinute, Wire

MOST_VALUES = 200_000
"""Of one series; four months of minutes."""


def _few_faults(values: object) -> object:
    """Say which are the first values that are no numbers, and how many there are: one by one they would be millions."""
    if not isinstance(values, list) or len(values) <= MOST_FAULTS:
        return values
    wrong = [number for number, value in enumerate(values) if not _is_value(value)]
    if len(wrong) <= MOST_FAULTS:
        return values
    first: list[InitErrorDetails] = [
        {"type": "float_type", "loc": (number,), "input": None} for number in wrong[:MOST_FAULTS]
    ]
    more = {"more": len(wrong) - MOST_FAULTS}
    rest = PydanticCustomError(MORE_FAULTS, "has {more} more values that are no finite numbers", more)
    raise ValidationError.from_exception_data("values", [*first, {"type": rest, "input": None}])


def _is_value(value: object) -> bool:
    kind = type(value)
    return value is None or kind is int or (kind is float and math.isfinite(value))  # type: ignore[arg-type]


Values = Annotated[list[float | None], Field(min_length=1, max_length=MOST_VALUES), BeforeValidator(_few_faults)]


class QuarterHourSeries(Wire):
    """Values of consecutive quarter-hours, null at a gap."""

    start: Annotated[QuarterHour, Field(description="Start of the first quarter-hour, with an offset.")]
    values: Values


class DayAheadSeries(Wire):
    """Values of consecutive hours or quarter-hours, published the day before; null at a gap."""

    start: Annotated[QuarterHour, Field(description="Start of the first interval, with an offset.")]
    step_min: Annotated[Literal[15, 60], Field(description="Minutes that each value covers.")] = 60
    values: Values


class MinuteSeries(Wire):
    """Records of consecutive minutes, each aggregating its quarter-hour up to that minute; null at a gap."""

    start: Annotated[WholeMinute, Field(description="Start of the first minute, with an offset.")]
    indicative_price_eur_mwh: Annotated[
        Values, Field(description="The price that would settle if the quarter-hour ended after the minute.")
    ]
    cumulative_imbalance_mw: Annotated[
        Values | None, Field(description="Mean system imbalance since the quarter-hour began; positive is surplus.")
    ] = None
    marginal_incremental_price_eur_mwh: Values | None = None
    marginal_decremental_price_eur_mwh: Values | None = None
    alpha_component_eur_mwh: Values | None = None


class MarketIn(Wire):
    """What the client knows of the market. Whatever is published later than the time to decide is not looked at."""

    imbalance_price_eur_mwh: Annotated[
        QuarterHourSeries, Field(description="Final prices, as far as known; two weeks of them are looked at.")
    ]
    day_ahead_price_eur_mwh: DayAheadSeries | None = None
    wind_forecast_day_ahead_mw: DayAheadSeries | None = None
    solar_forecast_day_ahead_mw: DayAheadSeries | None = None
    minutes: MinuteSeries | None = None
    publication_delay_min: Annotated[
        int | None,
        Field(ge=0, le=1440, description="From the end of an interval to its record; default: the policy's."),
    ] = None
