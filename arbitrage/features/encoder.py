"""The only encoder of the market: the known market as named features.

Contract
- Every input comes from a `KnownMarket`, so a feature cannot use a value that is not known yet.
- Prices enter as differences to the day-ahead price of the same quarter-hour, divided by a trailing scale, so that a
  feature means the same in a calm month and in a volatile one.
- A feature whose source is unknown takes a neutral value: 0, or the nearest older record for past prices.
- Each row is computed on its own: encoding one time or a year of times gives the same bits.
- For decisions by the minute, a quarter-hour is encoded once, as known when it begins. Its own minute records are
  encoded again at every minute (`features.minutes`).

Without day-ahead prices the trailing weekly mean of the imbalance price replaces them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

import numba
import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats
from arbitrage.features.minutes import (
    PREVIOUS,
    RUNNING,
    last_record_of,
    newest_indicative,
    previous_features,
    records_known,
    running_features,
)
from arbitrage.features.names import (
    _CONTEXT,
    NEWEST_INDICATIVE,
    PLAN_GROUPS,
    QUARTER,
    RECENT_GROUPS,
    REFERENCE_PLAN,
    REFERENCE_RUNNING,
    REFERENCE_SCALE_EUR_MWH,
    RENEWABLES,
    SHORT,
    FeatureSet,
)
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import (
    DAY_AHEAD,
    INDICATIVE,
    PRICE,
    RESIDUAL,
    SOLAR_FORECAST,
    WIND_FORECAST,
    KnownMarket,
)
from arbitrage.market.series import MINUTE_COLUMNS
from arbitrage.quarter_hour import (
    MINUTES_PER_HOUR,
    MINUTES_PER_QUARTER_HOUR,
    brussels_day_numbers,
    brussels_local,
    brussels_midnight,
    brussels_minutes_of_day,
    quarter_hour_starts,
)

Features = npt.NDArray[np.float32]

_SHORT_MEANS = ((5, 8), (9, 16), (17, 48), (49, 96))
_HOURS_AHEAD = (1, 2, 3, 4, 6, 8)
_PROFILE_DAYS = 14
_QUARTER_HOURS_PER_DAY = 96
_WEEK_QUARTER_HOURS = 7 * 96
_PRIOR_QUARTER_HOURS = 2.0 * 96
"""Weight of the prior of the trailing scale."""
_MW_PER_GW = 1000.0
_LONGEST_DAY = 100


_OLDER_MINUTE = "the newest older minute of the quarter-hour, or what was known when it began,"
_ENCODED = {
    PRICE: Need(PRICE, "the newest older price of the last four hours"),
    DAY_AHEAD: Need(DAY_AHEAD, "the weekly mean of the imbalance price", rest_of_day=True),
    WIND_FORECAST: Need(WIND_FORECAST, "zero", rest_of_day=True),
    SOLAR_FORECAST: Need(SOLAR_FORECAST, "zero", rest_of_day=True),
    **{series: Need(series, _OLDER_MINUTE) for series in MINUTE_COLUMNS},
}
"""The series that the encoder reads, each with the value that replaces a missing record."""
_NOT_ENCODED = {
    FeatureSet.FULL: frozenset[str](),
    FeatureSet.REFERENCE: frozenset(_ENCODED) - {INDICATIVE},
    FeatureSet.QUARTER_HOUR: frozenset(MINUTE_COLUMNS) - {INDICATIVE},
}


def encoder_needs(feature_set: FeatureSet, sources: Collection[str]) -> tuple[Need, ...]:
    """The series that a feature set uses, among the `sources` that the market had in training."""
    unread = _NOT_ENCODED[feature_set]
    return tuple(need for series, need in _ENCODED.items() if series in sources and series not in unread)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Market features at T times, with the base and scale that convert them back to prices."""

    features: Features
    """Shape [T, features], dimensionless."""
    base_eur_mwh: Floats
    """Shape [T]; the price that features are differences to: day-ahead, or the weekly mean without one."""
    scale_eur_mwh: Floats
    """Shape [T]; the trailing root mean square of the price less its base."""

    def at(self, rows: npt.NDArray[np.int64]) -> Encoded:
        """The rows [m] at some of the times, in the order of `rows`."""
        return Encoded(self.features[rows], self.base_eur_mwh[rows], self.scale_eur_mwh[rows])


