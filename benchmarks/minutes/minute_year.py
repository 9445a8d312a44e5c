"""A year of minutes: how long training and backtest take, and how much memory.

A simulated year is learned (days 1-25 of each month to fit, the rest to choose), uncapped and with 1.1 cycles a day,
critic and validation included; then the policy is backtested by the minute through the whole year without a restart,
its perfect foresight included. Each job runs in a process of its own, so that its peak memory is its own.

    python benchmarks/minutes/minute_year.py [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.metrics import summary
from arbitrage.battery import Battery
from arbitrage.features.names import FeatureSet
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.simulator import simulate
from arbitrage.market.splits import DaysOfMonth, select
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.quarter_hour import epoch_minute
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit

CAPS = (None, 1.1)
KIB_PER_MIB = 1024


def year() -> MarketSeries:
    start, end = epoch_minute("2021-12-31T23:00Z"), epoch_minute("2022-12-31T23:00Z")
    return simulate(start, end, seed=0, parameters="2022").market(with_minutes=True)


def train_job(cap: float | None, folder: Path) -> dict[str, Any]:
    market, began = year(), time.perf_counter()
    split = DataSplit(market=market, train_days=DaysOfMonth(1, 25), validation_days=DaysOfMonth(26, 31))
    ClosedFormTrainer.of(split, FeatureSet.FULL).fit(split, Battery(max_cycles_per_day=cap), 0, folder)
    return {"job": "training", "cap": cap, **_cost(began)}


def backtest_job(cap: float | None, folder: Path) -> dict[str, Any]:
    market, policy, began = year(), load_policy(folder), time.perf_counter()
    result = run_backtest(market, policy.battery, policy, select(market), step_min=policy.step_min)
    figures = summary(result)
    return {"job": "backtest", "cap": cap, "violations": figures["violations"], **_cost(began)}


def _cost(began: float) -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB
    return {"seconds": time.perf_counter() - began, "peak_mib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for cap in CAPS:
            for job in (train_job, backtest_job):
                with ProcessPoolExecutor(1) as own_process:
                    rows.append(own_process.submit(job, cap, Path(folder) / str(cap)).result())
    table = Table("job", "cap", "seconds", "peak MiB", title=f"A simulated year of minutes, {os.cpu_count()} cores")
    for row in rows:
        table.add_row(row["job"], str(row["cap"] or "none"), f"{row['seconds']:.1f}", f"{row['peak_mib']:,.0f}")
    Console().print(table)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
