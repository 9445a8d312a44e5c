"""Load, wind, solar and the day-ahead price of a simulated Belgian market.

Contract
- Everything is drawn from named random streams of one seed, forward in time. A longer span begins with the same numbers
  as a shorter one that starts on the same Brussels day.
- The day-ahead price depends only on what is known the day before: calendar, forecasts, the price level.
- Actual wind and solar are the forecast plus an error that decays over hours. Part of the error enters the system
  imbalance.
- All quantities are on the quarter-hour grid of whole Brussels days, end included, so that they can be interpolated to
  the minute.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numba
import numpy as np

from arbitrage.arrays import Floats
from arbitrage.quarter_hour import (
    MINUTES_PER_HOUR,
    MINUTES_PER_QUARTER_HOUR,
    EpochMinutes,
    brussels_day_numbers,
    brussels_midnight,
    brussels_minutes_of_day,
)

MINUTES_PER_DAY = 24 * MINUTES_PER_HOUR
QUARTERS_PER_HOUR = MINUTES_PER_HOUR // MINUTES_PER_QUARTER_HOUR
DAYS_PER_YEAR = 365.2425
LATITUDE_RAD = np.deg2rad(50.6)
LONGITUDE_DEG = 4.5
"""The middle of Belgium."""
LOAD_HARMONICS = ((1_200.0, 15.1), (650.0, 9.1), (215.0, 2.0), (170.0, 1.4))
"""Daily shape of load: amplitude in MW and hour of a peak of the first to fourth harmonic of a Brussels day. Load is
low from 2 to 4 h, rises steeply from 5 to 8 h, and peaks at 18 h after a plateau."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FundamentalParameters:
    """Load, weather and day-ahead market; defaults as in 2022."""

    load_mean_mw: float = 9_400.0
    load_noise_std_mw: float = 250.0
    wind_capacity_mw: float = 4_600.0
    wind_logit_mean: float = -1.5
    """Wind output is capacity x logistic(mean + std x Gaussian process), fitted to the quantiles of 2022."""
    wind_logit_std: float = 1.75
    wind_logit_error_std: float = 0.5
    """Error of the day-ahead forecast, in the argument of the logistic function."""
    solar_capacity_mw: float = 5_600.0
    clearness_logit_mean: float = 0.8
    clearness_logit_std: float = 1.2
    clearness_logit_error_std: float = 0.45
    price_level_eur_mwh: float = 225.0
    """Median over the years of the fuel and carbon cost at average residual load."""
    price_level_log_std: float = 0.385
    price_level_time_days: float = 30.0
    residual_load_mean_mw: float = 7_500.0
    residual_load_scale_mw: float = 1_700.0
    price_per_residual_load: float = 0.335
    """Relative rise of the day-ahead price for one scale of residual load."""
    price_noise_std: float = 0.123
    """Fraction of the level; effect of neighbouring markets and outages within the day."""


@dataclass(frozen=True, slots=True)
class Fundamentals:
    """Drawn paths; shape [n + 1] on quarter-hour starts of whole Brussels days with the end included."""

    quarter_hours: EpochMinutes
    load_mw: Floats
    wind_mw: Floats
    wind_forecast_mw: Floats
    solar_mw: Floats
    solar_forecast_mw: Floats
    price_level_eur_mwh: Floats
    day_ahead_eur_mwh: Floats
    """Constant within each hour, rounded to the cent."""

    @property
    def residual_load_mw(self) -> Floats:
        """Actual load less actual wind and solar output."""
        return self.load_mw - self.wind_mw - self.solar_mw


def normals(seed: int, stream: str | int, n: int) -> Floats:
    """`n` standard normals of a random stream, given by name or by CRC-32; the first ones do not depend on `n`."""
    number = stream if isinstance(stream, int) else zlib.crc32(stream.encode())
    key = np.random.SeedSequence([seed, number])
    return np.random.Generator(np.random.PCG64(key)).standard_normal(n)


