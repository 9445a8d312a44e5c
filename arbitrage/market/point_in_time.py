"""Point-in-time series of the market, and the known market at given times.

Contract
- Each value carries the time from which it may be known.
- A policy reads market values only through a `KnownMarket`. It returns NaN for every value that is not available yet,
  is absent, or lies in a gap.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.arrays import Flags, Floats
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, EpochMinutes, utc_timestamps

PRICE = "imbalance_price_eur_mwh"
DAY_AHEAD = "day_ahead_price_eur_mwh"
WIND_FORECAST = "wind_forecast_day_ahead_mw"
SOLAR_FORECAST = "solar_forecast_day_ahead_mw"
RESIDUAL = "imbalance_residual_eur_mwh"
"""Final imbalance price less the day-ahead price of the same quarter-hour; known when the final price is."""
INDICATIVE = "indicative_price_eur_mwh"
"""By minute: the price that would settle if the quarter-hour ended after this minute."""
CUMULATIVE_IMBALANCE = "cumulative_imbalance_mw"
"""By minute: mean system imbalance since the quarter-hour began; positive = the system is long."""
INCREMENTAL = "marginal_incremental_price_eur_mwh"
"""By minute: marginal price of upward activation so far in the quarter-hour."""
DECREMENTAL = "marginal_decremental_price_eur_mwh"
"""By minute: marginal price of downward activation so far in the quarter-hour."""
ALPHA_COMPONENT = "alpha_component_eur_mwh"
"""By minute: the alpha component as it would settle after this minute."""

MOST_SIZE = 1e6
"""Largest plausible size of a value, in EUR/MWh or MW; larger ones are refused. The largest prices on record are a few
thousand, the largest powers tens of thousands."""


QUARTERS_PER_HOUR = 4
_BLOCK = 48
"""Records in a block, which is summed once for all windows that contain it."""


@dataclass(frozen=True, slots=True)
class PointInTimeSeries:
    """One quantity on a regular grid of UTC starts, each value with the time from which it may be known."""

    first_minute: int
    values: Floats
    """Shape [n]; NaN where there is no record."""
    available_at: EpochMinutes
    """Shape [n]; epoch minute from which each value may be known."""
    step_min: int = MINUTES_PER_QUARTER_HOUR

    def known_value(self, start: int, time: int) -> float | None:
        """The value of the interval that begins at `start` if it is known at `time`, both epoch minutes; else None."""
        row = (start - self.first_minute) // self.step_min
        if not 0 <= row < len(self.values) or self.available_at[row] > time or np.isnan(self.values[row]):
            return None
        return float(self.values[row])

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
    offset = -(first_minute // step_min) % _BLOCK
    ends = (about - first_minute) // step_min
    needed = max(0, ends.min() - count) if len(ends) else 0
    latest, sums = _block_sums(
        values, available_at, offset, needed, min(ends.max(), values.shape[0]) if len(ends) else 0
    )
    for i in range(times.shape[0]):
        last = min(ends[i], values.shape[0])
        row = max(0, ends[i] - count)
        known, total, square = 0.0, 0.0, 0.0
        while row < last:
            block, within = divmod(row - offset, _BLOCK)
            if within == 0 and row + _BLOCK <= last and latest[block] <= times[i]:
                known += sums[0, block]
                total += sums[1, block]
                square += sums[2, block]
                row += _BLOCK
                continue
            if available_at[row] <= times[i] and not np.isnan(values[row]):
                known += 1.0
                total += values[row]
                square += values[row] * values[row]
            row += 1
        mean = total / known if known else np.nan
        out[0, i] = known
        out[1, i] = mean
        out[2, i] = np.sqrt(max(0.0, square / known - mean * mean)) if known else np.nan


@numba.njit(cache=True)
def _block_sums(
    values: Floats, available_at: EpochMinutes, offset: int, first: int, last: int
) -> tuple[EpochMinutes, Floats]:
    """The time from which each block of rows is completely known, and its count, sum and sum of squares [3, blocks].

    Block b begins at row offset + b x _BLOCK. Blocks that do not lie within [first, last) are left out.
    """
    blocks = max(0, (values.shape[0] - offset) // _BLOCK)
    latest, sums = np.zeros(blocks, dtype=np.int64), np.zeros((3, blocks))
    for block in range(max(0, (first - offset) // _BLOCK), min(blocks, (last - offset) // _BLOCK)):
        for row in range(offset + block * _BLOCK, offset + (block + 1) * _BLOCK):
            latest[block] = max(latest[block], available_at[row])
            if not np.isnan(values[row]):
                sums[0, block] += 1.0
                sums[1, block] += values[row]
                sums[2, block] += values[row] * values[row]
    return latest, sums


def residual(settled: PointInTimeSeries, day_ahead: PointInTimeSeries) -> PointInTimeSeries:
    """Price less day-ahead price, on the grid of the price and known when it is; NaN where either is absent."""
    rows = (settled.first_minute - day_ahead.first_minute) // MINUTES_PER_QUARTER_HOUR + np.arange(len(settled.values))
    inside = (rows >= 0) & (rows < len(day_ahead.values))
    base = np.where(inside, day_ahead.values[np.where(inside, rows, 0)], np.nan)
    return PointInTimeSeries(settled.first_minute, settled.values - base, settled.available_at)


def hour_means(day_ahead: PointInTimeSeries) -> PointInTimeSeries:
    """Each value replaced by the mean of what there is of its hour; prices by the hour stay as they are, bit for bit.

    The quarter-hours of an hour are published together.
    """
    hours = _by_the_hour(day_ahead)
    known = ~np.isnan(hours)
    pairs = np.where(known, hours, 0.0).reshape(-1, 2, 2).sum(axis=2).sum(axis=1)
    count = known.sum(axis=1)
    means = np.where(known, (pairs / np.maximum(count, 1))[:, None], np.nan)
    return replace(day_ahead, values=_of_series(np.where(vary(hours)[:, None], means, hours), day_ahead))


def vary_within_hour(day_ahead: PointInTimeSeries) -> Flags:
    """Whether the hour that each value lies in has quarter-hours of different values, shape [n]."""
    return _of_series(np.repeat(vary(_by_the_hour(day_ahead))[:, None], QUARTERS_PER_HOUR, axis=1), day_ahead)


def vary(hours: Floats) -> Flags:
    """Which hours have quarter-hours of different values; shape [hours, 4], NaN where there is none, to [hours]."""
    known = ~np.isnan(hours)
    return np.asarray(np.where(known, hours, -np.inf).max(axis=1) > np.where(known, hours, np.inf).min(axis=1))


def _by_the_hour(series: PointInTimeSeries) -> Floats:
    """The values by the clock's hours, shape [hours, 4]; NaN before the first and after the last."""
    before = _quarters_before(series)
    after = -(before + len(series.values)) % QUARTERS_PER_HOUR
    return np.pad(series.values, (before, after), constant_values=np.nan).reshape(-1, QUARTERS_PER_HOUR)


