"""What is known later, or was said otherwise at first: markets as a slower or more honest decider sees them.

Contract
- Settlement does not change: it stays at the final prices. Only what may be known, and when, does.
- Deciding takes time. With a decision latency of L minutes, an interval is decided on what was known L minutes before
  it begins; that is the same as every record coming L minutes later.
- A price is known as it was first published, from when it was first seen, where the store saw it within a day of its
  quarter-hour. Where the store fetched it later, nobody knows what was said first: its value and nominal time stay,
  and how many of those there are is told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pandas as pd

from arbitrage.errors import BadInput, Fault
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, RESIDUAL, PointInTimeSeries
from arbitrage.market.series import MarketSeries, residual
from arbitrage.market.store.datasets import PRICES
from arbitrage.market.store.store import FIRST_SEEN, Store
from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR, epoch_minutes, utc_timestamps


class KnownAs(StrEnum):
    """As what a price is known before it is final."""

    FINAL = "final"
    FIRST_PUBLISHED = "first-published"


_SECONDS_PER_MINUTE = 60
_LIVE_MIN = 24 * MINUTES_PER_HOUR
"""A first sight no later than this after its quarter-hour shows what was published first."""


def with_decision_latency(market: MarketSeries, latency_min: int) -> MarketSeries:
    """The same market with every record known so many minutes later. Raises BadInput for a negative latency."""
    if latency_min < 0:
        raise BadInput([Fault("decision_latency_min", f"must be 0 or more, not {latency_min}")])
    if latency_min == 0:
        return market
    known_series = {
        name: replace(series, available_at=series.available_at + latency_min)
        for name, series in market.known_series.items()
    }
    return replace(market, known_series=known_series, decision_latency_min=market.decision_latency_min + latency_min)


def until(market: MarketSeries, time: int) -> MarketSeries:
    """What of the market is known at an epoch minute: later records are gone, and it settles at prices known by then.

    Whoever learns from it cannot see further, whatever it does. Raises BadInput if no price is known by then.
    """
    known_series = {name: _until(series, time) for name, series in market.known_series.items()}
    price = known_series[PRICE].values
    rows = len(price)
    if not np.isfinite(price).any():
        raise BadInput([Fault("time", f"no price is known at {utc_timestamps([time])[0].isoformat()}")])
    return replace(
        market,
        frame=market.frame.iloc[:rows].assign(**{PRICE: price}),
        quarter_hours=market.quarter_hours[:rows],
        price_eur_mwh=price,
        day_numbers=market.day_numbers[:rows],
        known_series=known_series,
    )


def _until(series: PointInTimeSeries, time: int) -> PointInTimeSeries:
    """The series to its last record that is known by then, with what is not known among them left out."""
    known = series.available_at <= time
    count = int(np.flatnonzero(known)[-1]) + 1 if known.any() else 0
    values = np.where(known[:count], series.values[:count], np.nan)
    return replace(series, values=values, available_at=series.available_at[:count])


@dataclass(frozen=True, slots=True)
class FirstPublished:
    """A market that knows prices as they were first published."""

    market: MarketSeries
    seen_live: int
    """Quarter-hours known as first published."""
    fetched_later: int
    """Quarter-hours with a price of which the first publication was not seen."""
    revised: int
    """Of those seen live: how many were settled at another price than the first."""


def with_first_published(market: MarketSeries, store: Store) -> FirstPublished:
    """The market of the store, knowing prices as they were first seen; settled at its own. See the law above.

    Raises BadInput if a file of the store is damaged.
    """
    series = market.known_series[PRICE]
    first = _first_seen(store, market)
    seen_at = np.ceil(first[FIRST_SEEN].to_numpy(np.float64) / _SECONDS_PER_MINUTE)
    values = first[PRICE].to_numpy(np.float64)
    ends = market.quarter_hours + MINUTES_PER_QUARTER_HOUR
    live = np.isfinite(values) & (seen_at <= ends + _LIVE_MIN)
    known_at = np.maximum(np.where(live, seen_at, 0), ends).astype(np.int64)
    known = PointInTimeSeries(
        series.first_minute,
        np.where(live, values, series.values),
        np.where(live, known_at, series.available_at),
        series.step_min,
    )
    known_series = {**market.known_series, PRICE: known}
    if DAY_AHEAD in known_series:
        known_series[RESIDUAL] = residual(known, known_series[DAY_AHEAD])
    settled = np.isfinite(market.price_eur_mwh)
    return FirstPublished(
        replace(market, known_series=known_series),
        int(live.sum()),
        int((settled & ~live).sum()),
        int((live & settled & (values != market.price_eur_mwh)).sum()),
    )


def _first_seen(store: Store, market: MarketSeries) -> pd.DataFrame:
    """On the market's grid: the price first seen of each quarter-hour, and when, in epoch seconds; NaN where never."""
    seen = store.revisions(PRICES, market.frame.index[0], market.frame.index[-1] + pd.Timedelta(minutes=1))
    if not len(seen):
        return pd.DataFrame({PRICE: np.nan, FIRST_SEEN: np.nan}, index=market.quarter_hours)
    seen = seen[seen[PRICE].notna()]
    first = seen[~seen.index.duplicated(keep="first")]
    at = pd.DatetimeIndex(first[FIRST_SEEN]).tz_convert("UTC").as_unit("s").asi8.astype(np.float64)
    table = pd.DataFrame({PRICE: first[PRICE].to_numpy(np.float64), FIRST_SEEN: at}, index=first.index)
    return table.set_index(epoch_minutes(pd.DatetimeIndex(table.index))).reindex(market.quarter_hours)
