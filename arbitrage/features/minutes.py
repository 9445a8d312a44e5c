"""Features of the minute records of the running quarter-hour and of the one before.

Contract
- Each row uses only the records that are known at its own time. An absent record contributes nothing; where no record
  is known, every feature is 0.
- Prices are differences to the base, in units of the scale.
- Imbalances are in hundreds of MW; positive = the system is long.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from arbitrage.arrays import Floats, Numbers
from arbitrage.market.point_in_time import (
    ALPHA_COMPONENT,
    CUMULATIVE_IMBALANCE,
    DECREMENTAL,
    INCREMENTAL,
    INDICATIVE,
    KnownMarket,
)
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR

RUNNING = (
    "records_fraction",
    "indicative",
    "indicative_mean",
    "indicative_max",
    "indicative_min",
    "indicative_change_1",
    "indicative_change_3",
    "incremental",
    "decremental",
    "alpha",
    "imbalance",
    "imbalance_last_minute",
    "imbalance_last_3_minutes",
    "imbalance_projected",
    "long_share",
    "expected_sides",
    "sign_changes_fraction",
    "minutes_on_side_fraction",
)
"""Features of the running quarter-hour, from the records known so far."""
PREVIOUS = (
    "previous_imbalance",
    "previous_last_minute",
    "previous_last_5_minutes",
    "previous_incremental",
    "previous_decremental",
    "previous_alpha",
)
"""Features of the quarter-hour before, from its records known when the running one begins."""

_RECORDS = np.arange(MINUTES_PER_QUARTER_HOUR, dtype=np.int64)
_MW = 100.0
_STEP_STD_MW = 55.0
"""Standard deviation of one minute's imbalance about its recent mean. It only scales a feature, so it need not be
exact."""
_ROWS_AT_ONCE = 32_768


def running_features(known: KnownMarket, starts: Numbers, base: Floats, scale: Floats) -> Floats:
    """Features of the running quarter-hours that begin at `starts`, shape [T, len(RUNNING)]; arrays of shape [T]."""
    out = np.zeros((len(starts), len(RUNNING)))
    for first in range(0, len(starts), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        _fill_running(*_records(known.as_of(known.times[rows], starts[rows])), base[rows], out[rows])
    out[:, _PRICED] /= scale[:, None]
    return out


def previous_features(known: KnownMarket, starts: Numbers, base: Floats, scale: Floats) -> Floats:
    """Features of the quarter-hours before `starts`, shape [T, len(PREVIOUS)]; 0 where unknown."""
    before = starts - MINUTES_PER_QUARTER_HOUR
    out = np.zeros((len(starts), len(PREVIOUS)))
    _fill_previous(*_records(known.as_of(known.times, before)), base, out)
    out[:, 3:] /= scale[:, None]
    return out


def last_record_of(known: KnownMarket, starts: Numbers) -> Floats:
    """The newest known indicative price of the quarter-hours that begin at `starts` [T]; NaN if none is known."""
    out = np.full(len(starts), np.nan)
    _newest(known.as_of(known.times, starts).gather(INDICATIVE, _RECORDS), out)
    return out


def newest_indicative(known: KnownMarket, starts: Numbers) -> Floats:
    """The newest known indicative price of the quarter-hour at `starts` or else of the one before, shape [T].

    0 where neither has a record.
    """
    running = last_record_of(known, starts)
    before = last_record_of(known, starts - MINUTES_PER_QUARTER_HOUR)
    return np.nan_to_num(np.where(np.isnan(running), before, running))


def records_known(known: KnownMarket, starts: Numbers) -> Floats:
    """Minutes of the quarter-hours that begin at `starts` up to their newest known record, shape [T]."""
    present = ~np.isnan(known.as_of(known.times, starts).gather(INDICATIVE, _RECORDS))
    return np.asarray(np.where(present, _RECORDS + 1, 0).max(axis=1), dtype=np.float64)


_PRICED = [
    RUNNING.index(name)
    for name in RUNNING
    if name.startswith("indicative") or name in {"incremental", "decremental", "alpha", "expected_sides"}
]


def _records(known: KnownMarket) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Indicative price, cumulative imbalance, both marginal prices, alpha component, each of shape [T, 15]."""
    names = (INDICATIVE, CUMULATIVE_IMBALANCE, INCREMENTAL, DECREMENTAL, ALPHA_COMPONENT)
    indicative, imbalance, incremental, decremental, component = (known.gather(name, _RECORDS) for name in names)
    return indicative, imbalance, incremental, decremental, component


