"""Minute records drawn around REAL final prices, for times of which no minute data are at hand.

Law
- Plausible, not measured. The final price of each quarter-hour is the real one; side, system imbalance and the way
  that prices take within the quarter-hour are drawn.
- Three steps, each of which sees no more than it must: side and mean imbalance of each quarter-hour from the
  departure of its price from the day-ahead price; imbalance of each minute from those means; marginal prices from
  the minutes' imbalance, with the final price known to the side that settled alone.
- What the side that did NOT settle shows never depends on the price of that quarter-hour or of a later one, but
  through which side settled and the imbalance.
- The price rule holds on every row; values are rounded as Elia publishes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.fundamentals import Floats, logistic
from arbitrage.market.merit_order import DEAD_BAND_MW, GRADUAL_FROM
from arbitrage.market.reconstructed_imbalance import (
    MinuteImbalanceParameters,
    QuarterHourImbalanceParameters,
    SideEvidence,
    draw_minute_imbalance_given_means,
    draw_quarter_hour_imbalance,
    generator,
    widening,
)
from arbitrage.market.reconstructed_prices import (
    LadderParameters,
    Ladders,
    MarginalPaths,
    Reveal,
    final_marginal_eur_mwh,
    marginal_paths,
)
from arbitrage.market.tapes import DAY_AHEAD, PRICE
from arbitrage.market.settlement import SINGLE_PRICE_SINCE, alpha_component_eur_mwh, imbalance_price_eur_mwh
from arbitrage.quarter_hour import (
    MINUTES_PER_HOUR,
    MINUTES_PER_QUARTER_HOUR,
    EpochMinutes,
    brussels_day_numbers,
    epoch_minute,
    epoch_minutes,
    quarter_hour_grid,
    utc_timestamps,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """How uncertain a quarter-hour is while it runs; everything else is the same."""

    minute_imbalance: MinuteImbalanceParameters = field(default_factory=MinuteImbalanceParameters)
    reveal_at_once: float = 0.3
    """Share of the way to its final price that the settling side shows with its first activation."""
    reveal_power: float = 1.6
    """Median of the power with which the rest of that way melts; lower is later."""
    reveal_log_std: float = 1.0
    """Of that power, from one quarter-hour to the next."""


GRADES: Mapping[str, Grade] = {
    "easy": Grade(
        minute_imbalance=MinuteImbalanceParameters(fast_std_mw=60.0),
        reveal_at_once=0.5,
        reveal_power=2.4,
    ),
    "matched": Grade(),
    "harsh": Grade(
        minute_imbalance=MinuteImbalanceParameters(fast_std_mw=125.0),
        reveal_at_once=0.1,
        reveal_power=1.0,
    ),
}
"""`matched` fits the one genuine part-day of minute records; the others bracket it."""

_TO_2022 = LadderParameters(
    upward_day_ahead_share=0.75,
    upward_level_share=0.17,
    upward_first_eur_mwh=85.0,
    upward_rise_eur_mwh_per_100mw=15.0,
    downward_day_ahead_share=0.4,
    downward_level_share=0.2,
    downward_first_eur_mwh=-50.0,
    downward_rise_eur_mwh_per_100mw=20.0,
    upward_surprise_eur_mwh=50.0,
    downward_surprise_eur_mwh=48.0,
    response_per_minute=0.22,
)
_TO_MAY_2024 = LadderParameters(
    upward_day_ahead_share=0.75,
    upward_level_share=-0.35,
    upward_first_eur_mwh=105.0,
    upward_rise_eur_mwh_per_100mw=15.0,
    downward_day_ahead_share=0.12,
    downward_level_share=0.6,
    downward_first_eur_mwh=-85.0,
    downward_rise_eur_mwh_per_100mw=20.0,
    upward_surprise_eur_mwh=36.0,
    downward_surprise_eur_mwh=62.0,
    response_per_minute=0.22,
)
_GRADUAL = LadderParameters(
    upward_day_ahead_share=0.75,
    upward_level_share=0.0,
    upward_first_eur_mwh=150.0,
    upward_rise_eur_mwh_per_100mw=40.0,
    downward_day_ahead_share=0.4,
    downward_level_share=0.0,
    downward_first_eur_mwh=-280.0,
    downward_rise_eur_mwh_per_100mw=80.0,
    upward_surprise_eur_mwh=40.0,
    downward_surprise_eur_mwh=90.0,
    response_per_minute=0.5,
)
_ERAS = (
    (SINGLE_PRICE_SINCE, _TO_2022),
    (epoch_minute("2023-01-01T00:00+01:00"), _TO_MAY_2024),
    (GRADUAL_FROM, _GRADUAL),
)
"""Bids by the first minute of their era: fitted to prices of 2022, to the first quarter of 2024, to 2024-09-06."""

_SURPRISE_SHARES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
_SURPRISE_QUANTILES = (-9.0, -4.4, -2.3, -1.4, -0.47, -0.07, 0.58, 1.85, 2.75, 4.8, 10.0)
"""Law of the departures of final marginal prices from the ladder, outward, their mean absolute value being 1: so the
side that does not settle moves like the one that does. Much the same on both sides in 2022 and in 2024."""

_IMBALANCE = QuarterHourImbalanceParameters()
_REVISED_SHARE = 0.03
_REVISION_MEDIAN_EUR_MWH = 0.5
_REVISION_LOG_STD = 1.5


@dataclass(frozen=True, slots=True)
class FinalPrices:
    """Real prices on a grid of consecutive quarter-hours, arrays of shape [n]; NaN where there are none."""

    starts: EpochMinutes
    price_eur_mwh: Floats
    day_ahead_eur_mwh: Floats
    level_eur_mwh: Floats
    """Mean day-ahead price of the Brussels day."""

    @property
    def gradual(self) -> npt.NDArray[np.bool_]:
        """Which quarter-hours lie under the rules from 2024-05-22, shape [n]."""
        return self.starts >= GRADUAL_FROM


def reconstruct_minutes(
    prices: pd.DataFrame, day_ahead: pd.DataFrame, *, grade: Grade | str = "matched", seed: int
) -> pd.DataFrame:
    """Draw minute records that end at the given final prices.

    prices: UTC quarter-hours with `imbalance_price_eur_mwh`; absent or NaN rows are gaps and get no minutes.
    day_ahead: UTC hours with `day_ahead_price_eur_mwh`, for every priced quarter-hour. grade: easy, matched, harsh or
    parameters of one's own. The result has the columns of `SimulatedMarket.minutes`, indexed by UTC minute `start`.
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
    if isinstance(grade, str) and grade not in GRADES:
        faults.append(Fault("grade", f"none is called {grade}; there are {', '.join(GRADES)}"))
    refuse(faults)
    return GRADES[grade] if isinstance(grade, str) else grade


