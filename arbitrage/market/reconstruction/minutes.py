"""Minute records drawn around REAL final prices, for periods without minute data.

Contract
- The records are plausible, not measured. The final price of each quarter-hour is the real one; side, system imbalance
  and the path of prices within the quarter-hour are drawn.
- There are three steps, each with only the inputs that it needs. First: side and mean imbalance of each quarter-hour,
  from the deviation of its price from the day-ahead price. Second: imbalance of each minute, from those means. Third:
  marginal prices, from the imbalance of the minutes; only the side that settled uses the final price.
- Prices of the side that did NOT settle depend on the price of that quarter-hour, or of a later one, only through the
  settling side and the imbalance.
- The price rule holds on every row. Values are rounded as Elia publishes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.arrays import Floats
from arbitrage.errors import Fault, refuse
from arbitrage.market.point_in_time import ALPHA_COMPONENT, DECREMENTAL, INCREMENTAL, PRICE
from arbitrage.market.reconstruction.imbalance import (
    MinuteImbalanceParameters,
    draw_minute_imbalance_given_means,
    generator,
)
from arbitrage.market.reconstruction.prices import MarginalPaths, Reveal, final_marginal_eur_mwh, marginal_paths
from arbitrage.market.reconstruction.system_sides import FinalPrices, draw_sides, read_finals
from arbitrage.market.settlement import alpha_component_eur_mwh, imbalance_price_eur_mwh
from arbitrage.market.simulation.merit_order import DEAD_BAND_MW, GRADUAL_FROM
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, EpochMinutes, utc_timestamps


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """The uncertainty of a running quarter-hour; grades differ in nothing else."""

    minute_imbalance: MinuteImbalanceParameters = field(default_factory=MinuteImbalanceParameters)
    reveal_at_once: float = 0.2
    """Fraction of the change to the final price that the settling side shows at its first activation."""
    ratchet_power: float = 1.0
    """Median of the power to which the remaining activation is raised to give the remaining change, to 2024-05-21. A
    lower power reveals the price later; 1 is a ladder that rises linearly."""
    gradual_power: float = 1.7
    """The same from 2024-05-22."""
    power_log_std: float = 1.0
    """Log standard deviation of these powers between quarter-hours."""


GRADES: Mapping[str, Grade] = {
    "easy": Grade(
        minute_imbalance=MinuteImbalanceParameters(fast_std_mw=66.0),
        reveal_at_once=0.4,
        ratchet_power=1.5,
        gradual_power=2.5,
    ),
    "matched": Grade(),
    "harsh": Grade(
        minute_imbalance=MinuteImbalanceParameters(fast_std_mw=136.0),
        reveal_at_once=0.05,
        ratchet_power=0.7,
        gradual_power=1.15,
    ),
}
"""`matched` fits the only genuine part-day of minute records, which is under the newer rules. No genuine minutes under
the older rules were available. The grades vary how early a price is revealed, not how long a side lasts. `easy` has a
third less of the fast part of the minutes' imbalance and reveals final prices earlier; `harsh` has two fifths more of
it and reveals them later."""

STRESSES: Mapping[str, Grade] = {
    "severe": Grade(
        minute_imbalance=MinuteImbalanceParameters(fast_std_mw=220.0),
        reveal_at_once=0.05,
        ratchet_power=0.7,
        gradual_power=1.15,
    ),
}
"""Stress cases beyond the grades, to test how far results depend on them. Sides change as late as on the genuine
part-day (0.83 have the final sign after minute 9); here this needs twice its imbalance change between minutes."""

_REVISED_SHARE = 0.03
_REVISION_MEDIAN_EUR_MWH = 0.5
_REVISION_LOG_STD = 1.5


def reconstruct_minutes(
    prices: pd.DataFrame, day_ahead: pd.DataFrame, *, grade: Grade | str = "matched", seed: int
) -> pd.DataFrame:
    """Draw minute records that end at the given final prices.

    prices: UTC quarter-hours with `imbalance_price_eur_mwh`; absent or NaN rows are gaps and get no minutes.
    day_ahead: UTC hours with `day_ahead_price_eur_mwh`, for every priced quarter-hour. grade: easy, matched, harsh,
    severe or a `Grade`. The result is indexed by UTC minute `start` and has the columns of
    `SimulatedMarket.minutes` except those of regulation.
    Raises BadInput for prices before 2020 or off the grid, hours without a day-ahead price, a negative seed, an
    unknown grade.
    """
    chosen = _checked_grade(grade, seed)
    finals = read_finals(prices, day_ahead)
    quarter_hour_mw = draw_sides(finals, seed)
    minute_mw = draw_minute_imbalance_given_means(chosen.minute_imbalance, quarter_hour_mw, seed)
    return build_records(finals, quarter_hour_mw, minute_mw, chosen, seed)


def _checked_grade(grade: Grade | str, seed: int) -> Grade:
    faults = [Fault("seed", f"must be 0 or more, not {seed}")] if seed < 0 else []
    named = {**GRADES, **STRESSES}
    if isinstance(grade, str) and grade not in named:
        faults.append(Fault("grade", f"unknown grade {grade!r}; choose one of {', '.join(named)}"))
    refuse(faults)
    return named[grade] if isinstance(grade, str) else grade


class _Settled(NamedTuple):
    """Last minute of each quarter-hour on the side that settles, arrays of shape [n]."""

    price_eur_mwh: Floats
    """The final price, or the price before a later revision."""
    marginal_eur_mwh: Floats
    component_eur_mwh: Floats
    side: Floats
    """+1 where the upward side settles, -1 where the downward one does."""
    within: npt.NDArray[np.bool_]
    """Whether the value of avoided activation settles, in the dead band."""


def build_records(
    finals: FinalPrices, quarter_hour_mw: Floats, minute_mw: Floats, grade: Grade, seed: int
) -> pd.DataFrame:
    """Third step: minute records from the imbalance of quarter-hours [n] and minutes [15 n]; see `reconstruct_minutes`.

    The sign of `quarter_hour_mw` gives the side that settles at the final price.
    """
    width = MINUTES_PER_QUARTER_HOUR
    starts = np.repeat(finals.starts, width)
    minutes = starts + np.tile(np.arange(width), len(finals.starts))
    means = np.cumsum(minute_mw.reshape(-1, width), axis=1) / np.arange(1, width + 1)
    means[:, -1] = quarter_hour_mw
    mean_mw = np.round(means.ravel(), 3)
    previous = np.repeat(_one_before(quarter_hour_mw), width)
    # In a quarter-hour's first minute Elia mostly takes the previous imbalance as 0.
    previous[::width] = 0.0
    settled = _settled(finals, quarter_hour_mw, seed)
    marginal = _marginal_prices(finals, settled, minute_mw, mean_mw, grade, seed)
    component = _published(starts, alpha_component_eur_mwh(starts, mean_mw, previous, *marginal))
    component[width - 1 :: width] = settled.component_eur_mwh
    table = pd.DataFrame(
        {
            PRICE: _published(starts, imbalance_price_eur_mwh(starts, mean_mw, *marginal, component)),
            "system_imbalance_mw": mean_mw,
            ALPHA_COMPONENT: component,
            INCREMENTAL: marginal.incremental_eur_mwh,
            DECREMENTAL: marginal.decremental_eur_mwh,
            "quarter_hour": utc_timestamps(starts),
        },
        index=utc_timestamps(minutes).rename("start"),
    )
    return table[np.repeat(~np.isnan(finals.price_eur_mwh), width)]


def _one_before(quarter_hour_mw: Floats) -> Floats:
    """The imbalance of the quarter-hour before each [n]; before the first it counts as 0."""
    return np.concatenate([[0.0], quarter_hour_mw[:-1]])


def _settled(finals: FinalPrices, quarter_hour_mw: Floats, seed: int) -> _Settled:
    """The last records: final prices split into marginal price and alpha component."""
    starts, n = finals.starts, len(finals.starts)
    random = generator(seed, "revision")
    revised = random.random(n) < _REVISED_SHARE
    size = _REVISION_MEDIAN_EUR_MWH * np.exp(_REVISION_LOG_STD * random.standard_normal(n))
    change = np.where(random.random(n) < 0.5, -size, size)
    price = _published(starts, finals.price_eur_mwh + np.where(revised, change, 0.0))
    nothing = np.zeros(n)
    full = alpha_component_eur_mwh(starts, quarter_hour_mw, _one_before(quarter_hour_mw), nothing, nothing)
    side = np.where(quarter_hour_mw < 0.0, 1.0, -1.0)
    unrounded = final_marginal_eur_mwh(starts, price, quarter_hour_mw, full)
    component = _published(starts, side * (price - unrounded))
    marginal = _published(starts, price - side * component)
    return _Settled(price, marginal, component, side, finals.gradual & (np.abs(quarter_hour_mw) < DEAD_BAND_MW))


def _marginal_prices(
    finals: FinalPrices, settled: _Settled, minute_mw: Floats, mean_mw: Floats, grade: Grade, seed: int
) -> MarginalPaths:
    """Marginal prices of each minute as published, dead band included."""
    width, n = MINUTES_PER_QUARTER_HOUR, len(finals.starts)
    ladders = finals.ladders(seed)
    known = ~np.isnan(settled.price_eur_mwh)
    side = np.where(known & ~settled.within, settled.side, 0.0)
    median = np.where(finals.gradual, grade.gradual_power, grade.ratchet_power)
    power = median * np.exp(grade.power_log_std * generator(seed, "reveal").standard_normal(n))
    reveal = Reveal(np.full(n, grade.reveal_at_once), power)
    paths = marginal_paths(minute_mw, side, settled.marginal_eur_mwh, ladders, reveal, ~finals.gradual)
    avoided = np.where(known & settled.within, settled.price_eur_mwh, ladders.avoided_activation_eur_mwh)
    band, starts = np.repeat(avoided, width), np.repeat(finals.starts, width)
    within = np.repeat(finals.gradual, width) & (np.abs(mean_mw) < DEAD_BAND_MW)
    return MarginalPaths(
        _published(starts, np.where(within & (mean_mw < 0.0), band, paths.incremental_eur_mwh)),
        _published(starts, np.where(within & (mean_mw >= 0.0), band, paths.decremental_eur_mwh)),
    )


def _published(starts: EpochMinutes, values: Floats) -> Floats:
    """Values [n] rounded as Elia publishes them."""
    return np.where(starts >= GRADUAL_FROM, np.round(values, 3), np.round(values, 2))
