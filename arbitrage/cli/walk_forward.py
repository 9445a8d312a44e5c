"""The command that walks forward: learn, test the months after, learn again, all strategies on the same days."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from arbitrage.backtest.comparison import compare_table
from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest, backtest_perfect_foresight, run_backtest
from arbitrage.backtest.report.tear_sheet import write_report
from arbitrage.cli.backtest import COMPARED
from arbitrage.cli.options.battery import BatteryOptions
from arbitrage.cli.options.build import command
from arbitrage.cli.options.market import MarketOptions
from arbitrage.cli.options.output import ReportOutput, write_json
from arbitrage.cli.options.output_paths import directory
from arbitrage.cli.options.panels import DAYS, STRATEGY, TRAINING
from arbitrage.cli.options.training import FeatureSetOption, PresetOption, Seed
from arbitrage.cli.output import live_progress, print_table, say, shown_on
from arbitrage.cli.trials import provenance, report_context, warn_of_coverage
from arbitrage.errors import Fault, refuse
from arbitrage.experiments.strategies import EvaluationSpec
from arbitrage.experiments.walk_forward import VALIDATION_DAYS, Walk, WindowTrainer, walk_forward
from arbitrage.learners.closed_form.config import Preset
from arbitrage.market.splits import SocReset
from arbitrage.market.windows import Window, WindowPlan
from arbitrage.policies.strategy_spec import folder_name
from arbitrage.quarter_hour import utc_timestamps
from arbitrage.training.methods import LEARNED, TrainingSettings

_ALONE = (LEARNED, "threshold", "spread", PERFECT_FORESIGHT)


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """The windows to learn from and to test."""

    PANEL: ClassVar[str] = DAYS

    train_from: Annotated[str, typer.Option(help="First Brussels day to learn from.")]
    test_from: Annotated[str, typer.Option(help="First Brussels day to test, the first of a month.")]
    test_until: Annotated[str, typer.Option(help="Brussels day after the last one to test.")]
    retrain_months: Annotated[int, typer.Option(help="Months between trainings.")] = 1
    rolling_days: Annotated[int | None, typer.Option(help="Days to learn from. [default: all since the first]")] = None
    embargo_days: Annotated[int, typer.Option(help="Days between those learned from and those tested.")] = 0

    def windows(self) -> tuple[Window, ...]:
        """Raises BadInput, naming every day that is none."""
        days = {name: getattr(self, name) for name in ("train_from", "test_from", "test_until")}
        plan = WindowPlan(
            **_days(days),
            retrain_months=self.retrain_months,
            rolling_days=self.rolling_days,
            embargo_days=self.embargo_days,
        )
        return plan.windows()


@dataclass(frozen=True, slots=True)
class WindowTrainingOptions:
    """How each window's policies are trained."""

    PANEL: ClassVar[str] = TRAINING

    seed: Seed = 0
    features: FeatureSetOption = None
    preset: PresetOption = Preset.FULL
    warm_start: Annotated[bool, typer.Option(help="Neural agents go on with the weights of the window before.")] = True
    refit: Annotated[
        bool, typer.Option(help="The closed form also learns from the days that have chosen its stage.")
    ] = True

    def trainer(self, name: str) -> WindowTrainer:
        """What trains the method of that name."""
        settings = TrainingSettings(features=self.features, preset=self.preset, refit=self.refit)
        return WindowTrainer(method=name, seed=self.seed, settings=settings, warm_start=self.warm_start)


@dataclass(frozen=True, slots=True, kw_only=True)
class _WalkOutput(ReportOutput):
    """What a walk leaves."""

    out: Annotated[
        Path,
        typer.Option(help="Directory of the windows' policies; an interrupted walk goes on there.", callback=directory),
    ]


@command(
    example="walk-forward --prices ods134.csv --day-ahead day_ahead.csv --train-from 2021-01-01 "
    "--test-from 2022-01-01 --test-until 2023-01-01 --out runs/walk",
    recorded=True,
)
def walk_forward_command(
    market: MarketOptions,
    battery: BatteryOptions,
    days: WindowOptions,
    training: WindowTrainingOptions,
    output: _WalkOutput,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            help="learned, a rule, mpc, mpc-scenarios, an algorithm of `learn`, or perfect-foresight; several may "
            "follow. [default: learned, threshold, spread and perfect-foresight]",
            rich_help_panel=STRATEGY,
        ),
    ] = None,
) -> None:
    """Train again at intervals and test the months after each training."""
    windows = days.windows()
    walk = Walk(market=market.market(), battery=battery.battery(), windows=windows)
    results = [_walked(training.trainer(name), walk, output.out) for name in strategy or _ALONE]
    _report(walk, results, output, training.seed)


def _walked(trainer: WindowTrainer, walk: Walk, out: Path) -> Backtest:
    """One strategy over all windows."""
    selection, name = walk.selection(), trainer.method
    if name == PERFECT_FORESIGHT:
        return backtest_perfect_foresight(walk.market, walk.battery, selection)
    with live_progress(f"{name}: learning", 1.0) as (bar, task):
        policy = walk_forward(walk, trainer, out / folder_name(name), name=name, progress=shown_on(bar, task))
    with live_progress(f"{name}: testing", 1.0):
        result = run_backtest(walk.market, walk.battery, policy, selection, step_min=policy.step_min)
    warn_of_coverage(result)
    return result


def _report(walk: Walk, results: list[Backtest], output: ReportOutput, seed: int) -> None:
    rows = compare_table(results)
    facts = provenance(walk.market, SocReset.NEVER)
    windows = [
        {name: utc_timestamps([getattr(window, name)])[0].isoformat() for name in window.__dataclass_fields__}
        for window in walk.windows
    ]
    write_json({"strategies": rows, "windows": windows, **facts}, output.json_out)
    if output.report is not None:
        trial = EvaluationSpec(walk.market, walk.battery, walk.selection(), SocReset.NEVER, VALIDATION_DAYS)
        write_report(
            output.report, results[0], rivals=results[1:], context=report_context(trial, "Walk-forward", (seed,))
        )
        say("report:", str(output.report))
    if output.json_out != "-":
        print_table(COMPARED, rows)


def _days(texts: dict[str, str]) -> dict[str, dt.date]:
    """Days by name. Raises BadInput, naming all that are none."""
    found, faults = {}, []
    for name, text in texts.items():
        try:
            found[name] = dt.date.fromisoformat(text)
        except ValueError:
            faults.append(Fault(name, f"{text!r} is not a day such as 2022-01-01"))
    refuse(faults)
    return found