def read_finals(prices: pd.DataFrame, day_ahead: pd.DataFrame) -> FinalPrices:
    """Prices on a grid without holes, each with its day-ahead price; see `reconstruct_minutes`."""
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
    # Within a gap the day-ahead price serves only to carry the chains across it.
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
        faults.append(Fault("prices", "begin before 2020: another price rule held until then"))
    lacking = np.setdiff1d(starts - starts % MINUTES_PER_HOUR, hours)
    if len(lacking):
        faults.append(Fault("day_ahead", f"lacks {len(lacking)} hours, the first {utc_timestamps(lacking[:1])[0]}"))
    return faults


def draw_sides(finals: FinalPrices, seed: int) -> Floats:
    """First step: mean system imbalance of each quarter-hour, shape [n], in MW; its sign is the side that settles."""
    evidence = side_evidence(finals)
    return draw_quarter_hour_imbalance(_IMBALANCE, evidence, DEAD_BAND_MW, seed)


def side_evidence(finals: FinalPrices) -> SideEvidence:
    """What the departure of each price from the day-ahead price says of side and size."""
    day_ahead = finals.day_ahead_eur_mwh
    departure = finals.price_eur_mwh - day_ahead
    ladders = _ladders(finals, seed=0)
    upward = np.maximum(ladders.upward_eur_mwh - day_ahead, 30.0)
    downward = np.maximum(day_ahead - ladders.downward_eur_mwh, 40.0)
    ratio = np.where(departure > 0.0, departure / upward, departure / downward)
    # Where sides meet: 4 EUR/MWh and 9 % of the day-ahead price below it, blurred the more the higher that price is.
    surplus = logistic(-(departure + 4.0 + 0.09 * np.abs(day_ahead)) / (1.0 + 0.035 * np.abs(day_ahead)))
    below, above = departure + 0.2 * downward, 0.4 * upward - departure
    within = np.where(finals.gradual, logistic(np.minimum(below, above) / 8.0), 0.5)
    side = np.where(finals.gradual, logistic(-(departure + 0.1 * downward) / 8.0), surplus)
    inner = np.where(finals.gradual, 0.5, side)
    weights = np.stack(
        [(1.0 - side) * (1.0 - within), (1.0 - inner) * within, inner * within, side * (1.0 - within)], axis=1
    )
    unknown = np.isnan(departure)
    weights[unknown] = (0.59, 0.59, 0.41, 0.41)
    factor = np.where(finals.gradual & (within > 0.5), 1.0, widening(_IMBALANCE, ratio))
    return SideEvidence(weights, np.where(unknown, 1.0, factor))


