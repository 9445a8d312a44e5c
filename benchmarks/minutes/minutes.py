"""What minutes are worth: the reference's split by the minute, on reconstructed 2022 and on simulated markets.

Learn on days 1-20 of each month, choose on 21-25, test on 26 to month end, each day on its own from an empty battery of
1 MW / 2 MWh. For every grade of reconstruction and publication delay: policies that see everything, policies that see
the reference's six features, and policies of the quarter-hour, on the same days, with differences paired by day. One
run is one training seed on one draw of minutes (or one simulated world). Nothing is tuned here.

    python benchmarks/minutes/minutes.py [--runs 5] [--quick] [--kept runs/minutes] [--json OUT]

Every finished run is kept under `--kept`, so that an interrupted benchmark goes on where it was. RECONSTRUCTED minutes
are plausible, not real: read the range over the grades.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from arbitrage.backtest.engine import backtest_perfect_foresight, run_backtest
from arbitrage.backtest.metrics import daily_interval_eur, daily_profit_eur, summary
from arbitrage.battery import Battery
from arbitrage.code_revision import code_revision
from arbitrage.features.names import FeatureSet
from arbitrage.market.files.read import read_market
from arbitrage.market.reconstruction.with_minutes import with_reconstructed_minutes
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.simulator import simulate
from arbitrage.market.splits import DaysOfMonth, SocReset, select, select_rows, spans
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.minute_rule import MinuteSpreadRule, tune_by_minute
from arbitrage.quarter_hour import epoch_minute
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit

DATA = Path(__file__).parents[3] / "shared" / "data"
TEST, TRAIN, VALIDATION = "26-31", DaysOfMonth(1, 20), DaysOfMonth(21, 25)
SIMULATED = "simulated"
RULE, CEILING = "minute rule", "perfect foresight"
CAPS = (None, 1.1)
WORKERS = 2
console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Case:
    """One run."""

    source: str
    """A grade of reconstruction, or `simulated`."""
    delay_min: int
    strategy: str
    """A feature set, or one of RULE and CEILING."""
    cap: float | None
    run: int

    @property
    def name(self) -> str:
        return "-".join(str(part).replace(" ", "_") for part in asdict(self).values())


@lru_cache(maxsize=2)
def market_of(source: str, delay_min: int, run: int) -> MarketSeries:
    """The market of a run: real prices with minutes drawn by seed `run`, or a simulated world of that seed."""
    if source == SIMULATED:
        start, end = epoch_minute("2021-12-31T23:00Z"), epoch_minute("2022-12-31T23:00Z")
        world = simulate(start, end, seed=1000 + run, parameters="2022")
        return world.market(with_minutes=True, publication_delay_min=delay_min)
    market = read_market(
        DATA / "imbalance_qh_2022.parquet",
        day_ahead=DATA / "day_ahead_hourly_2021_2022.parquet",
        publication_delay_min=delay_min,
    )
    return with_reconstructed_minutes(market, source, run)


def run_case(case: Case) -> dict[str, Any]:
    """Daily profits on the test days, and what else is told of a run."""
    market, battery = market_of(case.source, case.delay_min, case.run), Battery(max_cycles_per_day=case.cap)
    selection, about = select(market, days_of_month=TEST), {}
    if case.strategy == CEILING:
        result = backtest_perfect_foresight(market, battery, selection)
    elif case.strategy == RULE:
        tuning = spans(market, select_rows(market, days=VALIDATION), SocReset.DAILY)
        rule = tune_by_minute(MinuteSpreadRule(), market, battery, tuning, f"days {VALIDATION}")
        result = run_backtest(market, battery, rule, selection, step_min=1)
    else:
        with tempfile.TemporaryDirectory() as folder:
            split = DataSplit(market=market, train_days=TRAIN, validation_days=VALIDATION)
            bare = {"with_critic": False, "with_risk_head": False}
            trainer = ClosedFormTrainer.of(split, FeatureSet(case.strategy), **bare)
            card = trainer.fit(split, battery, case.run, Path(folder))
            policy = load_policy(folder)
        about = {"stage": card["chosen_stage"], "validation": card["validation"], "seconds": card["training_seconds"]}
        result = run_backtest(market, battery, policy, selection, step_min=policy.step_min)
    figures = summary(result)
    daily = daily_profit_eur(result.ledger)
    return {
        **asdict(case),
        **about,
        "daily_eur": [round(value, 6) for value in daily.tolist()],
        "cycles_per_day": figures["cycles_per_day"],
        "violations": figures["violations"],
    }


def kept_or_run(case: Case, folder: Path) -> dict[str, Any]:
    """The run's result, from its file if it is there."""
    path = folder / f"{case.name}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    answer = run_case(case)
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps(answer))
    beside.replace(path)
    return answer


