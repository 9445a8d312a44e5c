"""The command `decide`: one decision, with what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import typer

from arbitrage.battery import BatteryState
from arbitrage.cli.options.battery import BatteryOptions
from arbitrage.cli.options.build import command
from arbitrage.cli.options.days import time_to_decide
from arbitrage.cli.options.market import MarketOptions
from arbitrage.cli.options.output import FigureOutput, write_json
from arbitrage.cli.options.panels import DAYS, STATE, STRATEGY
from arbitrage.cli.options.risk import RiskOptions
from arbitrage.cli.output import print_figures, warn
from arbitrage.cli.trials import (
    card_of,
    check_risk_settings,
    policy_provenance,
    provenance,
    trained_timing,
    warn_of_reset,
)
from arbitrage.dispatch import Dispatcher
from arbitrage.errors import BadInput, Fault
from arbitrage.experiments.strategies import EvaluationSpec, find_policy
from arbitrage.market.coverage import source_coverage
from arbitrage.market.splits import DaysOfMonth, SocReset, select
from arbitrage.numeric import percent_remedy
from arbitrage.policies.checkpoint.risk_setting import risk_setting
from arbitrage.policies.closed_form.quantile_critic import ACTIONS, at_fraction
from arbitrage.quarter_hour import utc_timestamps


def checked_fraction(option: typer.CallbackParam, value: float) -> float:
    """A fraction from 0 to 1. Raises BadInput, with the fraction that is meant where it looks like percent."""
    if 0.0 <= value <= 1.0:
        return value
    raise BadInput([Fault(str(option.name), f"must be a fraction from 0 to 1, not {value:g}{percent_remedy(value)}")])


@dataclass(frozen=True, slots=True)
class StateOptions:
    """What is decided for."""

    PANEL: ClassVar[str] = STATE

    soc_fraction: Annotated[
        float, typer.Option(help="State of charge, fraction of the capacity.", callback=checked_fraction)
    ]
    cycles_used: Annotated[float, typer.Option(min=0.0, help="Equivalent full cycles since Brussels midnight.")] = 0.0
    profit_today_eur: Annotated[
        float, typer.Option(help="Made since Brussels midnight, as far as its prices are published.")
    ] = 0.0


@command(
    example="decide --prices ods134.csv --day-ahead day_ahead.csv --strategy policies/first --soc-fraction 0.5",
    recorded=True,
)
def decide_command(
    strategy: Annotated[str, typer.Option(help="A policy directory, or the name of a rule.", rich_help_panel=STRATEGY)],
    state: StateOptions,
    market: MarketOptions,
    battery: BatteryOptions,
    risk: RiskOptions,
    output: FigureOutput,
    at: Annotated[
        str | None,
        typer.Option(help="Time of deciding, ISO 8601. [default: the end of the prices]", rich_help_panel=DAYS),
    ] = None,
) -> None:
    """Decide one quarter-hour, or one minute where the policy looks at minutes, on what was known then."""
    card, choice = card_of(strategy), risk.choice()
    check_risk_settings([strategy], choice)
    series = market.market(*trained_timing([card] if card else []))
    warn_of_reset([card] if card else [], SocReset.NEVER)
    trial = EvaluationSpec(series, battery.battery(card), select(series), SocReset.NEVER, DaysOfMonth(1, 31), choice)
    policy = find_policy(strategy, trial, warn)
    time = time_to_decide(series, at, policy.step_min)
    coverage = source_coverage(series, policy.needs, np.array([time], dtype=np.int64))
    for text in filter(None, (each.warning() for each in coverage)):
        warn(text)
    before = BatteryState(state.soc_fraction * trial.battery.capacity_mwh, state.cycles_used)
    dispatcher = Dispatcher(policy, trial.battery, series, time, policy.step_min)
    answer = _decision_in_words(dispatcher, before, state.profit_today_eur)
    answer |= {"coverage": {each.source: each.figures() for each in coverage}, **risk_setting(policy)}
    answer |= {**provenance(series, SocReset.NEVER), **policy_provenance(card)}
    write_json(answer, output.json_out)
    if output.json_out != "-":
        print_figures(answer)


def _decision_in_words(dispatcher: Dispatcher, state: BatteryState, profit_today_eur: float) -> dict[str, Any]:
    """One decision, with what may come of each action where the policy has them."""
    decision, outcomes = dispatcher.decide(0, state, profit_today_eur), dispatcher.outcomes_eur(0, state)
    answer = {
        "time": utc_timestamps([decision.time])[0].isoformat(),
        "sign_convention": "discharge_positive",
        "action": decision.action,
        "power_mw": decision.power_mw,
        "requested_mw": decision.intent.power_mw,
        "shield": decision.shield,
        "reason": decision.intent.reason,
        "charge_advantage_eur": _finite(decision.intent.charge_advantage_eur),
        "discharge_advantage_eur": _finite(decision.intent.discharge_advantage_eur),
        "soc_fraction_end": decision.flow.after.soc_mwh / dispatcher.battery.capacity_mwh,
        "cycles_used_end": decision.flow.after.cycles_used,
    }
    if outcomes is not None:
        for action, levels in zip(ACTIONS, outcomes, strict=True):
            for name, fraction in (("p05", 0.05), ("p50", 0.5), ("p95", 0.95)):
                answer[f"{action}_profit_eur_to_midnight_{name}"] = float(at_fraction(levels, fraction))
    return answer


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) != float("inf") else None
