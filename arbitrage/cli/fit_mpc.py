"""The command that fits model-predictive control: `fit-mpc`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from arbitrage.cli.options import (
    AS_TRAINED,
    BatteryOptions,
    DayAhead,
    DecimalSign,
    Forecasts,
    JsonOut,
    MarketOptions,
    PolicyOut,
    Prices,
    PublicationDelay,
    Reset,
    RiskPreferenceText,
    StartTime,
    StopTime,
    Timezone,
    risk_choice,
    time_range,
    with_battery_options,
    write_json,
)
from arbitrage.cli.output import live_progress, print_figures
from arbitrage.cli.trials import warn_of_learning
from arbitrage.features.names import FeatureSet
from arbitrage.market.files.reading import Decimal
from arbitrage.market.splits import DaysOfMonth, SocReset
from arbitrage.policies.mpc.policy import Form
from arbitrage.training.mpc import MpcPlan, fit_mpc
from arbitrage.training.plan import TrainingPlan


@with_battery_options
def fit_mpc_command(
    prices: Prices,
    out: PolicyOut,
    form: Annotated[Form, typer.Option(help="One path of forecast prices, or several and their risk.")] = (
        Form.DETERMINISTIC
    ),
    day_ahead: DayAhead = None,
    forecasts: Forecasts = None,
    publication_delay_min: PublicationDelay = None,
    timezone: Timezone = None,
    decimal: DecimalSign = Decimal.POINT,
    options: BatteryOptions = AS_TRAINED,
    start: StartTime = None,
    end: StopTime = None,
    train_days: Annotated[str, typer.Option(help="Days of the month to learn from.")] = "1-20",
    validation_days: Annotated[str, typer.Option(help="Days of the month that tell what came of it.")] = "21-25",
    soc_reset: Reset = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    refit: Annotated[bool, typer.Option(help="Learn from the validation days too, once they have told.")] = False,
    risk_preference: RiskPreferenceText = None,
    json_out: JsonOut = None,
) -> None:
    """Fit a price forecast for rolling model-predictive control (needs scikit-learn: extra `compare`)."""
    days = TrainingPlan.of(
        FeatureSet.QUARTER_HOUR,
        MarketOptions(
            prices, day_ahead, forecasts, None, publication_delay_min, timezone=timezone, decimal=decimal
        ).market(),
        battery=options.battery(None),
        train_days=DaysOfMonth.parse(train_days),
        validation_days=DaysOfMonth.parse(validation_days),
        **time_range(start, end),
        soc_reset=soc_reset or SocReset.DAILY,
        seed=seed,
        refit=refit,
    )
    card = _fit(MpcPlan.of(form, days, risk_choice(None, risk_preference).preference), out)
    write_json(card, json_out)
    if json_out != "-":
        figures = card["validation"][card["chosen_stage"]]
        print_figures({"policy": out, "seconds": card["training_seconds"], **figures})


def _fit(plan: MpcPlan, out: Path) -> dict[str, Any]:
    warn_of_learning(plan.days)
    with live_progress("fitting", 1.0) as (progress, task):
        return fit_mpc(plan, out, lambda text, share: progress.update(task, description=text, completed=share))
