"""The embedded sample as a market, for examples and as the default of the environment.

Contract: the sample is SIMULATED. It is read once per process and set of options.
"""

from __future__ import annotations

from functools import cache

from arbitrage.market.files.read import read_market
from arbitrage.market.series import MarketSeries, MinuteSource
from arbitrage.market.simulation.sample import sample_files


@cache
def sample_market(*, with_minutes: bool = False, publication_delay_min: int | None = None) -> MarketSeries:
    """Three simulated months with day-ahead prices and wind and solar forecasts; three weeks of minutes on request.

    publication_delay_min: None: 1 with minutes, 0 without.
    """
    files = sample_files()
    return read_market(
        files.prices,
        day_ahead=files.day_ahead,
        forecasts=files.forecasts,
        minutes=files.minutes if with_minutes else None,
        minute_source=MinuteSource.SIMULATED,
        publication_delay_min=publication_delay_min,
    )
