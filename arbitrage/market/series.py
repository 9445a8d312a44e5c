"""The market as a table of quarter-hours and as point-in-time series.

Contract
- A record carries the time from which it may be known. Policies call `known_at`, which returns a `KnownMarket`.
- Settlement is not a decision: ledger, environment and hindsight read the final prices directly.
- The minute record stamped k:00 aggregates its quarter-hour up to k:59, so it cannot be known before k+1. The
  publication delay is added to that. The final price becomes known the same delay after the end of its quarter-hour.
- A gap stays a gap (NaN); nothing is filled in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.arrays import Floats
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.files.values.durations import durations_min
from arbitrage.market.point_in_time import (
    ALPHA_COMPONENT,
    CUMULATIVE_IMBALANCE,
    DAY_AHEAD,
    DECREMENTAL,
    INCREMENTAL,
    INDICATIVE,
    MOST_SIZE,
    PRICE,
    RESIDUAL,
    SOLAR_FORECAST,
    WIND_FORECAST,
    KnownMarket,
    PointInTimeSeries,
    residual,
)
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

DURATION = "duration_min"
"""Optional column of day-ahead prices and forecasts: minutes that a row covers, 15 or 60."""

DAY_AHEAD_PUBLISHED_H = 13
"""Day-ahead prices of day D count as known from 13:00 Brussels time on D-1."""
FORECAST_PUBLISHED_H = 18
"""Day-ahead wind and solar forecasts of day D count as known from 18:00 Brussels time on D-1."""
PUBLICATION_DELAY_MIN = 0
"""Minutes from the end of a quarter-hour to the publication of its price, unless the user says otherwise.

