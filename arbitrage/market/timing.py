"""Variants of a market in what is known when: decision latency, first-published prices, a cut-off time.

Contract
- Settlement stays at the final prices. Only the known values and their times change.
- With a decision latency of L minutes, an interval is decided with the values known L minutes before it begins. This
  equals a delay of every record by L minutes.
- With first-published prices, a price is known by its first published value, from the time when it was first seen. This
  holds if the store saw it within a day of its quarter-hour. For a price fetched later, the first published value is
  not known: final value and nominal time are used, and the number of such prices is reported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pandas as pd

from arbitrage.errors import BadInput, Fault
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, RESIDUAL, PointInTimeSeries, residual
from arbitrage.market.series import MarketSeries
from arbitrage.market.store.datasets import PRICES
from arbitrage.market.store.store import FIRST_SEEN, Store
from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR, epoch_minutes, utc_timestamps


class KnownAs(StrEnum):
    """The value by which a price is known before it is final."""

    FINAL = "final"
    FIRST_PUBLISHED = "first-published"


_SECONDS_PER_MINUTE = 60
_LIVE_MIN = 24 * MINUTES_PER_HOUR
"""A price seen no later than this after its quarter-hour counts as seen at its first publication."""


def with_decision_latency(market: MarketSeries, latency_min: int) -> MarketSeries:
    """The same market with every record known `latency_min` later. Raises BadInput for a negative latency."""
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
    """The market as known at an epoch minute: later records are removed, and it settles at the prices known by then.

    A training on it cannot use later values. Raises BadInput if no price is known by then.
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
    """The series up to its last record known at `time`; NaN for earlier records that are not known then."""
    known = series.available_at <= time
    count = int(np.flatnonzero(known)[-1]) + 1 if known.any() else 0
    values = np.where(known[:count], series.values[:count], np.nan)
    return replace(series, values=values, available_at=series.available_at[:count])


@dataclass(frozen=True, slots=True)
class FirstPublished:
    """A market with first-published prices, and the numbers of prices by kind."""

    market: MarketSeries
    seen_live: int
    """Quarter-hours known by their first published price."""
    fetched_later: int
    """Quarter-hours with a price whose first publication was not seen."""
    revised: int
    """Of those seen live, the number settled at another price than the first."""


def with_first_published(market: MarketSeries, store: Store) -> FirstPublished:
    """The market with first-published prices from the store; it settles at its own prices. See the contract above.

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
    """The price first seen of each quarter-hour, and its time in epoch seconds, on the market's grid; NaN if never."""
    seen = store.revisions(PRICES, market.frame.index[0], market.frame.index[-1] + pd.Timedelta(minutes=1))
    if not len(seen):
        return pd.DataFrame({PRICE: np.nan, FIRST_SEEN: np.nan}, index=market.quarter_hours)
    seen = seen[seen[PRICE].notna()]
    first = seen[~seen.index.duplicated(keep="first")]
    at = pd.DatetimeIndex(first[FIRST_SEEN]).tz_convert("UTC").as_unit("s").asi8.astype(np.float64)
    table = pd.DataFrame({PRICE: first[PRICE].to_numpy(np.float64), FIRST_SEEN: at}, index=first.index)
    return table.set_index(epoch_minutes(pd.DatetimeIndex(table.index))).reindex(market.quarter_hours)
