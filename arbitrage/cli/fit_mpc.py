"""The command that fits model-predictive control: `fit-mpc`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer

from arbitrage.cli.options.battery import BatteryOptions
from arbitrage.cli.options.build import command
from arbitrage.cli.options.days import SplitOptions
from arbitrage.cli.options.market import MarketOptions
from arbitrage.cli.options.output import PolicyOutput, write_json
from arbitrage.cli.options.panels import TRAINING
from arbitrage.cli.options.risk import RiskPreferenceText, risk_choice
from arbitrage.cli.options.training import Seed
from arbitrage.cli.output import live_progress, print_figures, shown_on
from arbitrage.cli.trials import warn_of_learning
from arbitrage.policies.mpc.policy import Form
from arbitrage.training.data_split import DataSplit
from arbitrage.training.mpc import MpcTrainer
from arbitrage.training.plan import TrainingPlan, train


@dataclass(frozen=True, slots=True)
class MpcOptions:
    """How the forecast is fitted and what is planned with it."""

    PANEL: ClassVar[str] = TRAINING

    form: Annotated[Form, typer.Option(help="One path of forecast prices, or several and their risk.")] = (
        Form.DETERMINISTIC
    )
    seed: Seed = 0
    refit: Annotated[bool, typer.Option(help="Learn from the validation days too, once they are measured.")] = False


@command(
    example="fit-mpc --prices ods134.csv --day-ahead day_ahead.csv --form mpc-scenarios --out policies/mpc",
    recorded=True,
)
def fit_mpc_command(
    market: MarketOptions,
    battery: BatteryOptions,
    days: SplitOptions,
    training: MpcOptions,
    output: PolicyOutput,
    risk_preference: RiskPreferenceText = None,
) -> None:
    """Fit a price forecast for rolling model-predictive control (needs scikit-learn: extra `compare`)."""
    split = DataSplit(market=market.market(), **days.settings())
    preference = risk_choice(None, risk_preference).preference
    trainer = MpcTrainer.of(split, training.form, preference, refit=training.refit)
    plan = TrainingPlan(trainer=trainer, split=split, battery=battery.battery(), seed=training.seed)
    warn_of_learning(plan)
    with live_progress("fitting", 1.0) as (bar, task):
        card = train(plan, output.out, shown_on(bar, task))
    write_json(card, output.json_out)
    if output.json_out != "-":
        figures = card["validation"][card["chosen_stage"]]
        print_figures({"policy": output.out, "seconds": card["training_seconds"], **figures})
