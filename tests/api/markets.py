"""Markets as requests carry them, and feeds that play one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from arbitrage.live.feed import Snapshot
from arbitrage.live.quality import Finding, Quality
from arbitrage.market.point_in_time import (
    ALPHA_COMPONENT,
    CUMULATIVE_IMBALANCE,
    DAY_AHEAD,
    DECREMENTAL,
    INCREMENTAL,
    INDICATIVE,
    PRICE,
    SOLAR_FORECAST,
    WIND_FORECAST,
    PointInTimeSeries,
)
from arbitrage.market.series import MarketSeries
from arbitrage.quarter_hour import utc_timestamps
from tests.api.local_client import StandingClock

_BY_MINUTE = (INDICATIVE, CUMULATIVE_IMBALANCE, INCREMENTAL, DECREMENTAL, ALPHA_COMPONENT)


def market_in(market: MarketSeries, start: int = 0, end: int = 2**40) -> dict[str, Any]:
    """What a market has in [start, end) epoch minutes, as the body of a request has it; of minutes the last hours."""
    known_series = market.known_series
    records: dict[str, Any] = {
        PRICE: _series(known_series[PRICE], start, end),
        "publication_delay_min": market.publication_delay_min,
    }
    for name in (DAY_AHEAD, WIND_FORECAST, SOLAR_FORECAST):
        if name in known_series:
            records[name] = _series(known_series[name], start, end + 3 * 24 * 60) | {"step_min": 15}
    if INDICATIVE in known_series:
        rows = _rows(known_series[INDICATIVE], max(start, end - 5 * 60), end)
        records["minutes"] = {"start": _start(known_series[INDICATIVE], rows)}
        records["minutes"] |= {name: _values(known_series[name], rows) for name in _BY_MINUTE if name in known_series}
    return records


def _series(series: PointInTimeSeries, start: int, end: int) -> dict[str, Any]:
    rows = _rows(series, start, end)
    return {"start": _start(series, rows), "values": _values(series, rows)}


def _rows(series: PointInTimeSeries, start: int, end: int) -> slice:
    first = max(0, -(-(start - series.first_minute) // series.step_min))
    return slice(first, min(len(series.values), (end - series.first_minute) // series.step_min))


def _start(series: PointInTimeSeries, rows: slice) -> str:
    return utc_timestamps([series.first_minute + series.step_min * rows.start])[0].isoformat()


def _values(series: PointInTimeSeries, rows: slice) -> list[float | None]:
    return [None if np.isnan(value) else value for value in series.values[rows].tolist()]


@dataclass
class PlayedFeed:
    """Hands a market out as it is set; nothing of it is known before its time in any case."""

    market: MarketSeries
    clock: StandingClock
    version: int = 1
    reported: tuple[tuple[Quality, Finding], ...] = ()

    def poll(self) -> Snapshot:
        return Snapshot(self.version, self.market, self.clock().timestamp(), self.reported)
