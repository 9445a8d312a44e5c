"""The command `train`: from prices and a split of their days to a policy directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from arbitrage.cli.options import (
    AS_TRAINED,
    BatteryOptions,
    DayAhead,
    DecimalSign,
    DecisionLatency,
    FeatureSetOption,
    Forecasts,
    JsonOut,
    MarketOptions,
    Minutes,
    PolicyOut,
    PresetOption,
    Prices,
    PublicationDelay,
    Reset,
    RiskHeadOption,
    StartTime,
    StopTime,
    Timezone,
    time_range,
    with_battery_options,
    write_json,
)
from arbitrage.cli.output import live_progress, print_figures
from arbitrage.cli.seeds import Seeds, Workers, train_several
from arbitrage.cli.trials import (
    warn_of_learning,
    warn_of_minutes,
)
from arbitrage.learners.closed_form.config import Preset
from arbitrage.market.files.reading import Decimal
from arbitrage.market.splits import DaysOfMonth
from arbitrage.training.closed_form import train
from arbitrage.training.plan import TrainingPlan


@with_battery_options
def train_command(
    prices: Prices,
    out: PolicyOut,
    day_ahead: DayAhead = None,
    forecasts: Forecasts = None,
    minutes: Minutes = None,
    publication_delay_min: PublicationDelay = None,
    timezone: Timezone = None,
    decimal: DecimalSign = Decimal.POINT,
    decision_latency_min: DecisionLatency = None,
    options: BatteryOptions = AS_TRAINED,
    start: StartTime = None,
    end: StopTime = None,
    train_days: Annotated[str, typer.Option(help="Days of the month to learn from.")] = "1-20",
    validation_days: Annotated[str, typer.Option(help="Days of the month to choose on.")] = "21-25",
    soc_reset: Reset = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    seeds: Seeds = None,
    workers: Workers = None,
    members: Annotated[int, typer.Option(min=1, help="Fits to average.")] = 1,
    refit: Annotated[bool, typer.Option(help="Learn from the validation days too, once they have chosen.")] = False,
    features: FeatureSetOption = None,
    preset: PresetOption = Preset.FULL,
    risk_head: RiskHeadOption = None,
    json_out: JsonOut = None,
) -> None:
    """Learn a policy from past prices."""
    plan = TrainingPlan.of(
        features,
        MarketOptions(
            prices, day_ahead, forecasts, minutes, publication_delay_min, decision_latency_min, timezone, decimal
        ).market(),
        preset,
        battery=options.battery(None),
        **_learning_days(train_days, validation_days) | time_range(start, end),
        **_given(soc_reset=soc_reset, with_risk_head=risk_head),
        seed=seed,
        members=members,
        refit=refit,
    )
    _train_and_tell(plan, seeds, workers, out, json_out)


def _learning_days(train_days: str, validation_days: str) -> dict[str, DaysOfMonth]:
    days = {"train_days": train_days, "validation_days": validation_days}
    return {name: DaysOfMonth.parse(text) for name, text in days.items()}


def _given(**options: Any) -> dict[str, Any]:
    """Those that were not left out."""
    return {name: value for name, value in options.items() if value is not None}


def _train_and_tell(
    plan: TrainingPlan, seeds: str | None, workers: int | None, out: Path, json_out: str | None
) -> None:
    """One seed, or several in processes of their own, and what came of it."""
    if seeds is not None:
        warn_of_minutes(plan.market)
        warn_of_learning(plan)
        train_several(plan, seeds, workers, out, json_out)
        return
    card = train_with_progress(plan, out)
    write_json(card, json_out)
    if json_out != "-":
        chosen = card["chosen_stage"]
        figures = card["validation"][chosen]
        print_figures({"policy": out, "seconds": card["training_seconds"], "stage": chosen, **figures})


def train_with_progress(plan: TrainingPlan, out: Path) -> dict[str, Any]:
    """Train as planned, with warnings and a progress bar on standard error; the card."""
    warn_of_minutes(plan.market)
    warn_of_learning(plan)
    with live_progress("training", 1.0) as (progress, task):
        return train(plan, out, lambda text, share: progress.update(task, description=text, completed=share))
