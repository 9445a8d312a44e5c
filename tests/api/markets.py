"""Markets as requests carry them, and feeds that play one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from arbitrage.live.feed import Snapshot
from arbitrage.live.quality import Finding, Quality
from arbitrage.market.series import MarketSeries
from arbitrage.market.tapes import (
    ALPHA_COMPONENT,
    CUMULATIVE_IMBALANCE,
    DAY_AHEAD,
    DECREMENTAL,
    INCREMENTAL,
    INDICATIVE,
    PRICE,
    SOLAR_FORECAST,
    WIND_FORECAST,
    Tape,
)
from arbitrage.quarter_hour import utc_timestamps
from tests.api.local_client import StandingClock

_BY_MINUTE = (INDICATIVE, CUMULATIVE_IMBALANCE, INCREMENTAL, DECREMENTAL, ALPHA_COMPONENT)


def market_in(market: MarketSeries, start: int = 0, end: int = 2**40) -> dict[str, Any]:
    """What a market has in [start, end) epoch minutes, as the body of a request has it; of minutes the last hours."""
    tapes = market.tapes
    records: dict[str, Any] = {
        PRICE: _series(tapes[PRICE], start, end),
        "publication_delay_min": market.publication_delay_min,
    }
    for name in (DAY_AHEAD, WIND_FORECAST, SOLAR_FORECAST):
        if name in tapes:
            records[name] = _series(tapes[name], start, end + 3 * 24 * 60) | {"step_min": 15}
    if INDICATIVE in tapes:
        rows = _rows(tapes[INDICATIVE], max(start, end - 5 * 60), end)
        records["minutes"] = {"start": _start(tapes[INDICATIVE], rows)}
        records["minutes"] |= {name: _values(tapes[name], rows) for name in _BY_MINUTE if name in tapes}
    return records


def _series(tape: Tape, start: int, end: int) -> dict[str, Any]:
    rows = _rows(tape, start, end)
    return {"start": _start(tape, rows), "values": _values(tape, rows)}


def _rows(tape: Tape, start: int, end: int) -> slice:
    first = max(0, -(-(start - tape.first_minute) // tape.step_min))
    return slice(first, min(len(tape.values), (end - tape.first_minute) // tape.step_min))


def _start(tape: Tape, rows: slice) -> str:
    return utc_timestamps([tape.first_minute + tape.step_min * rows.start])[0].isoformat()


def _values(tape: Tape, rows: slice) -> list[float | None]:
    return [None if np.isnan(value) else value for value in tape.values[rows].tolist()]


@dataclass
class PlayedFeed:
    """Hands a market out as it is set; nothing of it is known before its time in any case."""

    market: MarketSeries
    clock: StandingClock
    version: int = 1
    reported: tuple[tuple[Quality, Finding], ...] = ()

    def poll(self) -> Snapshot:
        return Snapshot(self.version, self.market, self.clock().timestamp(), self.reported)