@numba.njit(cache=True)
def _filter(innovations: Floats, retention: float) -> Floats:
    path = innovations.copy()
    gain = np.sqrt(1.0 - retention * retention)
    for i in range(1, path.shape[0]):
        path[i] = retention * path[i - 1] + gain * innovations[i]
    return path


def autoregressive(
    seed: int, stream: str | int, n: int, *, time_min: float, step_min: float, smooth_min: float = 0.0
) -> Floats:
    """A stationary Gaussian process of unit variance with autocorrelation exp(-t / time_min), shape [n].

    stream: see `normals`. smooth_min: time constant of a second such filter, which smooths shorter times; 0: none.
    """
    retention = float(np.exp(-step_min / time_min))
    path = np.asarray(_filter(normals(seed, stream, n), retention))
    if smooth_min == 0.0:
        return path
    smoothing = float(np.exp(-step_min / smooth_min))
    # The standard deviation of the first process after the second filter.
    spread = np.sqrt((1.0 + retention * smoothing) / (1.0 - retention * smoothing))
    path[0] *= spread
    return np.asarray(_filter(path, smoothing) / spread)


def logistic(argument: Floats) -> Floats:
    """1 / (1 + exp(-argument))."""
    return np.asarray(1.0 / (1.0 + np.exp(-argument)))


def draw_fundamentals(parameters: FundamentalParameters, start: int, end: int, seed: int) -> Fundamentals:
    """Paths over the Brussels days that [start, end) touches; start and end in epoch minutes."""
    first_day, last_day = (int(day) for day in brussels_day_numbers([start, end - 1]))
    first, last = brussels_midnight(first_day), brussels_midnight(last_day + 1)
    times = np.arange(first, last + 1, MINUTES_PER_QUARTER_HOUR, dtype=np.int64)
    load_mw, load_forecast_mw = _load(parameters, times, seed)
    wind_mw, wind_forecast_mw = _wind(parameters, times, seed)
    solar_mw, solar_forecast_mw = _solar(parameters, times, seed)
    level_eur_mwh = _price_level(parameters, times, seed)
    expected_residual_mw = load_forecast_mw - wind_forecast_mw - solar_forecast_mw
    return Fundamentals(
        quarter_hours=times,
        load_mw=load_mw,
        wind_mw=wind_mw,
        wind_forecast_mw=wind_forecast_mw,
        solar_mw=solar_mw,
        solar_forecast_mw=solar_forecast_mw,
        price_level_eur_mwh=level_eur_mwh,
        day_ahead_eur_mwh=_day_ahead(parameters, expected_residual_mw, level_eur_mwh, seed),
    )


def _season(times: EpochMinutes) -> Floats:
    """Phase of the year in radians, 0 on 1 January."""
    return np.asarray(2.0 * np.pi * times / (MINUTES_PER_DAY * DAYS_PER_YEAR))


def _load(parameters: FundamentalParameters, times: EpochMinutes, seed: int) -> tuple[Floats, Floats]:
    """Actual load and its day-ahead expectation, in MW: cold season, working week, two peaks a day."""
    weekday = (brussels_day_numbers(times) + 3) % 7
    hours = brussels_minutes_of_day(times) / MINUTES_PER_HOUR
    daily = sum(
        amplitude_mw * np.cos(2.0 * np.pi * number * (hours - peak_hour) / 24.0)
        for number, (amplitude_mw, peak_hour) in enumerate(LOAD_HARMONICS, start=1)
    )
    weekly = np.where(weekday < 5, 350.0, np.where(weekday == 5, -700.0, -1_050.0))
    expected = parameters.load_mean_mw + 900.0 * np.cos(_season(times) - 0.25) + daily + weekly
    noise = autoregressive(seed, "load", len(times), time_min=600.0, step_min=MINUTES_PER_QUARTER_HOUR)
    return expected + parameters.load_noise_std_mw * noise, expected


