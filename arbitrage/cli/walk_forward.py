"""The command that walks forward: learn, test the months after, learn again, all strategies on the same days."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import typer

from arbitrage.backtest.comparison import compare_table
from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest, backtest_perfect_foresight, run_backtest
from arbitrage.backtest.report.tear_sheet import write_report
from arbitrage.cli.backtest import COMPARED
from arbitrage.cli.options import (
    AS_TRAINED,
    BatteryOptions,
    DayAhead,
    DecimalSign,
    DecisionLatency,
    FeatureSetOption,
    Forecasts,
    JsonOut,
    KnownAsOption,
    MarketOptions,
    Minutes,
    PresetOption,
    Prices,
    PublicationDelay,
    ReportOut,
    Timezone,
    with_battery_options,
    write_json,
)
from arbitrage.cli.output import live_progress, print_table, say
from arbitrage.cli.output_paths import directory
from arbitrage.cli.trials import provenance, report_context, warn_of_coverage
from arbitrage.errors import Fault, refuse
from arbitrage.experiments.strategies import EvaluationSpec
from arbitrage.experiments.walk_forward import LEARNED, VALIDATION_DAYS, Walk, trainer_named, walk_forward
from arbitrage.learners.closed_form.config import Preset
from arbitrage.market.files.reading import Decimal
from arbitrage.market.splits import SocReset
from arbitrage.market.timing import KnownAs
from arbitrage.market.windows import Window, WindowPlan
from arbitrage.quarter_hour import utc_timestamps

Out = Annotated[
    Path,
    typer.Option(help="Directory of the windows' policies; an interrupted walk goes on there.", callback=directory),
]
TrainFrom = Annotated[str, typer.Option(help="First Brussels day to learn from.")]
TestFrom = Annotated[str, typer.Option(help="First Brussels day to test, the first of a month.")]
TestUntil = Annotated[str, typer.Option(help="Brussels day after the last one to test.")]
RetrainMonths = Annotated[int, typer.Option(help="Months between trainings.")]
RollingDays = Annotated[int | None, typer.Option(help="Days to learn from. [default: all since the first]")]
EmbargoDays = Annotated[int, typer.Option(help="Days between those learned from and those tested.")]
Walkers = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        help="learned, idle, threshold, spread, minute-spread, perfect-foresight or an algorithm of `learn`.",
    ),
]
Seed = Annotated[int, typer.Option(min=0)]
WarmStart = Annotated[bool, typer.Option(help="Neural agents go on with the weights of the window before.")]
Refit = Annotated[bool, typer.Option(help="The closed form also learns from the days that have chosen its stage.")]
_ALONE = (LEARNED, "threshold", "spread", PERFECT_FORESIGHT)


@with_battery_options
def walk_forward_command(
    prices: Prices,
    out: Out,
    train_from: TrainFrom,
    test_from: TestFrom,
    test_until: TestUntil,
    retrain_months: RetrainMonths = 1,
    rolling_days: RollingDays = None,
    embargo_days: EmbargoDays = 0,
    strategy: Walkers = None,
    day_ahead: DayAhead = None,
    forecasts: Forecasts = None,
    minutes: Minutes = None,
    publication_delay_min: PublicationDelay = None,
    timezone: Timezone = None,
    decimal: DecimalSign = Decimal.POINT,
    decision_latency_min: DecisionLatency = None,
    known_as: KnownAsOption = KnownAs.FINAL,
    options: BatteryOptions = AS_TRAINED,
    seed: Seed = 0,
    features: FeatureSetOption = None,
    preset: PresetOption = Preset.FULL,
    warm_start: WarmStart = True,
    refit: Refit = True,
    json_out: JsonOut = None,
    report: ReportOut = None,
) -> None:
    """Train again at intervals and test the months after each training."""
    windows = _windows(train_from, test_from, test_until, (retrain_months, rolling_days, embargo_days))
    market = MarketOptions(
        prices, day_ahead, forecasts, minutes, publication_delay_min, decision_latency_min, timezone, decimal, known_as
    ).market()
    walk = Walk(market=market, battery=options.battery(None), windows=windows)
    learning = {"seed": seed, "warm_start": warm_start, "feature_set": features, "preset": preset, "refit": refit}
    results = [_walked(name, walk, out, learning) for name in strategy or _ALONE]
    _tell(walk, results, json_out, report, seed)


def _windows(
    train_from: str, test_from: str, test_until: str, rhythm: tuple[int, int | None, int]
) -> tuple[Window, ...]:
    """The windows asked for; rhythm: months between trainings, days to learn from, days of embargo. Raises BadInput."""
    days = {"train_from": train_from, "test_from": test_from, "test_until": test_until}
    months, rolling, embargo = rhythm
    plan = WindowPlan(
        **_days(days),
        retrain_months=months,
        rolling_days=rolling,
        embargo_days=embargo,
    )
    return plan.windows()


def _walked(name: str, walk: Walk, out: Path, learning: dict[str, Any]) -> Backtest:
    """One strategy over all windows."""
    selection = walk.selection()
    if name == PERFECT_FORESIGHT:
        return backtest_perfect_foresight(walk.market, walk.battery, selection)
    teach = trainer_named(name, **learning)
    with live_progress(f"{name}: learning", 1.0) as (bar, task):
        policy = walk_forward(
            walk,
            teach,
            out / name,
            name=name,
            tell=lambda text, share: bar.update(task, description=text, completed=share),
        )
    with live_progress(f"{name}: testing", 1.0):
        result = run_backtest(walk.market, walk.battery, policy, selection, step_min=policy.step_min)
    warn_of_coverage(result)
    return result


def _tell(walk: Walk, results: list[Backtest], json_out: str | None, report: Path | None, seed: int) -> None:
    rows = compare_table(results)
    facts = provenance(walk.market, SocReset.NEVER)
    windows = [
        {name: utc_timestamps([getattr(window, name)])[0].isoformat() for name in window.__dataclass_fields__}
        for window in walk.windows
    ]
    write_json({"strategies": rows, "windows": windows, **facts}, json_out)
    if report is not None:
        trial = EvaluationSpec(walk.market, walk.battery, walk.selection(), SocReset.NEVER, VALIDATION_DAYS)
        write_report(report, results[0], rivals=results[1:], context=report_context(trial, "Walk-forward", (seed,)))
        say("report:", str(report))
    if json_out != "-":
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