def cases(runs: int, quick: bool) -> list[Case]:
    """All runs: the main table first, then grades, delays and simulated worlds with fewer runs each."""
    sets = [str(feature_set) for feature_set in (FeatureSet.FULL, FeatureSet.REFERENCE, FeatureSet.QUARTER_HOUR)]
    main = [("matched", 0, strategy, run) for strategy in sets for run in range(runs)]
    main += [("matched", 0, RULE, 0), ("matched", 0, CEILING, 0)]
    few = min(runs, 3)
    wide = [(grade, 0, "full", run) for grade in ("easy", "harsh", "severe") for run in range(few)]
    wide += [("matched", delay, "full", run) for delay in (1, 2) for run in range(few)]
    wide += [("matched", 1, strategy, run) for strategy in sets[1:] for run in range(few)]
    wide += [(SIMULATED, 0, strategy, run) for strategy in (*sets, RULE, CEILING) for run in range(few)]
    wide += [(SIMULATED, delay, "full", run) for delay in (1, 2) for run in range(few)]
    chosen = main if quick else main + wide
    return [Case(source, delay, strategy, cap, run) for cap in CAPS for source, delay, strategy, run in chosen]


def by_group(results: Iterable[dict[str, Any]]) -> dict[tuple[Any, ...], pd.DataFrame]:
    """Daily profits [days, runs] of each (cap, source, delay, strategy)."""
    groups: dict[tuple[Any, ...], dict[int, list[float]]] = {}
    for result in results:
        key = (result["cap"], result["source"], result["delay_min"], result["strategy"])
        groups.setdefault(key, {})[result["run"]] = result["daily_eur"]
    return {key: pd.DataFrame(runs) for key, runs in groups.items()}


def row_of(key: tuple[Any, ...], groups: dict[tuple[Any, ...], pd.DataFrame]) -> dict[str, Any]:
    cap, source, delay, strategy = key
    daily = groups[key]
    ceiling = groups[(cap, source if source == SIMULATED else "matched", 0, CEILING)].mean(axis=1)
    row = {
        "cap": cap,
        "minutes": source if source == SIMULATED else f"reconstructed, {source}",
        "delay_min": delay,
        "strategy": strategy,
        "runs": daily.shape[1],
        "profit_eur_per_day": float(daily.to_numpy().mean()),
        "by_run": [round(float(value), 1) for value in daily.mean()],
        "interval": [float(bound) for bound in daily_interval_eur(daily.mean(axis=1))],
        "of_ceiling": float(daily.to_numpy().mean() / ceiling.mean()),
    }
    best = groups.get((cap, source, delay, "full"))
    if best is not None and strategy not in ("full", CEILING):
        difference = best.mean(axis=1) - daily.mean(axis=1)
        row["full_minus_this_eur_per_day"] = float(difference.mean())
        row["full_minus_this_interval"] = [float(bound) for bound in daily_interval_eur(difference)]
    return row


def print_rows(rows: list[dict[str, Any]]) -> None:
    names = (
        "minutes",
        "delay",
        "strategy",
        "runs",
        "EUR/day",
        "95 % (days)",
        "runs from - to",
        "of ceiling",
        "full minus",
    )
    for cap in CAPS:
        table = Table(*names, title=f"Test days 26-31, {'no cap' if cap is None else f'cap {cap} cycles a day'}")
        for row in (row for row in rows if row["cap"] == cap):
            low, high = row.get("full_minus_this_interval", (0.0, 0.0))
            versus = f"{row['full_minus_this_eur_per_day']:+,.0f} ({low:+,.0f} to {high:+,.0f})" if low or high else ""
            table.add_row(
                row["minutes"],
                str(row["delay_min"]),
                row["strategy"],
                str(row["runs"]),
                f"{row['profit_eur_per_day']:,.1f}",
                "{:,.0f} to {:,.0f}".format(*row["interval"]),
                f"{min(row['by_run']):,.0f} - {max(row['by_run']):,.0f}",
                f"{row['of_ceiling']:.1%}",
                versus,
            )
        Console(width=160).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="the main table only: matched, no delay")
    parser.add_argument("--kept", type=Path, default=Path("runs/minutes"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    revision = code_revision() or "installed"
    folder = arguments.kept / revision
    folder.mkdir(parents=True, exist_ok=True)
    asked = cases(arguments.runs, arguments.quick)
    with Progress(console=console) as progress, ProcessPoolExecutor(WORKERS) as pool:
        task = progress.add_task("runs", total=len(asked))
        results = []
        for result in pool.map(kept_or_run, asked, [folder] * len(asked)):
            results.append(result)
            progress.advance(task)
            mean = np.mean(result["daily_eur"])
            about = f"{result['strategy']}, {result['source']}, delay {result['delay_min']}, cap {result['cap']}"
            progress.print(f"{about}, run {result['run']}: {mean:,.1f} EUR a day {result.get('stage', '')}")
    groups = by_group(results)
    rows = [row_of(key, groups) for key in groups]
    print_rows(rows)
    if sum(result["violations"] for result in results):
        console.print("[red]the ledger breaks its rules somewhere[/red]")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"code_revision": revision, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