def _ladders(finals: FinalPrices, seed: int) -> Ladders:
    """Bids of every quarter-hour under the parameters of its era, from day-ahead prices and the seed alone."""
    era = np.searchsorted([since for since, _ in _ERAS], finals.starts, side="right") - 1
    of = {name: np.array([getattr(p, name) for _, p in _ERAS])[era] for name in LadderParameters.__slots__}
    n = len(finals.starts)
    day_ahead, level = finals.day_ahead_eur_mwh, finals.level_eur_mwh
    up, down = (
        np.interp(generator(seed, f"surprise {side}").random(n), _SURPRISE_SHARES, _SURPRISE_QUANTILES)
        for side in ("upward", "downward")
    )
    return Ladders(
        of["upward_day_ahead_share"] * day_ahead + of["upward_level_share"] * level + of["upward_first_eur_mwh"],
        of["downward_day_ahead_share"] * day_ahead + of["downward_level_share"] * level + of["downward_first_eur_mwh"],
        of["upward_rise_eur_mwh_per_100mw"],
        of["downward_rise_eur_mwh_per_100mw"],
        of["memory"],
        of["following"],
        of["upward_surprise_eur_mwh"],
        of["downward_surprise_eur_mwh"],
        up,
        down,
        of["avoided_activation_share"] * day_ahead,
        of["response_per_minute"],
    )