LEAST_SCALE_EUR_MWH = 1.0
"""The least trailing scale: in a market that stands still nothing is divided by nothing."""
MOST_SCALE_DAYS = 14
"""As far back as the other features look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailingScale:
    """How the trailing scale is taken: the root mean square of the price's difference to its base, with a prior."""

    days: int = MOST_SCALE_DAYS
    """How far back it looks."""
    prior_eur_mwh: float = 120.0
    """Scale assumed before there is a history, with the weight of two days; the default is the residual's of 2021."""
    fading: bool = False
    """Whether the prior's weight falls to nothing as the history fills; else it stays."""

    def of(self, known: Floats, mean_square: Floats) -> Floats:
        """The scale [T], given how many quarter-hours are known of its days, and the mean of their squares."""
        weight = np.full(len(known), _PRIOR_QUARTER_HOURS)
        if self.fading:
            weight *= 1.0 - known / (self.days * _QUARTER_HOURS_PER_DAY)
        scale = np.sqrt((mean_square * known + self.prior_eur_mwh**2 * weight) / (known + weight))
        return np.asarray(np.maximum(scale, LEAST_SCALE_EUR_MWH))


@dataclass(frozen=True)
class MarketFeatures:
    """Encodes the known market as one feature set."""

    feature_set: FeatureSet = FeatureSet.QUARTER_HOUR
    scale: TrailingScale = TrailingScale()
    hour_means: bool = False
    """Whether day-ahead prices by the quarter-hour are read as the means of their hours, as they were when the market
    was hourly: the imbalance price's own shape within the hour is learned, and must not be counted twice."""
    learned_day_ahead_min: tuple[int, ...] = ()
    """Resolutions of the day-ahead prices on the days that were learned from, 15 and 60; empty: none, or unknown."""

    def needs(self, sources: Collection[str]) -> tuple[Need, ...]:
        """As `encoder_needs`; day-ahead is needed by the hour where nothing else was learned and no means are read."""
        hourly_only = self.learned_day_ahead_min == (MINUTES_PER_HOUR,) and not self.hour_means
        return tuple(
            replace(need, hourly_only=hourly_only and need.series == DAY_AHEAD)
            for need in encoder_needs(self.feature_set, sources)
        )

    @cached_property
    def plan_names(self) -> tuple[str, ...]:
        """Features that are known of later quarter-hours too, in order; they come first in `quarter_names`."""
        if self.feature_set is FeatureSet.REFERENCE:
            return REFERENCE_PLAN
        return tuple(name for group in PLAN_GROUPS for name in group)

    @cached_property
    def short_names(self) -> tuple[str, ...]:
        """Features of the most recent prices; they follow `plan_names` in `quarter_names`."""
        return (NEWEST_INDICATIVE,) if self.feature_set is FeatureSet.REFERENCE else SHORT

    @cached_property
    def quarter_names(self) -> tuple[str, ...]:
        """Features of a quarter-hour as known when it begins, in order."""
        if self.feature_set is FeatureSet.REFERENCE:
            return self.plan_names + self.short_names
        recent = tuple(name for group in RECENT_GROUPS for name in group)
        return self.plan_names + recent + (PREVIOUS if self.feature_set is FeatureSet.FULL else ())

    @cached_property
    def running_names(self) -> tuple[str, ...]:
        """Features of its minute records while it runs, in order; empty for the quarter-hour set."""
        return {FeatureSet.REFERENCE: REFERENCE_RUNNING, FeatureSet.FULL: RUNNING}.get(self.feature_set, ())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All features of `encode`, in order; for the reference set only its three market features."""
        if self.feature_set is FeatureSet.REFERENCE:
            return (*REFERENCE_PLAN, NEWEST_INDICATIVE)
        return self.quarter_names + self.running_names

    @cached_property
    def context(self) -> list[int]:
        """Columns of the quarter-hour's features that matter again from minute to minute."""
        names = REFERENCE_PLAN if self.feature_set is FeatureSet.REFERENCE else (*PREVIOUS, *_CONTEXT)
        return [self.quarter_names.index(name) for name in names]

    @cached_property
    def anchor(self) -> int:
        """Column of the running features that estimates the final price less base, over scale."""
        return self.running_names.index(
            NEWEST_INDICATIVE if self.feature_set is FeatureSet.REFERENCE else "expected_sides"
        )

    def encode(self, known: KnownMarket) -> Features:
        """Features at each time, float32, shape [T, len(names)]."""
        if self.feature_set is FeatureSet.QUARTER_HOUR:
            return self.encode_quarters(known).features
        starts, rows = np.unique(quarter_hour_starts(known.times), return_inverse=True)
        encoded = self.encode_quarters(known.as_of(starts, starts)).at(rows)
        running = self.encode_running(known, encoded)
        if self.feature_set is FeatureSet.REFERENCE:
            return np.concatenate([encoded.features[:, : len(REFERENCE_PLAN)], running[:, 1:]], axis=1)
        return np.concatenate([encoded.features, running], axis=1)

    def encode_quarters(self, known: KnownMarket) -> Encoded:
        """`quarter_names` of the quarter-hours in `known.about`, with base and scale, shape [T, len(quarter_names)]."""
        if self.feature_set is FeatureSet.REFERENCE:
            return _encode_reference(known)
        view = _View(known.with_hour_means() if self.hour_means else known, self.scale)
        blocks = [
            *(part / view.scale[:, None] for part in (_shape(view), _quarter(view))),
            _calendar(view),
            _renewables(view),
            _level(view),
            _profile(view) / view.scale[:, None],
            _recent(view) / view.scale[:, None],
        ]
        if self.feature_set is FeatureSet.FULL:
            blocks.append(previous_features(known, view.minutes, view.base, view.scale))
        features = np.concatenate(blocks, axis=1)
        features[:, _UNSCALED] *= view.scale[:, None]
        return Encoded(features.astype(np.float32), view.base, view.scale)

    def encode_running(self, known: KnownMarket, encoded: Encoded) -> Features:
        """`running_names` at each time, float32, shape [T, len(running_names)].

        encoded: the quarter-hour that each time lies in.
        """
        starts = quarter_hour_starts(known.times)
        base, scale = encoded.base_eur_mwh, encoded.scale_eur_mwh
        if self.feature_set is FeatureSet.REFERENCE:
            return _reference_running(known, starts)
        return running_features(known, starts, base, scale).astype(np.float32)