With zero, a quarter-hour is decided on the price of the one just ended. The minute records show that price to within
about 1 EUR/MWh (median) two minutes before its end. With any positive delay, a 15-minute decision cannot use it.
"""
MINUTE_PUBLICATION_DELAY_MIN = 1
"""The same for a market with minute records: minute k is decided with the record of minute k-2."""
MINUTE_COLUMNS = {
    INDICATIVE: PRICE,
    CUMULATIVE_IMBALANCE: "system_imbalance_mw",
    INCREMENTAL: INCREMENTAL,
    DECREMENTAL: DECREMENTAL,
    ALPHA_COMPONENT: ALPHA_COMPONENT,
}
"""Series by minute, and the column of the minute records that each comes from."""
_COLUMNS = frozenset((PRICE, DAY_AHEAD, WIND_FORECAST, SOLAR_FORECAST, *MINUTE_COLUMNS.values()))
"""Columns of all tables that become point-in-time series."""


class MinuteSource(StrEnum):
    """The origin of minute records; cards and reports state it."""

    RECORDED = "recorded"
    """Fetched from Elia."""
    GIVEN = "as given in files"
    """Read from files, which do not state their origin."""
    SIMULATED = "simulated"
    RECONSTRUCTED_EASY = "reconstructed, easy"
    RECONSTRUCTED_MATCHED = "reconstructed, matched"
    RECONSTRUCTED_HARSH = "reconstructed, harsh"
    RECONSTRUCTED_SEVERE = "reconstructed, severe"


RECONSTRUCTED = frozenset(source for source in MinuteSource if source.name.startswith("RECONSTRUCTED"))
"""Minute records that were drawn, not recorded."""


@dataclass(frozen=True, slots=True)
class MarketSeries:
    """Validated quarter-hours on a complete grid, with the point-in-time series of all that the market publishes."""

    frame: pd.DataFrame
    """Indexed by UTC start on the complete quarter-hour grid; column `imbalance_price_eur_mwh` at least."""
    quarter_hours: EpochMinutes
    """Shape [n]; starts of the rows of `frame`."""
    price_eur_mwh: Floats
    """Shape [n]; final price, NaN at a gap. For settlement and hindsight, never for decisions."""
    day_numbers: DayNumbers
    """Shape [n]; the Brussels day of each quarter-hour."""
    known_series: Mapping[str, PointInTimeSeries] = field(repr=False)
    publication_delay_min: int = PUBLICATION_DELAY_MIN
    decision_latency_min: int = 0
    """Minutes after its publication at which a record is known to the policy; see `timing`."""
    minute_source: MinuteSource | None = None
    """None where there are no minute records."""
    minute_seed: int | None = None
    """Seed of drawn minute records; None for others."""

    def known_at(self, times: npt.ArrayLike, about: npt.ArrayLike | None = None) -> KnownMarket:
        """The known market at these epoch minutes (one or an array); `about`: of the same shape, None: `times`."""
        moments = np.atleast_1d(np.asarray(times, dtype=np.int64))
        subject = moments if about is None else np.atleast_1d(np.asarray(about, dtype=np.int64))
        return KnownMarket(moments, subject, self.known_series)

    def __len__(self) -> int:
        return len(self.quarter_hours)

    @property
    def data_hash(self) -> str:
        """SHA-256 over every value and availability time, to name the data in cards and reports."""
        digest = hashlib.sha256()
        for name in sorted(self.known_series):
            recorded = self.known_series[name]
            digest.update(f"{name} {recorded.first_minute} {recorded.step_min};".encode())
            digest.update(np.ascontiguousarray(recorded.values).tobytes())
            digest.update(np.ascontiguousarray(recorded.available_at).tobytes())
        return digest.hexdigest()

    def gaps(self) -> pd.DatetimeIndex:
        """Starts of the quarter-hours of the series without a price."""
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
    minutes: pd.DataFrame | None = None,
    minute_source: MinuteSource = MinuteSource.GIVEN,
    publication_delay_min: int | None = None,
) -> MarketSeries:
    """Build a market from validated tables.

    prices: UTC quarter-hour index, unique, any order; `imbalance_price_eur_mwh` and any other columns.
    day_ahead: UTC index, hourly, quarter-hourly or mixed, unique; `day_ahead_price_eur_mwh`, perhaps `duration_min`.
    forecasts: the same; `wind_forecast_day_ahead_mw` and/or `solar_forecast_day_ahead_mw`.
    minutes: UTC minute index, unique, any order; `imbalance_price_eur_mwh` as it would settle after that minute, and
    optionally `system_imbalance_mw` since the quarter-hour began, both marginal prices, `alpha_component_eur_mwh`.
    publication_delay_min: from the end of a minute or quarter-hour to the publication of its record; None: 1 with
    minutes, 0 without.
    A row's value covers its own interval only.
    Raises BadInput if there is no price, a value is infinite or beyond `MOST_SIZE`, a start is off its grid or
    repeated, the delay negative.
    """
    _refuse_values(prices=prices, day_ahead=day_ahead, forecasts=forecasts, minutes=minutes)
    delay_min = _default_delay_min(minutes) if publication_delay_min is None else publication_delay_min
    if delay_min < 0:
        raise BadInput([Fault("publication_delay_min", f"must be 0 or more, not {delay_min}")])
    frame = _on_grid(prices)
    quarter_hours = epoch_minutes(pd.DatetimeIndex(frame.index))
    settled = PointInTimeSeries(
        int(quarter_hours[0]),
        frame[PRICE].to_numpy(np.float64),
        quarter_hours + MINUTES_PER_QUARTER_HOUR + delay_min,
    )
    known_series = {PRICE: settled, **_published_before(settled, day_ahead, forecasts)}
    if minutes is not None:
        known_series |= _by_minute(minutes, delay_min)
    return MarketSeries(
        frame=frame,
        quarter_hours=quarter_hours,
        price_eur_mwh=settled.values,
        day_numbers=brussels_day_numbers(quarter_hours),
        known_series=known_series,
        publication_delay_min=delay_min,
        minute_source=None if minutes is None else minute_source,
    )


def _refuse_values(prices: pd.DataFrame, **others: pd.DataFrame | None) -> None:
    """Raise BadInput if there is no price, or if a value is infinite or beyond `MOST_SIZE`."""
    if len(prices) == 0 or not prices[PRICE].notna().any():
        raise BadInput([Fault("prices", "holds no imbalance price")])
    tables = {"prices": prices, **others}
    refuse(fault for name, table in tables.items() if table is not None for fault in _value_faults(name, table))


def _value_faults(name: str, table: pd.DataFrame) -> Iterator[Fault]:
    for column, values in table.select_dtypes("number").items():
        sizes = np.abs(values.to_numpy(np.float64))
        beyond = (sizes > MOST_SIZE) & (sizes < np.inf) & (column in _COLUMNS)
        for what, rows in (("infinite", np.isinf(sizes)), (f"beyond {MOST_SIZE:,.0f}", beyond)):
            times = table.index[rows]
            if len(times):
                yield Fault(
                    name, f"{column} is {what} {len(times):,} times, first at {times.min()}; leave it empty there"
                )


def _published_before(
    settled: PointInTimeSeries, day_ahead: pd.DataFrame | None, forecasts: pd.DataFrame | None
) -> dict[str, PointInTimeSeries]:
    """The series published on the day before, and the residual of the final prices."""
    known_series = {}
    if day_ahead is not None:
        known_series[DAY_AHEAD] = _published_the_day_before(day_ahead, DAY_AHEAD, DAY_AHEAD_PUBLISHED_H)
        known_series[RESIDUAL] = residual(settled, known_series[DAY_AHEAD])
        if np.isnan(known_series[RESIDUAL].values).all():
            raise BadInput([Fault(DAY_AHEAD, "covers none of the quarter-hours that have an imbalance price")])
    for name in (WIND_FORECAST, SOLAR_FORECAST):
        if forecasts is not None and name in forecasts:
            known_series[name] = _published_the_day_before(forecasts, name, FORECAST_PUBLISHED_H)
    return known_series


def with_minutes(market: MarketSeries, minutes: pd.DataFrame, source: MinuteSource, seed: int) -> MarketSeries:
    """The same market with drawn minute records, published with the delay of its prices; see `build_market`."""
    known_series = {**market.known_series, **_by_minute(minutes, market.publication_delay_min)}
    return replace(market, known_series=known_series, minute_source=source, minute_seed=seed)


def _default_delay_min(minutes: pd.DataFrame | None) -> int:
    return PUBLICATION_DELAY_MIN if minutes is None else MINUTE_PUBLICATION_DELAY_MIN


def _by_minute(minutes: pd.DataFrame, delay_min: int) -> dict[str, PointInTimeSeries]:
    """Series of minute records, on a complete grid from the first to the last."""
    starts = epoch_minutes(pd.DatetimeIndex(minutes.index))
    if len(starts) == 0 or PRICE not in minutes or not minutes[PRICE].notna().any():
        raise BadInput([Fault("minutes", "hold no indicative price")])
    refuse(_repeated(starts, "minutes"))
    first = int(starts.min())
    available_at = first + np.arange(int(starts.max()) + 1 - first, dtype=np.int64) + 1 + delay_min
    known_series = {}
    for name, column in MINUTE_COLUMNS.items():
        if column in minutes and minutes[column].notna().any():
            values = np.full(len(available_at), np.nan)
            values[starts - first] = minutes[column].to_numpy(np.float64)
            known_series[name] = PointInTimeSeries(first, values, available_at, step_min=1)
    return known_series


def _on_grid(table: pd.DataFrame) -> pd.DataFrame:
    """The table on the complete quarter-hour grid from its first to its last row."""
    starts = _unique_starts(table, "prices")
    grid = quarter_hour_grid(int(starts.min()), int(starts.max()) + 1)
    by_start = table.set_index(utc_timestamps(starts))
    return by_start.reindex(utc_timestamps(grid)).rename_axis("quarter_hour")


def _unique_starts(table: pd.DataFrame, where: str) -> EpochMinutes:
    """Starts of the rows [n] in their order. Raises BadInput if one is off the quarter-hour or given more than once."""
    starts = epoch_minutes(pd.DatetimeIndex(table.index))
    off = starts[starts % MINUTES_PER_QUARTER_HOUR != 0]
    refuse([*_named(off, where, "not on a quarter-hour"), *_repeated(starts, where)])
    return starts


def _repeated(starts: EpochMinutes, where: str) -> list[Fault]:
    unique, counts = np.unique(starts, return_counts=True)
    return _named(unique[counts > 1], where, "given more than once")


def _named(starts: EpochMinutes, where: str, wrong: str) -> list[Fault]:
    """One fault for all these starts; no fault without starts."""
    if not len(starts):
        return []
    return [Fault(where, f"{len(starts)} starts {wrong}, the first being {utc_timestamps(starts[:1])[0].isoformat()}")]


def _published_the_day_before(table: pd.DataFrame, name: str, hour: int) -> PointInTimeSeries:
    """A series whose values for Brussels day D become known at `hour` o'clock Brussels time on D-1."""
    if not len(table):
        raise BadInput([Fault(name, "holds no rows")])
    order = np.argsort(_unique_starts(table, name), kind="stable")
    rows = table.iloc[order]
    starts = epoch_minutes(pd.DatetimeIndex(rows.index))
    minutes = rows[DURATION].to_numpy(np.int64) if DURATION in rows else durations_min(starts)
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
    return PointInTimeSeries(int(grid[0]), on_grid, published[inverse])


def _brussels_hour(day: int, hour: int) -> int:
    """Epoch minute of an afternoon hour of a Brussels day, counted back from midnight: clocks change at night."""
    return brussels_midnight(day + 1) - (24 - hour) * MINUTES_PER_HOUR
