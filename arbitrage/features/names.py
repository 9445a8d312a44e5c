"""Names of the market features, by group, and the feature sets that a policy may use.

Contract: a name is never given another meaning, because policy files refer to features by name.
"""

from __future__ import annotations

from enum import StrEnum

SHORT = ("past_1", "past_2", "past_3", "past_4", "past_5_8", "past_9_16", "past_17_48", "past_49_96")
PROFILE = ("profile_0", "profile_1", "profile_2", "profile_3")
VOLATILITY = ("size_1_4", "size_1_16", "size_1_96")
LEVEL = ("day_ahead", "day_ahead_day_mean", "log_scale")
LAST_PRICE = ("last_price",)
SHAPE = (
    *(f"day_ahead_{hours:+d}h" for hours in (1, 2, 3, 4, 6, 8, -1, -2)),
    "rest_max",
    "rest_min",
    "rest_mean",
    "rest_rank",
    "rest_std",
    "rest_highest_8",
    "rest_lowest_8",
)
QUARTER = ("hour_ramp", "step_from_last_hour", "step_to_next_hour", "quarter_0", "quarter_1", "quarter_2", "quarter_3")
CLOCK = tuple(f"{wave}_day_{k}" for k in (1, 2, 3) for wave in ("cos", "sin"))
WEEK = ("weekend", "sunday")
SEASON = ("cos_year", "sin_year")
RENEWABLES = ("solar", "wind", "solar_next_hour", "wind_next_two_hours", "solar_day_mean", "wind_day_mean")

PLAN_GROUPS = (SHAPE, QUARTER, CLOCK, WEEK, SEASON, RENEWABLES, LEVEL, PROFILE)
"""Groups that are also known of a later quarter-hour of the day: all that do not use the most recent prices."""
RECENT_GROUPS = (SHORT, VOLATILITY, LAST_PRICE)


_CONTEXT = (
    "past_1",
    "day_ahead",
    "log_scale",
    "rest_rank",
    "hour_ramp",
    *QUARTER[3:],
)
NEWEST_INDICATIVE = "newest_indicative"
REFERENCE_PLAN = ("quarter_hour_of_day", "month")
REFERENCE_RUNNING = ("records_fraction", NEWEST_INDICATIVE)
REFERENCE_SCALE_EUR_MWH = 100.0
"""The reference set uses no day-ahead price: prices enter without a base, in units of 100 EUR/MWh."""


class FeatureSet(StrEnum):
    """The inputs that a policy or an environment uses of the market."""

    QUARTER_HOUR = "quarter_hour"
    """Finished quarter-hours, day-ahead curve, forecasts, calendar; no minute records of the running quarter-hour.

    Where the market has minutes, the newest indicative price of the quarter-hour before replaces its final price until
    that is known.
    """
    REFERENCE = "reference"
    """The six features of arXiv 2401.00015: minute in the quarter-hour, quarter-hour of the day, month, state of
    charge, cycles used, newest indicative price."""
    FULL = "full"
    """All of the quarter-hour set, and the features of all minute records."""
