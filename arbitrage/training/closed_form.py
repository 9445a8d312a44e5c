"""The composition root of training: from a market and a split to a policy directory.

Contract
- Training days are fitted, validation days choose how far the correction goes, test days are nobody's business here.
- Once they have chosen, validation days may be learned from too (`refit`): what is told of them stays that of the fit
  that had not seen them, and critic and risk head stay its own.
- Work is done in steps that are kept as they end, so that an interrupted training resumes where it was and ends with
  the same policy, bit for bit. What is kept belongs to one data set, split, battery and configuration; anything else
  in its place is not used.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save

from arbitrage.backtest.engine import Backtest, run_backtest
from arbitrage.backtest.metrics import daily_profit_eur, summary
from arbitrage.errors import BadInput, Fault
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.critic_fit import fit_critic
from arbitrage.learners.closed_form.fit import (
    Fitted,
    TrainingData,
    day_end_values,
    fit_closed_form,
    prepare_training_data,
    stage_names,
)
from arbitrage.learners.closed_form.returns import Returns, coverage, realised_returns
from arbitrage.learners.closed_form.risk_search import fit_risk_head
from arbitrage.market.splits import DaysOfMonth
from arbitrage.policies.checkpoint.card import TensorsState, read_any_card, tensors_of_card
from arbitrage.policies.checkpoint.closed_form import (
    head_from_tensors,
    head_tensors,
    member_from_tensors,
    member_tensors,
    save_policy,
)
from arbitrage.policies.checkpoint.load import CARD_FILE, Card, write_whole
from arbitrage.policies.closed_form.ensemble_member import EnsembleMember
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.closed_form.risk_head import RiskHead
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR
from arbitrage.training.plan import ProgressCallback, TrainingPlan, provenance

_WORK_FOLDER = ".work"
_FEWEST_FOLDS = 2
_SIGNIFICANT = 2.0
"""Standard errors."""


def fit_policy(plan: TrainingPlan) -> ClosedFormPolicy:
    """The policy of the last stage: encoded and fitted from a market in memory, without validation, critic or files."""
    return _policy(plan, _fit_members(plan, plan.config))


def train(plan: TrainingPlan, directory: Path, report: ProgressCallback = lambda _text, _share: None) -> Card:
    """Train a policy into a directory and return its card; call again after an interruption to go on."""
    began = time.perf_counter()
    work = directory / _WORK_FOLDER
    work.mkdir(parents=True, exist_ok=True)
    names = stage_names(plan.config)
    steps = plan.members + len(names) + 2 + plan.refit
    report("encoding the training days", 0.0)
    training_data = _training_data_to_fit(plan, plan.train_days)
    fits = []
    for number in range(plan.members):
        report(f"fitting member {number + 1} of {plan.members}", (1 + number) / steps)
        fits.append(_fit_or_resume(plan, training_data, number, work))
    fit_seconds = time.perf_counter() - began
    candidates = [_policy(plan, [kept.fit.stages[stage] for kept in fits]) for stage in range(len(names))]
    results, told = [], ""
    for stage, candidate in enumerate(candidates):
        report(f"validating: {names[stage]}{told}", (1 + plan.members + stage) / steps)
        days = plan.selection(plan.validation_days)
        results.append(run_backtest(plan.market, plan.battery, candidate, days, step_min=candidate.step_min))
        told = f" ({_earned(names[stage], results[-1])})"
    chosen = choose([daily_profit_eur(result.ledger) for result in results])
    policy, covered = candidates[chosen], None
    if plan.with_critic:
        report(f"fitting the quantile critic{told}", (steps - 1 - plan.refit) / steps)
        policy, covered = _with_critic(plan, policy, fits[0].fit)
    if plan.refit:
        report(f"fitting anew with the validation days{told}", (steps - 1) / steps)
        policy = replace(policy, members=tuple(_fit_members(plan, plan.config.up_to_stage(chosen))))
    policy = replace(policy, head=fits[0].head)
    about = _about(plan, [summary(result) for result in results], names[chosen], covered)
    seconds = {"fit_seconds": fit_seconds, "training_seconds": time.perf_counter() - began}
    card = save_policy(directory, policy, about | {name: round(value, 2) for name, value in seconds.items()})
    shutil.rmtree(work)
    report(f"done: {_earned(names[chosen], results[chosen])}", 1.0)
    return card


def _earned(name: str, result: Backtest) -> str:
    """What a stage earned on the validation days, to be told while training."""
    return f"{name} {daily_profit_eur(result.ledger).mean():,.1f} EUR/day"


def choose(daily_eur: Sequence[pd.Series[float]]) -> int:
    """The last stage, unless an earlier one earned significantly more per validation day (two standard errors).

    Sixty days tell stages apart poorly; cross-validation over 300 days favours the later ones.

    daily_eur: profit of each validation day, one series a stage, on the same days.
    """
    best, best_gain = len(daily_eur) - 1, 0.0
    for stage, daily in enumerate(daily_eur[:-1]):
        difference = (daily - daily_eur[-1]).to_numpy()
        gain = float(difference.mean())
        if gain > best_gain and gain > _SIGNIFICANT * float(difference.std()) / len(difference) ** 0.5:
            best, best_gain = stage, gain
    return best


def _fit_members(plan: TrainingPlan, config: ClosedFormConfig) -> list[EnsembleMember]:
    """All members at the last stage of `config`, on all that the policy may learn from."""
    training_data = _training_data_to_fit(plan, *plan.fitted_days)
    seeds = (plan.seed * plan.members + number for number in range(plan.members))
    return [fit_closed_form(training_data, config, seed).stages[-1] for seed in seeds]


def _training_data_to_fit(plan: TrainingPlan, *days: DaysOfMonth) -> TrainingData:
    training_data = _training_data(plan, *days)
    if len(np.unique(training_data.folds[training_data.folds >= 0])) < _FEWEST_FOLDS:
        raise BadInput([Fault("training days", "are too few to hold days out; give more than a week")])
    return training_data


def _training_data(plan: TrainingPlan, *days: DaysOfMonth) -> TrainingData:
    selection = plan.selection(*days)
    return prepare_training_data(plan.market, plan.battery, selection, plan.soc_reset, plan.config.size, plan.features)


def _policy(plan: TrainingPlan, members: list[EnsembleMember]) -> ClosedFormPolicy:
    sources = tuple(sorted(plan.market.known_series))
    delay = plan.market.publication_delay_min + plan.market.decision_latency_min
    return ClosedFormPolicy(plan.battery, plan.config.size, tuple(members), sources, plan.features, delay)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A fitted member, and for the first one the risk head."""

    fit: Fitted
    head: RiskHead | None


