"""Whether what is known of the imbalance price is fit to decide on: a judgement of the feed, never of the price.

Contract
- A level is no fault. Thousands of EUR/MWh, of either sign, are legitimate prices, and so is the same price twice.
  What is judged is age, absence, records that stand still, that contradict each other or themselves, and clocks.
- A record contradicts itself where its price is not what the price rule makes of its own marginal price and alpha
  component. On genuine minutes the rule holds to the cent.
- Only what was known at the time is looked at: what is published later changes no judgement.
- Pure functions; the bounds stand in `Bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from arbitrage.arrays import Floats, Numbers
from arbitrage.market.point_in_time import (
    ALPHA_COMPONENT,
    CUMULATIVE_IMBALANCE,
    DECREMENTAL,
    INCREMENTAL,
    INDICATIVE,
    PRICE,
    PointInTimeSeries,
)
from arbitrage.market.series import MarketSeries
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR

MINUTE_TAPES = (INDICATIVE, CUMULATIVE_IMBALANCE, INCREMENTAL, DECREMENTAL, ALPHA_COMPONENT)
SECONDS_PER_MINUTE = 60

Params = Mapping[str, float | int | str | None]
"""Numbers and names that belong to a code."""


class Quality(StrEnum):
    """What is wrong with the newest prices, from nothing to worst; the worst finding names the whole."""

    OK = "ok"
    GAP = "gap"
    """Records are missing before the newest one."""
    LATE = "late"
    """The newest record that should be there is not, for a short while."""
    JUMP = "jump"
    """A price that its own record does not explain; it is left out."""
    CONTRADICTION = "contradiction"
    """One interval was reported with different values at once; it is left out."""
    DISAGREEMENT = "disagreement"
    """Prices of quarter-hours and minutes that end them disagree."""
    STALE = "stale"
    """Nothing new for too long, or records that come but stand still."""
    ABSENT = "absent"
    """Nothing is known."""
    CLOCK = "clock"
    """Records from the future, or time going backwards: the time is uncertain."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was noticed."""

    code: str
    params: Params

    def contract(self) -> dict[str, object]:
        """As the decision contract has it."""
        return {"code": self.code, "params": dict(self.params)}


Found = list[tuple[Quality, Finding]]
"""What was noticed, each with what it makes of the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """From where on something is a fault."""

    stale_minutes: int = 5
    """Minute records that the newest one may lag behind the one expected before it is stale; up to then it is late."""
    stale_quarter_hours: int = 2
    """The same for prices of quarter-hours."""
    frozen_minutes: int = 5
    """Minutes in a row with the same system imbalance, to the last digit, that mean the records stand still."""
    gap_window_min: int = 60
    """How far back missing minute records count as a gap."""
    gap_window_quarter_hours: int = 16
    gap_stale_share: float = 0.5
    """Share of that window missing from which it is no gap but an outage."""
    jump_eur_mwh: float = 25.0
    """Least difference between a price and its own record's parts; leaves room for the incentive component that is
    not on the known_series."""
    implausible_imbalance_mw: float = 10_000.0
    """Imbalance of one minute, undone from the running means, that no Belgian system can have."""
    disagreement_eur_mwh: float = 300.0
    """Median difference over the last quarter-hours between the final price and the last indicative one."""
    disagreement_quarter_hours: int = 4
    under_way_s: float = 60.0
    """What was published so recently may not have come yet from a feed that is asked once a minute."""
    not_polled_s: float = 180.0
    """How long the feed may go without a poll before that is reported."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known, judged at one moment."""

    quality: Quality
    age_s: float | None
    """Seconds from the end of the newest good record's interval to now; None where there is none."""
    data_as_of: int | None
    """Epoch minute at which that interval ends."""
    findings: tuple[Finding, ...] = ()
    faulty: Mapping[str, Numbers] | None = None
    """Starts of records that are left out, by series."""

    def with_findings(self, reported: Iterable[tuple[Quality, Finding]]) -> Judgement:
        """The same with what the feed itself noticed; the worst counts."""
        more = tuple(reported)
        worst = max((self.quality, *(quality for quality, _ in more)), key=tuple(Quality).index)
        return replace(self, quality=worst, findings=(*self.findings, *(finding for _, finding in more)))


