"""Everything compiled before it is needed: each policy decides once on a market that is made up for it.

Law: the first real decision takes no longer than any other. Nothing of the made-up market outlives this.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from api.policies import ServedPolicy
from arbitrage.battery import Battery, BatteryState
from arbitrage.live.decider import LiveDecider
from arbitrage.live.decision import AssetState
from arbitrage.market.series import MINUTE_COLUMNS, MarketSeries, build_market
from arbitrage.market.tapes import DAY_AHEAD, PRICE, SOLAR_FORECAST, WIND_FORECAST
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, epoch_minute, utc_timestamps

_BEGINS = epoch_minute("2024-06-01T00:00Z")
_DAYS = 16
_MINUTES = 120


def warm_up(served: ServedPolicy) -> None:
    """Decide once as the service will, and a step later once more."""
    market = _made_up_market()
    decider = LiveDecider(served.policy, served.battery or Battery(), served.identity)
    end = int(market.quarter_hours[-1])
    for time in (end - MINUTES_PER_QUARTER_HOUR, end - 7):
        prepared = decider.prepare(market, time)
        prepared.decide(AssetState(BatteryState(0.5 * decider.battery.capacity_mwh)))


def _made_up_market() -> MarketSeries:
    random = np.random.default_rng(0)
    starts = _BEGINS + MINUTES_PER_QUARTER_HOUR * np.arange(_DAYS * 96)
    index = utc_timestamps(starts)
    wave = 80.0 + 40.0 * np.sin(np.arange(len(starts)) * 2 * np.pi / 96)
    day_before = dict.fromkeys((WIND_FORECAST, SOLAR_FORECAST), 500.0 + wave)
    last = int(starts[-1])
    minutes = utc_timestamps(np.arange(last - _MINUTES, last))
    records = {column: 100.0 + random.normal(0.0, 50.0, _MINUTES) for column in MINUTE_COLUMNS.values()}
    return build_market(
        pd.DataFrame({PRICE: wave + random.normal(0.0, 60.0, len(starts))}, index=index),
        day_ahead=pd.DataFrame({DAY_AHEAD: wave}, index=index),
        forecasts=pd.DataFrame(day_before, index=index),
        minutes=pd.DataFrame(records, index=minutes),
    )
