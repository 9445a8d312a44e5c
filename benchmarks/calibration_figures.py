"""What the calibration measures: figures and curves of a market, the same for a real and for a simulated one.

Real evidence is read from parquet files, where they are present.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.market.merit_order import DEAD_BAND_MW, bid_price_eur_mwh
from arbitrage.market.simulator import SimulatedMarket, simulate
from arbitrage.market.tapes import DAY_AHEAD, PRICE
from arbitrage.quarter_hour import (
    MINUTES_PER_HOUR,
    MINUTES_PER_QUARTER_HOUR,
    brussels_day_numbers,
    brussels_minutes_of_day,
    epoch_minute,
    epoch_minutes,
)

Floats = npt.NDArray[np.float64]
Figures = dict[str, float]
Curves = dict[str, tuple[Floats, Floats]]
"""Name of a curve and its x and y."""

BLOCKS: Mapping[str, tuple[str, str, str]] = {
    "2022": ("2022", "2022-01-01T00:00+01:00", "2023-01-01T00:00+01:00"),
    "2024 Q1": ("2024", "2024-01-01T01:00+01:00", "2024-04-14T06:00+02:00"),
    "minutes": ("2024", "2024-08-06T00:00+02:00", "2024-10-06T00:00+02:00"),
    "ladder": ("2024", "2024-01-01T00:00+01:00", "2024-03-01T00:00+01:00"),
}
"""Preset and span that stand beside: the benchmark year, the days of 2024 with all columns, the genuine minutes of
2024-09-06 (the two months around that day), and the ladders of 2018 and 2019 (whose shape alone is compared)."""

LADDER_STEPS_MW = (-600, -500, -400, -300, -200, -100, 100, 200, 300, 400, 500, 600)
_PERCENTS = (1, 5, 25, 50, 75, 95, 99)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The tables from which a block's figures are computed; what a block does not need is None."""

    prices: pd.DataFrame | None = None
    day_ahead: pd.Series[float] | None = None
    minutes: pd.DataFrame | None = None
    ladder_eur_mwh: Floats | None = None
    """Shape [n, 12] over `LADDER_STEPS_MW`."""


def simulated_evidence(block: str, seed: int) -> Evidence:
    """One simulated world of a block."""
    preset, start, end = BLOCKS[block]
    world = simulate(epoch_minute(start), epoch_minute(end), seed=seed, parameters=preset)
    if block == "minutes":
        return Evidence(minutes=world.minutes)
    if block == "ladder":
        return Evidence(ladder_eur_mwh=_simulated_ladder(world))
    return Evidence(prices=world.prices, day_ahead=world.day_ahead[DAY_AHEAD])


def _simulated_ladder(world: SimulatedMarket) -> Floats:
    bids = world.scenario.bids
    rows = range(0, len(bids.upward_start_eur_mwh), 8)
    return np.array([[bid_price_eur_mwh(bids, row, float(step)) for step in LADDER_STEPS_MW] for row in rows])


def real_evidence(block: str, data: Path) -> Evidence | None:
    """The real tables of a block, None where they are not there."""
    readers = {"2022": _real_2022, "2024 Q1": _real_2024, "minutes": _real_minutes, "ladder": _real_ladder}
    try:
        return readers[block](data)
    except FileNotFoundError:
        return None


def _real_2022(data: Path) -> Evidence:
    prices = pd.read_parquet(data / "imbalance_qh_2022.parquet")
    day_ahead = pd.read_parquet(data / "day_ahead_hourly_2021_2022.parquet")["dam_price_eur_mwh"]
    return Evidence(prices=prices, day_ahead=day_ahead.loc[prices.index[0] : prices.index[-1]])


def _real_2024(data: Path) -> Evidence:
    prices = pd.read_parquet(data / "imbalance_qh_2024q1_all_columns.parquet")
    names = {
        "alpha_eur_mwh": "alpha_component_eur_mwh",
        "mip_eur_mwh": "marginal_incremental_price_eur_mwh",
        "mdp_eur_mwh": "marginal_decremental_price_eur_mwh",
    }
    day_ahead = pd.read_parquet(data / "day_ahead_hourly_2024q1.parquet")["dam_price_eur_mwh"]
    return Evidence(prices=prices.rename(columns=names), day_ahead=day_ahead)


def _real_minutes(data: Path) -> Evidence:
    minutes = pd.read_parquet(data / "imbalance_minute_2024-09-06.parquet")
    return Evidence(minutes=minutes.rename(columns={"quarter_hour_utc": "quarter_hour"}).sort_index())


