"""What the calibration measures: figures and curves of a market, the same for a real and for a simulated one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.market.point_in_time import PRICE
from arbitrage.market.simulation.fundamentals import QUARTERS_PER_HOUR
from arbitrage.market.simulation.merit_order import DEAD_BAND_MW
from arbitrage.quarter_hour import (
    MINUTES_PER_HOUR,
    MINUTES_PER_QUARTER_HOUR,
    brussels_day_numbers,
    brussels_minutes_of_day,
    epoch_minutes,
)
from benchmarks.calibration.evidence import LADDER_STEPS_MW, Evidence, Floats

Figures = dict[str, float]
Curves = dict[str, tuple[Floats, Floats]]
"""Name of a curve and its x and y."""

IMBALANCE_BINS_MW = ((25, 75), (75, 125), (125, 200), (200, 300), (300, 400), (400, 700))
"""Of |SI|: by them the distance of the marginal price from the day-ahead price is compared, each side for itself."""

_PERCENTS = (1, 5, 25, 50, 75, 95, 99)


def figures_of(evidence: Evidence) -> Figures:
    """Every figure that the evidence allows."""
    figures: Figures = {}
    if evidence.prices is not None:
        figures |= _price_figures(evidence.prices)
        if "system_imbalance_mw" in evidence.prices:
            figures |= _imbalance_figures(evidence.prices)
        if evidence.day_ahead is not None:
            figures |= _day_ahead_figures(evidence.prices[PRICE], evidence.day_ahead)
            if "system_imbalance_mw" in evidence.prices:
                figures |= _distance_figures(evidence.prices, evidence.day_ahead)
    if evidence.minutes is not None:
        price, imbalance = _by_quarter_hour(evidence.minutes)
        figures |= _price_minute_figures(price) | _imbalance_minute_figures(imbalance)
    if evidence.own_minutes_mw is not None:
        figures |= _imbalance_minute_figures(_running_mean(evidence.own_minutes_mw))
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


def _distances(prices: pd.DataFrame, day_ahead: pd.Series[float]) -> dict[tuple[int, int], float]:
    """Median of marginal less day-ahead price by bin of SI: incremental in shortage, decremental in surplus."""
    hourly = day_ahead.reindex(pd.DatetimeIndex(prices.index).floor("h")).to_numpy(np.float64)
    imbalance = prices["system_imbalance_mw"].to_numpy(np.float64)
    found = {}
    for side, column in ((-1, "marginal_incremental_price_eur_mwh"), (1, "marginal_decremental_price_eur_mwh")):
        distance = prices[column].to_numpy(np.float64) - hourly
        for low, high in IMBALANCE_BINS_MW:
            within = (side * imbalance >= low) & (side * imbalance < high) & ~np.isnan(hourly)
            found[min(side * low, side * high), max(side * low, side * high)] = float(np.median(distance[within]))
    return dict(sorted(found.items()))


def _distance_figures(prices: pd.DataFrame, day_ahead: pd.Series[float]) -> Figures:
    distances = _distances(prices, day_ahead)
    return {f"marginal - day-ahead at SI {low}..{high} MW": value for (low, high), value in distances.items()}


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


def _running_mean(own_minutes_mw: Floats) -> Floats:
    """Mean since the quarter-hour began of the imbalance of each minute itself, both of shape [n, 15]."""
    return np.asarray(np.cumsum(own_minutes_mw, axis=1) / np.arange(1, MINUTES_PER_QUARTER_HOUR + 1))


def minute_sampling_intervals(evidence: Evidence, draws: int = 1_000) -> dict[str, tuple[float, float]]:
    """How far each figure of genuine minutes might lie by chance: its 2.5 % and 97.5 % over resampled hours.

    Hours are drawn whole, with replacement and in any order, as quarter-hours resemble their neighbours. Empty where
    the evidence holds no minutes.
    """
    if evidence.minutes is not None:
        price, imbalance = _by_quarter_hour(evidence.minutes)
    elif evidence.own_minutes_mw is not None:
        price, imbalance = None, _running_mean(evidence.own_minutes_mw)
    else:
        return {}
    hours = len(imbalance) // QUARTERS_PER_HOUR
    rng = np.random.default_rng(0)
    drawn: dict[str, list[float]] = {}
    for _ in range(draws):
        first = QUARTERS_PER_HOUR * rng.integers(0, hours, hours)
        rows = (first[:, None] + np.arange(QUARTERS_PER_HOUR)).ravel()
        figures = _imbalance_minute_figures(imbalance[rows])
        if price is not None:
            figures |= _price_minute_figures(price[rows])
        for name, value in figures.items():
            drawn.setdefault(name, []).append(value)
    return {name: (float(np.quantile(v, 0.025)), float(np.quantile(v, 0.975))) for name, v in drawn.items()}


def _price_minute_figures(price: Floats) -> Figures:
    """How far indicative prices [n, 15] lie from the final ones."""
    error = np.abs(price - price[:, -1:])
    figures: Figures = {}
    for k in (0, 2, 4, 6, 9, 11, 13):
        figures[f"median |indicative - final| after minute {k}"] = float(np.median(error[:, k]))
    for k in (0, 4, 9, 13):
        figures[f"mean |indicative - final| after minute {k}"] = float(error[:, k].mean())
    return figures


def _imbalance_minute_figures(mean_imbalance: Floats) -> Figures:
    """How the mean imbalance since the quarter-hour began [n, 15] finds its end."""
    agrees = np.sign(mean_imbalance) == np.sign(mean_imbalance[:, -1:])
    change = np.abs(np.diff(mean_imbalance, axis=1)).mean(axis=0)
    figures: Figures = {}
    for k in (0, 4, 9, 12, 13):
        figures[f"sign agreement after minute {k}"] = float(agrees[:, k].mean())
    for k in (1, 4, 9, 14):
        figures[f"mean |change of mean SI| at minute {k}"] = float(change[k - 1])
    figures["share of records within the dead band"] = float((np.abs(mean_imbalance) < DEAD_BAND_MW).mean())
    return figures


def _ladder_distances(ladder_eur_mwh: Floats) -> Floats:
    """Median distance from the middle of the ladder, EUR/MWh, shape [12]."""
    up, down = LADDER_STEPS_MW.index(100), LADDER_STEPS_MW.index(-100)
    middle = (ladder_eur_mwh[:, up] + ladder_eur_mwh[:, down]) / 2.0
    return np.asarray(np.median(np.abs(ladder_eur_mwh - middle[:, None]), axis=0))


def _ladder_shape(ladder_eur_mwh: Floats) -> Floats:
    """The same, that at 100 MW of the same side being 1; shape [12]."""
    distance = _ladder_distances(ladder_eur_mwh)
    sides = np.array([LADDER_STEPS_MW.index(100 if step > 0 else -100) for step in LADDER_STEPS_MW])
    return np.asarray(distance / distance[sides])


def _ladder_figures(ladder_eur_mwh: Floats) -> Figures:
    shape, distance = _ladder_shape(ladder_eur_mwh), _ladder_distances(ladder_eur_mwh)
    figures = {f"ladder at {step:+d} MW": float(y) for step, y in zip(LADDER_STEPS_MW, shape, strict=True)}
    nearest = float(distance[LADDER_STEPS_MW.index(100)])
    figures["ladder distance at 100 MW, EUR/MWh"] = nearest
    for step in (-600, -300, 300, 600):
        rise = float(distance[LADDER_STEPS_MW.index(step)]) - nearest
        figures[f"ladder rise from 100 MW to {step:+d} MW, EUR/MWh"] = rise
    return figures


def curves_of(evidence: Evidence) -> Curves:
    """Every curve that the evidence allows."""
    curves: Curves = {}
    if evidence.prices is not None:
        curves |= _series_curves("price, EUR/MWh", evidence.prices[PRICE])
        if "system_imbalance_mw" in evidence.prices:
            curves |= _series_curves("system imbalance, MW", evidence.prices["system_imbalance_mw"])
    if evidence.prices is not None and evidence.day_ahead is not None and "system_imbalance_mw" in evidence.prices:
        distances = _distances(evidence.prices, evidence.day_ahead)
        middles = np.array([(low + high) / 2.0 for low, high in distances])
        curves["marginal - day-ahead, EUR/MWh, by SI in MW"] = (middles, np.array(list(distances.values())))
    if evidence.day_ahead is not None:
        curves["day-ahead price, EUR/MWh: mean by hour"] = _hourly_means(evidence.day_ahead)
    if evidence.minutes is not None:
        price, imbalance = _by_quarter_hour(evidence.minutes)
        k = np.arange(MINUTES_PER_QUARTER_HOUR, dtype=np.float64)
        curves["median |indicative - final|, EUR/MWh"] = (k, np.median(np.abs(price - price[:, -1:]), axis=0))
        curves["mean |indicative - final|, EUR/MWh"] = (k, np.abs(price - price[:, -1:]).mean(axis=0))
        curves |= _imbalance_minute_curves(imbalance)
    if evidence.own_minutes_mw is not None:
        curves |= _imbalance_minute_curves(_running_mean(evidence.own_minutes_mw))
    if evidence.ladder_eur_mwh is not None:
        steps = np.array(LADDER_STEPS_MW, dtype=np.float64)
        curves["ladder: distance from the middle, 100 MW = 1"] = (steps, _ladder_shape(evidence.ladder_eur_mwh))
    return curves


def _imbalance_minute_curves(mean_imbalance: Floats) -> Curves:
    """Of the mean imbalance since the quarter-hour began, shape [n, 15]."""
    k = np.arange(MINUTES_PER_QUARTER_HOUR, dtype=np.float64)
    agrees = np.sign(mean_imbalance) == np.sign(mean_imbalance[:, -1:])
    return {
        "share of quarter-hours whose sign is the final one": (k, agrees.mean(axis=0)),
        "mean |change of mean SI|, MW": (k[1:], np.abs(np.diff(mean_imbalance, axis=1)).mean(axis=0)),
    }


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
