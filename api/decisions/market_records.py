"""Markets that came in requests, built once however often they are sent.

Contract: two requests with the same records decide on the same market, bit for bit the one that files would make.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from api.clock import minute_time, utc_text
from api.decisions.moment import SKEW_MIN, Moment
from api.schemas.market import DayAheadSeries, MarketIn, MinuteSeries, QuarterHourSeries
from arbitrage.arrays import Floats
from arbitrage.errors import Fault, refuse
from arbitrage.live.quality import SECONDS_PER_MINUTE, Finding, Found, Params, Quality
from arbitrage.market.point_in_time import DAY_AHEAD, MOST_SIZE, PRICE, SOLAR_FORECAST, WIND_FORECAST, PointInTimeSeries
from arbitrage.market.series import DURATION, MINUTE_COLUMNS, MarketSeries, build_market
from arbitrage.quarter_hour import epoch_minute, utc_timestamps


def market_digest(records: MarketIn, delay_min: int | None) -> bytes:
    """Names a market: the same for the same records and delay."""
    digest = hashlib.blake2b(f"{delay_min}".encode(), digest_size=16)
    for name, series in records:
        if isinstance(series, QuarterHourSeries | DayAheadSeries):
            digest.update(f"{name} {series.start} {getattr(series, 'step_min', 15)} {len(series.values)};".encode())
            digest.update(_floats(series.values).tobytes())
        elif isinstance(series, MinuteSeries):
            digest.update(f"{name} {series.start};".encode())
            for column in MINUTE_COLUMNS:
                values = getattr(series, column)
                digest.update(f"{column} {None if values is None else len(values)};".encode())
                digest.update(_floats(values or []).tobytes())
    return digest.digest()


def market_of(records: MarketIn, delay_min: int | None) -> MarketSeries:
    """The market of a request. Raises BadInput with all faults, each at its field."""
    refuse([*_unequal_columns(records.minutes), *_beyond_bounds(records)])
    day_ahead = records.day_ahead_price_eur_mwh
    return build_market(
        _table(PRICE, records.imbalance_price_eur_mwh, 15),
        day_ahead=None if day_ahead is None else _table(DAY_AHEAD, day_ahead, day_ahead.step_min),
        forecasts=_forecasts(records),
        minutes=None if records.minutes is None else _minute_table(records.minutes),
        publication_delay_min=delay_min,
    )


def records_ahead(market: MarketSeries, moment: Moment) -> Found:
    """Records that are published by the interval's beginning and that by the service's time cannot be known yet."""
    latest = math.floor(moment.now_s / SECONDS_PER_MINUTE) + SKEW_MIN
    if moment.time <= latest:
        return []
    counts = {name: _published_within(recorded, latest, moment.time) for name, recorded in market.known_series.items()}
    ahead = {name: count for name, count in counts.items() if count}
    if not ahead:
        return []
    params: Params = {
        "series": ", ".join(ahead),
        "records": sum(ahead.values()),
        "latest": utc_text(minute_time(latest)),
    }
    return [(Quality.CLOCK, Finding("not_published_yet", params))]


def _published_within(recorded: PointInTimeSeries, start: int, end: int) -> int:
    """Records with a value that become known after `start` and by `end`, epoch minutes."""
    return int(((recorded.available_at > start) & (recorded.available_at <= end) & ~np.isnan(recorded.values)).sum())


def _floats(values: list[float | None]) -> Floats:
    return np.array(values, dtype=np.float64)


def _table(name: str, series: QuarterHourSeries | DayAheadSeries, step_min: int) -> pd.DataFrame:
    starts = epoch_minute(series.start) + step_min * np.arange(len(series.values))
    columns: dict[str, object] = {name: _floats(series.values)}
    if isinstance(series, DayAheadSeries):
        columns[DURATION] = step_min
    return pd.DataFrame(columns, index=utc_timestamps(starts))


def _forecasts(records: MarketIn) -> pd.DataFrame | None:
    """Wind and solar by quarter-hour in one table, as `build_market` takes them."""
    given = {WIND_FORECAST: records.wind_forecast_day_ahead_mw, SOLAR_FORECAST: records.solar_forecast_day_ahead_mw}
    tables = [_by_quarter_hour(name, series) for name, series in given.items() if series is not None]
    return pd.concat(tables, axis=1) if tables else None


def _by_quarter_hour(name: str, series: DayAheadSeries) -> pd.DataFrame:
    quarters = series.step_min // 15
    starts = epoch_minute(series.start) + 15 * np.arange(quarters * len(series.values))
    return pd.DataFrame({name: np.repeat(_floats(series.values), quarters)}, index=utc_timestamps(starts))


def _minute_table(minutes: MinuteSeries) -> pd.DataFrame:
    starts = epoch_minute(minutes.start) + np.arange(len(minutes.indicative_price_eur_mwh))
    columns = {
        column: _floats(values)
        for recorded, column in MINUTE_COLUMNS.items()
        if (values := getattr(minutes, recorded)) is not None
    }
    return pd.DataFrame(columns, index=utc_timestamps(starts))


def _beyond_bounds(records: MarketIn) -> Iterator[Fault]:
    """Values that are too large to be of a market."""
    for name, values in _all_values(records):
        beyond = np.flatnonzero(np.abs(_floats(values)) > MOST_SIZE)
        if len(beyond):
            what = f"holds {len(beyond):,} values beyond {MOST_SIZE:,.0f} in size, the first at {beyond[0]}"
            yield Fault(name, f"{what}; send null there")


def _all_values(records: MarketIn) -> Iterator[tuple[str, list[float | None]]]:
    for name, series in records:
        if isinstance(series, QuarterHourSeries | DayAheadSeries):
            yield f"{name}.values", series.values
        elif isinstance(series, MinuteSeries):
            columns = ((column, getattr(series, column)) for column in MINUTE_COLUMNS)
            yield from ((f"{name}.{column}", values) for column, values in columns if values is not None)


def _unequal_columns(minutes: MinuteSeries | None) -> list[Fault]:
    """Every column of the minutes must have as many values as the price."""
    if minutes is None:
        return []
    count = len(minutes.indicative_price_eur_mwh)
    lengths: dict[str, int] = {
        name: len(values) for name in MINUTE_COLUMNS if (values := getattr(minutes, name)) is not None
    }
    return [
        Fault(f"minutes.{name}", f"has {length} values beside {count} prices")
        for name, length in lengths.items()
        if length != count
    ]
