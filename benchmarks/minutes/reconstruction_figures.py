"""What the comparison of reconstructed with genuine minutes measures, as rows of figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from arbitrage.arrays import Floats
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE
from arbitrage.market.reconstruction.minutes import GRADES, reconstruct_minutes
from arbitrage.market.reconstruction.system_sides import draw_sides, read_finals
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR
from benchmarks.calibration.figures import autocorrelation

IMBALANCE = "system_imbalance_mw"
STAND_IN_EUR_MWH = 80.0
"""Flat day-ahead price in place of the unknown one of 2024-09-06."""
_RESAMPLES = 2_000
_SHOWN_MINUTES = (0, 4, 9, 12, 13)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the comparison; None where there is nothing to show."""

    block: str
    figure: str
    profile: str = ""
    minute: int | None = None
    real: float | None = None
    real_low: float | None = None
    real_high: float | None = None
    easy: float | None = None
    matched: float | None = None
    harsh: float | None = None
    matched_low: float | None = None
    matched_high: float | None = None
    verdict: str = ""


def by_quarter_hour(minutes: pd.DataFrame, column: str) -> Floats:
    """A column of whole quarter-hours, shape [n, 15]."""
    return minutes[column].to_numpy(np.float64).reshape(-1, MINUTES_PER_QUARTER_HOUR)


def _errors(minutes: pd.DataFrame) -> Floats:
    price = by_quarter_hour(minutes, PRICE)
    return np.asarray(np.abs(price - price[:, -1:]))


def _agreements(minutes: pd.DataFrame) -> Floats:
    imbalance = by_quarter_hour(minutes, IMBALANCE)
    return np.asarray(np.sign(imbalance) == np.sign(imbalance[:, -1:]), dtype=np.float64)


def _changes(minutes: pd.DataFrame) -> Floats:
    """The first minute has none."""
    imbalance = by_quarter_hour(minutes, IMBALANCE)
    return np.abs(np.diff(imbalance, axis=1, prepend=np.nan))


Sample = Callable[[pd.DataFrame], Floats]
Summary = Callable[[Floats], Floats]


def _median(values: Floats) -> Floats:
    return np.asarray(np.median(values, axis=0))


def _mean(values: Floats) -> Floats:
    return np.asarray(values.mean(axis=0))


PROFILES: Mapping[str, tuple[Sample, Summary]] = {
    "median |indicative - final|, EUR/MWh": (_errors, _median),
    "mean |indicative - final|, EUR/MWh": (_errors, _mean),
    "share with final sign": (_agreements, _mean),
    "mean |change of mean SI|, MW": (_changes, _mean),
}


def profile(name: str, minutes: pd.DataFrame) -> Floats:
    """One profile, shape [15]."""
    sample, summary = PROFILES[name]
    return summary(sample(minutes))


def _bootstrap(name: str, minutes: pd.DataFrame) -> Floats:
    """5 % and 95 % points of a profile over quarter-hours drawn anew, shape [2, 15]."""
    sample, summary = PROFILES[name]
    values = sample(minutes)
    random = np.random.default_rng(0)
    draws = [summary(values[random.integers(0, len(values), len(values))]) for _ in range(_RESAMPLES)]
    return np.asarray(np.quantile(draws, (0.05, 0.95), axis=0))


def minute_day_rows(data: Path, draws: int) -> list[Row]:
    """The genuine part-day against its reconstructions, minute by minute."""
    minutes = pd.read_parquet(data / "imbalance_minute_2024-09-06.parquet").sort_index()
    minutes = minutes.rename(columns={"quarter_hour_utc": "quarter_hour"})
    size = minutes.groupby("quarter_hour")[PRICE].transform("size")
    minutes = minutes[size == MINUTES_PER_QUARTER_HOUR]
    prices = minutes.iloc[MINUTES_PER_QUARTER_HOUR - 1 :: MINUTES_PER_QUARTER_HOUR].set_index("quarter_hour")[[PRICE]]
    hours = pd.DatetimeIndex(prices.index).floor("h").unique()
    day_ahead = pd.DataFrame({DAY_AHEAD: STAND_IN_EUR_MWH}, index=hours)
    rebuilt = {
        grade: [reconstruct_minutes(prices, day_ahead, grade=grade, seed=seed) for seed in range(draws)]
        for grade in GRADES
    }
    rows = []
    for name in PROFILES:
        real, interval = profile(name, minutes), _bootstrap(name, minutes)
        drawn = {grade: np.array([profile(name, table) for table in tables]) for grade, tables in rebuilt.items()}
        # The first minute has no change before it, and the last no error left.
        shown = range(1, MINUTES_PER_QUARTER_HOUR) if "change" in name else range(MINUTES_PER_QUARTER_HOUR - 1)
        rows += [_profile_row(name, k, real, interval, drawn) for k in shown]
    return rows


