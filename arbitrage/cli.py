"""The command line. Results go to standard output and files, progress and complaints to standard error.

Exit codes: 0 done; 1 the job failed; 2 bad input, every fault named.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from arbitrage.agents.checkpoint import CARD_FILE, read_card
from arbitrage.agents.closed_form_config import Preset
from arbitrage.agents.quantile_critic import ACTIONS, at_fraction
from arbitrage.agents.risk_setting import risk_setting
from arbitrage.backtest.comparison import compare_table
from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest
from arbitrage.backtest.metrics import summary
from arbitrage.backtest.report import PriceStage, ReportContext, write_report
from arbitrage.battery import Battery, BatteryState
from arbitrage.cli_data import add_commands
from arbitrage.cli_learn import add_learn
from arbitrage.cli_options import (
    SEVERAL_VALUES,
    BatteryOptions,
    Capacity,
    ChargeEfficiency,
    DayAhead,
    DischargeEfficiency,
    FeatureSetOption,
    Forecasts,
    JsonOut,
    MarketOptions,
    MaxCycles,
    Minutes,
    Power,
    PresetOption,
    Prices,
    ProfitToday,
    PublicationDelay,
    ReportOut,
    Reset,
    RiskAversion,
    RiskAversions,
    RiskHeadOption,
    RiskPreferenceText,
    StartTime,
    StopTime,
    Strategies,
    StrategyName,
    TestDays,
    TuneDays,
    WearCost,
    price_stage,
    risk_choice,
    selection_of,
    time_range,
    time_to_decide,
    write_json,
)
from arbitrage.cli_policies import Record, policies_app, prepare_recording
from arbitrage.cli_seeds import Seeds, Workers, train_several
from arbitrage.dispatch import Dispatcher
from arbitrage.doctor import examine
from arbitrage.errors import BadInput, Fault
from arbitrage.market.elia import read_market, read_table
from arbitrage.market.sample import sample_files
from arbitrage.market.series import RECONSTRUCTED, MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset
from arbitrage.market.tapes import DAY_AHEAD
from arbitrage.quarter_hour import utc_timestamps
from arbitrage.strategies import Trial, decision_step_min, find_policy, risk_facts, try_strategy
from arbitrage.training import TrainingPlan, code_revision, train

app = typer.Typer(
    help="Battery arbitrage in the Belgian imbalance settlement. Positive power is discharge; times are UTC.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Look at market files and fetch them.", no_args_is_help=True)
app.add_typer(data_app, name="data")
add_commands(data_app)
add_learn(app)
app.add_typer(policies_app, name="policies")
_COMPARED = (
    "strategy",
    "profit_eur_per_day",
    "capture_fraction",
    "cycles_per_day",
    "conditional_value_at_risk_eur",
    "difference_eur_per_day",
    "difference_eur_per_day_interval",
)
"""Columns that fit a terminal; the JSON has all."""
stderr = Console(stderr=True)
stdout = Console()


@contextmanager
def _progress(text: str, total: float) -> Iterator[tuple[Progress, Any]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as progress:
        yield progress, progress.add_task(text, total=total)


@data_app.command("validate")
def data_validate(files: Annotated[list[Path], typer.Argument(help="Market files of any kind.")]) -> None:
    """Read files and say what is wrong with them: exit 0 if nothing, 2 with every fault listed."""
    faults: list[Fault] = []
    for file in files:
        try:
            table = read_table(file)
        except BadInput as refused:
            faults.extend(refused.faults)
            continue
        counts = f"{len(table.frame)} rows, {len(table.gaps())} gaps, {table.duplicates_collapsed} duplicates"
        _say(f"{table.kind.value}:", f"{file}: {counts}, {table.revisions} revisions")
    if faults:
        raise BadInput(faults)


@data_app.command("info")
def data_info(
    files: Annotated[list[Path], typer.Argument(help="Market files of any kind.")], json_out: JsonOut = None
) -> None:
    """Say what files hold."""
    rows = []
    for file in files:
        table = read_table(file)
        frame = table.frame
        rows.append(
            {
                "file": str(file),
                "kind": table.kind.value,
                "rows": len(frame),
                "first": frame.index[0].isoformat(),
                "last": frame.index[-1].isoformat(),
                "gaps": [[start.isoformat(), end.isoformat()] for start, end in table.gaps()],
                "columns": list(frame.columns),
                "unread_columns": list(table.unread_columns),
            }
        )
    write_json(rows, json_out)
    if json_out != "-":
        _print_table(
            ("file", "kind", "rows", "first", "last", "gaps"), [{**row, "gaps": len(row["gaps"])} for row in rows]
        )


@app.command("backtest")
def backtest_command(
    prices: Prices,
    strategy: StrategyName,
    day_ahead: DayAhead = None,
    forecasts: Forecasts = None,
    minutes: Minutes = None,
    publication_delay_min: PublicationDelay = None,
    power_mw: Power = None,
    capacity_mwh: Capacity = None,
    charge_efficiency: ChargeEfficiency = None,
    discharge_efficiency: DischargeEfficiency = None,
    max_cycles_per_day: MaxCycles = None,
    wear_cost_eur_mwh: WearCost = None,
    start: StartTime = None,
    end: StopTime = None,
    days_of_month: TestDays = None,
    soc_reset: Reset = None,
    tune_days: TuneDays = "21-25",
    risk_aversion: RiskAversion = None,
    risk_preference: RiskPreferenceText = None,
    json_out: JsonOut = None,
    report: ReportOut = None,
    record: Record = None,
) -> None:
    """Run a strategy over past prices, settle it, and write figures and a report."""
    options = BatteryOptions(
        power_mw, capacity_mwh, charge_efficiency, discharge_efficiency, max_cycles_per_day, wear_cost_eur_mwh
    )
    card = _card_of(strategy)
    market = MarketOptions(prices, day_ahead, forecasts, minutes, publication_delay_min).market(_delay(card))
    selection, reset = selection_of(market, start, end, days_of_month, soc_reset)
    _warn_of_reset(card, reset)
    risk = risk_choice(risk_aversion, risk_preference)
    trial = Trial(market, options.battery(card), selection, reset, DaysOfMonth.parse(tune_days), risk)
    recording = prepare_recording(record, strategy, card, trial)
    result, provenance = _try(strategy, trial), _provenance(trial.market, reset) | risk_facts(strategy, trial)
    figures = {**summary(result), **provenance, **_policy_provenance(card)}
    write_json(figures, json_out)
    if recording is not None:
        recording.write(result, provenance)
    if report is not None:
        _report_backtest(report, strategy, result, trial, (card["seed"],) if card else ())
    if json_out != "-":
        _print_figures(figures)
    _refuse_violations(result)


def _refuse_violations(result: Backtest) -> None:
    if len(result.violations):
        raise RuntimeError(f"the ledger breaks its rules:\n{result.violations}")


def _report_backtest(report: Path, strategy: str, result: Backtest, trial: Trial, seeds: tuple[int, ...]) -> None:
    """The report of one strategy, with the floors, the rules and the ceiling beside it."""
    rivals = [name for name in ("idle", "threshold", *_spreads(trial.market), PERFECT_FORESIGHT) if name != strategy]
    context = _context(trial, f"Backtest: {result.strategy}", seeds)
    write_report(report, result, rivals=[_try(name, trial) for name in rivals], context=context)
    _say("report:", str(report))


@app.command("compare")
def compare_command(
    prices: Prices,
    strategy: Strategies,
    day_ahead: DayAhead = None,
    forecasts: Forecasts = None,
    minutes: Minutes = None,
    publication_delay_min: PublicationDelay = None,
    power_mw: Power = None,
    capacity_mwh: Capacity = None,
    charge_efficiency: ChargeEfficiency = None,
    discharge_efficiency: DischargeEfficiency = None,
    max_cycles_per_day: MaxCycles = None,
    wear_cost_eur_mwh: WearCost = None,
    start: StartTime = None,
    end: StopTime = None,
    days_of_month: TestDays = None,
    soc_reset: Reset = None,
    tune_days: TuneDays = "21-25",
    risk_aversion: RiskAversions = None,
    risk_preference: RiskPreferenceText = None,
    json_out: JsonOut = None,
    report: ReportOut = None,
) -> None:
    """Run several strategies over the same days, with differences to the first one paired by day."""
    options = BatteryOptions(
        power_mw, capacity_mwh, charge_efficiency, discharge_efficiency, max_cycles_per_day, wear_cost_eur_mwh
    )
    cards = [card for name in strategy if (card := _card_of(name))]
    market_options = MarketOptions(prices, day_ahead, forecasts, minutes, publication_delay_min)
    market = market_options.market(_common_delay(cards))
    selection, reset = selection_of(market, start, end, days_of_month, soc_reset)
    for card in cards:
        _warn_of_reset(card, reset)
    trial = Trial(market, options.battery(cards[0] if cards else None), selection, reset, DaysOfMonth.parse(tune_days))
    results = [_try(*both) for both in _trials(strategy, trial, risk_aversion, risk_preference)]
    rows = compare_table(results)
    write_json({"strategies": rows, **_provenance(market, reset)}, json_out)
    if report is not None:
        seeds = tuple(card["seed"] for card in cards)
        write_report(report, results[0], rivals=results[1:], context=_context(trial, "Comparison", seeds))
        _say("report:", str(report))
    if json_out != "-":
        _print_table(_COMPARED, rows)


def _common_delay(cards: list[dict[str, Any]]) -> int | None:
    """The publication delay that all these policies were trained for; None if there are none. Raises BadInput."""
    delays = sorted({int(card["publication_delay_min"]) for card in cards})
    if len(delays) > 1:
        raise BadInput([Fault("strategy", f"the policies were trained for different delays: {delays} min")])
    return delays[0] if delays else None


@app.command("train")
def train_command(
    prices: Prices,
    out: Annotated[Path, typer.Option(help="Directory of the policy; an interrupted training there is resumed.")],
    day_ahead: DayAhead = None,
    forecasts: Forecasts = None,
    minutes: Minutes = None,
    publication_delay_min: PublicationDelay = None,
    power_mw: Power = None,
    capacity_mwh: Capacity = None,
    charge_efficiency: ChargeEfficiency = None,
    discharge_efficiency: DischargeEfficiency = None,
    max_cycles_per_day: MaxCycles = None,
    wear_cost_eur_mwh: WearCost = None,
    start: StartTime = None,
    end: StopTime = None,
    train_days: Annotated[str, typer.Option(help="Days of the month to learn from.")] = "1-20",
    validation_days: Annotated[str, typer.Option(help="Days of the month to choose on.")] = "21-25",
    soc_reset: Reset = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    seeds: Seeds = None,
    workers: Workers = None,
    members: Annotated[int, typer.Option(min=1, help="Fits to average.")] = 1,
    features: FeatureSetOption = None,
    preset: PresetOption = Preset.FULL,
    risk_head: RiskHeadOption = None,
    json_out: JsonOut = None,
) -> None:
    """Learn a policy from past prices."""
    options = BatteryOptions(
        power_mw, capacity_mwh, charge_efficiency, discharge_efficiency, max_cycles_per_day, wear_cost_eur_mwh
    )
    plan = TrainingPlan.of(
        features,
        MarketOptions(prices, day_ahead, forecasts, minutes, publication_delay_min).market(),
        preset,
        battery=options.battery(None),
        train_days=DaysOfMonth.parse(train_days),
        validation_days=DaysOfMonth.parse(validation_days),
        **time_range(start, end),
        soc_reset=soc_reset or SocReset.DAILY,
        seed=seed,
        members=members,
        **({} if risk_head is None else {"with_risk_head": risk_head}),
    )
    _train_and_tell(plan, seeds, workers, out, json_out)


def _train_and_tell(
    plan: TrainingPlan, seeds: str | None, workers: int | None, out: Path, json_out: str | None
) -> None:
    """One seed, or several in processes of their own, and what came of it."""
    if seeds is not None:
        _warn_of_minutes(plan.market)
        train_several(plan, seeds, workers, out, json_out)
        return
    card = _train(plan, out)
    write_json(card, json_out)
    if json_out != "-":
        chosen = card["chosen_stage"]
        figures = card["validation"][chosen]
        _print_figures({"policy": out, "seconds": card["training_seconds"], "stage": chosen, **figures})


@app.command("decide")
def decide_command(
    prices: Prices,
    strategy: Annotated[str, typer.Option(help="A policy directory, or the name of a rule.")],
    soc_fraction: Annotated[float, typer.Option(min=0.0, max=1.0, help="State of charge, share of capacity.")],
    at: Annotated[str | None, typer.Option(help="Time of deciding, ISO 8601; default: the end of the prices.")] = None,
    cycles_used: Annotated[float, typer.Option(min=0.0, help="Equivalent full cycles since Brussels midnight.")] = 0.0,
    day_ahead: DayAhead = None,
    forecasts: Forecasts = None,
    minutes: Minutes = None,
    publication_delay_min: PublicationDelay = None,
    power_mw: Power = None,
    capacity_mwh: Capacity = None,
    charge_efficiency: ChargeEfficiency = None,
    discharge_efficiency: DischargeEfficiency = None,
    max_cycles_per_day: MaxCycles = None,
    wear_cost_eur_mwh: WearCost = None,
    risk_aversion: RiskAversion = None,
    risk_preference: RiskPreferenceText = None,
    profit_today_eur: ProfitToday = 0.0,
    json_out: JsonOut = None,
) -> None:
    """Decide one quarter-hour, or one minute where the policy looks at minutes, on what was known then."""
    options = BatteryOptions(
        power_mw, capacity_mwh, charge_efficiency, discharge_efficiency, max_cycles_per_day, wear_cost_eur_mwh
    )
    card = _card_of(strategy)
    market = MarketOptions(prices, day_ahead, forecasts, minutes, publication_delay_min).market(_delay(card))
    battery = options.battery(card)
    _warn_of_reset(card, SocReset.NEVER)
    selection, risk = selection_of(market, None, None, None, None)[0], risk_choice(risk_aversion, risk_preference)
    trial = Trial(market, battery, selection, SocReset.NEVER, DaysOfMonth(1, 31), risk)
    policy = find_policy(strategy, trial, _warn)
    step_min = decision_step_min(policy)
    time = time_to_decide(market, at, step_min)
    state = BatteryState(soc_fraction * battery.capacity_mwh, cycles_used)
    answer = _decision_in_words(Dispatcher(policy, battery, market, time, step_min), state, profit_today_eur)
    answer |= risk_setting(policy)
    answer |= {**_provenance(market, SocReset.NEVER), **_policy_provenance(card)}
    write_json(answer, json_out)
    if json_out != "-":
        _print_figures(answer)


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
    out: Annotated[Path, typer.Option(help="Directory for policy and report.")] = Path("runs/demo"),
) -> None:
    """Train on the embedded simulated market, backtest on its unseen days, and write a report."""
    files = sample_files()
    market = read_market(files.prices, day_ahead=files.day_ahead, forecasts=files.forecasts)
    battery = Battery(max_cycles_per_day=1.1)
    plan = TrainingPlan(
        market=market, battery=battery, train_days=DaysOfMonth(1, 20), validation_days=DaysOfMonth(21, 25)
    )
    _train(plan, out / "policy")
    selection, reset = selection_of(market, None, None, "26-31", None)
    trial = Trial(market, battery, selection, reset, plan.validation_days)
    results = [_try(name, trial) for name in (str(out / "policy"), "idle", "threshold", "spread", PERFECT_FORESIGHT)]
    context = _context(trial, "Demo on the embedded simulated market", (0,), simulated=True)
    write_report(out / "report.html", results[0], rivals=results[1:], context=context)
    write_json({**summary(results[0]), **_provenance(market, reset)}, str(out / "summary.json"))
    _print_table(_COMPARED, compare_table(results))
    stdout.print(f"report: {out / 'report.html'}", highlight=False)


@app.command("doctor")
def doctor_command(json_out: JsonOut = None) -> None:
    """Check that this installation can do its work; exit 1 if it cannot."""
    findings = examine()
    write_json([vars(finding) for finding in findings], json_out)
    if json_out != "-":
        _print_table(("check", "ok", "detail"), [vars(finding) for finding in findings])
    if not all(finding.ok for finding in findings):
        raise RuntimeError("something is not as it should be")


def _train(plan: TrainingPlan, out: Path) -> dict[str, Any]:
    _warn_of_minutes(plan.market)
    with _progress("training", 1.0) as (progress, task):
        return train(plan, out, lambda text, share: progress.update(task, description=text, completed=share))


def _card_of(strategy: str) -> dict[str, Any] | None:
    return read_card(Path(strategy)) if (Path(strategy) / CARD_FILE).is_file() else None


def _delay(card: dict[str, Any] | None) -> int | None:
    """The publication delay that a policy was trained for; None for a rule."""
    return None if card is None else int(card["publication_delay_min"])


def _warn_of_reset(card: dict[str, Any] | None, reset: SocReset) -> None:
    trained = reset.value if card is None else card["split"]["soc_reset"]
    if trained != reset.value:
        _warn(f"the policy learned with soc-reset {trained} and is used with {reset.value}: it misjudges midnight")


def _try(name: str, trial: Trial) -> Backtest:
    total = sum(len(span) for span in trial.selection)
    with _progress(f"backtesting {name}", total) as (progress, task):
        return try_strategy(name, trial, progress=lambda count: progress.advance(task, count), warn=_warn)


def _trials(
    names: list[str], trial: Trial, risk_aversions: list[float] | None, preference: str | None
) -> Iterator[tuple[str, Trial]]:
    """Each strategy, learned policies at each risk aversion asked for, with the trial that asks for it."""
    for name in names:
        asked: list[float | None] = [*risk_aversions] if risk_aversions and _card_of(name) else [None]
        for risk_aversion in asked:
            yield name, replace(trial, risk=risk_choice(risk_aversion, preference))


def _spreads(market: MarketSeries) -> tuple[str, ...]:
    """The rules that compare a price with day-ahead, as far as the market lets them."""
    if DAY_AHEAD not in market.tapes:
        return ()
    return ("spread",) if market.minute_source is None else ("spread", "minute-spread")


def _warn_of_minutes(market: MarketSeries) -> None:
    if market.minute_source in RECONSTRUCTED:
        _warn(f"the minutes are not real but {market.minute_source}: read results as a range over the grades")


def _provenance(market: MarketSeries, reset: SocReset) -> dict[str, Any]:
    _warn_of_minutes(market)
    return {
        "data_sha256": market.data_hash,
        "soc_reset": reset.value,
        "publication_delay_min": market.publication_delay_min,
        "minute_source": market.minute_source,
        "minute_seed": market.minute_seed,
        "code_revision": code_revision(),
    }


def _policy_provenance(card: dict[str, Any] | None) -> dict[str, Any]:
    return {"policy": card and card["tensors_sha256"], "policy_minute_source": card and card["minute_source"]}


def _context(trial: Trial, title: str, seeds: tuple[int, ...], simulated: bool = False) -> ReportContext:
    frame = trial.market.frame
    tape = trial.market.tapes.get(DAY_AHEAD)
    day_ahead = None if tape is None else tape.series().rename(DAY_AHEAD)
    return ReportContext(
        title=title,
        data_hash=trial.market.data_hash,
        price_stage=price_stage(frame) if "quality" in frame else PriceStage.UNKNOWN,
        soc_reset=trial.soc_reset,
        publication_delay_min=trial.market.publication_delay_min,
        seeds=seeds,
        code_revision=code_revision(),
        simulated=simulated,
        minute_source=trial.market.minute_source,
        day_ahead_eur_mwh=day_ahead,
    )


def _warn(text: str) -> None:
    _say("[yellow]warning:[/yellow]", text)


def _say(kind: str, text: str) -> None:
    """A line for people; `text` may hold anything that stood in a file."""
    stderr.print(kind, escape(text), highlight=False, soft_wrap=True)


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) != float("inf") else None


def _print_figures(figures: dict[str, Any]) -> None:
    table = RichTable(show_header=False)
    for name, value in figures.items():
        table.add_row(name, f"{value:,.3f}" if isinstance(value, float) else str(value))
    stdout.print(table)


def _print_table(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    table = RichTable(*(name.replace("_", " ") for name in columns))
    for row in rows:
        table.add_row(*(_in_words(row[name]) for name in columns))
    stdout.print(table)


def _in_words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, list):
        return " to ".join(_in_words(part) for part in value)
    return "" if value is None else str(value)


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


def main() -> None:
    """Run the command line with its promise of exit codes."""
    try:
        app(args=expanded(sys.argv[1:]))
    except BadInput as refused:
        for fault in refused.faults:
            _say("[red]error:[/red]", str(fault))
        sys.exit(2)
    except (RuntimeError, OSError) as failed:
        _say("[red]failed:[/red]", str(failed))
        sys.exit(1)
