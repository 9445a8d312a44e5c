"""The command `decide`: one decision, with what it rests on."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer

from arbitrage.battery import BatteryState
from arbitrage.cli.options import (
    AS_TRAINED,
    BatteryOptions,
    DayAhead,
    DecimalSign,
    Forecasts,
    JsonOut,
    MarketOptions,
    Minutes,
    Prices,
    ProfitToday,
    PublicationDelay,
    RiskAversion,
    RiskPreferenceText,
    SocFraction,
    Timezone,
    risk_choice,
    time_to_decide,
    with_battery_options,
    write_json,
)
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
from arbitrage.experiments.strategies import EvaluationSpec, find_policy
from arbitrage.market.coverage import source_coverage
from arbitrage.market.files.reading import Decimal
from arbitrage.market.splits import DaysOfMonth, SocReset, select
from arbitrage.policies.checkpoint.risk_setting import risk_setting
from arbitrage.policies.closed_form.quantile_critic import ACTIONS, at_fraction
from arbitrage.quarter_hour import utc_timestamps


@with_battery_options
def decide_command(
    prices: Prices,
    strategy: Annotated[str, typer.Option(help="A policy directory, or the name of a rule.")],
    soc_fraction: SocFraction,
    at: Annotated[str | None, typer.Option(help="Time of deciding, ISO 8601; default: the end of the prices.")] = None,
    cycles_used: Annotated[float, typer.Option(min=0.0, help="Equivalent full cycles since Brussels midnight.")] = 0.0,
    day_ahead: DayAhead = None,
    forecasts: Forecasts = None,
    minutes: Minutes = None,
    publication_delay_min: PublicationDelay = None,
    timezone: Timezone = None,
    decimal: DecimalSign = Decimal.POINT,
    options: BatteryOptions = AS_TRAINED,
    risk_aversion: RiskAversion = None,
    risk_preference: RiskPreferenceText = None,
    profit_today_eur: ProfitToday = 0.0,
    json_out: JsonOut = None,
) -> None:
    """Decide one quarter-hour, or one minute where the policy looks at minutes, on what was known then."""
    card, risk = card_of(strategy), risk_choice(risk_aversion, risk_preference)
    check_risk_settings([strategy], risk)
    read = MarketOptions(
        prices, day_ahead, forecasts, minutes, publication_delay_min, timezone=timezone, decimal=decimal
    )
    market = read.market(*trained_timing([card] if card else []))
    battery = options.battery(card)
    warn_of_reset([card] if card else [], SocReset.NEVER)
    trial = EvaluationSpec(market, battery, select(market), SocReset.NEVER, DaysOfMonth(1, 31), risk)
    policy = find_policy(strategy, trial, warn)
    step_min = policy.step_min
    time = time_to_decide(market, at, step_min)
    coverage = source_coverage(market, policy.needs, np.array([time], dtype=np.int64))
    for text in filter(None, (each.warning() for each in coverage)):
        warn(text)
    state = BatteryState(soc_fraction * battery.capacity_mwh, cycles_used)
    answer = _decision_in_words(Dispatcher(policy, battery, market, time, step_min), state, profit_today_eur)
    answer |= {"coverage": {each.source: each.figures() for each in coverage}, **risk_setting(policy)}
    answer |= {**provenance(market, SocReset.NEVER), **policy_provenance(card)}
    write_json(answer, json_out)
    if json_out != "-":
        print_figures(answer)


def _decision_in_words(dispatcher: Dispatcher, state: BatteryState, profit_today_eur: float) -> dict[str, Any]:
    """One decision, with what may come of each action where the policy can tell."""
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
