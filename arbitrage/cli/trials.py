"""A trial as the command line runs it: the strategy's card, warnings, progress, and where the figures come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.report.tear_sheet import ReportContext, context_of
from arbitrage.backtest.tested_days import beyond_data
from arbitrage.cli.output import live_progress, shown_on, warn
from arbitrage.code_revision import code_revision
from arbitrage.errors import BadInput, Fault
from arbitrage.experiments.strategies import EvaluationSpec, try_strategy
from arbitrage.market.series import RECONSTRUCTED, MarketSeries
from arbitrage.market.splits import SocReset
from arbitrage.policies.checkpoint.load import CARD_FILE, read_card
from arbitrage.policies.protocol import RiskChoice

if TYPE_CHECKING:
    from arbitrage.training.plan import TrainingPlan


def card_of(strategy: str) -> dict[str, Any] | None:
    """The card of a policy directory; None for a rule."""
    return read_card(Path(strategy)) if (Path(strategy) / CARD_FILE).is_file() else None


def trained_timing(cards: Sequence[dict[str, Any]]) -> tuple[int | None, int]:
    """The publication delay, None for rules alone, and the decision latency that policies were trained for, in minutes.

    Raises BadInput where they were trained for different ones.
    """
    timings = sorted({(int(card["publication_delay_min"]), int(card.get("decision_latency_min", 0))) for card in cards})
    if len(timings) > 1:
        found = "; ".join(f"{delay} and {latency} min" for delay, latency in timings)
        raise BadInput([Fault("strategy", f"the policies were trained for different delays and latencies: {found}")])
    return timings[0] if timings else (None, 0)


def warn_of_reset(cards: Sequence[dict[str, Any]], reset: SocReset) -> None:
    """Say so if a policy learned with energy carried over midnight is used without, or the other way round."""
    for trained in {card["split"]["soc_reset"] for card in cards} - {reset.value}:
        warn(f"the policy learned with soc-reset {trained} and is used with {reset.value}: it misjudges midnight")


def check_risk_settings(strategies: Sequence[str], risk: RiskChoice) -> None:
    """Say which strategies a risk setting does not change. Raises BadInput where it changes none of them."""
    asked = {"risk_aversion": risk.risk_aversion, "risk_preference": risk.preference}
    given = [name for name, value in asked.items() if value]
    rules = [strategy for strategy in strategies if card_of(strategy) is None]
    if not given or not rules:
        return
    if len(rules) == len(strategies):
        message = f"{', '.join(rules)}: a rule or ceiling has no risk setting; leave the option out, or give a policy"
        raise BadInput([Fault(name, message) for name in given])
    for rule in rules:
        warn(f"{rule} has no risk setting, so nothing changes for it with {' and '.join(given)}")


def run_trial(name: str, trial: EvaluationSpec) -> Backtest:
    """Backtest a strategy with progress and warnings shown."""
    total = sum(len(span) for span in trial.selection)
    with live_progress(f"backtesting {name}", total) as (bar, task):
        return try_strategy(name, trial, progress=shown_on(bar, task), warn=warn)


def warn_of_minutes(market: MarketSeries) -> None:
    """Warn if the minute records are not genuine."""
    if market.minute_source in RECONSTRUCTED:
        warn(f"the minutes are not real but {market.minute_source}: read results as a range over the grades")


def warn_of_coverage(result: Backtest) -> None:
    """Say which records were missing when a strategy decided."""
    for text in filter(None, (each.warning() for each in result.coverage)):
        warn(f"{result.strategy}: {text}")


def warn_of_learning(plan: TrainingPlan) -> None:
    """Say which days and records are missing for learning and choosing."""
    for text in beyond_data(plan.split.market, plan.split.start, plan.split.end)[1]:
        warn(text)
    for purpose, covered in plan.coverage().items():
        for text in filter(None, (each.warning() for each in covered)):
            warn(f"{purpose} days: {text}")


def provenance(market: MarketSeries, reset: SocReset) -> dict[str, Any]:
    """Where figures come from, ready for JSON."""
    warn_of_minutes(market)
    return {
        "data_sha256": market.data_hash,
        "soc_reset": reset.value,
        "publication_delay_min": market.publication_delay_min,
        "decision_latency_min": market.decision_latency_min,
        "minute_source": market.minute_source,
        "minute_seed": market.minute_seed,
        "code_revision": code_revision(),
    }


def policy_provenance(card: dict[str, Any] | None) -> dict[str, Any]:
    """Which policy decided; None where it was a rule."""
    return {"policy": card and card["tensors_sha256"], "policy_minute_source": card and card["minute_source"]}


def report_context(trial: EvaluationSpec, title: str, seeds: tuple[int, ...], simulated: bool = False) -> ReportContext:
    """What a report says about a trial."""
    return context_of(trial.market, trial.soc_reset, title, seeds=seeds, simulated=simulated)