def _encode_reference(known: KnownMarket) -> Encoded:
    """Clock, month, and the newest indicative price when the quarter-hour begins."""
    starts = quarter_hour_starts(known.about)
    clock = brussels_minutes_of_day(starts) / (24 * MINUTES_PER_HOUR)
    month = brussels_local(starts).month.to_numpy() / 12.0
    newest = newest_indicative(known, quarter_hour_starts(known.times)) / REFERENCE_SCALE_EUR_MWH
    features = np.stack([clock, month, newest], axis=1).astype(np.float32)
    nothing = np.zeros(len(starts))
    return Encoded(features, nothing, np.full(len(starts), REFERENCE_SCALE_EUR_MWH))


def _reference_running(known: KnownMarket, starts: npt.NDArray[np.int64]) -> Features:
    """Fraction of the quarter-hour that has records, and the newest indicative price, shape [T, 2]."""
    fraction = records_known(known, starts) / MINUTES_PER_QUARTER_HOUR
    newest = newest_indicative(known, starts) / REFERENCE_SCALE_EUR_MWH
    return np.stack([fraction, newest], axis=1).astype(np.float32)


_PLAN_AND_RECENT = tuple(name for group in (*PLAN_GROUPS, *RECENT_GROUPS) for name in group)
_UNSCALED = [_PLAN_AND_RECENT.index(name) for name in ("rest_rank", *QUARTER[3:])]
"""Ranks and flags, which are not divided by the scale."""


