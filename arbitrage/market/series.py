"""The market as a table of quarter-hours, and as what is known of it at a given time.

Law
- A record carries the time from which it may be known. Whoever decides asks `known_at` and gets a
  `Knowledge`, which answers with NaN for everything that is not available yet, absent, or a gap.
- Settlement is not deciding: ledger, environment and hindsight read the final prices themselves.
- A gap stays a gap (NaN); nothing is filled in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.quarter_hour import (
    MINUTES_PER_HOUR,
    MINUTES_PER_QUARTER_HOUR,
    DayNumbers,
    EpochMinutes,
    brussels_day_numbers,
    brussels_midnight,
    epoch_minutes,
    quarter_hour_grid,
    utc_timestamps,
)

PRICE = "imbalance_price_eur_mwh"
DAY_AHEAD = "day_ahead_price_eur_mwh"
WIND_FORECAST = "wind_forecast_day_ahead_mw"
SOLAR_FORECAST = "solar_forecast_day_ahead_mw"
RESIDUAL = "imbalance_residual_eur_mwh"
"""Final imbalance price less the day-ahead price of the same quarter-hour; known when the former is."""

DURATION = "duration_min"
"""Optional column of day-ahead prices and forecasts: minutes that a row covers, 15 or 60."""

DAY_AHEAD_PUBLISHED_H = 13
"""Day-ahead prices of day D are taken as known from 13:00 Brussels time on D-1."""
FORECAST_PUBLISHED_H = 18
"""Day-ahead wind and solar forecasts of day D are taken as known from 18:00 Brussels time on D-1."""
PUBLICATION_DELAY_MIN = 0
"""Minutes from the end of a quarter-hour to the publication of its price, unless the user says otherwise.

