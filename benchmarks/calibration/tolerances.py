"""What the calibration holds the simulator to: published figures, tolerances, and remarks on what is missed.

Tolerances of price quantiles, autocorrelations and minute errors are the project's; the others are stated here. None
depends on what the simulator yields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "2022": {
        "price mean": 233.6,
        "price std": 222.4,
        "price 1 %": -195.0,
        "price 5 %": -93.0,
        "price 25 %": 80.0,
        "price 50 %": 221.0,
        "price 75 %": 360.0,
        "price 95 %": 640.0,
        "price 99 %": 850.0,
        "negative share": 0.129,
        "price autocorrelation 1": 0.71,
        "price autocorrelation 4": 0.57,
        "price autocorrelation 96": 0.36,
        "median daily max - min": 693.0,
        "correlation with day-ahead": 0.57,
    },
    "2024 Q1": {
        "SI mean": -27.0,
        "SI std": 173.0,
        "SI autocorrelation 1": 0.74,
        "SI autocorrelation 4": 0.43,
        "correlation SI, price": -0.69,
        "rank correlation SI, price": -0.82,
        "alpha > 0": 0.22,
    },
    "minutes": {
        "mean |indicative - final| after minute 0": 175.0,
        "mean |indicative - final| after minute 4": 136.0,
        "mean |indicative - final| after minute 9": 74.0,
        "mean |indicative - final| after minute 13": 11.0,
        "sign agreement after minute 0": 0.76,
        "sign agreement after minute 4": 0.83,
        "sign agreement after minute 9": 0.83,
        "sign agreement after minute 12": 0.92,
        "sign agreement after minute 13": 0.97,
        "mean |change of mean SI| at minute 1": 19.5,
        "mean |change of mean SI| at minute 14": 5.4,
    },
}
"""Figures published with the data; they stand in where its files are not there."""

PUBLISHED_MINUTE_MEDIANS: Mapping[int, float] = {0: 82.0, 4: 24.0, 9: 8.0, 13: 0.9}
"""Medians of |indicative - final| as published with the data, EUR/MWh by minute. The file of that day yields others:
both are shown and judged."""

GENUINE_QUARTER_HOURS = 75
"""Whole quarter-hours in the genuine minute day of 2024; a share estimated from them has a standard error."""

PERCENTS = (5, 25, 50, 75, 95)
SHAPE_CORRELATION = 0.8
"""Least correlation of simulated with real means by hour for the daily shape to count as met."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a simulated figure may lie from the real one: a part of it, a distance, or sampling errors."""

    relative: float = 0.0
    absolute: float = 0.0
    standard_errors: float = 0.0
    """Of a share estimated from `GENUINE_QUARTER_HOURS`."""

    def allowed(self, real: float) -> float:
        """The greatest permitted distance."""
        sampling = self.standard_errors * float(np.sqrt(max(0.0, real * (1.0 - real)) / GENUINE_QUARTER_HOURS))
        return max(self.absolute, self.relative * abs(real), sampling)


_TOLERANCES: Mapping[str, Tolerance] = {
    **{f"price {percent} %": Tolerance(relative=0.10) for percent in PERCENTS},
    **{f"price autocorrelation {lag}": Tolerance(absolute=0.05) for lag in (1, 4, 96)},
    "negative share": Tolerance(absolute=0.03),
    "median daily max - min": Tolerance(relative=0.10),
    "correlation with day-ahead": Tolerance(absolute=0.05),
    "day-ahead mean": Tolerance(relative=0.10),
    "day-ahead std": Tolerance(relative=0.10),
    "SI mean": Tolerance(absolute=10.0),
    "SI std": Tolerance(relative=0.10),
    **{f"SI {percent} %": Tolerance(relative=0.10, absolute=10.0) for percent in PERCENTS},
    **{f"SI autocorrelation {lag}": Tolerance(absolute=0.05) for lag in (1, 4)},
    "correlation SI, price": Tolerance(absolute=0.05),
    "rank correlation SI, price": Tolerance(absolute=0.05),
    "alpha > 0": Tolerance(absolute=0.03),
    **{f"median |indicative - final| after minute {k}": Tolerance(relative=0.25) for k in PUBLISHED_MINUTE_MEDIANS},
    **{f"sign agreement after minute {k}": Tolerance(standard_errors=2.0) for k in (0, 4, 9, 12, 13)},
    **{f"mean |change of mean SI| at minute {k}": Tolerance(relative=0.15) for k in (1, 14)},
    **{f"ladder at {sign}{step} MW": Tolerance(relative=0.25) for sign in "+-" for step in (200, 300, 400, 500, 600)},
}
_DISTANCE = Tolerance(relative=0.25)
"""Of a marginal price from the day-ahead price, by system imbalance: as for the ladder."""


def tolerance_of(figure: str) -> Tolerance | None:
    """The tolerance of a figure, None where it is shown without a verdict."""
    if figure.startswith("marginal - day-ahead"):
        return _DISTANCE
    return _TOLERANCES.get(figure)


_REMARKS: Mapping[tuple[str, str], str] = {
    ("minutes, as published", "after minute 4"): (
        "the published median and that of the genuine file lie too far apart to meet both; the preset follows the file"
    ),
    ("2024 Q1", "system imbalance, MW: mean by hour"): (
        "a hundred days fix the real profile itself but loosely: see how far one simulated world follows the others"
    ),
    ("minutes", "sign agreement"): (
        "the mean imbalance moves by the minute as far as on the genuine part-day but turns late less often; on the "
        "other genuine day (block minutes of 2023) it turned late less often still"
    ),
    ("ladder, bids of 2024", "ladder"): (
        "distances are measured in the one at 100 MW, which in 2024 was several times that of 2018 and 2019 (shown "
        "above in EUR/MWh, with the rise beyond it); the preset follows the marginal prices of 2024 themselves"
    ),
}


def remark_of(block: str, figure: str) -> str:
    """What there is to say about a miss, empty where there is nothing."""
    return next((text for (where, part), text in _REMARKS.items() if where == block and part in figure), "")