def _wind(parameters: FundamentalParameters, times: EpochMinutes, seed: int) -> tuple[Floats, Floats]:
    """Wind output and its day-ahead forecast, in MW."""
    n, step = len(times), MINUTES_PER_QUARTER_HOUR
    weather = autoregressive(seed, "wind", n, time_min=2_800.0, step_min=step, smooth_min=120.0)
    error = autoregressive(seed, "wind error", n, time_min=360.0, step_min=step, smooth_min=30.0)
    forecast = parameters.wind_logit_mean + 0.4 * np.cos(_season(times)) + parameters.wind_logit_std * weather
    actual = forecast + parameters.wind_logit_error_std * error
    return parameters.wind_capacity_mw * logistic(actual), parameters.wind_capacity_mw * logistic(forecast)


def _solar(parameters: FundamentalParameters, times: EpochMinutes, seed: int) -> tuple[Floats, Floats]:
    """Solar output and its day-ahead forecast, in MW."""
    n, step = len(times), MINUTES_PER_QUARTER_HOUR
    weather = autoregressive(seed, "clouds", n, time_min=1_200.0, step_min=step)
    error = autoregressive(seed, "clouds error", n, time_min=240.0, step_min=step, smooth_min=20.0)
    forecast = parameters.clearness_logit_mean + parameters.clearness_logit_std * weather
    actual = forecast + parameters.clearness_logit_error_std * error
    clear_sky_mw = parameters.solar_capacity_mw * _sun_height(times) ** 1.15
    return clear_sky_mw * logistic(actual), clear_sky_mw * logistic(forecast)


def _sun_height(times: EpochMinutes) -> Floats:
    """Sine of the sun's elevation over Belgium, 0 at night."""
    declination = np.deg2rad(23.44) * np.sin(_season(times) - 2.0 * np.pi * 80.0 / DAYS_PER_YEAR)
    hour_angle = np.deg2rad((times % MINUTES_PER_DAY) / 4.0 - 180.0 + LONGITUDE_DEG)
    height = np.sin(LATITUDE_RAD) * np.sin(declination)
    height = height + np.cos(LATITUDE_RAD) * np.cos(declination) * np.cos(hour_angle)
    return np.asarray(np.maximum(height, 0.0))


def _price_level(parameters: FundamentalParameters, times: EpochMinutes, seed: int) -> Floats:
    """Cost of fuel and carbon, one value a Brussels day, in EUR/MWh."""
    days = brussels_day_numbers(times)
    number = int(days[-1] - days[0]) + 1
    path = autoregressive(seed, "level", number, time_min=parameters.price_level_time_days, step_min=1.0)
    return np.asarray(parameters.price_level_eur_mwh * np.exp(parameters.price_level_log_std * path[days - days[0]]))


def _day_ahead(
    parameters: FundamentalParameters, expected_residual_mw: Floats, level_eur_mwh: Floats, seed: int
) -> Floats:
    """Hourly day-ahead price on the quarter-hour grid, in EUR/MWh; the end point repeats the last hour."""
    hours = (len(expected_residual_mw) - 1) // QUARTERS_PER_HOUR
    hourly_residual_mw = expected_residual_mw[:-1].reshape(hours, QUARTERS_PER_HOUR).mean(axis=1)
    scarcity = (hourly_residual_mw - parameters.residual_load_mean_mw) / parameters.residual_load_scale_mw
    noise = autoregressive(seed, "day-ahead", hours, time_min=6 * MINUTES_PER_HOUR, step_min=MINUTES_PER_HOUR)
    relative = 1.0 + parameters.price_per_residual_load * scarcity + parameters.price_noise_std * noise
    hourly = np.round(level_eur_mwh[:-1:QUARTERS_PER_HOUR] * relative, 2)
    on_grid = np.repeat(hourly, QUARTERS_PER_HOUR)
    return np.append(on_grid, on_grid[-1])
