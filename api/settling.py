"""Prices that settle decisions, taken from the market that the service keeps.

Law: a price is validated where its record says so, else near real time; a newer one of the same stage replaces it.
"""

from __future__ import annotations

import datetime as dt

import numpy as np

from api.clock import minute_time
from api.storage.price_ledger import KnownPrice, PriceLedger, PriceStage
from arbitrage.market.dialects import QUALITY, Quality
from arbitrage.market.series import MarketSeries
from arbitrage.market.tapes import PRICE

BACK = 8 * 96
"""Quarter-hours that are looked at; revisions of older ones come with the validated month."""


def settle(ledger: PriceLedger, market: MarketSeries, now: dt.datetime) -> int:
    """Keep the final prices that are known by now; returns how many were new or changed."""
    tape = market.tapes.get(PRICE)
    if tape is None:
        return 0
    rows = np.flatnonzero(~np.isnan(tape.values) & (tape.available_at <= now.timestamp() / 60))[-BACK:]
    validated = _validated(market)
    return ledger.record(
        KnownPrice(
            minute_time(tape.first_minute + tape.step_min * row),
            PriceStage.VALIDATED if validated[row] else PriceStage.NEAR_REAL_TIME,
            float(tape.values[row]),
            now,
        )
        for row in rows.tolist()
    )


def _validated(market: MarketSeries) -> np.ndarray:
    frame = market.frame
    if QUALITY not in frame:
        return np.zeros(len(frame), dtype=np.bool_)
    return np.asarray(frame[QUALITY] == Quality.VALIDATED.value)
