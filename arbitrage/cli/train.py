"""The command `train`: from prices and a split of their days to a policy directory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from arbitrage.cli.options.battery import BatteryOptions
from arbitrage.cli.options.build import command
from arbitrage.cli.options.days import SplitOptions
from arbitrage.cli.options.market import MarketOptions
from arbitrage.cli.options.output import PolicyOutput, write_json
from arbitrage.cli.options.panels import TRAINING
from arbitrage.cli.options.training import FeatureSetOption, PresetOption, Seed
from arbitrage.cli.output import live_progress, print_figures, shown_on, warn
from arbitrage.cli.seeds import Seeds, Workers, train_several
from arbitrage.cli.trials import warn_of_learning, warn_of_minutes
from arbitrage.learners.closed_form.config import Preset
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit
from arbitrage.training.plan import TrainingPlan, train


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How the closed form is fitted."""

    PANEL: ClassVar[str] = TRAINING

    seed: Seed = 0
    seeds: Seeds = None
    workers: Workers = None
    members: Annotated[int, typer.Option(min=1, help="Fits to average.")] = 1
    refit: Annotated[bool, typer.Option(help="Learn from the validation days too, once they have chosen.")] = False
    features: FeatureSetOption = None
    preset: PresetOption = Preset.FULL
    risk_head: Annotated[
        bool | None,
        typer.Option(
            help="Search for what the risk aversion does. [default: yes, but not by the minute, where it takes long]"
        ),
    ] = None

    def trainer(self, split: DataSplit) -> ClosedFormTrainer:
        """Raises BadInput."""
        head = {} if self.risk_head is None else {"with_risk_head": self.risk_head}
        return ClosedFormTrainer.of(split, self.features, self.preset, members=self.members, refit=self.refit, **head)


@command(
    example="train --prices ods134.csv --day-ahead day_ahead.csv --max-cycles-per-day 1.5 --out policies/first",
    recorded=True,
)
def train_command(
    market: MarketOptions,
    battery: BatteryOptions,
    days: SplitOptions,
    training: TrainingOptions,
    output: PolicyOutput,
) -> None:
    """Learn a policy from past prices."""
    split = DataSplit(market=market.market(), **days.settings())
    trainer = training.trainer(split)
    plan = TrainingPlan(trainer=trainer, split=split, battery=battery.battery(), seed=training.seed)
    for text in _left_out(trainer):
        warn(text)
    if training.seeds is not None:
        warn_of_minutes(split.market)
        warn_of_learning(plan)
        train_several(plan, training.seeds, training.workers, output.out, output.json_out)
        return
    card = train_with_progress(plan, output.out)
    write_json(card, output.json_out)
    if output.json_out != "-":
        chosen = card["chosen_stage"]
        figures = card["validation"][chosen]
        print_figures({"policy": output.out, "seconds": card["training_seconds"], "stage": chosen, **figures})


def train_with_progress(plan: TrainingPlan, out: Path) -> dict[str, Any]:
    """Train as planned, with warnings and a progress bar on standard error; the card."""
    warn_of_minutes(plan.split.market)
    warn_of_learning(plan)
    with live_progress("training", 1.0) as (bar, task):
        return train(plan, out, shown_on(bar, task))


def _left_out(trainer: ClosedFormTrainer) -> Iterator[str]:
    """What a policy of this training will not be able to do, and the remedy."""
    if not trainer.with_risk_head:
        yield "no risk head is trained: --risk-aversion will not work with this policy; --risk-head trains one"
    if not trainer.with_critic:
        yield "no quantile critic is trained: no outcomes are given, no --risk-preference is taken; preset full has one"
