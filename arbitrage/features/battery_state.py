"""The battery's state as named features, which follow the market features in an observation.

Contract: every feature is a fraction of a limit of the battery or of the quarter-hour. The exception is the profit so
far today, in units of 100 EUR per MWh of capacity.
"""

from __future__ import annotations

from arbitrage.arrays import Floats
from arbitrage.battery import Battery
from arbitrage.features.encoder import Features
from arbitrage.features.names import FeatureSet
from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR

_MOVING = ("soc_fraction", "budget_left_fraction", "minute_fraction", "committed_fraction")
BATTERY_FEATURES = {
    FeatureSet.QUARTER_HOUR: _MOVING,
    FeatureSet.REFERENCE: ("soc_fraction", "cycles_used", "minute_fraction"),
    FeatureSet.FULL: (*_MOVING, "profit_today"),
}
"""Features of the battery and of the running quarter-hour in each feature set, in order."""
PROFIT_SCALE_EUR_MWH = 100.0
"""Profit so far today is encoded per MWh of capacity, in units of 100 EUR."""


def encode_battery(
    feature_set: FeatureSet,
    battery: Battery,
    soc_mwh: Floats,
    cycles_used: Floats,
    committed_mwh: Floats,
    profit_today_eur: Floats,
    minute_fraction: float,
    out: Features,
) -> None:
    """Battery and quarter-hour features, written to `out` [batteries, names] in the order of BATTERY_FEATURES.

    soc_mwh, cycles_used, committed_mwh, profit_today_eur: shape [batteries]. minute_fraction: minutes of the
    quarter-hour that have passed, over 15. The budget left is 1 without a cycle limit. Committed energy is a fraction
    of the energy that rated power moves in a quarter-hour.
    """
    law = battery.law
    out[:, 0] = soc_mwh / law.capacity_mwh
    out[:, 2] = minute_fraction
    if feature_set is FeatureSet.REFERENCE:
        out[:, 1] = cycles_used
        return
    out[:, 1] = 1.0 - cycles_used / law.max_cycles_per_day if law.max_cycles_per_day > 0 else 0.0
    out[:, 3] = committed_mwh / (battery.power_mw * MINUTES_PER_QUARTER_HOUR / MINUTES_PER_HOUR)
    if feature_set is FeatureSet.FULL:
        out[:, 4] = profit_today_eur / (law.capacity_mwh * PROFIT_SCALE_EUR_MWH)
