"""The command that trains a neural agent: `learn`, with live figures, and resumed when called again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from arbitrage.cli.options.battery import BatteryOptions
from arbitrage.cli.options.build import command
from arbitrage.cli.options.days import SplitOptions
from arbitrage.cli.options.market import MarketOptions
from arbitrage.cli.options.output import PolicyOutput, write_json
from arbitrage.cli.options.panels import TRAINING
from arbitrage.cli.options.training import FeatureSetOption, Seed
from arbitrage.cli.output import shown_on, stderr, stdout
from arbitrage.cli.trials import warn_of_learning
from arbitrage.features.encoder import MarketFeatures
from arbitrage.progress import Progress, ProgressCallback
from arbitrage.training.data_split import DataSplit, full_feature_set
from arbitrage.training.plan import TrainingPlan, train


@dataclass(frozen=True, slots=True)
class LearningOptions:
    """How the agent is trained."""

    PANEL: ClassVar[str] = TRAINING

    algorithm: Annotated[str, typer.Option(help="Such as dqn, quantile-dqn, discrete-sac, sac, dsac-t; see README.")]
    seed: Seed = 0
    features: FeatureSetOption = None
    updates: Annotated[int, typer.Option(min=1, help="Gradient updates.")] = 6_000
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu"
    compiled: Annotated[bool, typer.Option(help="Compile the update first; needs a C++ compiler, saves time.")] = True
    tensorboard: Annotated[Path | None, typer.Option(help="Write figures for TensorBoard to this directory.")] = None


@command(
    example="learn --prices ods134.csv --day-ahead day_ahead.csv --algorithm quantile-dqn --out policies/agent",
    recorded=True,
)
def learn_command(
    market: MarketOptions,
    battery: BatteryOptions,
    days: SplitOptions,
    training: LearningOptions,
    output: PolicyOutput,
) -> None:
    """Train a neural agent (DQN, SAC and their distributional kin) on counterfactual transitions of past prices."""
    from arbitrage.learners.neural.registry import named_learner
    from arbitrage.training.neural import NeuralTrainer

    named_learner(training.algorithm)
    split = DataSplit(market=market.market(), **days.settings())
    trainer = NeuralTrainer(
        algorithm=training.algorithm,
        features=MarketFeatures(training.features or full_feature_set(split.market)),
        updates=training.updates,
        device=training.device,
        compiled=training.compiled,
    )
    plan = TrainingPlan(trainer=trainer, split=split, battery=battery.battery(), seed=training.seed)
    card = _learn(plan, training, output.out)
    write_json(card, output.json_out)
    if output.json_out != "-":
        earned = card["validation"]["best"]["profit_eur_per_day"]
        stdout.print(f"policy: {output.out}, {earned:,.1f} EUR a day on the validation days", highlight=False)


def _learn(plan: TrainingPlan, training: LearningOptions, out: Path) -> dict[str, Any]:
    """Train with live figures; torch is loaded no sooner than here."""
    from arbitrage.learners.neural.monitoring import tensorboard_sink

    warn_of_learning(plan)
    to_board = None if training.tensorboard is None else tensorboard_sink(training.tensorboard)
    try:
        with _live(training.algorithm, training.updates, to_board) as show:
            return train(plan, out, show)
    except KeyboardInterrupt:
        stderr.print("interrupted; the same command goes on from here", highlight=False)
        raise


@contextmanager
def _live(algorithm: str, updates: int, to_board: ProgressCallback | None) -> Iterator[ProgressCallback]:
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with ProgressBar(*columns, console=stderr) as bar:
        on_bar = shown_on(bar, bar.add_task(f"{algorithm}: encoding and compiling", total=updates))

        def show(progress: Progress) -> None:
            on_bar(progress)
            if to_board is not None and progress.figures:
                to_board(progress)

        yield show