def _fit_or_resume(plan: TrainingPlan, training_data: TrainingData, number: int, work: Path) -> _Kept:
    """A member at each stage, from the kept file if it belongs to this plan."""
    kept = work / f"{plan.fingerprint()[:16]}-{number}.safetensors"
    if kept.exists():
        tensors = load_file(kept)
        stages = range(len(stage_names(plan.config)))
        names = Returns.__dataclass_fields__
        fit = Fitted(
            tuple(member_from_tensors(tensors, f"{stage}.", str(kept)) for stage in stages),
            None if plan.config.final_stage_only else Returns(**{name: tensors[f"returns.{name}"] for name in names}),
        )
        return _Kept(fit, head_from_tensors(tensors, str(kept)))
    fit = fit_closed_form(training_data, plan.config, seed=plan.seed * plan.members + number)
    head = None
    if plan.with_risk_head and number == 0:
        head = fit_risk_head(plan.market, training_data, fit, plan.risk_search, plan.seed)
    named = {
        f"{stage}.{name}": value
        for stage, member in enumerate(fit.stages)
        for name, value in member_tensors(member).items()
    }
    if fit.returns is not None:
        named |= {f"returns.{name}": getattr(fit.returns, name) for name in Returns.__dataclass_fields__}
    if head is not None:
        named |= head_tensors(head)
    write_whole(kept, save(named))
    return _Kept(replace(fit, advantages_eur=None), head)


def _with_critic(
    plan: TrainingPlan, policy: ClosedFormPolicy, fit: Fitted
) -> tuple[ClosedFormPolicy, dict[str, float]]:
    """The policy with its critic, and the critic's coverage on the validation days."""
    held_out = _validation_returns(plan, policy)
    if fit.returns is None:
        raise ValueError("a final-stage-only fit has nothing to teach a critic with")
    critic = fit_critic(fit.returns, held_out, plan.seed)
    return replace(policy, critic=critic), coverage(critic, held_out)


def _validation_returns(plan: TrainingPlan, policy: ClosedFormPolicy) -> Returns:
    """What the policy realised on the validation days from every node."""
    training_data = _training_data(plan, plan.validation_days)
    starts = plan.market.quarter_hours[training_data.path.rows]
    times = starts[:, None] + np.arange(0, MINUTES_PER_QUARTER_HOUR, policy.step_min)
    view = policy.bind(plan.market.known_at(times.ravel()), plan.battery)
    end_value = day_end_values(policy.members[0], training_data)
    advantages = view.node_advantages_eur().reshape(*times.shape, 2, training_data.lattice.nodes)
    return realised_returns(
        training_data.path,
        training_data.lattice,
        training_data.encoded.features,
        advantages,
        end_value,
        training_data.encoded.scale_eur_mwh,
    )


def _about(plan: TrainingPlan, validation: list[dict[str, Any]], chosen: str, covered: dict[str, float] | None) -> Card:
    figures = (
        "profit_eur_per_day",
        "capture_fraction",
        "cycles_per_day",
        "conditional_value_at_risk_eur",
        "violations",
    )
    stages = zip(stage_names(plan.config), validation, strict=True)
    return {
        **provenance(plan),
        "config": asdict(plan.config),
        "validation": {stage: {name: result[name] for name in figures} for stage, result in stages},
        "chosen_stage": chosen,
        "refit": plan.refit,
        "critic_validation_coverage": covered,
    }


def finished_card(plan: TrainingPlan, directory: Path) -> Card | None:
    """The card of the whole policy that this plan has left there, if it has."""
    if not (directory / CARD_FILE).is_file():
        return None
    card = read_any_card(directory)
    ours = card.get("plan_sha256") == plan.fingerprint() and tensors_of_card(directory, card) is TensorsState.MATCH
    return card if ours else None
