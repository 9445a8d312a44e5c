"""The system imbalance of a simulated market, minute by minute.

Contract
- Surplus is positive, in MW. The imbalance of each single minute is drawn; records show its mean since the quarter-hour
  began.
- One part follows from observable causes: wind and solar forecast errors that decay over hours; schedules that are flat
  within the hour while load, solar and exchanges are not; load and solar that are not traded in full.
- The rest is autocorrelated on two time scales, hours and minutes. Its volatility varies over time and is higher in
  sunny hours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arbitrage.arrays import Floats
from arbitrage.market.simulation.fundamentals import Fundamentals, autoregressive
from arbitrage.quarter_hour import MINUTES_PER_HOUR, EpochMinutes

_THOUSAND_MW = 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemImbalanceParameters:
    """Parameters of the imbalance of each minute; surplus positive."""

    mean_mw: float = -28.0
    slow_std_mw: float = 54.0
    slow_time_min: float = 84.0
    fast_std_mw: float = 90.0
    fast_time_min: float = 8.0
    volatility_log_std: float = 0.83
    """Log standard deviation of the volatility factor: it scales the slow part, its square root the fast part."""
    volatility_time_min: float = 700.0
    solar_restlessness: float = 0.4
    """Relative rise of the slow part at 1,000 MW of expected solar output; it grows with the output's square root."""
    wind_error_share: float = 0.01
    """Share of the day-ahead wind forecast error that is not corrected by intraday trading."""
    solar_error_share: float = 0.33
    load_shortfall_share: float = 0.011
    """Share of load above its mean that is not purchased: evenings tend to shortage, nights to surplus."""
    solar_surplus_share: float = 0.0125
    """Share of expected solar output in excess of the volume sold: noon tends to surplus."""
    hour_ramp_share: float = 0.16
    """Share of the difference between residual load and its hourly mean (the traded volume) that stays an imbalance."""
    exchange_std_mw: float = 620.0
    exchange_time_min: float = 100.0
    """Exchanges and other schedules that are flat within the hour: their actual flow is a process with this standard
    deviation and time constant. The same share of its difference to the hourly mean stays an imbalance."""


def draw_minute_imbalance(
    parameters: SystemImbalanceParameters, load_mean_mw: float, fundamentals: Fundamentals, seed: int
) -> Floats:
    """Imbalance of each single minute, before any injection, shape [15 n], in MW."""
    times = fundamentals.quarter_hours
    minutes = np.arange(times[0], times[-1], dtype=np.int64)
    wind_error = fundamentals.wind_mw - fundamentals.wind_forecast_mw
    solar_error = fundamentals.solar_mw - fundamentals.solar_forecast_mw
    tied = (
        parameters.wind_error_share * wind_error
        + parameters.solar_error_share * solar_error
        + parameters.solar_surplus_share * fundamentals.solar_forecast_mw
        - parameters.load_shortfall_share * (fundamentals.load_mw - load_mean_mw)
    )
    sunny = np.interp(minutes, times, np.sqrt(fundamentals.solar_forecast_mw / _THOUSAND_MW))
    memory = _own_memory(parameters, 1.0 + parameters.solar_restlessness * sunny, seed)
    ramp = parameters.hour_ramp_share * _schedule_deviation_mw(parameters, fundamentals, minutes, seed)
    return np.asarray(parameters.mean_mw + memory + np.interp(minutes, times, tied) + ramp)


def _own_memory(parameters: SystemImbalanceParameters, restlessness: Floats, seed: int) -> Floats:
    """Slow and fast autocorrelated parts of the imbalance, shape [n] minutes as `restlessness`, in MW."""
    n = len(restlessness)
    slow = autoregressive(seed, "imbalance slow", n, time_min=parameters.slow_time_min, step_min=1.0)
    fast = autoregressive(seed, "imbalance fast", n, time_min=parameters.fast_time_min, step_min=1.0)
    eventful = autoregressive(seed, "volatility", n, time_min=parameters.volatility_time_min, step_min=1.0)
    factor = np.exp(parameters.volatility_log_std * eventful)
    slow_mw = parameters.slow_std_mw * restlessness * factor * slow
    return np.asarray(slow_mw + parameters.fast_std_mw * np.sqrt(factor) * fast)


def _schedule_deviation_mw(
    parameters: SystemImbalanceParameters, fundamentals: Fundamentals, minutes: EpochMinutes, seed: int
) -> Floats:
    """Traded volume of the hour (mean net demand) less the demand of each minute [15 n], in MW."""
    demand = np.interp(minutes, fundamentals.quarter_hours, fundamentals.residual_load_mw)
    exchange = autoregressive(
        seed,
        "exchange",
        len(minutes),
        time_min=parameters.exchange_time_min,
        step_min=1.0,
        smooth_min=MINUTES_PER_HOUR / 2.0,
    )
    by_hour = (demand + parameters.exchange_std_mw * exchange).reshape(-1, MINUTES_PER_HOUR)
    return np.asarray((by_hour.mean(axis=1, keepdims=True) - by_hour).ravel())
