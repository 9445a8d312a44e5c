"""The command that trains a neural agent: `learn`, with live figures, and resumed when called again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from arbitrage.cli.options import (
    AS_TRAINED,
    BatteryOptions,
    DayAhead,
    DecimalSign,
    FeatureSetOption,
    Forecasts,
    JsonOut,
    MarketOptions,
    Minutes,
    PolicyOut,
    Prices,
    PublicationDelay,
    StartTime,
    StopTime,
    Timezone,
    time_range,
    with_battery_options,
    write_json,
)
from arbitrage.cli.trials import warn_of_learning
from arbitrage.market.files.reading import Decimal
from arbitrage.market.splits import DaysOfMonth
from arbitrage.training.plan import TrainingPlan

if TYPE_CHECKING:
    from arbitrage.learners.neural.registry import Algorithm

stderr = Console(stderr=True)
stdout = Console()


@with_battery_options
def learn_command(
    prices: Prices,
    out: PolicyOut,
    algorithm: Annotated[str, typer.Option(help="Such as dqn, quantile-dqn, discrete-sac, sac, dsac-t; see README.")],
    day_ahead: DayAhead = None,
    forecasts: Forecasts = None,
    minutes: Minutes = None,
    publication_delay_min: PublicationDelay = None,
    timezone: Timezone = None,
    decimal: DecimalSign = Decimal.POINT,
    options: BatteryOptions = AS_TRAINED,
    start: StartTime = None,
    end: StopTime = None,
    train_days: Annotated[str, typer.Option(help="Days of the month to learn from.")] = "1-20",
    validation_days: Annotated[str, typer.Option(help="Days of the month to choose on.")] = "21-25",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    features: FeatureSetOption = None,
    updates: Annotated[int, typer.Option(min=1, help="Gradient updates.")] = 6_000,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    compiled: Annotated[bool, typer.Option(help="Compile the update first; needs a C++ compiler, saves time.")] = True,
    tensorboard: Annotated[Path | None, typer.Option(help="Write figures for TensorBoard to this directory.")] = None,
    json_out: JsonOut = None,
) -> None:
    """Train a neural agent (DQN, SAC and their distributional kin) on counterfactual transitions of past prices."""
    from arbitrage.learners.neural.registry import named_algorithm

    chosen = named_algorithm(algorithm)
    days = TrainingPlan.of(
        features,
        MarketOptions(
            prices, day_ahead, forecasts, minutes, publication_delay_min, timezone=timezone, decimal=decimal
        ).market(),
        battery=options.battery(None),
        train_days=DaysOfMonth.parse(train_days),
        validation_days=DaysOfMonth.parse(validation_days),
        **time_range(start, end),
        seed=seed,
        with_critic=False,
    )
    settings = {"updates": updates, "device": device, "compiled": compiled}
    _show(_learn(days, chosen, settings, out, tensorboard), out, json_out)


def _show(card: dict[str, Any], out: Path, json_out: str | None) -> None:
    write_json(card, json_out)
    if json_out != "-":
        earned = card["validation"]["best"]["profit_eur_per_day"]
        stdout.print(f"policy: {out}, {earned:,.1f} EUR a day on the validation days", highlight=False)


def _learn(
    days: TrainingPlan, algorithm: Algorithm, settings: dict[str, Any], out: Path, tensorboard: Path | None
) -> dict[str, Any]:
    """Train with live figures; torch is loaded no sooner than here."""
    from arbitrage.learners.neural.monitoring import Figures, tensorboard_sink
    from arbitrage.training.neural import LearnerPlan, train_learner

    plan = LearnerPlan(days=days, algorithm=algorithm, **settings)
    warn_of_learning(days)
    to_board = None if tensorboard is None else tensorboard_sink(tensorboard)
    with _live(algorithm, plan.updates) as (progress, task):

        def tell(update: int, figures: Figures) -> None:
            earned, loss = figures["validation_eur_per_day"], figures["loss"]
            words = f"{algorithm}: {earned:,.1f} EUR a day on validation days, loss {loss:.3g}"
            progress.update(task, completed=update, description=words)
            if to_board is not None:
                to_board(update, figures)

        try:
            return train_learner(plan, out, tell, lambda text: stderr.print(f"warning: {text}", markup=False))
        except KeyboardInterrupt:
            stderr.print("interrupted; the same command goes on from here", highlight=False)
            raise


@contextmanager
def _live(algorithm: str, updates: int) -> Iterator[tuple[Progress, Any]]:
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=stderr) as progress:
        yield progress, progress.add_task(f"{algorithm}: encoding and compiling", total=updates)
