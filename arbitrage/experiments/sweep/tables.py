"""The figures of a sweep: every contender in every window, and over all windows, paired by day where that is fair.

Contract: contenders are compared where they were tested on the same quarter-hours at the same prices with the same
battery. The reference is the first contender of the plan. Days of all windows make one sample, so no day may be in two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from arbitrage.backtest.comparison import compare_table
from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.metrics import daily_interval_eur, daily_profit_eur
from arbitrage.backtest.runs.folder import read_run
from arbitrage.experiments.sweep.plan import SweepTask
from arbitrage.experiments.sweep.run import RUN

Row = dict[str, Any]


def sweep_tables(folders: Iterable[tuple[SweepTask, Path]]) -> dict[str, list[Row]]:
    """`by_window`: a row for each contender (strategy, seed, risk setting), battery and window, as `compare_table` has
    it. `over_windows`: the same over the days of all windows. `over_seeds`: mean, least and most of the seeds.

    Raises BadInput where a run folder cannot be used.
    """
    cells: dict[tuple[str, str], list[tuple[SweepTask, Backtest]]] = {}
    for task, folder in folders:
        tried = [(task, each) for each in read_run(folder / RUN).backtests]
        cells.setdefault((task.battery_name, task.window.name), []).extend(tried)
    by_window = [
        {"battery": battery, "window": window, "seed": task.seed, **row}
        for (battery, window), tried in cells.items()
        for (task, _), row in zip(tried, compare_table([each for _, each in tried]), strict=True)
    ]
    over = _over_windows(cells)
    return {"by_window": by_window, "over_windows": over, "over_seeds": _over_seeds(over)}


def _over_windows(cells: Mapping[tuple[str, str], list[tuple[SweepTask, Backtest]]]) -> list[Row]:
    """One row a battery and contender, its days of all windows put together; none where a day is in two windows."""
    days: dict[str, dict[str, list[pd.Series[float]]]] = {}
    seeds: dict[str, int | None] = {}
    for (battery, _), tried in cells.items():
        for task, each in tried:
            days.setdefault(battery, {}).setdefault(each.strategy, []).append(daily_profit_eur(each.ledger))
            seeds[each.strategy] = task.seed
    rows = []
    for battery, contenders in days.items():
        daily = {name: pd.concat(parts) for name, parts in contenders.items()}
        reference = next(iter(daily.values()))
        if reference.index.has_duplicates:
            continue
        for number, (name, own) in enumerate(daily.items()):
            paired = own - reference if number and own.index.equals(reference.index) else None
            rows.append({"battery": battery, "strategy": name, "seed": seeds[name], **_figures(own, paired)})
    return rows


def _figures(own: pd.Series[float], paired: pd.Series[float] | None) -> Row:
    return {
        "days": len(own),
        "profit_eur_per_day": float(own.mean()),
        "profit_eur_per_day_interval": daily_interval_eur(own),
        "difference_eur_per_day": None if paired is None else float(paired.mean()),
        "difference_eur_per_day_interval": None if paired is None else daily_interval_eur(paired),
    }


def _over_seeds(rows: Iterable[Row]) -> list[Row]:
    """Rows that differ by their seed alone, made one."""
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        if row["seed"] is not None:
            name = row["strategy"].replace(f", seed {row['seed']}", "", 1)
            groups.setdefault((row["battery"], name, row["days"]), []).append(row)
    return [
        {
            "battery": battery,
            "strategy": name,
            "seeds": [row["seed"] for row in own],
            "days": days,
            **_spread([row["profit_eur_per_day"] for row in own]),
        }
        for (battery, name, days), own in groups.items()
    ]


def _spread(profits: list[float]) -> Row:
    return {
        "profit_eur_per_day": float(np.mean(profits)),
        "least_eur_per_day": min(profits),
        "most_eur_per_day": max(profits),
    }
