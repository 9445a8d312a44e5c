"""Markets with minute records that several tests share, and the law of their publication written down once more."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.market.files.read import read_table
from arbitrage.market.point_in_time import PRICE, RESIDUAL, PointInTimeSeries
from arbitrage.market.series import MarketSeries, build_market
from arbitrage.market.simulation.simulator import SimulatedMarket, simulate
from arbitrage.quarter_hour import brussels_midnight, day_number, utc_timestamps
from tests.shared_data import shared_file
from tests.worlds import SUMMER_MIDNIGHT

GENUINE_START = brussels_midnight(day_number(pd.Timestamp("2024-09-06").date()))
GENUINE_MINUTES = 1137
"""Genuine minute records of 2024-09-06: from Brussels midnight to 18:56 there, 75 quarter-hours and 12 minutes."""


@cache
def simulated_days(preset: str = "2024") -> SimulatedMarket:
    """Three simulated days from 2024-06-30, Brussels."""
    start = SUMMER_MIDNIGHT - 24 * 60
    return simulate(start, start + 3 * 24 * 60, seed=11, parameters=preset)


@cache
def simulated_market(delay_min: int) -> MarketSeries:
    """`simulated_days` with minute records."""
    return simulated_days().market(with_minutes=True, publication_delay_min=delay_min)


@cache
def genuine_market(delay_min: int | None = None) -> MarketSeries:
    """The genuine minutes as a market: a quarter-hour that is complete settles at its last minute's price."""
    minutes = read_table(shared_file("imbalance_minute_2024-09-06.parquet")).frame
    last = minutes[minutes.index.minute % 15 == 14]
    prices = pd.DataFrame({PRICE: last[PRICE].to_numpy()}, index=last.index - pd.Timedelta(14, "min"))
    return build_market(prices, minutes=minutes, publication_delay_min=delay_min)


def market_of_minutes(
    minutes: pd.DataFrame, prices: npt.ArrayLike, delay_min: int | None = None, start: int = SUMMER_MIDNIGHT
) -> MarketSeries:
    """Minute records beside the final prices of quarter-hours from `start` on."""
    values = np.asarray(prices, dtype=np.float64)
    frame = pd.DataFrame({PRICE: values}, index=utc_timestamps(start + 15 * np.arange(len(values))))
    return build_market(frame, minutes=minutes, publication_delay_min=delay_min)


def minute_table(start: int = SUMMER_MIDNIGHT, **columns: npt.ArrayLike) -> pd.DataFrame:
    """One column or more of minute records from `start` on."""
    values = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    count = len(next(iter(values.values())))
    return pd.DataFrame(values, index=utc_timestamps(start + np.arange(count)))


def published_at(name: str, series: PointInTimeSeries, delay_min: int) -> npt.NDArray[np.int64]:
    """When each value may be known, worked out here and not read from the series; the day before's from the series.

    A minute's record ends with its minute, a final price with its quarter-hour; each takes the delay more.
    """
    if series.step_min == 1 or name in (PRICE, RESIDUAL):
        starts = series.first_minute + series.step_min * np.arange(len(series.values))
        return np.asarray(starts + series.step_min + delay_min)
    return series.available_at


def scramble_later(market: MarketSeries, now: int, delay_min: int, seed: int, only: str | None = None) -> MarketSeries:
    """The same market with all that is published after `now`, or one quantity of it, replaced by noise.

    Minute records and what the day before publishes may also go missing; final prices do not, because in a
    quarter-hour without one the environment holds the battery, and says so.
    """
    random = np.random.default_rng(seed)
    known_series = {}
    for name, series in market.known_series.items():
        noise = random.normal(50.0, 300.0, len(series.values))
        missing = random.random(len(noise)) < (0.0 if name in (PRICE, RESIDUAL) else 0.2)
        noise[missing] = np.nan
        later = (published_at(name, series, delay_min) > now) & (only in (None, name))
        known_series[name] = dataclasses.replace(series, values=np.where(later, noise, series.values))
    return dataclasses.replace(market, price_eur_mwh=known_series[PRICE].values, known_series=known_series)
