"""The system imbalance of a simulated market, minute by minute.

Law
- Surplus is positive, MW. What is drawn here is the imbalance of each minute itself; records show its mean since the
  quarter-hour began.
- It is tied to what one can know: forecast errors of wind and sun that fade over hours, schedules that are flat
  within the hour while load and sun are not, load and sun that are sold short or long, and a memory of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arbitrage.market.fundamentals import Floats, Fundamentals, autoregressive
from arbitrage.quarter_hour import MINUTES_PER_HOUR, EpochMinutes


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemImbalanceParameters:
    """The imbalance of each minute, in MW; surplus positive."""

    mean_mw: float = -34.0
    slow_std_mw: float = 75.0
    slow_time_min: float = 101.0
    fast_std_mw: float = 97.0
    fast_time_min: float = 7.3
    volatility_log_std: float = 0.877
    """Of the factor on the slow part, that makes some hours eventful and others calm."""
    volatility_time_min: float = 206.0
    wind_error_share: float = 0.025
    """Share of the day-ahead wind error that nobody has traded away in time."""
    solar_error_share: float = 0.15
    load_shortfall_share: float = 0.015
    """Share of load above its mean that is not bought: evenings tend to shortage, nights to surplus."""
    solar_surplus_share: float = 0.025
    """Share of expected solar output that comes on top of what was sold: noon tends to surplus."""
    hour_ramp_share: float = 0.17
    """Share of the gap between residual load and its mean over the hour, which is what was traded."""


def draw_minute_imbalance(
    parameters: SystemImbalanceParameters, load_mean_mw: float, fundamentals: Fundamentals, seed: int
) -> Floats:
    """Imbalance of each minute itself, before any injection, shape [15 n], in MW."""
    times = fundamentals.quarter_hours
    minutes = np.arange(times[0], times[-1], dtype=np.int64)
    memory = _own_memory(parameters, len(minutes), seed)
    wind_error = fundamentals.wind_mw - fundamentals.wind_forecast_mw
    solar_error = fundamentals.solar_mw - fundamentals.solar_forecast_mw
    tied = (
        parameters.wind_error_share * wind_error
        + parameters.solar_error_share * solar_error
        + parameters.solar_surplus_share * fundamentals.solar_forecast_mw
        - parameters.load_shortfall_share * (fundamentals.load_mw - load_mean_mw)
    )
    ramp = parameters.hour_ramp_share * _schedule_gap(fundamentals, minutes)
    return np.asarray(parameters.mean_mw + memory + np.interp(minutes, times, tied) + ramp)


def _own_memory(parameters: SystemImbalanceParameters, n: int, seed: int) -> Floats:
    """Slow and fast parts of the imbalance that nothing else explains, shape [n] minutes, in MW."""
    slow = autoregressive(seed, "imbalance slow", n, time_min=parameters.slow_time_min, step_min=1.0)
    fast = autoregressive(seed, "imbalance fast", n, time_min=parameters.fast_time_min, step_min=1.0)
    restless = autoregressive(seed, "volatility", n, time_min=parameters.volatility_time_min, step_min=1.0)
    factor = np.exp(parameters.volatility_log_std * restless)
    return np.asarray(parameters.slow_std_mw * factor * slow + parameters.fast_std_mw * fast)


def _schedule_gap(fundamentals: Fundamentals, minutes: EpochMinutes) -> Floats:
    """What was traded for the hour (mean residual load) less the residual load of each minute [15 n], in MW."""
    residual = np.interp(minutes, fundamentals.quarter_hours, fundamentals.residual_load_mw)
    by_hour = residual.reshape(-1, MINUTES_PER_HOUR)
    return np.asarray((by_hour.mean(axis=1, keepdims=True) - by_hour).ravel())
