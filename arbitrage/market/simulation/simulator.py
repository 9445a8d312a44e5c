"""A seeded simulator of the Belgian imbalance settlement: quarter-hours, minutes, day-ahead prices, forecasts.

Contract
- One seed and one start give one market; a longer span begins with the same values. Of real records only summary
  figures enter (see `benchmarks/calibration/calibration.py`).
- The system imbalance of each minute is drawn first. Prices follow from it by the merit order and the price rule
  (`merit_order`). To simulate price impact, an injection is added and the same scenario is cleared again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from arbitrage.arrays import Floats
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, SOLAR_FORECAST, WIND_FORECAST
from arbitrage.market.series import MarketSeries, MinuteSource, build_market
from arbitrage.market.settlement import SINGLE_PRICE_SINCE
from arbitrage.market.simulation.fundamentals import (
    QUARTERS_PER_HOUR,
    FundamentalParameters,
    Fundamentals,
    draw_fundamentals,
)
from arbitrage.market.simulation.merit_order import (
    GRADUAL_FROM,
    ClearedMinutes,
    MeritOrder,
    MeritOrderParameters,
    clear_minutes,
    draw_merit_order,
)
from arbitrage.market.simulation.system_imbalance import SystemImbalanceParameters, draw_minute_imbalance
from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR, utc_timestamps


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorParameters:
    """All parameters of a simulated market."""

    fundamentals: FundamentalParameters = field(default_factory=FundamentalParameters)
    system_imbalance: SystemImbalanceParameters = field(default_factory=SystemImbalanceParameters)
    merit_order: MeritOrderParameters = field(default_factory=MeritOrderParameters)
    """Bids to 2024-05-21."""
    gradual_merit_order: MeritOrderParameters = field(default_factory=MeritOrderParameters)
    """Bids from 2024-05-22, when marginal prices became averages and the dead band was introduced."""


_BIDS_OF_2018_AND_2019 = MeritOrderParameters(
    upward_day_ahead_share=0.357,
    upward_level_share=0.5,
    downward_day_ahead_share=0.355,
    downward_level_share=0.2,
    upward_premium_eur_mwh=16.3,
    upward_premium_log_std=0.235,
    upward_growth=0.6,
    downward_premium_eur_mwh=17.9,
    downward_premium_log_std=0.41,
    downward_growth=0.08,
    growth_exponent=1.25,
    slow_share=0.6,
    hourly_share=0.1,
    response_per_minute=0.2,
    upward_jump_eur_mwh=238.0,
    downward_jump_eur_mwh=179.0,
    jump_from_median_mw=700.0,
    jump_from_log_std=0.95,
    upward_extreme_eur_mwh_per_100mw=22.0,
    downward_extreme_eur_mwh_per_100mw=250.0,
)

PRESETS: dict[str, SimulatorParameters] = {
    "2019": SimulatorParameters(
        fundamentals=FundamentalParameters(
            wind_capacity_mw=3_800.0,
            solar_capacity_mw=4_000.0,
            price_level_eur_mwh=43.0,
            price_level_log_std=0.136,
            price_per_residual_load=0.42,
            price_noise_std=0.185,
        ),
        merit_order=_BIDS_OF_2018_AND_2019,
        gradual_merit_order=_BIDS_OF_2018_AND_2019,
    ),
    "2022": SimulatorParameters(
        system_imbalance=SystemImbalanceParameters(volatility_log_std=0.7),
        merit_order=MeritOrderParameters(
            upward_day_ahead_share=0.89,
            upward_level_share=0.17,
            downward_day_ahead_share=0.745,
            downward_level_share=0.08,
            upward_premium_eur_mwh=44.5,
            upward_premium_log_std=0.87,
            upward_growth=0.155,
            downward_premium_eur_mwh=89.5,
            downward_premium_log_std=0.5,
            downward_growth=0.187,
            growth_exponent=1.26,
            slow_share=0.65,
            hourly_share=0.225,
            avoided_activation_share=0.85,
            response_per_minute=0.2,
        ),
        gradual_merit_order=MeritOrderParameters(
            upward_day_ahead_share=1.06,
            upward_level_share=0.14,
            downward_day_ahead_share=0.66,
            downward_level_share=0.0835,
            upward_premium_eur_mwh=27.5,
            upward_premium_log_std=0.71,
            upward_growth=0.43,
            downward_premium_eur_mwh=65.0,
            downward_premium_log_std=0.346,
            downward_growth=0.67,
            growth_exponent=1.1,
            slow_share=0.54,
            hourly_share=0.18,
            avoided_activation_share=0.89,
            response_per_minute=0.47,
        ),
    ),
    "2024": SimulatorParameters(
        fundamentals=FundamentalParameters(
            wind_capacity_mw=5_200.0,
            solar_capacity_mw=8_500.0,
            price_level_eur_mwh=56.0,
            price_level_log_std=0.136,
            price_per_residual_load=0.42,
            price_noise_std=0.185,
        ),
        merit_order=MeritOrderParameters(
            upward_day_ahead_share=0.37,
            upward_level_share=0.635,
            downward_day_ahead_share=1.05,
            downward_level_share=-0.1,
            upward_premium_eur_mwh=61.5,
            upward_premium_log_std=0.49,
            upward_growth=0.115,
            downward_premium_eur_mwh=108.0,
            downward_premium_log_std=0.725,
            downward_growth=0.062,
            growth_exponent=1.2,
            slow_share=0.47,
            hourly_share=0.03,
            response_per_minute=0.18,
            upward_jump_eur_mwh=30.0,
            downward_jump_eur_mwh=50.0,
            upward_extreme_eur_mwh_per_100mw=70.0,
        ),
        gradual_merit_order=MeritOrderParameters(
            upward_day_ahead_share=0.63,
            upward_level_share=0.51,
            downward_day_ahead_share=0.52,
            downward_level_share=0.07,
            upward_premium_eur_mwh=81.5,
            upward_premium_log_std=0.21,
            upward_growth=0.365,
            downward_premium_eur_mwh=126.0,
            downward_premium_log_std=0.23,
            downward_growth=0.076,
            growth_exponent=1.14,
            slow_share=0.43,
            hourly_share=0.1,
            response_per_minute=0.545,
            bid_mw=58.5,
            upward_jump_eur_mwh=244.0,
            downward_jump_eur_mwh=508.0,
            jump_from_median_mw=174.5,
        ),
    ),
}
"""Presets 2022 and 2024 have the price level and volatility of their year, fitted to summary figures. Preset 2019 has
the bid ladder of 2018 and 2019; its day-ahead price and its imbalance are not fitted.