@numba.njit(cache=True)
def _newest(records: Floats, out: Floats) -> None:
    for i in range(records.shape[0]):
        for j in range(records.shape[1]):
            if not np.isnan(records[i, j]):
                out[i] = records[i, j]


@numba.njit(cache=True)
def _last_known(records: Floats) -> int:
    """Position of the newest known record of a row [15]; -1 if none is."""
    for j in range(records.shape[0] - 1, -1, -1):
        if not np.isnan(records[j]):
            return j
    return -1


@numba.njit(cache=True)
def _mean_of_last(cumulative: Floats, last: int, minutes: int) -> float:
    """Mean imbalance of the last `minutes` up to record `last`, from the means since the quarter-hour began."""
    before = last - minutes
    if before < 0 or np.isnan(cumulative[before]):
        return float(cumulative[last])
    return float(((last + 1) * cumulative[last] - (before + 1) * cumulative[before]) / minutes)


@numba.njit(cache=True)
def _or_zero(value: float) -> float:
    return 0.0 if np.isnan(value) else value


@numba.njit(cache=True)
def _fill_running(
    indicative: Floats,
    imbalance: Floats,
    incremental: Floats,
    decremental: Floats,
    component: Floats,
    base: Floats,
    out: Floats,
) -> None:
    length = indicative.shape[1]
    for i in range(indicative.shape[0]):
        last = _last_known(indicative[i])
        if last < 0:
            continue
        out[i, 0] = (last + 1) / length
        _fill_prices(indicative[i], last, base[i], out[i])
        out[i, 7] = _or_zero(incremental[i, last] - base[i])
        out[i, 8] = _or_zero(decremental[i, last] - base[i])
        out[i, 9] = _or_zero(component[i, last])
        out[i, 15] = out[i, 1]
        if not np.isnan(imbalance[i, last]):
            _fill_imbalance(imbalance[i], last, out[i])
            if not (np.isnan(incremental[i, last]) or np.isnan(decremental[i, last])):
                signed = -out[i, 9] if imbalance[i, last] > 0.0 else out[i, 9]
                out[i, 15] = out[i, 14] * out[i, 8] + (1.0 - out[i, 14]) * out[i, 7] + signed


@numba.njit(cache=True)
def _fill_prices(indicative: Floats, last: int, base: float, out: Floats) -> None:
    total, known, highest, lowest = 0.0, 0, -np.inf, np.inf
    for j in range(last + 1):
        if not np.isnan(indicative[j]):
            total += indicative[j]
            known += 1
            highest, lowest = max(highest, indicative[j]), min(lowest, indicative[j])
    out[1] = indicative[last] - base
    out[2] = total / known - base
    out[3] = highest - base
    out[4] = lowest - base
    out[5] = _or_zero(indicative[last] - indicative[last - 1]) if last >= 1 else 0.0
    out[6] = _or_zero(indicative[last] - indicative[last - 3]) if last >= 3 else 0.0


@numba.njit(cache=True)
def _fill_imbalance(cumulative: Floats, last: int, out: Floats) -> None:
    length = cumulative.shape[0]
    recent = _mean_of_last(cumulative, last, 3)
    left = (length - 1 - last) / length
    projected = (1.0 - left) * cumulative[last] + left * recent
    spread = _STEP_STD_MW * (left + 0.02)
    changes, since, side = 0, 0, 0.0
    for j in range(last + 1):
        if cumulative[j] * side < 0.0:
            changes += 1
            since = 0
        if cumulative[j] > 0.0 or cumulative[j] < 0.0:
            side = cumulative[j]
        since += 1
    out[10] = cumulative[last] / _MW
    out[11] = _mean_of_last(cumulative, last, 1) / _MW
    out[12] = recent / _MW
    out[13] = projected / _MW
    out[14] = 0.5 * (1.0 + math.erf(projected / spread / math.sqrt(2.0)))
    out[16] = changes / length
    out[17] = since / length


@numba.njit(cache=True)
def _fill_previous(
    indicative: Floats,
    imbalance: Floats,
    incremental: Floats,
    decremental: Floats,
    component: Floats,
    base: Floats,
    out: Floats,
) -> None:
    for i in range(indicative.shape[0]):
        last = _last_known(indicative[i])
        if last < 0:
            continue
        if not np.isnan(imbalance[i, last]):
            out[i, 0] = imbalance[i, last] / _MW
            out[i, 1] = _mean_of_last(imbalance[i], last, 1) / _MW
            out[i, 2] = _mean_of_last(imbalance[i], last, 5) / _MW
        out[i, 3] = _or_zero(incremental[i, last] - base[i])
        out[i, 4] = _or_zero(decremental[i, last] - base[i])
        out[i, 5] = _or_zero(component[i, last])