def _real_ladder(data: Path) -> Evidence:
    table = pd.read_parquet(data / "imbalance_qh_2018_2019_bid_ladder.parquet")
    names = [f"ladder_{'m' if step < 0 else ''}{abs(step)}mw_eur_mwh" for step in LADDER_STEPS_MW]
    return Evidence(ladder_eur_mwh=table[names].to_numpy(np.float64))


def figures_of(evidence: Evidence) -> Figures:
    """Every figure that the evidence allows."""
    figures: Figures = {}
    if evidence.prices is not None:
        figures |= _price_figures(evidence.prices)
        if "system_imbalance_mw" in evidence.prices:
            figures |= _imbalance_figures(evidence.prices)
        if evidence.day_ahead is not None:
            figures |= _day_ahead_figures(evidence.prices[PRICE], evidence.day_ahead)
    if evidence.minutes is not None:
        figures |= _minute_figures(*_by_quarter_hour(evidence.minutes))
    if evidence.ladder_eur_mwh is not None:
        figures |= _ladder_figures(evidence.ladder_eur_mwh)
    return figures


def autocorrelation(values: Floats, lag: int) -> float:
    """Pearson correlation of a series with itself `lag` rows later."""
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


def _moments(name: str, values: Floats) -> Figures:
    quantiles = {f"{name} {percent} %": float(np.quantile(values, percent / 100.0)) for percent in _PERCENTS}
    return {f"{name} mean": float(values.mean()), f"{name} std": float(values.std())} | quantiles


def _daily_range(values: pd.Series[float]) -> float:
    days = values.groupby(brussels_day_numbers(_starts(values)))
    return float((days.max() - days.min()).median())


def _price_figures(prices: pd.DataFrame) -> Figures:
    values = prices[PRICE].to_numpy(np.float64)
    memory = {f"price autocorrelation {lag}": autocorrelation(values, lag) for lag in (1, 4, 96)}
    return (
        _moments("price", values)
        | {"negative share": float((values < 0.0).mean())}
        | memory
        | {"median daily max - min": _daily_range(prices[PRICE])}
    )


def _day_ahead_figures(price: pd.Series[float], day_ahead: pd.Series[float]) -> Figures:
    hourly = day_ahead.reindex(pd.DatetimeIndex(price.index).floor("h")).to_numpy(np.float64)
    known = ~np.isnan(hourly)
    values = day_ahead.dropna()
    by_day = values.groupby(brussels_day_numbers(_starts(values)))
    return {
        "correlation with day-ahead": float(np.corrcoef(price.to_numpy()[known], hourly[known])[0, 1]),
        **_moments("day-ahead", np.asarray(values, dtype=np.float64)),
        "day-ahead median std within a day": float(by_day.std().median()),
        "day-ahead autocorrelation 24 h": autocorrelation(np.asarray(values, dtype=np.float64), 24),
    }


def _imbalance_figures(prices: pd.DataFrame) -> Figures:
    imbalance = prices["system_imbalance_mw"]
    values = imbalance.to_numpy(np.float64)
    figures = _moments("SI", values)
    figures |= {f"SI autocorrelation {lag}": autocorrelation(values, lag) for lag in (1, 4, 16, 96)}
    figures["correlation SI, price"] = float(imbalance.corr(prices[PRICE]))
    figures["rank correlation SI, price"] = float(imbalance.rank().corr(prices[PRICE].rank()))
    figures["alpha > 0"] = float((prices["alpha_component_eur_mwh"] > 0.0).mean())
    for side, column in (("MIP", "marginal_incremental_price_eur_mwh"), ("MDP", "marginal_decremental_price_eur_mwh")):
        marginal = prices[column].to_numpy(np.float64)
        figures |= {f"{side} {percent} %": float(np.quantile(marginal, percent / 100.0)) for percent in (5, 50, 95)}
        figures[f"{side} autocorrelation 1"] = autocorrelation(marginal, 1)
    return figures


def _by_quarter_hour(minutes: pd.DataFrame) -> tuple[Floats, Floats]:
    """Indicative price and mean system imbalance, shapes [quarter-hours, 15], of whole quarter-hours."""
    size = minutes.groupby("quarter_hour")[PRICE].transform("size")
    whole = minutes.loc[size == MINUTES_PER_QUARTER_HOUR]
    price, imbalance = (whole[name].to_numpy(np.float64) for name in (PRICE, "system_imbalance_mw"))
    return price.reshape(-1, MINUTES_PER_QUARTER_HOUR), imbalance.reshape(-1, MINUTES_PER_QUARTER_HOUR)