Zero stands for deciding a quarter-hour on the price of the one just ended, which the minute records show to within
about 1 EUR/MWh (median) two minutes before it ends. Any positive delay makes a 15-minute decision lose that price.
"""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tape:
    """One quantity on a regular grid of UTC starts, each value with the time from which it may be known."""

    first_minute: int
    values: Floats
    """Shape [n]; NaN where there is no record."""
    available_at: EpochMinutes
    """Shape [n]; epoch minute from which each value may be known."""
    step_min: int = MINUTES_PER_QUARTER_HOUR

    def series(self) -> pd.Series[float]:
        """The values indexed by UTC start."""
        starts = self.first_minute + self.step_min * np.arange(len(self.values))
        return pd.Series(self.values, index=utc_timestamps(starts))


@numba.njit(cache=True)
def _gather(
    times: EpochMinutes,
    about: EpochMinutes,
    offsets_min: EpochMinutes,
    first_minute: int,
    step_min: int,
    values: Floats,
    available_at: EpochMinutes,
    out: Floats,
) -> None:
    for i in range(times.shape[0]):
        for j in range(offsets_min.shape[0]):
            row = (about[i] + offsets_min[j] - first_minute) // step_min
            known = 0 <= row < values.shape[0] and available_at[row] <= times[i]
            out[i, j] = values[row] if known else np.nan


@numba.njit(cache=True)
def _mean_between(
    times: EpochMinutes,
    start: EpochMinutes,
    end: EpochMinutes,
    first_minute: int,
    step_min: int,
    values: Floats,
    available_at: EpochMinutes,
    out: Floats,
) -> None:
    for i in range(times.shape[0]):
        known, total = 0, 0.0
        first = max(0, (start[i] - first_minute) // step_min)
        last = min((end[i] - first_minute) // step_min, values.shape[0])
        for row in range(first, last):
            if available_at[row] <= times[i] and not np.isnan(values[row]):
                known += 1
                total += values[row]
        out[i] = total / known if known else np.nan


@numba.njit(cache=True)
def _trailing_moments(
    times: EpochMinutes,
    about: EpochMinutes,
    first_minute: int,
    step_min: int,
    values: Floats,
    available_at: EpochMinutes,
    count: int,
    out: Floats,
) -> None:
    for i in range(times.shape[0]):
        last = min((about[i] - first_minute) // step_min, values.shape[0])
        known, total, square = 0, 0.0, 0.0
        for row in range(max(0, last - count), last):
            if available_at[row] <= times[i] and not np.isnan(values[row]):
                known += 1
                total += values[row]
                square += values[row] * values[row]
        mean = total / known if known else np.nan
        out[0, i] = known
        out[1, i] = mean
        out[2, i] = np.sqrt(max(0.0, square / known - mean * mean)) if known else np.nan


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known at each of a number of times, and nothing else."""

    times: EpochMinutes
    """Shape [T]; the moments of knowing, in epoch minutes."""
    about: EpochMinutes
    """Shape [T]; the moment that each question is about: the same, or a later one when planning ahead."""
    _tapes: Mapping[str, Tape]

    def has(self, name: str) -> bool:
        """Whether the market carries that quantity at all."""
        return name in self._tapes

    def only(self, names: Collection[str]) -> Knowledge:
        """The same, of these quantities alone."""
        return Knowledge(self.times, self.about, {name: tape for name, tape in self._tapes.items() if name in names})

    def looking_back(self, times: npt.ArrayLike, about: npt.ArrayLike) -> Knowledge:
        """What was known at earlier times, none later than the latest of these, about later ones; shape [m] both."""
        moments, subject = np.asarray(times, dtype=np.int64), np.asarray(about, dtype=np.int64)
        if len(moments) and moments.max() > self.times.max():
            raise ValueError("asked what will be known later")
        return Knowledge(moments, subject, self._tapes)

    def gather(self, name: str, offsets_min: Sequence[int] | npt.NDArray[np.int64]) -> Floats:
        """Values of `name` for the intervals that lie `offsets_min` [n] from the time asked about, shape [T, n].

        Negative offsets look back. NaN where the record is absent or not yet available.
        """
        out = np.full((len(self.times), len(offsets_min)), np.nan)
        tape = self._tapes.get(name)
        if tape is not None:
            offsets = np.asarray(offsets_min, dtype=np.int64)
            _gather(
                self.times, self.about, offsets, tape.first_minute, tape.step_min, tape.values, tape.available_at, out
            )
        return out

    def mean_between(self, name: str, start: EpochMinutes, end: EpochMinutes) -> Floats:
        """Mean of what is known of `name` in [start, end) epoch minutes, shape [T] each; NaN where nothing is."""
        out = np.full(len(self.times), np.nan)
        tape = self._tapes.get(name)
        if tape is not None:
            _mean_between(self.times, start, end, tape.first_minute, tape.step_min, tape.values, tape.available_at, out)
        return out

    def trailing_moments(self, name: str, count: int) -> Floats:
        """How many of the `count` intervals before are known, their mean and their standard deviation, shape [3, T].

        Each window is summed on its own, so the result does not depend on how many times are asked for. The moments
        are NaN where nothing is known.
        """
        out = np.full((3, len(self.times)), np.nan)
        out[0] = 0.0
        tape = self._tapes.get(name)
        if tape is not None:
            _trailing_moments(
                self.times,
                self.about,
                tape.first_minute,
                tape.step_min,
                tape.values,
                tape.available_at,
                count,
                out,
            )
        return out


