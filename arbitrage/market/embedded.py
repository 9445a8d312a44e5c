"""The embedded sample as a market, for first steps and for the environment's defaults. It is SIMULATED."""

from __future__ import annotations

from functools import cache

from arbitrage.market.elia import read_market
from arbitrage.market.sample import sample_files
from arbitrage.market.series import MarketSeries


@cache
def sample_market() -> MarketSeries:
    """Three simulated months with day-ahead prices and wind and solar forecasts."""
    files = sample_files()
    return read_market(files.prices, day_ahead=files.day_ahead, forecasts=files.forecasts)