def _of_series(hours: npt.NDArray[Any], series: PointInTimeSeries) -> npt.NDArray[Any]:
    """The inverse of `_by_the_hour`."""
    before = _quarters_before(series)
    return hours.ravel()[before : before + len(series.values)]


def _quarters_before(series: PointInTimeSeries) -> int:
    return (series.first_minute // MINUTES_PER_QUARTER_HOUR) % QUARTERS_PER_HOUR


@dataclass(frozen=True, slots=True)
class KnownMarket:
    """The values known at each of a number of times, and no others."""

    times: EpochMinutes
    """Shape [T]; the times at which values must be known, in epoch minutes."""
    about: EpochMinutes
    """Shape [T]; the time that each query is about, in epoch minutes: the same, or a later one when planning ahead."""
    _series: Mapping[str, PointInTimeSeries]

    def has(self, name: str) -> bool:
        """Whether the market has a series of that name."""
        return name in self._series

    def only(self, names: Collection[str]) -> KnownMarket:
        """The same known market, restricted to these series."""
        return KnownMarket(
            self.times, self.about, {name: recorded for name, recorded in self._series.items() if name in names}
        )

    def with_hour_means(self) -> KnownMarket:
        """The same with the day-ahead prices of each hour replaced by their mean, residuals with them."""
        if DAY_AHEAD not in self._series:
            return self
        day_ahead = hour_means(self._series[DAY_AHEAD])
        series = {**self._series, DAY_AHEAD: day_ahead}
        if RESIDUAL in series:
            series[RESIDUAL] = residual(series[PRICE], day_ahead)
        return KnownMarket(self.times, self.about, series)

    def as_of(self, times: npt.ArrayLike, about: npt.ArrayLike) -> KnownMarket:
        """The known market at other times, about other times; both of shape [m], in epoch minutes.

        Raises ValueError if one of `times` is later than the latest time of this known market.
        """
        moments, subject = np.asarray(times, dtype=np.int64), np.asarray(about, dtype=np.int64)
        if len(moments) and moments.max() > self.times.max():
            raise ValueError("as_of: a time is later than the latest time of this known market")
        return KnownMarket(moments, subject, self._series)

    def gather(self, name: str, offsets_min: Sequence[int] | npt.NDArray[np.int64]) -> Floats:
        """Values of `name` for the intervals that contain `about` + `offsets_min` [n], shape [T, n].

        Negative offsets refer to the past. NaN where the record is absent or not yet available.
        """
        out = np.full((len(self.times), len(offsets_min)), np.nan)
        recorded = self._series.get(name)
        if recorded is not None:
            offsets = np.asarray(offsets_min, dtype=np.int64)
            _gather(
                self.times,
                self.about,
                offsets,
                recorded.first_minute,
                recorded.step_min,
                recorded.values,
                recorded.available_at,
                out,
            )
        return out

    def mean_between(self, name: str, start: EpochMinutes, end: EpochMinutes) -> Floats:
        """Mean of the known values of `name` in [start, end), epoch minutes of shape [T]; NaN where none is known."""
        out = np.full(len(self.times), np.nan)
        recorded = self._series.get(name)
        if recorded is not None:
            _mean_between(
                self.times,
                start,
                end,
                recorded.first_minute,
                recorded.step_min,
                recorded.values,
                recorded.available_at,
                out,
            )
        return out

    def trailing_moments(self, name: str, count: int) -> Floats:
        """Number of known values among the `count` intervals before `about`, their mean and standard deviation, [3, T].

        A window is summed block by block on a grid of epoch time, so its bits depend neither on the number of times
        nor on the first and last record of the series. The moments are NaN where no value is known.
        """
        out = np.full((3, len(self.times)), np.nan)
        out[0] = 0.0
        recorded = self._series.get(name)
        if recorded is not None:
            _trailing_moments(
                self.times,
                self.about,
                recorded.first_minute,
                recorded.step_min,
                recorded.values,
                recorded.available_at,
                count,
                out,
            )
        return out
