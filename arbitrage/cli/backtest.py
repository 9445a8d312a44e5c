"""The commands that try strategies on past prices: `backtest` for one, `compare` for several on the same days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from arbitrage.backtest.comparison import compare_table
from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest
from arbitrage.backtest.metrics import summary
from arbitrage.backtest.tested_days import DaysAsked
from arbitrage.cli.options import (
    AS_TRAINED,
    BatteryOptions,
    DayAhead,
    DecimalSign,
    DecisionLatency,
    Forecasts,
    JsonOut,
    MarketOptions,
    Minutes,
    Prices,
    PricesOrNone,
    PublicationDelay,
    ReportOut,
    Reset,
    RiskAversion,
    RiskAversions,
    RiskPreferenceText,
    StartTime,
    StopTime,
    StrategiesOrNone,
    StrategyName,
    Strict,
    TestDays,
    Timezone,
    TuneDays,
    risk_choice,
    tested_days,
    with_battery_options,
    write_json,
)
from arbitrage.cli.output import print_figures, print_table
from arbitrage.cli.policies import Record, prepare_recording
from arbitrage.cli.runs import OutputOptions, RunFolderOut, RunFolders, StrategyRun, joined_rows, refuse_beside_runs
from arbitrage.cli.trials import (
    card_of,
    check_risk_settings,
    policy_provenance,
    provenance,
    run_trial,
    trained_timing,
    warn_of_reset,
)
from arbitrage.errors import Fault, refuse
from arbitrage.experiments.strategies import EvaluationSpec, risk_facts
from arbitrage.market.files.reading import Decimal
from arbitrage.market.point_in_time import DAY_AHEAD
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth
from arbitrage.policies.protocol import RiskChoice

COMPARED = (
    "strategy",
    "profit_eur_per_day",
    "capture_fraction",
    "cycles_per_day",
    "conditional_value_at_risk_eur",
    "difference_eur_per_day",
    "difference_eur_per_day_interval",
)
"""Columns that fit a terminal; the JSON has all."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What both commands ask for."""

    market: MarketOptions
    battery: BatteryOptions
    days: DaysAsked
    tune_days: DaysOfMonth
    strict: bool

    def trial(self, strategies: Sequence[str], risk: RiskChoice) -> tuple[EvaluationSpec, dict[str, int]]:
        """The trial of the strategies, and a figure for the part of the span that the data lack. Raises BadInput."""
        check_risk_settings(strategies, risk)
        cards = [card for name in strategies if (card := card_of(name))]
        market = self.market.market(*trained_timing(cards))
        tested = tested_days(market, self.days, cards, strict=self.strict)
        warn_of_reset(cards, tested.soc_reset)
        battery = self.battery.battery(cards[0] if cards else None)
        trial = EvaluationSpec(market, battery, tested.selection, tested.soc_reset, self.tune_days, risk)
        return trial, {"quarter_hours_beyond_data": tested.quarter_hours_beyond_data}


@with_battery_options
def backtest_command(
    prices: Prices,
    strategy: StrategyName,
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
    days_of_month: TestDays = None,
    strict: Strict = False,
    soc_reset: Reset = None,
    tune_days: TuneDays = "21-25",
    risk_aversion: RiskAversion = None,
    risk_preference: RiskPreferenceText = None,
    json_out: JsonOut = None,
    report: ReportOut = None,
    run_folder: RunFolderOut = None,
    record: Record = None,
) -> None:
    """Run a strategy over past prices, settle it, and write figures and a report."""
    keeping = OutputOptions(report, run_folder)
    read = MarketOptions(
        prices, day_ahead, forecasts, minutes, publication_delay_min, decision_latency_min, timezone, decimal
    )
    days = DaysAsked(start=start, end=end, days_of_month=days_of_month, soc_reset=soc_reset)
    asked = _Asked(read, options, days, DaysOfMonth.parse(tune_days), strict)
    trial, beyond = asked.trial([strategy], risk_choice(risk_aversion, risk_preference))
    card = card_of(strategy)
    recording = prepare_recording(record, strategy, card, trial)
    result = run_trial(strategy, trial)
    facts = provenance(trial.market, trial.soc_reset) | risk_facts(strategy, trial)
    _tell_figures({**summary(result), **beyond, **facts, **policy_provenance(card)}, json_out)
    if recording is not None:
        recording.write(result, facts)
    _keep(keeping, strategy, result, trial)


