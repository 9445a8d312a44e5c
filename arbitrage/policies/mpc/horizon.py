"""The quarter-hours that a plan looks at, and what is known of each of them when the plan is made.

Contract
- A plan made in a quarter-hour reaches from that quarter-hour to the end of its Brussels day, and so many quarter-hours
  beyond: none where energy left at midnight is worth nothing.
- Every number comes from a `KnownMarket` of the moment of planning, about the quarter-hour planned for. What is encoded
  of one pair of the two depends on that pair alone, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats, Numbers, Singles
from arbitrage.features.encoder import MarketFeatures
from arbitrage.market.point_in_time import KnownMarket
from arbitrage.quarter_hour import (
    MINUTES_PER_QUARTER_HOUR,
    brussels_day_numbers,
    brussels_midnight,
    quarter_hour_starts,
)

LONGEST_DAY = 100
"""Quarter-hours of the day on which clocks go back."""
_FADING_QUARTER_HOURS = (4.0, 16.0)
"""How fast the prices just past lose their meaning for later quarter-hours; each gives them a second appearance."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """Pairs of a moment of planning and a quarter-hour planned for, plan by plan; arrays of shape [n]."""

    moment: Numbers
    """Shape [T]; epoch minutes at which plans are made."""
    today: Numbers
    """Shape [T]; quarter-hours of a plan that lie in the Brussels day of its moment."""
    plan: Numbers
    """Number of the plan, 0 to T - 1, ascending."""
    lead: Numbers
    """Quarter-hours from the running one to the one planned for; 0 is the running one."""

    @property
    def about(self) -> Numbers:
        """Start of each quarter-hour planned for, epoch minutes."""
        return quarter_hour_starts(self.moment)[self.plan] + MINUTES_PER_QUARTER_HOUR * self.lead

    def at(self, rows: npt.NDArray[np.bool_] | Numbers) -> Ahead:
        """Some of the pairs."""
        return Ahead(self.moment, self.today, self.plan[rows], self.lead[rows])


def look_ahead(times: Numbers, beyond: int) -> Ahead:
    """Every quarter-hour of the plans made at `times` [T], to the end of the day and `beyond` quarter-hours more."""
    days, day = np.unique(brussels_day_numbers(times), return_inverse=True)
    ends = np.array([brussels_midnight(int(number) + 1) for number in days], dtype=np.int64)
    today = (ends[day] - quarter_hour_starts(times)) // MINUTES_PER_QUARTER_HOUR
    lengths = today + beyond
    plan = np.repeat(np.arange(len(times)), lengths)
    lead = np.arange(len(plan)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return Ahead(np.asarray(times, dtype=np.int64), today, plan, lead)


@dataclass(frozen=True, slots=True)
class EncodedAhead:
    """What is known of pairs, with the two numbers that turn a forecast into EUR/MWh; arrays of shape [n]."""

    inputs: Singles
    """Shape [n, inputs]."""
    base_eur_mwh: Floats
    scale_eur_mwh: Floats


def input_names(features: MarketFeatures) -> tuple[str, ...]:
    """What `encode_ahead` says of a pair, in order."""
    recent = features.quarter_names[len(features.plan_names) :]
    fading = [f"{name}, fading over {hours:g} quarter-hours" for hours in _FADING_QUARTER_HOURS for name in recent]
    return (*features.plan_names, *recent, *fading, "lead")


def encode_ahead(features: MarketFeatures, known: KnownMarket, ahead: Ahead) -> EncodedAhead:
    """The plan's features of the quarter-hour planned for, and the newest of the moment of planning beside them.

    features: a set by the quarter-hour. known: of any moments, none of the plans' later than its last.
    """
    planned = len(features.plan_names)
    about = features.encode_quarters(known.as_of(ahead.moment[ahead.plan], ahead.about))
    now = quarter_hour_starts(ahead.moment)
    recent = features.encode_quarters(known.as_of(ahead.moment, now)).features[ahead.plan, planned:]
    fading = [recent * np.exp(-ahead.lead / hours)[:, None] for hours in _FADING_QUARTER_HOURS]
    lead = ahead.lead[:, None] / LONGEST_DAY
    inputs = np.concatenate([about.features[:, :planned], recent, *fading, lead], axis=1).astype(np.float32)
    return EncodedAhead(inputs, about.base_eur_mwh, about.scale_eur_mwh)
