"""Prices that settle decisions, taken from the market that the service keeps, and later from the store.

Contract
- A price is validated where its record says so, else near real time; a newer one of the same stage replaces it.
- Prices are validated about a month late, when the kept market no longer reaches back to them. Where there is a store,
  it is asked once an hour for those that decisions still wait for; who fills it is `arbitrage data fetch`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from api.clock import minute_time
from api.storage.price_ledger import KnownPrice, PriceLedger, PriceStage
from arbitrage.market.files.schemas import QUALITY, RecordQuality
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.series import MarketSeries
from arbitrage.market.store.datasets import PRICES
from arbitrage.market.store.store import Stage, Store

BACK = 8 * 96
"""Quarter-hours of the kept market that are looked at."""
STORE_EVERY = dt.timedelta(hours=1)


@dataclass(slots=True)
class Settler:
    """Keeps prices as they become known."""

    ledger: PriceLedger
    store: Store | None = None
    _store_asked_at: dt.datetime | None = None

    def settle(self, market: MarketSeries, now: dt.datetime) -> int:
        """Keep what is known by now; returns how many prices were new or changed.

        Raises BadInput if a file of the store is damaged.
        """
        return settle(self.ledger, market, now) + self._settle_from_store(now)

    def _settle_from_store(self, now: dt.datetime) -> int:
        asked_at = self._store_asked_at
        if self.store is None or (asked_at is not None and asked_at <= now < asked_at + STORE_EVERY):
            return 0
        self._store_asked_at = now
        waiting = self.ledger.unpriced(PriceStage.VALIDATED, now)
        if not waiting:
            return 0
        start, end = pd.Timestamp(waiting[0]), pd.Timestamp(waiting[-1]) + pd.Timedelta(minutes=1)
        frame = self.store.frame(PRICES, start, end, stage=Stage.VALIDATED)
        if not len(frame):
            return 0
        prices = frame[PRICE].reindex(pd.DatetimeIndex(waiting)).dropna()
        found = zip(pd.DatetimeIndex(prices.index).to_pydatetime(), prices.to_numpy(), strict=True)
        return self.ledger.record(KnownPrice(time, PriceStage.VALIDATED, float(price), now) for time, price in found)


def settle(ledger: PriceLedger, market: MarketSeries, now: dt.datetime) -> int:
    """Keep the final prices of a market that are known by now; returns how many were new or changed."""
    series = market.known_series.get(PRICE)
    if series is None:
        return 0
    rows = np.flatnonzero(~np.isnan(series.values) & (series.available_at <= now.timestamp() / 60))[-BACK:]
    validated = _validated(market)
    return ledger.record(
        KnownPrice(
            minute_time(series.first_minute + series.step_min * row),
            PriceStage.VALIDATED if validated[row] else PriceStage.NEAR_REAL_TIME,
            float(series.values[row]),
            now,
        )
        for row in rows.tolist()
    )


def _validated(market: MarketSeries) -> np.ndarray:
    frame = market.frame
    if QUALITY not in frame:
        return np.zeros(len(frame), dtype=np.bool_)
    return np.asarray(frame[QUALITY] == RecordQuality.VALIDATED.value)