def build_records(
    finals: FinalPrices, quarter_hour_mw: Floats, minute_mw: Floats, grade: Grade, seed: int
) -> pd.DataFrame:
    """Third step: minute records from the imbalance of quarter-hours [n] and minutes [15 n]; see `reconstruct_minutes`.

    The sign of `quarter_hour_mw` says which side settles at the final price.
    """
    width = MINUTES_PER_QUARTER_HOUR
    minutes = np.repeat(finals.starts, width) + np.tile(np.arange(width), len(finals.starts))
    starts = np.repeat(finals.starts, width)
    means = np.cumsum(minute_mw.reshape(-1, width), axis=1) / np.arange(1, width + 1)
    means[:, -1] = quarter_hour_mw
    mean_mw = np.round(means.ravel(), 3)
    previous = np.repeat(np.concatenate([[0.0], quarter_hour_mw[:-1]]), width)
    # In a quarter-hour's first minute Elia mostly takes the previous imbalance as 0.
    previous[::width] = 0.0
    recorded = _last_records(finals, seed)
    marginal = _marginal_prices(finals, recorded, quarter_hour_mw, minute_mw, mean_mw, grade, seed)
    component = alpha_component_eur_mwh(starts, mean_mw, previous, *marginal)
    component = _published(starts, component)
    incremental, decremental = (_published(starts, values) for values in marginal)
    last = slice(width - 1, None, width)
    incremental[last] = np.where(quarter_hour_mw < 0.0, _published(finals.starts, recorded - component[last]), incremental[last])
    decremental[last] = np.where(quarter_hour_mw > 0.0, _published(finals.starts, recorded + component[last]), decremental[last])
    price = _published(starts, imbalance_price_eur_mwh(starts, mean_mw, incremental, decremental, component))
    table = pd.DataFrame(
        {
            PRICE: price,
            "system_imbalance_mw": mean_mw,
            "alpha_component_eur_mwh": component,
            "marginal_incremental_price_eur_mwh": incremental,
            "marginal_decremental_price_eur_mwh": decremental,
            "quarter_hour": utc_timestamps(starts),
        },
        index=utc_timestamps(minutes).rename("start"),
    )
    return table[np.repeat(~np.isnan(finals.price_eur_mwh), width)]


def _last_records(finals: FinalPrices, seed: int) -> Floats:
    """What the last minute shows, shape [n]: the final price, but where it is revised later."""
    random = generator(seed, "revision")
    n = len(finals.starts)
    revised = random.random(n) < _REVISED_SHARE
    size = _REVISION_MEDIAN_EUR_MWH * np.exp(_REVISION_LOG_STD * random.standard_normal(n))
    change = np.where(random.random(n) < 0.5, -size, size)
    return _published(finals.starts, finals.price_eur_mwh + np.where(revised, change, 0.0))


def _marginal_prices(
    finals: FinalPrices,
    recorded: Floats,
    quarter_hour_mw: Floats,
    minute_mw: Floats,
    mean_mw: Floats,
    grade: Grade,
    seed: int,
) -> MarginalPaths:
    """Unrounded marginal prices of each minute, dead band included."""
    width, n = MINUTES_PER_QUARTER_HOUR, len(finals.starts)
    ladders = _ladders(finals, seed)
    before = np.concatenate([[0.0], quarter_hour_mw[:-1]])
    extreme = np.full(n, 0.0)
    full = alpha_component_eur_mwh(finals.starts, quarter_hour_mw, before, extreme, extreme)
    marginal = final_marginal_eur_mwh(finals.starts, recorded, quarter_hour_mw, full)
    settled_within = finals.gradual & (np.abs(quarter_hour_mw) < DEAD_BAND_MW)
    side = np.where(np.isnan(recorded) | settled_within, 0.0, -np.sign(quarter_hour_mw))
    power = grade.reveal_power * np.exp(grade.reveal_log_std * generator(seed, "reveal").standard_normal(n))
    reveal = Reveal(np.full(n, grade.reveal_at_once), power)
    paths = marginal_paths(minute_mw, side, marginal, ladders, reveal, np.where(finals.gradual, 0.0, 1.0))
    avoided = np.where(settled_within & ~np.isnan(recorded), recorded, ladders.avoided_activation_eur_mwh)
    within = np.repeat(finals.gradual, width) & (np.abs(mean_mw) < DEAD_BAND_MW)
    band = np.repeat(avoided, width)
    return MarginalPaths(
        np.where(within & (mean_mw < 0.0), band, paths.incremental_eur_mwh),
        np.where(within & (mean_mw >= 0.0), band, paths.decremental_eur_mwh),
    )


def _published(starts: EpochMinutes, values: Floats) -> Floats:
    """Values [n] with the digits that Elia publishes."""
    return np.where(starts >= GRADUAL_FROM, np.round(values, 3), np.round(values, 2))