No system imbalance of 2022 was available, and only one day of prices since 2024-05-22. The imbalance of preset 2022 is
therefore that of 2024 with fewer extremes, and its bids from 2024-05-22 are fitted to the same prices as its older
ones."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A drawn market before it is cleared, over whole Brussels days."""

    start: int
    """First epoch minute that is published; the drawn values begin at the midnight before."""
    end: int
    fundamentals: Fundamentals = field(repr=False)
    minute_imbalance_mw: Floats = field(repr=False)
    """Shape [15 n]; imbalance of each single minute, before any injection."""
    bids: MeritOrder = field(repr=False)


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """Tables as Elia and the power exchange publish them, all indexed by UTC start, columns as in the data files."""

    prices: pd.DataFrame = field(repr=False)
    """Quarter-hours: final price, system imbalance, regulation volume, alpha component, both marginal prices."""
    minutes: pd.DataFrame = field(repr=False)
    """Minutes: the same columns as they would settle if the quarter-hour ended there, with `quarter_hour`."""
    day_ahead: pd.DataFrame = field(repr=False)
    forecasts: pd.DataFrame = field(repr=False)
    scenario: Scenario = field(repr=False)

    def market(self, *, with_minutes: bool = False, publication_delay_min: int | None = None) -> MarketSeries:
        """The market series: quarter-hours, and minutes if requested; see `build_market` for the delay."""
        return build_market(
            self.prices,
            day_ahead=self.day_ahead,
            forecasts=self.forecasts,
            minutes=self.minutes if with_minutes else None,
            minute_source=MinuteSource.SIMULATED,
            publication_delay_min=publication_delay_min,
        )


def simulate(start: int, end: int, *, seed: int, parameters: SimulatorParameters | str = "2022") -> SimulatedMarket:
    """Draw and clear one market over [start, end), epoch minutes on the quarter-hour.

    parameters: the name of a preset, or parameters. Raises BadInput for an empty span, a time off the
    quarter-hour, a negative seed or an unknown preset.
    """
    return clear(draw_scenario(start, end, seed=seed, parameters=parameters))


def draw_scenario(start: int, end: int, *, seed: int, parameters: SimulatorParameters | str = "2022") -> Scenario:
    """Draw one market without clearing it; see `simulate`."""
    chosen = _checked(start, end, seed, parameters)
    fundamentals = draw_fundamentals(chosen.fundamentals, start, end, seed)
    return Scenario(
        start=start,
        end=end,
        fundamentals=fundamentals,
        minute_imbalance_mw=draw_minute_imbalance(
            chosen.system_imbalance, chosen.fundamentals.load_mean_mw, fundamentals, seed
        ),
        bids=draw_merit_order(chosen.merit_order, chosen.gradual_merit_order, fundamentals, seed),
    )


