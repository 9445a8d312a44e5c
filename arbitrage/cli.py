"""The command line. Results go to standard output and files, progress and complaints to standard error.

Exit codes: 0 done; 1 the job failed; 2 bad input, every fault named.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from arbitrage.agents.closed_form_config import Preset
from arbitrage.agents.quantile_critic import ACTIONS, at_fraction
from arbitrage.agents.risk_setting import risk_setting
from arbitrage.backtest.comparison import compare_table
from arbitrage.backtest.engine import PERFECT_FORESIGHT
from arbitrage.backtest.metrics import summary
from arbitrage.backtest.report import write_report
from arbitrage.battery import Battery, BatteryState
from arbitrage.cli_backtest import COMPARED, add_backtests
from arbitrage.cli_data import add_commands
from arbitrage.cli_learn import add_learn
from arbitrage.cli_mpc import add_fit_mpc
from arbitrage.cli_options import (
    AS_TRAINED,
    SEVERAL_VALUES,
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
    ProfitToday,
    PublicationDelay,
    Reset,
    RiskAversion,
    RiskHeadOption,
    RiskPreferenceText,
    SocFraction,
    StartTime,
    StopTime,
    Timezone,
    risk_choice,
    time_range,
    time_to_decide,
    with_battery_options,
    write_json,
)
from arbitrage.cli_output import live_progress, print_figures, print_table, stdout, warn
from arbitrage.cli_policies import policies_app
from arbitrage.cli_runs import add_runs
from arbitrage.cli_seeds import Seeds, Workers, train_several
from arbitrage.cli_sweep import add_sweep
from arbitrage.cli_trials import (
    card_of,
    check_risk_settings,
    policy_provenance,
    provenance,
    report_context,
    run_trial,
    trained_timing,
    warn_of_learning,
    warn_of_minutes,
    warn_of_reset,
)
from arbitrage.cli_walk_forward import add_walk_forward
from arbitrage.dispatch import Dispatcher
from arbitrage.doctor import examine
from arbitrage.market.coverage import source_coverage
from arbitrage.market.elia import read_market
from arbitrage.market.reading import Decimal
from arbitrage.market.sample import sample_files
from arbitrage.market.splits import DaysOfMonth, SocReset, select
from arbitrage.output_paths import directory
from arbitrage.quarter_hour import utc_timestamps
from arbitrage.strategies import Trial, find_policy
from arbitrage.training import TrainingPlan, train

app = typer.Typer(
    help="Battery arbitrage in the Belgian imbalance settlement. Positive power is discharge; times are UTC.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Look at market files and fetch them.", no_args_is_help=True)
app.add_typer(data_app, name="data")
add_commands(data_app)
add_backtests(app)
add_walk_forward(app)
add_learn(app)
add_runs(app)
add_fit_mpc(app)
add_sweep(app)
app.add_typer(policies_app, name="policies")


@app.command("train")
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
    card = _train(plan, out)
    write_json(card, json_out)
    if json_out != "-":
        chosen = card["chosen_stage"]
        figures = card["validation"][chosen]
        print_figures({"policy": out, "seconds": card["training_seconds"], "stage": chosen, **figures})


@app.command("decide")
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
    trial = Trial(market, battery, select(market), SocReset.NEVER, DaysOfMonth(1, 31), risk)
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


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Option(help="Directory for policy and report.", callback=directory)] = Path("runs/demo"),
) -> None:
    """Train on the embedded simulated market, backtest on its unseen days, and write a report."""
    files = sample_files()
    market = read_market(files.prices, day_ahead=files.day_ahead, forecasts=files.forecasts)
    battery = Battery(max_cycles_per_day=1.1)
    plan = TrainingPlan(
        market=market, battery=battery, train_days=DaysOfMonth(1, 20), validation_days=DaysOfMonth(21, 25)
    )
    _train(plan, out / "policy")
    reset = SocReset.DAILY
    selection = select(market, days_of_month="26-31", soc_reset=reset)
    trial = Trial(market, battery, selection, reset, plan.validation_days)
    results = [
        run_trial(name, trial) for name in (str(out / "policy"), "idle", "threshold", "spread", PERFECT_FORESIGHT)
    ]
    context = report_context(trial, "Demo on the embedded simulated market", (0,), simulated=True)
    write_report(out / "report.html", results[0], rivals=results[1:], context=context)
    write_json({**summary(results[0]), **provenance(market, reset)}, str(out / "summary.json"))
    print_table(COMPARED, compare_table(results))
    stdout.print(f"report: {out / 'report.html'}", highlight=False)


@app.command("doctor")
def doctor_command(json_out: JsonOut = None) -> None:
    """Check that this installation can do its work; exit 1 if it cannot."""
    findings = examine()
    write_json([vars(finding) for finding in findings], json_out)
    if json_out != "-":
        print_table(("check", "ok", "detail"), [vars(finding) for finding in findings])
    if not all(finding.ok for finding in findings):
        raise RuntimeError("something is not as it should be")


def _train(plan: TrainingPlan, out: Path) -> dict[str, Any]:
    warn_of_minutes(plan.market)
    warn_of_learning(plan)
    with live_progress("training", 1.0) as (progress, task):
        return train(plan, out, lambda text, share: progress.update(task, description=text, completed=share))


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) != float("inf") else None


def expanded(arguments: list[str]) -> list[str]:
    """Write `--prices A B` as `--prices A --prices B`, for the options that take several values."""
    out: list[str] = []
    option: str | None = None
    for argument in arguments:
        if argument.startswith("--"):
            option = argument if argument in SEVERAL_VALUES else None
        elif option is not None and out[-1] != option:
            out.append(option)
        out.append(argument)
    return out
