"""The unit of every market feature and a description of each feature set, for policy cards.

Contract: every feature of the encoder has exactly one unit here. A dimensionless feature states what it is scaled by.
"""

from __future__ import annotations

from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.minutes import PREVIOUS, RUNNING
from arbitrage.features.names import (
    CLOCK,
    LAST_PRICE,
    LEVEL,
    NEWEST_INDICATIVE,
    PROFILE,
    QUARTER,
    REFERENCE_PLAN,
    RENEWABLES,
    SEASON,
    SHAPE,
    SHORT,
    VOLATILITY,
    WEEK,
    FeatureSet,
)

DIFFERENCE = "price less base, in trailing scales"
"""The base is the day-ahead price of the quarter-hour, or the weekly mean where there is none."""
PRICE_IN_SCALES = "price, in trailing scales"
FLAG = "0 or 1"
WAVE = "cosine or sine, -1 to 1"
FRACTION = "fraction, 0 to 1"
GIGAWATTS = "GW"
HUNDRED_MEGAWATTS = "100 MW, positive = the system is long"
HUNDRED_EUR_MWH = "100 EUR/MWh"
LOG_SCALE = "natural logarithm of the trailing scale in EUR/MWh"

_SEEN = {
    FeatureSet.QUARTER_HOUR: "finished quarter-hours, the day-ahead curve, forecasts and the calendar",
    FeatureSet.REFERENCE: "the clock, the month and the newest indicative price (the features of arXiv 2401.00015)",
    FeatureSet.FULL: "finished quarter-hours, the day-ahead curve, forecasts, the calendar and all minute records",
}
_DIFFERENCES = (*SHORT, *PROFILE, *VOLATILITY, *SHAPE, *QUARTER[:3], *PREVIOUS[3:], *RUNNING[1:10], "expected_sides")
_UNITS = {
    **dict.fromkeys(_DIFFERENCES, DIFFERENCE),
    **dict.fromkeys((*LEVEL[:2], *LAST_PRICE, "alpha", "previous_alpha"), PRICE_IN_SCALES),
    **dict.fromkeys(("indicative_change_1", "indicative_change_3"), "change of price, in trailing scales"),
    **dict.fromkeys((*QUARTER[3:], *WEEK), FLAG),
    **dict.fromkeys((*CLOCK, *SEASON), WAVE),
    **dict.fromkeys(RENEWABLES, GIGAWATTS),
    **dict.fromkeys((*PREVIOUS[:3], *RUNNING[10:14]), HUNDRED_MEGAWATTS),
    **dict.fromkeys(("rest_rank", "records_fraction", "long_share", *RUNNING[16:], *REFERENCE_PLAN), FRACTION),
    "log_scale": LOG_SCALE,
    NEWEST_INDICATIVE: HUNDRED_EUR_MWH,
}


def feature_units(features: MarketFeatures) -> dict[str, str]:
    """Unit of each market feature of the set, by feature name."""
    return {name: _UNITS[name] for name in (*features.quarter_names, *features.running_names)}


def seen_in_words(features: MarketFeatures) -> str:
    """The inputs of the feature set, in one phrase."""
    return _SEEN[features.feature_set]
