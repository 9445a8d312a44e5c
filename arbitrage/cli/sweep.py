"""The command that runs a sweep, on processes of this machine or on a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from arbitrage.battery import unit_warnings
from arbitrage.cli.options.build import command
from arbitrage.cli.options.market import MarketOptions
from arbitrage.cli.options.output import JsonOut, write_json
from arbitrage.cli.options.output_paths import directory
from arbitrage.cli.options.panels import OUTPUT
from arbitrage.cli.output import print_table, shown_on, stderr, warn
from arbitrage.cli.trials import warn_of_minutes
from arbitrage.errors import BadInput, Fault
from arbitrage.experiments.sweep.plan import SweepPlan, program
from arbitrage.experiments.sweep.plan_file import SweepFile, read_sweep_file
from arbitrage.experiments.sweep.ray_workers import RayWorkers
from arbitrage.experiments.sweep.run import RETRIES, SweepResults, run_sweep
from arbitrage.experiments.sweep.tables import sweep_tables
from arbitrage.experiments.sweep.workers import ProcessWorkers, Workers
from arbitrage.market.coverage import SourceCoverage
from arbitrage.market.series import MarketSeries
from arbitrage.progress import ProgressCallback

_SHOWN = (
    "battery",
    "strategy",
    "days",
    "profit_eur_per_day",
    "profit_eur_per_day_interval",
    "difference_eur_per_day",
    "difference_eur_per_day_interval",
)


@command(example="sweep grid.toml --out runs/sweep --workers 4", recorded=True)
def sweep_command(
    plan: Annotated[
        Path, typer.Argument(help="The grid, a TOML or JSON file; see arbitrage/experiments/sweep/plan_file.py.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the results; what is done there is not run again.",
            callback=directory,
            rich_help_panel=OUTPUT,
        ),
    ],
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. [default: processor cores]")] = None,
    ray: Annotated[
        str | None,
        typer.Option(help="Address of a Ray cluster to run on instead: auto, host:port or ray://host:port."),
    ] = None,
    retries: Annotated[int, typer.Option(min=0, help="How often a task is tried again whose worker died.")] = RETRIES,
    json_out: JsonOut = None,
) -> None:
    """Train and test over a grid of strategies, seeds, windows, risk settings and batteries."""
    if workers is not None and ray is not None:
        raise BadInput([Fault("workers", "are the cluster's own with --ray")])
    file = read_sweep_file(plan)
    for name, battery in file.plan.batteries.items():
        for text in unit_warnings(battery):
            warn(f"battery {name}: {text}")
    market = _market(file)
    warn_of_minutes(market)
    results = _run(file.plan, market, out, _workers(market, workers, ray), retries)
    _report(results, market, out, json_out)


def _market(file: SweepFile) -> MarketSeries:
    return MarketOptions(**file.market).market()


def _workers(market: MarketSeries, count: int | None, address: str | None) -> Workers:
    return ProcessWorkers(market, count or os.cpu_count() or 1) if address is None else RayWorkers(market, address)


def _run(plan: SweepPlan, market: MarketSeries, out: Path, workers: Workers, retries: int) -> SweepResults:
    try:
        with _live() as show:
            return run_sweep(plan, market, out, workers, retries=retries, progress=show)
    except KeyboardInterrupt:
        stderr.print("interrupted; the same command goes on from here", highlight=False)
        raise


@contextmanager
def _live() -> Iterator[ProgressCallback]:
    """A bar for the whole sweep, and what is being done."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with ProgressBar(*columns, console=stderr) as bar:
        yield shown_on(bar, bar.add_task("", total=None))


def _missing_records(rows: list[dict[str, Any]]) -> list[str]:
    """A sentence for each strategy, window and series of which records were missing."""
    covered = (
        (row, SourceCoverage(source, **counts).warning()) for row in rows for source, counts in row["coverage"].items()
    )
    return [f"{row['strategy']} in window {row['window']}: {text}" for row, text in covered if text]


def _report(results: SweepResults, market: MarketSeries, out: Path, json_out: str | None) -> None:
    tables = sweep_tables(results.folders)
    for text in _missing_records(tables["by_window"]):
        warn(text)
    answer: dict[str, Any] = {
        **tables,
        "folders": {task.label: str(folder.relative_to(out)) for task, folder in results.folders},
        "failures": results.failures,
        "data_sha256": market.data_hash,
        "program": program(),
    }
    write_json(answer, str(out / "sweep.json"))
    write_json(answer, json_out)
    if json_out != "-":
        print_table(_SHOWN, tables["over_windows"])
    if results.failures:
        raise RuntimeError("\n".join(f"{label}: {why}" for label, why in sorted(results.failures.items())))