class _View:
    """Inputs that several groups of features share: base, scale, and the day-ahead curve of the rest of the day."""

    def __init__(self, known: KnownMarket, scale: TrailingScale) -> None:
        self.known = known
        self.minutes = quarter_hour_starts(known.about)
        self._weekly_mean = np.nan_to_num(known.trailing_moments(PRICE, _WEEK_QUARTER_HOURS)[1])
        self.priced = known.has(DAY_AHEAD)
        day_ahead = known.gather(DAY_AHEAD, [0])[:, 0]
        self.base = np.where(np.isnan(day_ahead), self._weekly_mean, day_ahead)
        self.scale = self._scale(scale)
        days, inverse = np.unique(brussels_day_numbers(self.minutes), return_inverse=True)
        midnights = np.array([(brussels_midnight(int(d)), brussels_midnight(int(d) + 1)) for d in days]).reshape(-1, 2)
        self.midnight, self.next_midnight = midnights[inverse].T
        self.rest = (self.next_midnight - self.minutes) // MINUTES_PER_QUARTER_HOUR
        """Quarter-hours from this one to the end of its Brussels day, itself included."""

    def past(self, lags: npt.ArrayLike) -> Floats:
        """Price less base, `lags` quarter-hours back, shape [T, lags]; NaN where not known."""
        offsets = -MINUTES_PER_QUARTER_HOUR * np.asarray(lags, dtype=np.int64)
        if self.priced:
            return self.known.gather(RESIDUAL, offsets)
        price = self.known.gather(PRICE, offsets)
        return np.asarray(price - self._weekly_mean[:, None])

    def just_ended(self) -> Floats:
        """Indicative price less base of the quarter-hour before, shape [T]; NaN if its minutes are not known."""
        indicative = last_record_of(self.known, self.minutes - MINUTES_PER_QUARTER_HOUR)
        before = self.known.gather(DAY_AHEAD, [-MINUTES_PER_QUARTER_HOUR])[:, 0]
        return np.asarray(indicative - (before if self.priced else self._weekly_mean))

    def ahead(self, name: str, quarter_hours: npt.ArrayLike) -> Floats:
        """Published values `quarter_hours` [n] ahead, shape [T, n]; NaN where not known."""
        return self.known.gather(name, MINUTES_PER_QUARTER_HOUR * np.asarray(quarter_hours, dtype=np.int64))

    def within_day(self, values: Floats, first: int, ahead: int) -> Floats:
        """The value `ahead` quarter-hours ahead, at most the day's last; `values` [T, n] begin `first` ahead."""
        columns = np.minimum(ahead, self.rest - 1) - first
        return np.asarray(values[np.arange(len(values)), columns])

    def _scale(self, scale: TrailingScale) -> Floats:
        series, count = RESIDUAL if self.priced else PRICE, scale.days * _QUARTER_HOURS_PER_DAY
        known, mean, std = self.known.trailing_moments(series, count)
        return scale.of(known, np.nan_to_num(std**2 + (mean**2 if self.priced else 0.0)))


def _shape(view: _View) -> Floats:
    """The day-ahead curve seen from this quarter-hour, clamped to its Brussels day."""
    curve = view.ahead(DAY_AHEAD, np.arange(_LONGEST_DAY))
    known = ~np.isnan(curve[:, :1])
    _fill_unknown(curve, view.base)
    hours = [view.within_day(curve, 0, 4 * hours) - view.base for hours in _HOURS_AHEAD]
    before = view.ahead(DAY_AHEAD, [-4, -8]) - view.base[:, None]
    rest = np.empty((len(curve), 7))
    _rest_of_day(curve, view.rest, rest)
    rest[:, [0, 1, 2, 5, 6]] -= view.base[:, None]
    both = np.concatenate([np.stack(hours, axis=1), before, rest], axis=1)
    return np.where(known, np.nan_to_num(both), 0.0)


@numba.njit(cache=True)
def _fill_unknown(curve: Floats, base: Floats) -> None:
    """Fill the curve [T, n] with the base [T] where it is not known."""
    for i in range(curve.shape[0]):
        for j in range(curve.shape[1]):
            if np.isnan(curve[i, j]):
                curve[i, j] = base[i]


@numba.njit(cache=True)
def _rest_of_day(curve: Floats, rest: npt.NDArray[np.int64], out: Floats) -> None:
    """Max, min, mean, rank of now, standard deviation, mean of the 8 highest and of the 8 lowest of the day's rest."""
    for i in range(curve.shape[0]):
        ordered = np.sort(curve[i, : rest[i]])
        few = min(8, rest[i])
        out[i, 0] = ordered[-1]
        out[i, 1] = ordered[0]
        out[i, 2] = ordered.mean()
        out[i, 3] = np.searchsorted(ordered, curve[i, 0]) / rest[i]
        out[i, 4] = ordered.std()
        out[i, 5] = ordered[-few:].mean()
        out[i, 6] = ordered[:few].mean()


def _quarter(view: _View) -> Floats:
    """Steps of imbalance prices at changes of hourly schedules: the hour's first and last quarter, and its ramp."""
    index = (view.minutes % MINUTES_PER_HOUR) // MINUTES_PER_QUARTER_HOUR
    curve = view.ahead(DAY_AHEAD, np.arange(-7, 5))
    _fill_unknown(curve, view.base)
    following = view.within_day(curve, -7, 0) * 0.0
    for quarter in range(4):
        following = np.where(index == quarter, view.within_day(curve, -7, 4 - quarter), following)
    last_hour = curve[np.arange(len(curve)), 3 - index]
    ramp = (index - 1.5) * (following - last_hour) / 8.0
    steps = [np.where(index == 0, last_hour - view.base, 0.0), np.where(index == 3, following - view.base, 0.0)]
    flags = [(index == quarter).astype(np.float64) for quarter in range(4)]
    return np.stack([ramp, *steps, *flags], axis=1)


