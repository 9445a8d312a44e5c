"""A fleet of batteries through a year of quarter-hours in one process: time and memory, and how both grow.

    python benchmarks/fleet.py [--sizes 1 10 100 1000 10000 30000] [--threads 2] [--json OUT] [--plot OUT.png]

Ten kinds of battery (hours of storage, efficiencies, budgets of cycles, wear) in sizes from 0.1 to 50 MW: one half of
each fleet follows the spread rule with margins of its own, the other half learned policies, one a kind, which are
trained first and not timed. From 20 batteries on all ten policies read the year, which is most of a small fleet's time.
Real prices of 2022. Every fleet runs in a process of its own, compiled code being cached, and reports the time from
market in memory to results, and the largest memory it ever held.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.fleet.fleet import FleetGroup, run_fleet
from arbitrage.battery import Battery
from arbitrage.code_revision import code_revision
from arbitrage.learners.closed_form.config import Preset
from arbitrage.market.files.read import read_market
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, select
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.rules import SpreadRule
from arbitrage.policies.scaled import Enlarged
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.fleet_figures import draw
from benchmarks.impact_figures import write_picture

DATA = Path(__file__).parents[2] / "shared" / "data"
SIZES = (1, 10, 100, 1_000, 10_000, 30_000)
KINDS = tuple(
    Battery(
        capacity_mwh=hours,
        charge_efficiency=efficiency,
        discharge_efficiency=efficiency,
        max_cycles_per_day=cap,
        wear_cost_eur_mwh=wear,
    )
    for hours, efficiency, cap, wear in (
        (1.0, 0.95, 1.5, 0.0),
        (1.0, 0.9, None, 10.0),
        (2.0, 0.9, 1.1, 0.0),
        (2.0, 0.9, None, 0.0),
        (2.0, 0.95, 2.0, 5.0),
        (3.0, 0.92, 1.1, 0.0),
        (4.0, 0.95, 1.0, 0.0),
        (4.0, 0.9, 1.5, 5.0),
        (4.0, 0.92, None, 0.0),
        (8.0, 0.87, 1.0, 0.0),
    )
)
CHECKED = 6
"""Batteries of the largest fleet whose totals are compared with a backtest of their own."""
console = Console(stderr=True)


def market_2022() -> MarketSeries:
    prices, ahead = DATA / "imbalance_qh_2022.parquet", DATA / "day_ahead_hourly_2021_2022.parquet"
    return read_market(prices, day_ahead=ahead)


def train_kinds(market: MarketSeries, folder: Path) -> None:
    """A policy for each kind; the quickest preset, since this is no measurement of profit."""
    days = {"train_days": DaysOfMonth(1, 20), "validation_days": DaysOfMonth(21, 25)}
    split = DataSplit(market=market, soc_reset=SocReset.NEVER, **days)
    trainer = ClosedFormTrainer.of(split, None, Preset.QUICK)
    for number, battery in enumerate(KINDS):
        console.print(f"training for kind {number + 1} of {len(KINDS)}", highlight=False)
        trainer.fit(split, battery, 0, folder / f"kind-{number}")


def fleet(size: int, folder: Path) -> list[FleetGroup]:
    """`size` batteries: a rule's and a policy's by turns, then the next kind."""
    random = np.random.default_rng(size)
    groups = []
    for number in range(2 * len(KINDS)):
        kind, learned = divmod(number, 2)
        count = len(range(number, size, 2 * len(KINDS)))
        if not count:
            continue
        times = np.exp(random.uniform(np.log(0.1), np.log(50.0), count))
        batteries = [enlarged(KINDS[kind], float(each)) for each in times]
        start = random.uniform(0.0, 1.0, count) * np.array([battery.capacity_mwh for battery in batteries])
        margin = random.uniform(20.0, 200.0, count)
        rule = FleetGroup(SpreadRule(), batteries, start, np.column_stack([-margin, margin]))
        groups.append(FleetGroup(load_policy(folder / f"kind-{kind}"), batteries, start) if learned else rule)
    return groups


def enlarged(battery: Battery, times: float) -> Battery:
    own = {name: getattr(battery, name) for name in battery.__dataclass_fields__}
    return Battery(**own | {"power_mw": times * battery.power_mw, "capacity_mwh": times * battery.capacity_mwh})


def measure(size: int, folder: Path, threads: int) -> dict[str, Any]:
    """One fleet, in this process."""
    market = market_2022()
    year = select(market, soc_reset=SocReset.NEVER)
    run_fleet(market, fleet(2, folder), select(market, days_of_month="1")[:1], threads=threads)
    before_mib = peak_mib()
    began, cpu = time.perf_counter(), time.process_time()
    result = run_fleet(market, fleet(size, folder), year, threads=threads)
    return {
        "batteries": size,
        "quarter_hours": len(market),
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "peak_rss_mib": peak_mib(),
        "peak_rss_mib_before": before_mib,
        "violations": int(result.totals["violations"].sum()),
        "cycles_per_day": float(result.cycles_by_day.mean()),
        "power_mw": float(sum(battery.power_mw for group in fleet(size, folder) for battery in group.batteries)),
        "profit_eur": float(result.totals["profit_eur"].sum()),
    }


def check(size: int, folder: Path) -> float:
    """The largest relative difference between totals in a fleet and in a backtest of the battery's own, from empty."""
    market = market_2022()
    year = select(market, soc_reset=SocReset.NEVER)
    groups = [
        FleetGroup(each.policy, each.batteries[:1], None, None if each.bounds is None else each.bounds[:1])
        for each in fleet(size, folder)[:CHECKED]
    ]
    result, worst = run_fleet(market, groups, year), 0.0
    for number, group in enumerate(groups):
        policy, battery = group.policy, group.batteries[0]
        if isinstance(policy, SpreadRule) and group.bounds is not None:
            low, high = group.bounds[0].tolist()
            alone = SpreadRule(charge_below_eur_mwh=low, discharge_above_eur_mwh=high)
        else:
            alone = Enlarged(policy, policy.battery)
        earned = float(run_backtest(market, battery, alone, year).ledger["profit_eur"].sum())
        worst = max(worst, abs(float(result.totals["profit_eur"][number]) - earned) / abs(earned))
    return worst


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def run_alone(arguments: argparse.Namespace, size: int, folder: Path) -> dict[str, Any]:
    """One fleet in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(size), "--policies", str(folder)]
    command += ["--threads", str(arguments.threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout)
    console.print(f"{size:,} batteries: {row['seconds']:.2f} s, {row['peak_rss_mib']:,.0f} MiB", highlight=False)
    return row


def show(rows: list[dict[str, Any]]) -> None:
    table = Table("batteries", "seconds", "million quarter-hours a second", "peak memory, MiB", "violations")
    for row in rows:
        rate = row["batteries"] * row["quarter_hours"] / row["seconds"] / 1e6
        numbers = (f"{row['seconds']:.2f}", f"{rate:,.1f}", f"{row['peak_rss_mib']:,.0f}", str(row["violations"]))
        table.add_row(f"{row['batteries']:,}", *numbers)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--policies", type=Path, help="where policies of the kinds are kept; default: nowhere")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure, arguments.policies, arguments.threads)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.policies or Path(temporary)
        if not (folder / f"kind-{len(KINDS) - 1}").exists():
            train_kinds(market_2022(), folder)
        rows = [run_alone(arguments, size, folder) for size in arguments.sizes]
        difference = check(max(arguments.sizes), folder)
    show(rows)
    print(f"largest relative difference to backtests of {CHECKED} batteries alone: {difference:.1e}")
    answer = {
        "fleets": rows,
        "largest_relative_difference": difference,
        "threads": arguments.threads,
        "code_revision": code_revision(),
    }
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(answer, indent=2) + "\n")
    if arguments.plot is not None:
        write_picture(draw(rows), arguments.plot)


if __name__ == "__main__":
    main()