def _keep(keeping: OutputOptions, strategy: str, result: Backtest, trial: EvaluationSpec) -> None:
    """Write report and run folder where they are asked for, and refuse books that break the rules."""
    if keeping.asked:
        keeping.write("backtest", f"Backtest: {result.strategy}", _beside_rivals(strategy, result, trial))
    _refuse_violations(result)


def _tell_figures(figures: dict[str, Any], json_out: str | None) -> None:
    write_json(figures, json_out)
    if json_out != "-":
        print_figures(figures)


def _refuse_violations(result: Backtest) -> None:
    if len(result.violations):
        raise RuntimeError(f"the ledger breaks its rules:\n{result.violations}")


def _beside_rivals(strategy: str, result: Backtest, trial: EvaluationSpec) -> list[StrategyRun]:
    """A strategy with the floors, the rules and the ceiling beside it."""
    rivals = [name for name in ("idle", "threshold", *_spreads(trial.market), PERFECT_FORESIGHT) if name != strategy]
    return [
        StrategyRun(strategy, trial, result),
        *(StrategyRun(name, trial, run_trial(name, trial)) for name in rivals),
    ]


@with_battery_options
def compare_command(
    runs: RunFolders = None,
    prices: PricesOrNone = None,
    strategy: StrategiesOrNone = None,
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
    days_of_month: TestDays = None,
    strict: Strict = False,
    soc_reset: Reset = None,
    tune_days: TuneDays = "21-25",
    risk_aversion: RiskAversions = None,
    risk_preference: RiskPreferenceText = None,
    json_out: JsonOut = None,
    report: ReportOut = None,
    run_folder: RunFolderOut = None,
) -> None:
    """Compare strategies run over the same days, or run folders, with differences to the first one paired by day."""
    if runs:
        refuse_beside_runs(prices=prices, strategy=strategy, run_folder=run_folder)
        _tell_rows(joined_rows(runs, report), {}, json_out)
        return
    prices, strategy = _needed(prices, strategy)
    keeping = OutputOptions(report, run_folder)
    read = MarketOptions(
        prices, day_ahead, forecasts, minutes, publication_delay_min, decision_latency_min, timezone, decimal
    )
    days = DaysAsked(start=start, end=end, days_of_month=days_of_month, soc_reset=soc_reset)
    asked = _Asked(read, options, days, DaysOfMonth.parse(tune_days), strict)
    trial, beyond = asked.trial(strategy, risk_choice(max(risk_aversion or [0.0]), risk_preference))
    tried = [StrategyRun(*both, run_trial(*both)) for both in _trials(strategy, trial, risk_aversion, risk_preference)]
    keeping.write("compare", "Comparison", tried)
    facts = {**beyond, **provenance(trial.market, trial.soc_reset)}
    _tell_rows(compare_table([one.result for one in tried]), facts, json_out)


def _needed(prices: list[Path] | None, strategies: list[str] | None) -> tuple[list[Path], list[str]]:
    """Both, as they are. Raises BadInput naming what was not given."""
    given = {"--prices": prices, "--strategy": strategies}
    refuse(Fault(name, "is needed unless run folders are compared") for name, value in given.items() if not value)
    return prices or [], strategies or []


def _tell_rows(rows: list[dict[str, Any]], facts: dict[str, Any], json_out: str | None) -> None:
    write_json({"strategies": rows, **facts}, json_out)
    if json_out != "-":
        print_table(COMPARED, rows)


def _trials(
    names: list[str], trial: EvaluationSpec, risk_aversions: list[float] | None, preference: str | None
) -> Iterator[tuple[str, EvaluationSpec]]:
    """Each strategy, learned policies at each risk aversion asked for, with the trial that asks for it."""
    for name in names:
        asked: list[float | None] = [*risk_aversions] if risk_aversions and card_of(name) else [None]
        for risk_aversion in asked:
            yield name, replace(trial, risk=risk_choice(risk_aversion, preference))


def _spreads(market: MarketSeries) -> tuple[str, ...]:
    """The rules that compare a price with day-ahead, as far as the market lets them."""
    if DAY_AHEAD not in market.known_series:
        return ()
    return ("spread",) if market.minute_source is None else ("spread", "minute-spread")
