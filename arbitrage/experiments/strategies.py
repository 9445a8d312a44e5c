"""Strategies by name: rules, users' own ones, the ceilings, and policies from their directories.

Contract: a rule is tuned on days that are not tested. Where there are none it keeps its untuned numbers and says so.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from arbitrage.backtest.engine import (
    KNOWN_QUARTER_HOUR,
    PERFECT_FORESIGHT,
    Backtest,
    backtest_perfect_foresight,
    run_backtest,
)
from arbitrage.backtest.in_sample import days_seen
from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, Span, rows_of, select_rows, spans
from arbitrage.policies.checkpoint.load import CARD_FILE, load_policy, read_card
from arbitrage.policies.checkpoint.risk_setting import risk_in_words, risk_setting
from arbitrage.policies.protocol import Policy, RiskChoice
from arbitrage.policies.registry import find_strategy, strategy_names
from arbitrage.policies.strategy_spec import StrategySpec
from arbitrage.progress import ProgressCallback, silent


@dataclass(frozen=True, slots=True)
class EvaluationSpec:
    """The days a strategy is tried on, and those a rule may be tuned on."""

    market: MarketSeries
    battery: Battery
    selection: tuple[Span, ...]
    soc_reset: SocReset
    tuning_days: DaysOfMonth
    """Days of the month for tuning; those that are tested are left out."""
    risk: RiskChoice = field(default_factory=RiskChoice)
    """Asked of learned policies."""

    def tuning_spans(self) -> tuple[Span, ...]:
        """Tuning days outside the tested ones, and before them where a time range is tested; may be empty."""
        return self._untested(self.tuning_days)

    def learning_spans(self) -> tuple[Span, ...]:
        """All that a rule may be tuned on, whatever day of the month; may be empty."""
        return self._untested(None)

    def _untested(self, days: DaysOfMonth | None) -> tuple[Span, ...]:
        chosen = select_rows(self.market, days=days)
        chosen[rows_of(self.selection)] = False
        if self.soc_reset is SocReset.NEVER:
            chosen[self.selection[0].first :] = False
        return spans(self.market, chosen, self.soc_reset) if chosen.any() else ()


def try_strategy(
    name: str, trial: EvaluationSpec, *, progress: ProgressCallback = silent, warn: Callable[[str], None]
) -> Backtest:
    """Backtest a rule, an own strategy, a ceiling (`perfect-foresight`, `known-quarter-hour`) or a policy directory.

    Each decides as often as it is made for. `warn` is given what the user should know: a rule that could not be tuned,
    records that were missing, tested days that the policy has seen. Raises BadInput.
    """
    result = _backtested(name, trial, progress, warn)
    for text in filter(None, (each.warning() for each in result.coverage)):
        warn(f"{result.strategy}: {text}")
    return replace(result, in_sample_days=_in_sample_days(name, trial, warn))


def _backtested(name: str, trial: EvaluationSpec, progress: ProgressCallback, warn: Callable[[str], None]) -> Backtest:
    if name == PERFECT_FORESIGHT:
        return backtest_perfect_foresight(trial.market, trial.battery, trial.selection)
    if name == KNOWN_QUARTER_HOUR:
        return _given_the_running_price(trial, progress, warn)
    policy = find_policy(name, trial, warn)
    result = run_backtest(
        trial.market, trial.battery, policy, trial.selection, step_min=policy.step_min, progress=progress
    )
    if not _is_directory_of_policy(name):
        return result
    return replace(result, strategy=f"{policy.name} ({Path(name).name}){risk_in_words(policy)}")


def _in_sample_days(name: str, trial: EvaluationSpec, warn: Callable[[str], None]) -> int | None:
    """Tested days that a policy directory has seen; 0 for all that learns outside the test, None if unknown."""
    if not _is_directory_of_policy(name):
        return 0
    shown = Path(name).name
    seen = days_seen(read_card(Path(name)), np.unique(trial.market.day_numbers[rows_of(trial.selection)]))
    if seen is None:
        warn(f"{shown}: the card does not say on which days the policy learned; tested days may be among them")
        return None
    if len(seen.days):
        warn(f"{shown} IN-SAMPLE: {'; '.join(seen.sentences())}. The figures flatter it; test it on other days")
    return len(seen.days)


def find_policy(name: str, trial: EvaluationSpec, warn: Callable[[str], None]) -> Policy:
    """The policy of that name, tuned where it has numbers to tune. Raises BadInput.

    `module:Class` and `file.py:Class` import code: the name must come from the operator, never from a request.
    """
    spec = find_strategy(name)
    if spec is None and _is_directory_of_policy(name):
        return load_policy(Path(name)).with_risk(trial.risk)
    if spec is None:
        raise BadInput([Fault("strategy", _unknown(name))])
    spec.refuse_without_sources(trial.market)
    return _tuned(spec, trial, warn)


def _is_directory_of_policy(name: str) -> bool:
    return name not in strategy_names() and (Path(name) / CARD_FILE).is_file()


def _unknown(name: str) -> str:
    """Why there is no strategy of that name, with the one that may be meant."""
    known = (*strategy_names(), PERFECT_FORESIGHT, KNOWN_QUARTER_HOUR)
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    if Path(name).is_dir():
        return f"{name!r} is a directory without {CARD_FILE}: it holds no policy"
    return f"{name!r} is neither one of {', '.join(known)}, nor module:Class, nor a policy directory{meant}"


def _given_the_running_price(
    trial: EvaluationSpec, progress: ProgressCallback, warn: Callable[[str], None]
) -> Backtest:
    """The ceiling that knows the running quarter-hour's price, taught on all days that are not tested."""
    warn(f"{KNOWN_QUARTER_HOUR} is a ceiling, not causal: it is given each quarter-hour's final price as it begins")
    # It learns, which loads torch; other strategies need not wait for that.
    from arbitrage.experiments.known_quarter_hour import fit_known_quarter_hour

    ceiling = fit_known_quarter_hour(trial.market, trial.battery, trial.learning_spans(), trial.soc_reset)
    return ceiling.backtest(trial.market, trial.battery, trial.selection, progress=progress)


def risk_facts(name: str, trial: EvaluationSpec) -> dict[str, Any]:
    """How the risk of a policy directory is set in this trial; nothing for a rule. Raises BadInput."""
    return risk_setting(load_policy(name).with_risk(trial.risk)) if _is_directory_of_policy(name) else {}


def _tuned(spec: StrategySpec, trial: EvaluationSpec, warn: Callable[[str], None]) -> Policy:
    selection = () if spec.tune is None else trial.tuning_spans()
    if spec.tune is not None and not selection:
        warn(f"{spec.name} rule: no days {trial.tuning_days} outside the test to tune on; its untuned numbers are used")
    return spec.tuned(trial.market, trial.battery, selection, f"days {trial.tuning_days} of the month, not tested")