@dataclass(frozen=True, slots=True)
class MarketSeries:
    """Validated quarter-hours on a complete grid, first to last, with whatever else the market publishes."""

    frame: pd.DataFrame
    """Indexed by UTC start on the complete quarter-hour grid; column `imbalance_price_eur_mwh` at least."""
    quarter_hours: EpochMinutes
    """Shape [n]; starts of the rows of `frame`."""
    price_eur_mwh: Floats
    """Shape [n]; final price, NaN at a gap. For settlement and hindsight, never for deciding."""
    day_numbers: DayNumbers
    """Shape [n]; the Brussels day of each quarter-hour."""
    tapes: Mapping[str, Tape] = field(repr=False)
    publication_delay_min: int = PUBLICATION_DELAY_MIN

    def known_at(self, times: npt.ArrayLike, about: npt.ArrayLike | None = None) -> Knowledge:
        """What is known at these epoch minutes (one or an array); `about` later ones of the same shape, if given."""
        moments = np.atleast_1d(np.asarray(times, dtype=np.int64))
        subject = moments if about is None else np.atleast_1d(np.asarray(about, dtype=np.int64))
        return Knowledge(moments, subject, self.tapes)

    def __len__(self) -> int:
        return len(self.quarter_hours)

    @property
    def data_hash(self) -> str:
        """SHA-256 over every value and availability time, to name the data in cards and reports."""
        digest = hashlib.sha256()
        for name in sorted(self.tapes):
            tape = self.tapes[name]
            digest.update(f"{name} {tape.first_minute} {tape.step_min};".encode())
            digest.update(np.ascontiguousarray(tape.values).tobytes())
            digest.update(np.ascontiguousarray(tape.available_at).tobytes())
        return digest.hexdigest()

    def gaps(self) -> pd.DatetimeIndex:
        """Starts of the quarter-hours inside the series that have no price."""
        return utc_timestamps(self.quarter_hours[np.isnan(self.price_eur_mwh)])

    def rows(self, start: int, end: int) -> slice:
        """Rows whose quarter-hour begins in [start, end) epoch minutes."""
        first, last = np.searchsorted(self.quarter_hours, [start, end])
        return slice(int(first), int(last))


def build_market(
    prices: pd.DataFrame,
    *,
    day_ahead: pd.DataFrame | None = None,
    forecasts: pd.DataFrame | None = None,
    publication_delay_min: int = PUBLICATION_DELAY_MIN,
) -> MarketSeries:
    """Put validated tables together.

    prices: UTC quarter-hour index, unique, any order; `imbalance_price_eur_mwh` and any other columns.
    day_ahead: UTC index, hourly, quarter-hourly or mixed, unique; `day_ahead_price_eur_mwh`, perhaps `duration_min`.
    forecasts: the same; `wind_forecast_day_ahead_mw` and/or `solar_forecast_day_ahead_mw`.
    A row's value covers its own hour or quarter-hour and nothing beyond.
    Raises BadInput if there is not a single price, a start is off the quarter-hour or repeated, or the delay is
    negative.
    """
    if len(prices) == 0 or not prices[PRICE].notna().any():
        raise BadInput([Fault("prices", "holds no imbalance price")])
    if publication_delay_min < 0:
        raise BadInput([Fault("publication_delay_min", f"must be 0 or more, not {publication_delay_min}")])
    frame = _on_grid(prices)
    quarter_hours = epoch_minutes(pd.DatetimeIndex(frame.index))
    settled = Tape(
        int(quarter_hours[0]),
        frame[PRICE].to_numpy(np.float64),
        quarter_hours + MINUTES_PER_QUARTER_HOUR + publication_delay_min,
    )
    tapes = {PRICE: settled}
    if day_ahead is not None:
        tapes[DAY_AHEAD] = _published_the_day_before(day_ahead, DAY_AHEAD, DAY_AHEAD_PUBLISHED_H)
        tapes[RESIDUAL] = _residual(settled, tapes[DAY_AHEAD])
        if np.isnan(tapes[RESIDUAL].values).all():
            raise BadInput([Fault(DAY_AHEAD, "covers none of the quarter-hours that have an imbalance price")])
    for name in (WIND_FORECAST, SOLAR_FORECAST):
        if forecasts is not None and name in forecasts:
            tapes[name] = _published_the_day_before(forecasts, name, FORECAST_PUBLISHED_H)
    return MarketSeries(
        frame=frame,
        quarter_hours=quarter_hours,
        price_eur_mwh=settled.values,
        day_numbers=brussels_day_numbers(quarter_hours),
        tapes=tapes,
        publication_delay_min=publication_delay_min,
    )


def _on_grid(table: pd.DataFrame) -> pd.DataFrame:
    """The table on the complete quarter-hour grid from its first to its last row."""
    starts = _unique_starts(table, "prices")
    grid = quarter_hour_grid(int(starts.min()), int(starts.max()) + 1)
    by_start = table.set_index(utc_timestamps(starts))
    return by_start.reindex(utc_timestamps(grid)).rename_axis("quarter_hour")