def _calendar(view: _View) -> Floats:
    """Harmonics of the Brussels day, week flags, and the season."""
    angle = 2 * np.pi * brussels_minutes_of_day(view.minutes) / (24 * MINUTES_PER_HOUR)
    local = brussels_local(view.minutes)
    year = 2 * np.pi * (local.day_of_year.to_numpy() - 1) / 365.0
    weekday = local.day_of_week.to_numpy()
    waves = [wave(k * angle) for k in (1, 2, 3) for wave in (np.cos, np.sin)]
    flags = [(weekday >= 5).astype(np.float64), (weekday == 6).astype(np.float64)]
    return np.stack([*waves, *flags, np.cos(year), np.sin(year)], axis=1)


def _renewables(view: _View) -> Floats:
    """Day-ahead forecasts of solar and wind, in GW: now, the change ahead, and the day's mean."""
    if not (view.known.has(SOLAR_FORECAST) or view.known.has(WIND_FORECAST)):
        return np.zeros((len(view.minutes), len(RENEWABLES)))
    columns = [
        (values[:, 0], view.within_day(values, 0, ahead) - values[:, 0], _day_mean(view, name))
        for name, ahead in ((SOLAR_FORECAST, 4), (WIND_FORECAST, 8))
        for values in (view.ahead(name, np.arange(_LONGEST_DAY)),)
    ]
    solar, wind = columns
    pairs = [part for both in zip(solar, wind, strict=True) for part in both]
    return np.nan_to_num(np.stack(pairs, axis=1)) / _MW_PER_GW


def _day_mean(view: _View, name: str) -> Floats:
    """Mean over the whole Brussels day of the quarter-hour, as far as published, shape [T]; NaN if unknown."""
    return view.known.mean_between(name, view.midnight, view.next_midnight)


def _level(view: _View) -> Floats:
    """The price level in units of the scale, and the scale itself."""
    day_mean = _day_mean(view, DAY_AHEAD)
    day_mean = np.where(np.isnan(day_mean), view.base, day_mean)
    return np.stack([view.base / view.scale, day_mean / view.scale, np.log(view.scale)], axis=1)


def _profile(view: _View) -> Floats:
    """Mean residual of the last 14 days at this time of day, and at the next three quarter-hours."""
    days = np.arange(1, _PROFILE_DAYS + 1)
    means = [_row_means(view.past(96 * days - ahead)) for ahead in range(4)]
    return np.nan_to_num(np.stack(means, axis=1))


def _recent(view: _View) -> Floats:
    """Recent prices, in the order of SHORT, VOLATILITY, LAST_PRICE."""
    past = view.past(np.arange(1, 97))
    past[:, 0] = np.where(np.isnan(past[:, 0]), view.just_ended(), past[:, 0])
    past[:, :16] = _newest_known(past[:, :16])
    single = [past[:, lag - 1] for lag in (1, 2, 3, 4)]
    means = [_row_means(past[:, first - 1 : last]) for first, last in _SHORT_MEANS]
    sizes = [_row_means(np.abs(past[:, :last])) for last in (4, 16, 96)]
    price = view.known.gather(PRICE, -MINUTES_PER_QUARTER_HOUR * np.arange(1, 17))
    return np.nan_to_num(np.stack([*single, *means, *sizes, _newest_known(price)[:, 0]], axis=1))


def _newest_known(values: Floats) -> Floats:
    """Columns run back in time, shape [T, n]: an unknown one takes the next older one that is known."""
    filled = values.copy()
    for column in range(values.shape[1] - 2, -1, -1):
        unknown = np.isnan(filled[:, column])
        filled[unknown, column] = filled[unknown, column + 1]
    return filled


@numba.njit(cache=True)
def _row_means(values: Floats) -> Floats:
    """Mean of each row's known values [T, n]; NaN where there is none."""
    out = np.empty(values.shape[0])
    for i in range(values.shape[0]):
        known, total = 0, 0.0
        for j in range(values.shape[1]):
            if not np.isnan(values[i, j]):
                known += 1
                total += values[i, j]
        out[i] = total / known if known else np.nan
    return out