def _profile_row(name: str, k: int, real: Floats, interval: Floats, drawn: Mapping[str, Floats]) -> Row:
    means = {grade: float(values[:, k].mean()) for grade, values in drawn.items()}
    low, high = (float(value) for value in interval[:, k])
    matched_low, matched_high = (float(value) for value in np.quantile(drawn["matched"][:, k], (0.05, 0.95)))
    return Row(
        block="2024-09-06",
        figure=f"{name}, minute {k}",
        profile=name,
        minute=k,
        real=float(real[k]),
        real_low=low,
        real_high=high,
        **means,
        matched_low=matched_low,
        matched_high=matched_high,
        verdict="hit" if low <= means["matched"] <= high else "miss",
    )


def _imbalance_figures(values: Floats, price: Floats) -> dict[str, float]:
    figures = {"SI mean, MW": float(values.mean()), "SI std, MW": float(values.std())}
    figures |= {f"SI {percent} %, MW": float(np.quantile(values, percent / 100.0)) for percent in (1, 5, 50, 95, 99)}
    figures |= {f"SI autocorrelation {lag}": autocorrelation(values, lag) for lag in (1, 4, 8)}
    figures["rank correlation SI, price"] = float(pd.Series(values).rank().corr(pd.Series(price).rank()))
    figures["share of surplus"] = float((values > 0.0).mean())
    return figures


def imbalance_rows(data: Path, draws: int = 8) -> list[Row]:
    """The imbalance drawn around the prices of early 2024 against the real one; the grades draw the same."""
    real = pd.read_parquet(data / "imbalance_qh_2024q1_all_columns.parquet").sort_index()
    day_ahead = pd.read_parquet(data / "day_ahead_hourly_2024q1.parquet").rename(
        columns={"dam_price_eur_mwh": DAY_AHEAD}
    )
    finals = read_finals(real, day_ahead)
    price, genuine = finals.price_eur_mwh, real[IMBALANCE].to_numpy(np.float64)
    drawn = [draw_sides(finals, seed) for seed in range(draws)]
    figures = [_imbalance_figures(values, price) for values in drawn]
    rows = [
        Row(block="2024 Q1", figure=name, real=value, matched=float(np.mean([one[name] for one in figures])))
        for name, value in _imbalance_figures(genuine, price).items()
    ]
    agrees = float(np.mean([np.sign(values) == np.sign(genuine) for values in drawn]))
    return [*rows, Row(block="2024 Q1", figure="share of the real sides that are met", matched=agrees)]


def year_rows(data: Path) -> list[Row]:
    """Checks on 2022, for which there are no genuine minutes; one draw a grade."""
    prices = pd.read_parquet(data / "imbalance_qh_2022.parquet").sort_index()[[PRICE]]
    day_ahead = pd.read_parquet(data / "day_ahead_hourly_2021_2022.parquet").rename(
        columns={"dam_price_eur_mwh": DAY_AHEAD}
    )
    figures = {
        grade: _year_figures(prices, day_ahead, reconstruct_minutes(prices, day_ahead, grade=grade, seed=0))
        for grade in GRADES
    }
    names = list(figures["matched"])
    return [Row(block="2022", figure=name, **{grade: figures[grade][name] for grade in GRADES}) for name in names]


def _year_figures(prices: pd.DataFrame, day_ahead: pd.DataFrame, minutes: pd.DataFrame) -> dict[str, float]:
    shown, imbalance = by_quarter_hour(minutes, PRICE), by_quarter_hour(minutes, IMBALANCE)
    final = prices[PRICE].to_numpy(np.float64)
    hourly = day_ahead[DAY_AHEAD].reindex(pd.DatetimeIndex(prices.index).floor("h")).to_numpy(np.float64)
    figures = _imbalance_figures(imbalance[:, -1], final)
    figures["last record is the final price"] = float((np.abs(shown[:, -1] - final) < 1e-9).mean())
    figures |= {f"correlation with day-ahead, minute {k}": _correlation(shown[:, k], hourly) for k in (0, 7, 14)}
    for name in PROFILES:
        values = profile(name, minutes)
        for k in _SHOWN_MINUTES[1:] if "change" in name else _SHOWN_MINUTES:
            figures[f"{name}, minute {k}"] = float(values[k])
            if "EUR/MWh" in name:
                figures[f"{name.removesuffix(', EUR/MWh')} / price std, minute {k}"] = float(values[k] / final.std())
    return figures


def _correlation(first: Floats, second: Floats) -> float:
    return float(np.corrcoef(first, second)[0, 1])