def _unique_starts(table: pd.DataFrame, where: str) -> EpochMinutes:
    """Starts of the rows [n] as they stand. Raises BadInput if one is off the quarter-hour or given more than once."""
    starts = epoch_minutes(pd.DatetimeIndex(table.index))
    off = starts[starts % MINUTES_PER_QUARTER_HOUR != 0]
    unique, counts = np.unique(starts, return_counts=True)
    repeated = unique[counts > 1]
    refuse(
        Fault(where, f"{len(found)} starts {wrong}, the first being {utc_timestamps(found[:1])[0].isoformat()}")
        for found, wrong in ((off, "not on a quarter-hour"), (repeated, "given more than once"))
        if len(found)
    )
    return starts


def _published_the_day_before(table: pd.DataFrame, name: str, hour: int) -> Tape:
    """A tape whose values for Brussels day D become known at `hour` o'clock Brussels time on D-1."""
    if not len(table):
        raise BadInput([Fault(name, "holds no rows")])
    order = np.argsort(_unique_starts(table, name), kind="stable")
    rows = table.iloc[order]
    starts = epoch_minutes(pd.DatetimeIndex(rows.index))
    minutes = rows[DURATION].to_numpy(np.int64) if DURATION in rows else _durations_min(starts)
    if not np.isin(minutes, (MINUTES_PER_QUARTER_HOUR, MINUTES_PER_HOUR)).all():
        raise BadInput([Fault(name, f"{DURATION} must be 15 or 60")])
    quarters = minutes // MINUTES_PER_QUARTER_HOUR
    number_in_row = np.arange(quarters.sum()) - np.repeat(np.cumsum(quarters) - quarters, quarters)
    fine_starts = np.repeat(starts, quarters) + MINUTES_PER_QUARTER_HOUR * number_in_row
    grid = quarter_hour_grid(int(fine_starts[0]), int(fine_starts.max()) + 1)
    on_grid = np.full(len(grid), np.nan)
    on_grid[np.searchsorted(grid, fine_starts)] = np.repeat(rows[name].to_numpy(np.float64), quarters)
    days, inverse = np.unique(brussels_day_numbers(grid), return_inverse=True)
    published = np.array([_brussels_hour(int(day) - 1, hour) for day in days], dtype=np.int64)
    return Tape(int(grid[0]), on_grid, published[inverse])


def _durations_min(starts: EpochMinutes) -> EpochMinutes:
    """Minutes that each row covers, an hour or a quarter of it, from ascending starts [n].

    An hour begins on the hour and nothing else begins in it. A quarter-hour before a gap looks the same, so another
    hour has to stand beside it; for a row alone between gaps, the most common step of the table says.
    """
    steps = np.diff(starts)
    mostly_hours = 2 * np.count_nonzero(steps < MINUTES_PER_HOUR) <= len(steps)
    far = 2 * MINUTES_PER_HOUR
    before, after = np.concatenate(([far], steps)), np.append(steps, far)
    alone = (before > MINUTES_PER_HOUR) & (after > MINUTES_PER_HOUR)
    hours_follow = (after == MINUTES_PER_HOUR) & (np.append(after[1:], 0) == MINUTES_PER_HOUR)
    hourly = np.where(alone, mostly_hours, (before >= MINUTES_PER_HOUR) | hours_follow)
    hourly &= (starts % MINUTES_PER_HOUR == 0) & (after >= MINUTES_PER_HOUR)
    return np.where(hourly, MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR)


def _residual(settled: Tape, day_ahead: Tape) -> Tape:
    """Price less day-ahead price on the grid of the former; NaN where either is absent."""
    rows = (settled.first_minute - day_ahead.first_minute) // MINUTES_PER_QUARTER_HOUR + np.arange(len(settled.values))
    inside = (rows >= 0) & (rows < len(day_ahead.values))
    base = np.where(inside, day_ahead.values[np.where(inside, rows, 0)], np.nan)
    return Tape(settled.first_minute, settled.values - base, settled.available_at)


def _brussels_hour(day: int, hour: int) -> int:
    """Epoch minute of an afternoon hour of a Brussels day; clocks change before it, so count back from midnight."""
    return brussels_midnight(day + 1) - (24 - hour) * MINUTES_PER_HOUR
