"""Small markets, batteries and scripted policies that several tests share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from hypothesis import strategies as st

from arbitrage.battery import Battery, BatteryState
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, SOLAR_FORECAST, WIND_FORECAST, KnownMarket
from arbitrage.market.series import MarketSeries, build_market
from arbitrage.market.splits import SocReset, Span, spans
from arbitrage.policies.protocol import Intent, PlainView, Untrained
from arbitrage.quarter_hour import epoch_minute, utc_timestamps

SUMMER_MIDNIGHT = epoch_minute("2024-07-01T00:00+02:00")
MIDNIGHTS = {
    "2024-03-31": (epoch_minute("2024-03-31T00:00+01:00"), 92),
    "2024-07-01": (SUMMER_MIDNIGHT, 96),
    "2024-10-27": (epoch_minute("2024-10-27T00:00+02:00"), 100),
}
"""Brussels days of every length: where they begin, and how many quarter-hours they have."""


def market_of(prices: npt.ArrayLike, start: int = SUMMER_MIDNIGHT) -> MarketSeries:
    """Imbalance prices alone, from `start` on."""
    values = np.asarray(prices, dtype=np.float64)
    return build_market(pd.DataFrame({PRICE: values}, index=utc_timestamps(start + 15 * np.arange(len(values)))))


def noisy_market(seed: int, days: int, start: int = SUMMER_MIDNIGHT, gaps: int = 0) -> MarketSeries:
    """Whole days of made-up prices around made-up day-ahead prices, with forecasts and some prices missing."""
    random = np.random.default_rng(seed)
    starts = start + 15 * np.arange(days * 96)
    wave = 80.0 + 40.0 * np.sin(np.arange(len(starts)) * 2 * np.pi / 48)
    price = wave + 120.0 * random.standard_normal(len(starts))
    price[random.permutation(len(starts))[:gaps]] = np.nan
    index = utc_timestamps(starts)
    forecasts = {name: 500.0 * random.random(len(starts)) for name in (WIND_FORECAST, SOLAR_FORECAST)}
    return build_market(
        pd.DataFrame({PRICE: price}, index=index),
        day_ahead=pd.DataFrame({DAY_AHEAD: wave[::4]}, index=index[::4]),
        forecasts=pd.DataFrame(forecasts, index=index),
    )


def whole(market: MarketSeries, soc_reset: SocReset = SocReset.NEVER) -> tuple[Span, ...]:
    """All of a market."""
    return spans(market, np.ones(len(market), dtype=np.bool_), soc_reset)


class Clueless(PlainView):
    """A reading that says nothing of how the day may turn out."""


@dataclass(frozen=True)
class Scripted(Untrained):
    """Asks for the power written down for each time; `script` maps epoch minutes to MW."""

    script: dict[int, float]
    name: str = "scripted"

    def bind(self, known: KnownMarket, battery: Battery) -> _Reading:
        return _Reading([self.script[int(time)] for time in known.times])


@dataclass(frozen=True)
class _Reading(Clueless):
    asked_mw: list[float]

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        return Intent(self.asked_mw[at], "scripted")


def scripted(market: MarketSeries, asked_mw: npt.ArrayLike) -> Scripted:
    """One power for each quarter-hour of a market."""
    times = market.quarter_hours.tolist()
    return Scripted(dict(zip(times, np.asarray(asked_mw, dtype=np.float64).tolist(), strict=True)))


def batteries(*, least_capacity_mwh: float = 0.5) -> st.SearchStrategy[Battery]:
    """Batteries of every sort: with and without a cycle budget, wear, a SoC window and grid limits."""
    fraction = st.floats(0.6, 1.0)
    limit = st.none() | st.just(0.0) | st.floats(0.05, 3.0)
    return st.builds(
        Battery,
        power_mw=st.floats(0.1, 3.0),
        capacity_mwh=st.floats(least_capacity_mwh, 5.0),
        charge_efficiency=fraction,
        discharge_efficiency=fraction,
        max_cycles_per_day=st.none() | st.sampled_from([0.0, 0.3, 1.1]) | st.floats(0.05, 3.0),
        min_soc_fraction=st.sampled_from([0.0, 0.1, 0.3]),
        max_soc_fraction=st.sampled_from([0.7, 0.9, 1.0]),
        wear_cost_eur_mwh=st.sampled_from([0.0, 12.5]),
        import_limit_mw=limit,
        export_limit_mw=limit,
    )
