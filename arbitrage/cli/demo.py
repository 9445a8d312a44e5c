"""The command `demo`: train and test on the embedded simulated market, and write a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arbitrage.backtest.comparison import compare_table
from arbitrage.backtest.engine import PERFECT_FORESIGHT
from arbitrage.backtest.metrics import summary
from arbitrage.backtest.report.tear_sheet import write_report
from arbitrage.battery import Battery
from arbitrage.cli.backtest import COMPARED
from arbitrage.cli.options.build import command
from arbitrage.cli.options.output import write_json
from arbitrage.cli.options.output_paths import directory
from arbitrage.cli.options.panels import OUTPUT
from arbitrage.cli.output import print_table, stdout
from arbitrage.cli.train import train_with_progress
from arbitrage.cli.trials import (
    provenance,
    report_context,
    run_trial,
)
from arbitrage.experiments.strategies import EvaluationSpec
from arbitrage.market.files.read import read_market
from arbitrage.market.simulation.sample import sample_files
from arbitrage.market.splits import DaysOfMonth, SocReset, select
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit
from arbitrage.training.plan import TrainingPlan


@command(example="demo --out runs/demo")
def demo_command(
    out: Annotated[
        Path, typer.Option(help="Directory for policy and report.", callback=directory, rich_help_panel=OUTPUT)
    ] = Path("runs/demo"),
) -> None:
    """Train on the embedded simulated market, backtest on its unseen days, and write a report."""
    files = sample_files()
    market = read_market(files.prices, day_ahead=files.day_ahead, forecasts=files.forecasts)
    battery = Battery(max_cycles_per_day=1.1)
    split = DataSplit(market=market, train_days=DaysOfMonth(1, 20), validation_days=DaysOfMonth(21, 25))
    plan = TrainingPlan(trainer=ClosedFormTrainer(), split=split, battery=battery)
    train_with_progress(plan, out / "policy")
    reset = SocReset.DAILY
    selection = select(market, days_of_month="26-31", soc_reset=reset)
    trial = EvaluationSpec(market, battery, selection, reset, split.validation_days)
    results = [
        run_trial(name, trial) for name in (str(out / "policy"), "idle", "threshold", "spread", PERFECT_FORESIGHT)
    ]
    context = report_context(trial, "Demo on the embedded simulated market", (0,), simulated=True)
    write_report(out / "report.html", results[0], rivals=results[1:], context=context)
    write_json({**summary(results[0]), **provenance(market, reset)}, str(out / "summary.json"))
    print_table(COMPARED, compare_table(results))
    stdout.print(f"report: {out / 'report.html'}", highlight=False, soft_wrap=True)
