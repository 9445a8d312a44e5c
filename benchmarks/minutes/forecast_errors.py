"""Error by minute of a policy's forecast of the running quarter-hour's price, beside the naive forecasts.

Every minute of the quarter-hours that have a price is forecast on what is known then. Rows: the served forecast, the
learned one alone where a combination is served, the newest indicative price (before there is one, the last price), the
last price, day-ahead, the price of the same quarter-hour a day before. All rows are judged on the same times: those at
which each is known. Columns: mean absolute error and root mean square error in EUR/MWh, minute by minute.

    python benchmarks/minutes/forecast_errors.py POLICY --prices FILE [FILE ...] --minutes FILE [FILE ...]
        [--day-ahead FILE [FILE ...]] [--start 2025-11-19T00:00+01:00] [--end ...] [--publication-delay-min 1]
        [--json OUT]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from arbitrage.arrays import Floats
from arbitrage.code_revision import code_revision
from arbitrage.errors import BadInput, Fault
from arbitrage.market.files.read import read_market
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import rows_of, select
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.closed_form.online_combination import naive_forecasts
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR

_DAY = [-24 * 60]
SERVED, ALONE, NEWEST, LAST = "served", "learned alone", "newest indicative", "last price"


def forecasts(policy: ClosedFormPolicy, market: MarketSeries, starts: npt.NDArray[np.int64]) -> dict[str, Floats]:
    """What is forecast of quarter-hours [n] at each of their minutes, shape [n, 15], by name."""
    times = (starts[:, None] + np.arange(MINUTES_PER_QUARTER_HOUR)).ravel()
    known = market.known_at(times)

    def served(one: ClosedFormPolicy) -> Floats:
        return one.bind(known, policy.battery).price_forecast_eur_mwh

    newest, last, day_ahead = naive_forecasts(known, known.gather(DAY_AHEAD, [0])[:, 0]).T
    made = {
        SERVED: served(policy),
        **({} if policy.combination is None else {ALONE: served(replace(policy, combination=None))}),
        NEWEST: np.where(np.isnan(newest), last, newest),
        LAST: last,
        "day-ahead": day_ahead,
        "same quarter-hour yesterday": known.gather(PRICE, _DAY)[:, 0],
    }
    return {name: values.reshape(len(starts), -1) for name, values in made.items() if np.isfinite(values).any()}


def errors(made: dict[str, Floats], price_eur_mwh: Floats) -> list[dict[str, Any]]:
    """A row a forecast: mean absolute and root mean square error by minute, on the times at which all are known."""
    known = np.all([np.isfinite(values) for values in made.values()], axis=0) & np.isfinite(price_eur_mwh)[:, None]
    rows = []
    for name, values in made.items():
        missed = np.where(known, values - price_eur_mwh[:, None], np.nan)
        rows.append(
            {
                "forecast": name,
                "times_by_minute": known.sum(axis=0).tolist(),
                "mean_absolute_error_eur_mwh": np.nanmean(np.abs(missed), axis=0).round(3).tolist(),
                "root_mean_square_error_eur_mwh": np.sqrt(np.nanmean(missed**2, axis=0)).round(3).tolist(),
            }
        )
    return rows


def print_rows(rows: list[dict[str, Any]]) -> None:
    for measure, title in (("mean_absolute", "Mean absolute"), ("root_mean_square", "Root mean square")):
        table = Table(
            "forecast", *map(str, range(MINUTES_PER_QUARTER_HOUR)), title=f"{title} error, EUR/MWh, by minute"
        )
        for row in rows:
            table.add_row(row["forecast"], *(f"{value:.1f}" for value in row[f"{measure}_error_eur_mwh"]))
        Console(width=160).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", type=Path)
    parser.add_argument("--prices", type=Path, nargs="+", required=True)
    parser.add_argument("--minutes", type=Path, nargs="+", required=True)
    parser.add_argument("--day-ahead", type=Path, nargs="+")
    parser.add_argument("--start")
    parser.add_argument("--end")
    parser.add_argument("--publication-delay-min", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    policy = load_policy(arguments.policy)
    if not isinstance(policy, ClosedFormPolicy) or not policy.features.running_names:
        raise BadInput([Fault("policy", "is not a closed form that decides by the minute; give one that does")])
    market = read_market(
        arguments.prices,
        day_ahead=arguments.day_ahead,
        minutes=arguments.minutes,
        publication_delay_min=arguments.publication_delay_min,
    )
    rows = rows_of(select(market, start=arguments.start, end=arguments.end))
    rows = rows[np.isfinite(market.price_eur_mwh[rows])]
    found = errors(forecasts(policy, market, market.quarter_hours[rows]), market.price_eur_mwh[rows])
    print_rows(found)
    if arguments.json is not None:
        answer = {"code_revision": code_revision(), "data_sha256": market.data_hash, "rows": found}
        arguments.json.write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main()