def judge(
    market: MarketSeries, time: int, now_s: float, series_name: str, bounds: Bounds, due_s: float | None = None
) -> Judgement:
    """Judge what the market had made known by `time`, an epoch minute, of the series that the policy decides on.

    now_s: seconds since the epoch, from which age counts.
    due_s: what was published by then must be here; `time` unless given.
    series_name: INDICATIVE or PRICE; where the market does not carry it, nothing is known.
    """
    series = market.known_series.get(series_name)
    if series is None:
        return Judgement(Quality.ABSENT, None, None, (Finding("absent", {"series": series_name}),))
    faulty, found = _faulty_minutes(market, time, bounds) if series_name == INDICATIVE else (_NONE, [])
    newest = _newest_known(series, time, faulty)
    if newest is None:
        return Judgement(
            Quality.ABSENT, None, None, (*(f for _, f in found), Finding("absent", {"series": series_name}))
        )
    data_as_of = newest + series.step_min
    due = time if due_s is None else math.floor(due_s / SECONDS_PER_MINUTE)
    found += _age(series, due, data_as_of, market.publication_delay_min, bounds)
    found += _gaps(series, newest, faulty, bounds)
    if series_name == INDICATIVE:
        found += _frozen(market, newest, bounds)
        found += _disagreement(market, time, bounds)
    judgement = Judgement(Quality.OK, now_s - data_as_of * SECONDS_PER_MINUTE, data_as_of)
    left_out = {name: faulty for name in MINUTE_TAPES if name in market.known_series} if len(faulty) else None
    return replace(judgement.with_findings(found), faulty=left_out)


