"""Run folders seen from the command line: leaving one, drawing its tear sheet again, comparing several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from arbitrage.backtest.comparison import compare_table
from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.metrics import full_summary
from arbitrage.backtest.report.export import write_pdf, write_png
from arbitrage.backtest.report.tear_sheet import write_report
from arbitrage.backtest.runs.folder import Run, read_run, span_times, write_run
from arbitrage.backtest.runs.join import read_joined
from arbitrage.cli.options.build import command
from arbitrage.cli.options.output import JsonOut, RunOutput, write_json
from arbitrage.cli.options.output_paths import printed_file, report_file
from arbitrage.cli.options.panels import OUTPUT
from arbitrage.cli.output import say
from arbitrage.cli.trials import card_of, policy_provenance, report_context
from arbitrage.errors import Fault, refuse
from arbitrage.experiments.strategies import EvaluationSpec, risk_facts

RunFolders = Annotated[
    list[Path] | None,
    typer.Argument(metavar="RUN_FOLDER", help="Compare these, and run nothing.", show_default=False),
]


@command(example="report runs/first --pdf first.pdf")
def report_command(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The page. [default: report.html in the run folder]", callback=report_file, rich_help_panel=OUTPUT
        ),
    ] = None,
    pdf: Annotated[
        Path | None,
        typer.Option(
            help="Print the report to a PDF file, by Chromium or Chrome.",
            callback=printed_file(".pdf"),
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(
            help="Draw the report to a PNG file, by Chromium or Chrome.",
            callback=printed_file(".png"),
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json_out: JsonOut = None,
) -> None:
    """Draw the tear sheet of a run folder again, without data or policy, and print it where that is asked for."""
    found = read_run(run)
    page = run / "report.html" if out is None else out
    write_report(page, found.backtests[0], rivals=found.backtests[1:], context=found.context)
    write_json([full_summary(backtest) for backtest in found.backtests], json_out)
    say("report:", str(page))
    print_page(page, pdf, png)


def print_page(page: Path, pdf: Path | None, png: Path | None) -> None:
    """A finished page as PDF and PNG, as far as they are asked for. Raises RuntimeError where no browser is there."""
    for out, write in ((pdf, write_pdf), (png, write_png)):
        if out is not None:
            write(page, out)
            say("printed:", str(out))


@dataclass(frozen=True, slots=True)
class StrategyRun:
    """A strategy, by the name that the user gave it, and what it did in a trial."""

    name: str
    trial: EvaluationSpec
    result: Backtest

    @property
    def facts(self) -> dict[str, Any]:
        """Which policy it was and how its risk was set."""
        card = card_of(self.name)
        policy = policy_provenance(card) if card else {}
        return {"name": self.name, **risk_facts(self.name, self.trial), **policy}


def write_run_output(output: RunOutput, command: str, title: str, tried: Sequence[StrategyRun]) -> None:
    """Write report and run folder as far as they are asked for; the first strategy is the one that they are about."""
    if not output.keeps:
        return
    trial, results = tried[0].trial, tuple(one.result for one in tried)
    seeds = tuple(card["seed"] for one in tried if (card := card_of(one.name)))
    context = report_context(trial, title, seeds)
    if output.report is not None:
        write_report(output.report, results[0], rivals=results[1:], context=context)
        say("report:", str(output.report))
    if output.run_folder is not None:
        facts = tuple(one.facts for one in tried)
        run = Run(backtests=results, context=context, config=_config(command, trial), facts=facts)
        write_run(output.run_folder, run)
        say("run folder:", str(output.run_folder))


def _config(command: str, trial: EvaluationSpec) -> dict[str, Any]:
    return {
        "command": command,
        "spans": span_times(trial.market, trial.selection),
        "tuning_days_of_month": str(trial.tuning_days),
        "minute_seed": trial.market.minute_seed,
    }


def joined_rows(directories: Sequence[Path], report: Path | None) -> list[dict[str, Any]]:
    """The comparison of several run folders, and its page if one is asked for. Raises BadInput."""
    results, first = read_joined(directories)
    if report is not None:
        write_report(report, results[0], rivals=results[1:], context=first.context)
        say("report:", str(report))
    return compare_table(results)


def refuse_beside_runs(**options: object) -> None:
    """Raise BadInput naming what was given beside run folders and means nothing there."""
    refuse(Fault(name, "is not for comparing run folders") for name, value in options.items() if value)
