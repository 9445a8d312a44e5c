"""The commands that try strategies on past prices: `backtest` for one, `compare` for several on the same days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from arbitrage.backtest.comparison import compare_table
from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest
from arbitrage.backtest.metrics import summary
from arbitrage.cli.options.battery import BatteryOptions
from arbitrage.cli.options.build import command
from arbitrage.cli.options.days import TestDayOptions
from arbitrage.cli.options.market import NO_MARKET, MarketOptions
from arbitrage.cli.options.output import RunOutput, write_json
from arbitrage.cli.options.panels import STRATEGY
from arbitrage.cli.options.risk import ComparedRiskOptions, RiskOptions
from arbitrage.cli.output import print_figures, print_table
from arbitrage.cli.policies import prepare_recording
from arbitrage.cli.runs import RunFolders, StrategyRun, joined_rows, refuse_beside_runs, write_run_output
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
from arbitrage.market.point_in_time import DAY_AHEAD
from arbitrage.market.series import MarketSeries
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _RecordedOutput(RunOutput):
    """What a run may leave, on the policy's card too."""

    record: Annotated[
        str | None,
        typer.Option(
            help="Write the figures into the policy's card under this label; only for days it has not learned from."
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What both commands ask for."""

    market: MarketOptions
    battery: BatteryOptions
    days: TestDayOptions

    def trial(self, strategies: Sequence[str], risk: RiskChoice) -> tuple[EvaluationSpec, dict[str, int]]:
        """The trial of the strategies, and a figure for the part of the span that the data lack. Raises BadInput."""
        check_risk_settings(strategies, risk)
        tuning_days = self.days.tuning_days
        cards = [card for name in strategies if (card := card_of(name))]
        market = self.market.market(*trained_timing(cards))
        tested = self.days.tested(market, cards)
        warn_of_reset(cards, tested.soc_reset)
        battery = self.battery.battery(cards[0] if cards else None)
        trial = EvaluationSpec(market, battery, tested.selection, tested.soc_reset, tuning_days, risk)
        return trial, {"quarter_hours_beyond_data": tested.quarter_hours_beyond_data}


@command(
    example="backtest --prices ods134.csv --day-ahead day_ahead.csv --strategy policies/first --days-of-month 26-31",
    recorded=True,
)
def backtest_command(
    strategy: Annotated[
        str,
        typer.Option(
            help="idle, threshold, spread, minute-spread, a policy directory, or a ceiling: perfect-foresight, or "
            "known-quarter-hour, which is given each quarter-hour's final price as it begins.",
            rich_help_panel=STRATEGY,
        ),
    ],
    market: MarketOptions,
    battery: BatteryOptions,
    days: TestDayOptions,
    risk: RiskOptions,
    output: _RecordedOutput,
) -> None:
    """Run a strategy over past prices, settle it, and write figures and a report."""
    trial, beyond = _Asked(market, battery, days).trial([strategy], risk.choice())
    card = card_of(strategy)
    recording = prepare_recording(output.record, strategy, card, trial)
    result = run_trial(strategy, trial)
    facts = provenance(trial.market, trial.soc_reset) | risk_facts(strategy, trial)
    _report_figures({**summary(result), **beyond, **facts, **policy_provenance(card)}, output.json_out)
    if recording is not None:
        recording.write(result, facts)
    if output.keeps:
        rivals = _beside_rivals(strategy, result, trial)
        write_run_output(output, "backtest", f"Backtest: {result.strategy}", rivals)
    _refuse_violations(result)


def _report_figures(figures: dict[str, Any], json_out: str | None) -> None:
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


@command(
    example="compare --prices ods134.csv --day-ahead day_ahead.csv --strategy policies/first spread idle "
    "--days-of-month 26-31 --report compare.html",
    recorded=True,
)
def compare_command(
    battery: BatteryOptions,
    days: TestDayOptions,
    risk: ComparedRiskOptions,
    output: RunOutput,
    runs: RunFolders = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(help="As for backtest; several may follow.", rich_help_panel=STRATEGY),
    ] = None,
    market: MarketOptions = NO_MARKET,
) -> None:
    """Compare strategies run over the same days, or run folders, with differences to the first one paired by day."""
    if runs:
        refuse_beside_runs(prices=market.prices, strategy=strategy, run_folder=output.run_folder)
        _report_rows(joined_rows(runs, output.report), {}, output.json_out)
        return
    given = {"--prices": market.prices, "--strategy": strategy}
    refuse(Fault(name, "is needed unless run folders are compared") for name, value in given.items() if not value)
    names, choices = strategy or [], risk.choices()
    greatest = max(choices, key=lambda choice: choice.risk_aversion or 0.0)
    trial, beyond = _Asked(market, battery, days).trial(names, greatest)
    tried = [StrategyRun(*both, run_trial(*both)) for both in _trials(names, trial, choices)]
    write_run_output(output, "compare", "Comparison", tried)
    facts = {**beyond, **provenance(trial.market, trial.soc_reset)}
    _report_rows(compare_table([one.result for one in tried]), facts, output.json_out)


def _report_rows(rows: list[dict[str, Any]], facts: dict[str, Any], json_out: str | None) -> None:
    write_json({"strategies": rows, **facts}, json_out)
    if json_out != "-":
        print_table(COMPARED, rows)


def _trials(
    names: Sequence[str], trial: EvaluationSpec, choices: Sequence[RiskChoice]
) -> Iterator[tuple[str, EvaluationSpec]]:
    """Each strategy, learned policies with each choice of risk, with the trial that asks for it."""
    for name in names:
        for choice in choices if card_of(name) else [replace(choices[0], risk_aversion=None)]:
            yield name, replace(trial, risk=choice)


def _spreads(market: MarketSeries) -> tuple[str, ...]:
    """The rules that compare a price with day-ahead, as far as the market lets them."""
    if DAY_AHEAD not in market.known_series:
        return ()
    return ("spread",) if market.minute_source is None else ("spread", "minute-spread")