def without_faulty(market: MarketSeries, judgement: Judgement) -> MarketSeries:
    """The market without the records that are left out; the same object where there are none."""
    if not judgement.faulty:
        return market
    known_series = dict(market.known_series)
    for name, starts in judgement.faulty.items():
        series = known_series[name]
        values = series.values.copy()
        values[(starts - series.first_minute) // series.step_min] = np.nan
        known_series[name] = replace(series, values=values)
    return replace(market, known_series=known_series)


_NONE: Numbers = np.zeros(0, dtype=np.int64)


def _rows_until(series: PointInTimeSeries, time: int, count: int) -> slice:
    """The last `count` rows of a series that begin before `time`."""
    last = min(len(series.values), max(0, -(-(time - series.first_minute) // series.step_min)))
    return slice(max(0, last - count), last)


def _known(series: PointInTimeSeries, rows: slice, time: int) -> Floats:
    """Values of these rows; NaN where they are not known at `time`."""
    return np.where(series.available_at[rows] <= time, series.values[rows], np.nan)


def _newest_known(series: PointInTimeSeries, time: int, faulty: Numbers) -> int | None:
    """Start of the newest record that is known and not left out."""
    for count in (128, len(series.values)):
        rows = _rows_until(series, time, count)
        starts = series.first_minute + series.step_min * np.arange(rows.start, rows.stop)
        known = np.flatnonzero(~np.isnan(_known(series, rows, time)) & ~np.isin(starts, faulty))
        if len(known):
            return int(starts[known[-1]])
    return None


def _age(series: PointInTimeSeries, due: int, data_as_of: int, delay_min: int, bounds: Bounds) -> Found:
    """Late or stale, against what is due by an epoch minute."""
    expected = (due - delay_min) // series.step_min * series.step_min
    behind = (expected - data_as_of) // series.step_min
    if behind <= 0:
        return []
    limit = bounds.stale_minutes if series.step_min == 1 else bounds.stale_quarter_hours
    quality = Quality.LATE if behind <= limit else Quality.STALE
    return [(quality, Finding(quality.value, {"records_behind": behind, "step_min": series.step_min}))]


def _gaps(series: PointInTimeSeries, newest: int, faulty: Numbers, bounds: Bounds) -> Found:
    """Records missing before the newest one."""
    count = bounds.gap_window_min if series.step_min == 1 else bounds.gap_window_quarter_hours
    rows = _rows_until(series, newest + series.step_min, count)
    starts = series.first_minute + series.step_min * np.arange(rows.start, rows.stop)
    missing = int((np.isnan(series.values[rows]) & ~np.isin(starts, faulty)).sum())
    if not missing:
        return []
    share = missing / max(1, rows.stop - rows.start)
    quality = Quality.STALE if share > bounds.gap_stale_share else Quality.GAP
    return [(quality, Finding("gap", {"missing": missing, "of": rows.stop - rows.start, "step_min": series.step_min}))]


def _frozen(market: MarketSeries, newest: int, bounds: Bounds) -> Found:
    """The system imbalance repeats itself to the last digit: what comes is old, whatever its stamp says."""
    series = market.known_series.get(CUMULATIVE_IMBALANCE)
    if series is None:
        return []
    values = series.values[_rows_until(series, newest + 1, bounds.frozen_minutes)]
    still = len(values) == bounds.frozen_minutes and values[0] != 0.0 and bool((values == values[0]).all())
    return [(Quality.STALE, Finding("frozen", {"minutes": bounds.frozen_minutes}))] if still else []


def _faulty_minutes(market: MarketSeries, time: int, bounds: Bounds) -> tuple[Numbers, Found]:
    """Minute records of this quarter-hour and the one before that contradict themselves."""
    names = (INDICATIVE, CUMULATIVE_IMBALANCE, INCREMENTAL, DECREMENTAL)
    if not all(name in market.known_series for name in names):
        return _NONE, []
    series = market.known_series[INDICATIVE]
    rows = _rows_until(series, time, 2 * MINUTES_PER_QUARTER_HOUR + market.publication_delay_min + 1)
    starts = series.first_minute + np.arange(rows.start, rows.stop, dtype=np.int64)
    price, imbalance, incremental, decremental = (_known(market.known_series[name], rows, time) for name in names)
    component = np.zeros(len(starts))
    if ALPHA_COMPONENT in market.known_series:
        component = np.nan_to_num(_known(market.known_series[ALPHA_COMPONENT], rows, time))
    by_rule = np.where(imbalance < 0.0, incremental + component, decremental - component)
    far = np.abs(price - by_rule) > bounds.jump_eur_mwh
    number = starts % MINUTES_PER_QUARTER_HOUR
    before = np.concatenate(([np.nan], imbalance[:-1]))
    alone = np.where(number == 0, imbalance, (number + 1) * imbalance - number * before)
    wild = np.abs(alone) > bounds.implausible_imbalance_mw
    faulty = far | wild
    if not faulty.any():
        return _NONE, []
    worst = int(np.flatnonzero(faulty)[-1])
    params = {"records": int(faulty.sum()), "price_eur_mwh": float(price[worst]), "by_rule": float(by_rule[worst])}
    return starts[faulty], [(Quality.JUMP, Finding("jump", params))]


def _disagreement(market: MarketSeries, time: int, bounds: Bounds) -> Found:
    """The last minutes of finished quarter-hours against their prices."""
    final, minutes = market.known_series[PRICE], market.known_series[INDICATIVE]
    rows = _rows_until(final, time, bounds.disagreement_quarter_hours)
    last = final.first_minute + MINUTES_PER_QUARTER_HOUR * np.arange(rows.start, rows.stop) + 14 - minutes.first_minute
    inside = (last >= 0) & (last < len(minutes.values))
    at = last[inside]
    indicative = np.where(minutes.available_at[at] <= time, minutes.values[at], np.nan)
    apart = np.abs(_known(final, rows, time)[inside] - indicative)
    apart = apart[~np.isnan(apart)]
    if len(apart) < bounds.disagreement_quarter_hours - 1:
        return []
    median = float(np.median(apart))
    if median <= bounds.disagreement_eur_mwh:
        return []
    return [(Quality.DISAGREEMENT, Finding("disagreement", {"median_eur_mwh": median, "quarter_hours": len(apart)}))]