def _minute_figures(price: Floats, mean_imbalance: Floats) -> Figures:
    error = np.abs(price - price[:, -1:])
    agrees = np.sign(mean_imbalance) == np.sign(mean_imbalance[:, -1:])
    change = np.abs(np.diff(mean_imbalance, axis=1)).mean(axis=0)
    figures: Figures = {}
    for k in (0, 2, 4, 6, 9, 11, 13):
        figures[f"median |indicative - final| after minute {k}"] = float(np.median(error[:, k]))
    for k in (0, 4, 9, 13):
        figures[f"mean |indicative - final| after minute {k}"] = float(error[:, k].mean())
    for k in (0, 4, 9, 12, 13):
        figures[f"sign agreement after minute {k}"] = float(agrees[:, k].mean())
    for k in (1, 4, 9, 14):
        figures[f"mean |change of mean SI| at minute {k}"] = float(change[k - 1])
    figures["share of records within the dead band"] = float((np.abs(mean_imbalance) < DEAD_BAND_MW).mean())
    return figures


def _ladder_shape(ladder_eur_mwh: Floats) -> Floats:
    """Median distance from the middle of the ladder, that at 100 MW of the same side being 1; shape [12]."""
    up, down = LADDER_STEPS_MW.index(100), LADDER_STEPS_MW.index(-100)
    middle = (ladder_eur_mwh[:, up] + ladder_eur_mwh[:, down]) / 2.0
    distance = np.median(np.abs(ladder_eur_mwh - middle[:, None]), axis=0)
    sides = np.array([up if step > 0 else down for step in LADDER_STEPS_MW])
    return np.asarray(distance / distance[sides])


def _ladder_figures(ladder_eur_mwh: Floats) -> Figures:
    shape = _ladder_shape(ladder_eur_mwh)
    return {f"ladder at {step:+d} MW": float(y) for step, y in zip(LADDER_STEPS_MW, shape, strict=True)}


def curves_of(evidence: Evidence) -> Curves:
    """Every curve that the evidence allows."""
    curves: Curves = {}
    if evidence.prices is not None:
        curves |= _series_curves("price, EUR/MWh", evidence.prices[PRICE])
        if "system_imbalance_mw" in evidence.prices:
            curves |= _series_curves("system imbalance, MW", evidence.prices["system_imbalance_mw"])
    if evidence.day_ahead is not None:
        curves["day-ahead price, EUR/MWh: mean by hour"] = _hourly_means(evidence.day_ahead)
    if evidence.minutes is not None:
        price, imbalance = _by_quarter_hour(evidence.minutes)
        k = np.arange(MINUTES_PER_QUARTER_HOUR, dtype=np.float64)
        curves["median |indicative - final|, EUR/MWh"] = (k, np.median(np.abs(price - price[:, -1:]), axis=0))
        curves["mean |indicative - final|, EUR/MWh"] = (k, np.abs(price - price[:, -1:]).mean(axis=0))
        agrees = np.sign(imbalance) == np.sign(imbalance[:, -1:])
        curves["share of quarter-hours whose sign is the final one"] = (k, agrees.mean(axis=0))
        curves["mean |change of mean SI|, MW"] = (k[1:], np.abs(np.diff(imbalance, axis=1)).mean(axis=0))
    if evidence.ladder_eur_mwh is not None:
        steps = np.array(LADDER_STEPS_MW, dtype=np.float64)
        curves["ladder: distance from the middle, 100 MW = 1"] = (steps, _ladder_shape(evidence.ladder_eur_mwh))
    return curves


def _series_curves(name: str, values: pd.Series[float]) -> Curves:
    numbers = np.asarray(values, dtype=np.float64)
    shares = np.linspace(0.01, 0.99, 99)
    lags = np.arange(1, 97)
    return {
        f"{name}: quantiles": (shares, np.quantile(numbers, shares)),
        f"{name}: autocorrelation by quarter-hours": (
            lags.astype(np.float64),
            np.array([autocorrelation(numbers, int(lag)) for lag in lags]),
        ),
        f"{name}: mean by hour": _hourly_means(values),
    }


def _hourly_means(values: pd.Series[float]) -> tuple[Floats, Floats]:
    """Mean by hour of the Brussels day, shapes [24]."""
    known = values.dropna()
    hour = brussels_minutes_of_day(_starts(known)) // MINUTES_PER_HOUR
    means = known.groupby(hour).mean()
    return np.asarray(means.index, dtype=np.float64), np.asarray(means, dtype=np.float64)


def _starts(values: pd.Series[float]) -> npt.NDArray[np.int64]:
    return epoch_minutes(pd.DatetimeIndex(values.index))