def clear(scenario: Scenario, injection_mw: Floats | None = None) -> SimulatedMarket:
    """Clear a scenario, with `injection_mw` added (shape: minutes of [start, end); discharge positive)."""
    fundamentals = scenario.fundamentals
    quarter_hours = fundamentals.quarter_hours[:-1]
    imbalance_mw = scenario.minute_imbalance_mw
    if injection_mw is not None:
        imbalance_mw = imbalance_mw.copy()
        first = scenario.start - int(quarter_hours[0])
        imbalance_mw[first : first + scenario.end - scenario.start] += injection_mw
    cleared = clear_minutes(quarter_hours, imbalance_mw, scenario.bids)
    minutes = _minute_table(cleared, scenario, int(quarter_hours[0]))
    last_minutes = minutes.iloc[MINUTES_PER_QUARTER_HOUR - 1 :: MINUTES_PER_QUARTER_HOUR]
    prices = last_minutes.set_index("quarter_hour").rename_axis("start")
    day_ahead, forecasts = _published_the_day_before(scenario)
    return SimulatedMarket(prices, minutes, day_ahead, forecasts, scenario)


def _checked(start: int, end: int, seed: int, parameters: SimulatorParameters | str) -> SimulatorParameters:
    faults = [
        Fault(name, f"{minute} is not on a quarter-hour")
        for name, minute in (("start", start), ("end", end))
        if minute % MINUTES_PER_QUARTER_HOUR
    ]
    if start < SINGLE_PRICE_SINCE:
        faults.append(Fault("start", "lies before 2020, when another price rule applied; start in 2020 or later"))
    if end <= start:
        faults.append(Fault("end", "must lie after start"))
    if seed < 0:
        faults.append(Fault("seed", f"must be 0 or more, not {seed}"))
    refuse(faults)
    if isinstance(parameters, SimulatorParameters):
        return parameters
    if parameters not in PRESETS:
        raise BadInput([Fault("parameters", f"unknown preset {parameters!r}; choose one of {', '.join(PRESETS)}")])
    return PRESETS[parameters]


def _minute_table(cleared: ClearedMinutes, scenario: Scenario, first_minute: int) -> pd.DataFrame:
    """Minute records of the published span; each rule period has its own regulation column, the other is NaN."""
    minutes = np.arange(scenario.start, scenario.end, dtype=np.int64)
    rows = slice(scenario.start - first_minute, scenario.end - first_minute)
    gradual = minutes >= GRADUAL_FROM
    regulation = cleared.net_regulation_volume_mw[rows]
    imbalance = cleared.system_imbalance_mw[rows]
    return pd.DataFrame(
        {
            PRICE: cleared.imbalance_price_eur_mwh[rows],
            "system_imbalance_mw": imbalance,
            "net_regulation_volume_mw": np.where(gradual, np.nan, regulation),
            "area_control_error_mw": np.where(gradual, np.round(imbalance + regulation, 3), np.nan),
            "alpha_component_eur_mwh": cleared.alpha_component_eur_mwh[rows],
            "marginal_incremental_price_eur_mwh": cleared.marginal_incremental_price_eur_mwh[rows],
            "marginal_decremental_price_eur_mwh": cleared.marginal_decremental_price_eur_mwh[rows],
            "quarter_hour": utc_timestamps(minutes - minutes % MINUTES_PER_QUARTER_HOUR),
        },
        index=utc_timestamps(minutes).rename("start"),
    )


def _published_the_day_before(scenario: Scenario) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Day-ahead prices by the hour and forecasts by the quarter-hour, for every interval that overlaps the span."""
    fundamentals = scenario.fundamentals
    times = fundamentals.quarter_hours[:-1]
    first_hour = scenario.start - scenario.start % MINUTES_PER_HOUR
    hours = times[::QUARTERS_PER_HOUR]
    priced = (hours >= first_hour) & (hours < scenario.end)
    shown = (times >= scenario.start) & (times < scenario.end)
    day_ahead = pd.DataFrame(
        {DAY_AHEAD: fundamentals.day_ahead_eur_mwh[:-1:QUARTERS_PER_HOUR][priced]},
        index=utc_timestamps(hours[priced]).rename("start"),
    )
    forecasts = pd.DataFrame(
        {
            WIND_FORECAST: np.round(fundamentals.wind_forecast_mw[:-1][shown], 2),
            SOLAR_FORECAST: np.round(fundamentals.solar_forecast_mw[:-1][shown], 2),
        },
        index=utc_timestamps(times[shown]).rename("start"),
    )
    return day_ahead, forecasts
