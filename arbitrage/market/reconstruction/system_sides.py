"""Real final prices on a grid, and the side and system imbalance that each of them makes likely.

Contract
- Only the deviation of a final price from the day-ahead price is used: to weigh which side settled, and to widen the
  draw of the imbalance where the deviation is large. Fitted to summary figures of early 2024.
- Under the rules from 2024-05-22, a price near the day-ahead price counts as one of the dead band.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.arrays import Floats
from arbitrage.errors import Fault, refuse
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE
from arbitrage.market.reconstruction.bid_ladders import Ladders, draw_ladders
from arbitrage.market.reconstruction.imbalance import (
    QuarterHourImbalanceParameters,
    SideEvidence,
    draw_quarter_hour_imbalance,
    widening,
)
from arbitrage.market.settlement import SINGLE_PRICE_SINCE
from arbitrage.market.simulation.fundamentals import logistic
from arbitrage.market.simulation.merit_order import DEAD_BAND_MW, GRADUAL_FROM
from arbitrage.quarter_hour import (
    MINUTES_PER_HOUR,
    MINUTES_PER_QUARTER_HOUR,
    EpochMinutes,
    brussels_day_numbers,
    epoch_minutes,
    quarter_hour_grid,
    utc_timestamps,
)

_UNKNOWN_WEIGHTS = (0.59, 0.59, 0.41, 0.41)
"""Shares of shortage and surplus in early 2024, for quarter-hours without a price."""
_LEAST_PREMIUM_EUR_MWH = 40.0
_BLUR_EUR_MWH = 8.0
_IMBALANCE = QuarterHourImbalanceParameters()


@dataclass(frozen=True, slots=True)
class FinalPrices:
    """Real prices on a grid of consecutive quarter-hours, arrays of shape [n]; NaN where there are none."""

    starts: EpochMinutes
    price_eur_mwh: Floats
    day_ahead_eur_mwh: Floats
    level_eur_mwh: Floats
    """Mean day-ahead price of the Brussels day."""

    def ladders(self, seed: int) -> Ladders:
        """Bids of every quarter-hour; they do not depend on final prices."""
        return draw_ladders(self.starts, self.day_ahead_eur_mwh, self.level_eur_mwh, seed)

    @property
    def gradual(self) -> npt.NDArray[np.bool_]:
        """Which quarter-hours lie under the rules from 2024-05-22, shape [n]."""
        return self.starts >= GRADUAL_FROM


def read_finals(prices: pd.DataFrame, day_ahead: pd.DataFrame) -> FinalPrices:
    """Prices on a complete grid, each with its day-ahead price; see `reconstruct_minutes`. Raises BadInput."""
    missing = [
        Fault(name, f"lacks the column {column}")
        for name, table, column in (("prices", prices, PRICE), ("day_ahead", day_ahead, DAY_AHEAD))
        if column not in table
    ]
    refuse(missing)
    known = prices[PRICE].dropna()
    starts = epoch_minutes(pd.DatetimeIndex(known.index))
    hours = day_ahead[DAY_AHEAD].dropna()
    hour_starts = epoch_minutes(pd.DatetimeIndex(hours.index))
    refuse(_faults(starts, hour_starts))
    grid = quarter_hour_grid(int(starts.min()), int(starts.max()) + MINUTES_PER_QUARTER_HOUR)
    price = pd.Series(known.to_numpy(np.float64), index=starts).reindex(grid).to_numpy(np.float64)
    table = pd.Series(hours.to_numpy(np.float64), index=hour_starts)
    by_hour = table.reindex(grid - grid % MINUTES_PER_HOUR).to_numpy(np.float64)
    daily = table.groupby(brussels_day_numbers(hour_starts)).mean()
    level = daily.reindex(brussels_day_numbers(grid)).to_numpy(np.float64)
    # Within a gap the day-ahead price only continues the random processes.
    return FinalPrices(grid, price, *(pd.Series(v).ffill().to_numpy(np.float64) for v in (by_hour, level)))


def _faults(starts: EpochMinutes, hours: EpochMinutes) -> list[Fault]:
    if not len(starts):
        return [Fault("prices", "hold no price")]
    faults = []
    for name, minutes, step in (("prices", starts, MINUTES_PER_QUARTER_HOUR), ("day_ahead", hours, MINUTES_PER_HOUR)):
        if np.any(minutes % step):
            faults.append(Fault(name, f"{utc_timestamps(minutes[minutes % step > 0][:1])[0]} is off the grid"))
        if len(np.unique(minutes)) < len(minutes):
            faults.append(Fault(name, "hold a time more than once"))
    if starts.min() < SINGLE_PRICE_SINCE:
        faults.append(Fault("prices", "begin before 2020, when another price rule applied; give prices from 2020 on"))
    lacking = np.setdiff1d(starts - starts % MINUTES_PER_HOUR, hours)
    if len(lacking):
        faults.append(Fault("day_ahead", f"lacks {len(lacking)} hours, the first {utc_timestamps(lacking[:1])[0]}"))
    return faults


def draw_sides(finals: FinalPrices, seed: int) -> Floats:
    """First step: mean system imbalance of each quarter-hour, shape [n], in MW; its sign gives the settling side."""
    evidence = side_evidence(finals)
    return draw_quarter_hour_imbalance(_IMBALANCE, evidence, DEAD_BAND_MW, seed)


def side_evidence(finals: FinalPrices) -> SideEvidence:
    """Weights of side and size from the deviation of each price from the day-ahead price; nothing is drawn."""
    day_ahead = finals.day_ahead_eur_mwh
    departure = finals.price_eur_mwh - day_ahead
    ladders = finals.ladders(0)
    outward = np.where(departure > 0.0, ladders.shortage_widens_from_eur_mwh, ladders.surplus_widens_from_eur_mwh)
    # Boundary of the sides: 4 EUR/MWh plus 9 % of the day-ahead price below it; wider at a higher day-ahead price.
    surplus = _odds(-(departure + 4.0 + 0.09 * np.abs(day_ahead)) / (1.0 + 0.035 * np.abs(day_ahead)))
    weights = np.stack([1.0 - surplus, 1.0 - surplus, surplus, surplus], axis=1) / 2.0
    upward = np.maximum(ladders.upward_eur_mwh - day_ahead, _LEAST_PREMIUM_EUR_MWH)
    downward = np.maximum(day_ahead - ladders.downward_eur_mwh, _LEAST_PREMIUM_EUR_MWH)
    # With a dead band, a price near the day-ahead price is the value of avoided activation, on either side.
    within = _odds(np.minimum(departure + 0.2 * downward, 0.4 * upward - departure) / _BLUR_EUR_MWH)
    beyond = _odds(-(departure + 0.1 * downward) / _BLUR_EUR_MWH)
    banded = np.stack([(1.0 - beyond) * (1.0 - within), within / 2.0, within / 2.0, beyond * (1.0 - within)], axis=1)
    weights[finals.gradual] = banded[finals.gradual]
    weights[np.isnan(departure)] = _UNKNOWN_WEIGHTS
    factor = widening(_IMBALANCE, departure / outward)
    return SideEvidence(weights, np.where(finals.gradual & (within > 0.5), 1.0, factor))


def _odds(log_odds: Floats) -> Floats:
    """The probability for given log odds, which are clipped at 30 in size."""
    return logistic(np.clip(log_odds, -30.0, 30.0))
