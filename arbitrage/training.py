"""The composition root of training: from a market and a split to a policy directory.

Law
- Training days are fitted, validation days choose how far the correction goes, test days are nobody's business here.
- Once they have chosen, validation days may be learned from too (`refit`): what is told of them stays that of the fit
  that had not seen them, and critic and risk head stay its own.
- Work is done in steps that are kept as they end, so that an interrupted training resumes where it was and ends with
  the same policy, bit for bit. What is kept belongs to one data set, split, battery and configuration; anything else
  in its place is not used.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save

from arbitrage.agents.arbitrage_policy import ArbitragePolicy
from arbitrage.agents.checkpoint import CARD_FILE, Card, member_from_tensors, member_tensors, save_policy, write_whole
from arbitrage.agents.closed_form import Fitted, Lesson, day_end_values, fit_closed_form, prepare_lesson, stage_names
from arbitrage.agents.closed_form_config import NETWORK_FROM_DAYS, ClosedFormConfig, Preset
from arbitrage.agents.critic_training import fit_critic
from arbitrage.agents.member import Member
from arbitrage.agents.policy_card import TensorsState, read_any_card, tensors_beside
from arbitrage.agents.quantile_critic import Returns, coverage, realised_returns
from arbitrage.agents.risk_head import RiskHead
from arbitrage.agents.risk_search import RiskSearchConfig, fit_risk_head
from arbitrage.agents.risk_setting import head_from_tensors, head_tensors
from arbitrage.backtest.engine import Backtest, run_backtest, selection_coverage
from arbitrage.backtest.metrics import daily_profit_eur, summary
from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault
from arbitrage.market.coverage import SourceCoverage
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, Span, rows_of, select_rows, spans
from arbitrage.observation import FeatureSet, MarketFeatures, encoder_needs
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR
from arbitrage.source_revision import code_revision

Report = Callable[[str, float], None]
"""Told what is being done, and the share of the whole that is done, 0 to 1."""

_PACKAGES = ("arbitrage", "numpy", "numba", "pandas", "torch")
_WORK_FOLDER = ".work"
_FEWEST_FOLDS = 2
_SIGNIFICANT = 2.0
"""Standard errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What to train on what. Raises BadInput where training and validation days overlap."""

    market: MarketSeries
    battery: Battery
    train_days: DaysOfMonth
    validation_days: DaysOfMonth
    start: int | None = None
    """Epoch minutes [start, end) within which the days lie; None: the whole series."""
    end: int | None = None
    soc_reset: SocReset = SocReset.DAILY
    seed: int = 0
    members: int = 1
    """Fits with different random features whose advantages are averaged."""
    refit: bool = False
    """Whether the chosen stage is fitted anew on training and validation days together."""
    config: ClosedFormConfig = field(default_factory=ClosedFormConfig)
    features: MarketFeatures = field(default_factory=MarketFeatures)
    with_critic: bool = True
    """Whether to fit the quantile critic, which tells outcomes and chooses nothing."""
    with_risk_head: bool = True
    """Whether to fit the risk head, which chooses nothing while its dial is at zero."""
    risk_search: RiskSearchConfig = field(default_factory=RiskSearchConfig)

    def __post_init__(self) -> None:
        if self.train_days.first <= self.validation_days.last and self.validation_days.first <= self.train_days.last:
            raise BadInput(
                [Fault("validation days", f"{self.validation_days} overlap training days {self.train_days}")]
            )
        if self.features.running_names and self.market.minute_source is None:
            raise BadInput([Fault("minutes", f"the feature set {self.features.feature_set} needs minute records")])
        if self.with_critic and self.config.lean:
            raise BadInput([Fault("critic", "cannot be taught by a lean fit, which returns nothing for it")])
        if self.with_risk_head and self.config.lean:
            raise BadInput([Fault("risk head", "cannot be fitted to a lean fit, which returns nothing for it")])

    @classmethod
    def of(
        cls,
        feature_set: FeatureSet | None,
        market: MarketSeries,
        preset: Preset = Preset.FULL,
        **settings: Any,
    ) -> TrainingPlan:
        """A plan with the configuration that suits the set of features and the number of training days.

        feature_set: None is all that the market has.

        Raises BadInput for a preset other than the full one by the minute.
        """
        if feature_set is None:
            feature_set = FeatureSet.QUARTER_HOUR if market.minute_source is None else FeatureSet.FULL
        by_minute = feature_set is not FeatureSet.QUARTER_HOUR
        if by_minute and preset is not Preset.FULL:
            raise BadInput([Fault("preset", f"{preset} is for the feature set {FeatureSet.QUARTER_HOUR}; ask for it")])
        config = ClosedFormConfig.by_minute() if by_minute else ClosedFormConfig.of(preset)
        whole = preset is Preset.FULL
        chosen = {"with_critic": whole, "with_risk_head": whole and not by_minute, **settings}
        plan = cls(market=market, features=MarketFeatures(feature_set), config=config, **chosen)
        if config.network is None or plan.training_day_count() >= NETWORK_FROM_DAYS:
            return plan
        return replace(plan, config=replace(config, network=None))

    @property
    def fitted_days(self) -> tuple[DaysOfMonth, ...]:
        """What the policy has learned from in the end."""
        return (self.train_days, self.validation_days) if self.refit else (self.train_days,)

    def selection(self, *days: DaysOfMonth) -> tuple[Span, ...]:
        """The spans of these days of the month."""
        chosen = [select_rows(self.market, start=self.start, end=self.end, days=some) for some in days]
        return spans(self.market, np.logical_or.reduce(chosen), self.soc_reset)

    def training_day_count(self) -> int:
        """Brussels days that are learned from before validation."""
        return len(np.unique(self.market.day_numbers[rows_of(self.selection(self.train_days))]))

    def split(self) -> dict[str, Any]:
        """The split in words, for the card; the times bound what was looked at, as far as the market reaches."""
        first, after = int(self.market.quarter_hours[0]), int(self.market.quarter_hours[-1]) + MINUTES_PER_QUARTER_HOUR
        return {
            "train_days_of_month": str(self.train_days),
            "validation_days_of_month": str(self.validation_days),
            "start_epoch_minute": first if self.start is None else max(first, self.start),
            "end_epoch_minute": after if self.end is None else min(after, self.end),
            "soc_reset": self.soc_reset.value,
        }

    def coverage(self) -> dict[str, tuple[SourceCoverage, ...]]:
        """How many records of each series are there on the days to learn from and to choose on, by purpose."""
        needs = encoder_needs(self.features.feature_set, self.market.tapes)
        step_min = 1 if self.features.running_names else MINUTES_PER_QUARTER_HOUR
        days = {"training": self.train_days, "validation": self.validation_days}
        return {
            purpose: selection_coverage(self.market, needs, self.selection(some), step_min)
            for purpose, some in days.items()
        }

    def fingerprint(self) -> str:
        """Names everything that the fit depends on but the member's number, the code and its packages included."""
        facts = {
            "members": self.members,
            "refit": self.refit,
            "versions": _versions(),
            "code": code_revision(),
            "data": self.market.data_hash,
            "battery": asdict(self.battery),
            "split": self.split(),
            "seed": self.seed,
            "config": asdict(self.config),
            "features": self.features.feature_set,
            "with_critic": self.with_critic,
            "risk_search": asdict(self.risk_search) if self.with_risk_head else None,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def fit_policy(plan: TrainingPlan) -> ArbitragePolicy:
    """The policy of the last stage: encoded and fitted from a market in memory, without validation, critic or files."""
    return _policy(plan, _fit_members(plan, plan.config))


def train(plan: TrainingPlan, directory: Path, report: Report = lambda _text, _share: None) -> Card:
    """Train a policy into a directory and return its card; call again after an interruption to go on."""
    began = time.perf_counter()
    work = directory / _WORK_FOLDER
    work.mkdir(parents=True, exist_ok=True)
    names = stage_names(plan.config)
    steps = plan.members + len(names) + 2 + plan.refit
    report("encoding the training days", 0.0)
    lesson = _lesson_to_fit(plan, plan.train_days)
    fits = []
    for number in range(plan.members):
        report(f"fitting member {number + 1} of {plan.members}", (1 + number) / steps)
        fits.append(_fit_or_resume(plan, lesson, number, work))
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


def _fit_members(plan: TrainingPlan, config: ClosedFormConfig) -> list[Member]:
    """All members at the last stage of `config`, on all that the policy may learn from."""
    lesson = _lesson_to_fit(plan, *plan.fitted_days)
    seeds = (plan.seed * plan.members + number for number in range(plan.members))
    return [fit_closed_form(lesson, config, seed).stages[-1] for seed in seeds]


def _lesson_to_fit(plan: TrainingPlan, *days: DaysOfMonth) -> Lesson:
    lesson = _lesson(plan, *days)
    if len(np.unique(lesson.folds[lesson.folds >= 0])) < _FEWEST_FOLDS:
        raise BadInput([Fault("training days", "are too few to hold days out; give more than a week")])
    return lesson


def _lesson(plan: TrainingPlan, *days: DaysOfMonth) -> Lesson:
    selection = plan.selection(*days)
    return prepare_lesson(plan.market, plan.battery, selection, plan.soc_reset, plan.config.size, plan.features)


def _policy(plan: TrainingPlan, members: list[Member]) -> ArbitragePolicy:
    sources = tuple(sorted(plan.market.tapes))
    delay = plan.market.publication_delay_min + plan.market.decision_latency_min
    return ArbitragePolicy(plan.battery, plan.config.size, tuple(members), sources, plan.features, delay)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A fitted member, and for the first one the risk head."""

    fit: Fitted
    head: RiskHead | None


def _fit_or_resume(plan: TrainingPlan, lesson: Lesson, number: int, work: Path) -> _Kept:
    """A member at each stage, from the kept file if it belongs to this plan."""
    kept = work / f"{plan.fingerprint()[:16]}-{number}.safetensors"
    if kept.exists():
        tensors = load_file(kept)
        stages = range(len(stage_names(plan.config)))
        names = Returns.__dataclass_fields__
        fit = Fitted(
            tuple(member_from_tensors(tensors, f"{stage}.", str(kept)) for stage in stages),
            None if plan.config.lean else Returns(**{name: tensors[f"returns.{name}"] for name in names}),
        )
        return _Kept(fit, head_from_tensors(tensors, str(kept)))
    fit = fit_closed_form(lesson, plan.config, seed=plan.seed * plan.members + number)
    head = None
    if plan.with_risk_head and number == 0:
        head = fit_risk_head(plan.market, lesson, fit, plan.risk_search, plan.seed)
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


def _with_critic(plan: TrainingPlan, policy: ArbitragePolicy, fit: Fitted) -> tuple[ArbitragePolicy, dict[str, float]]:
    """The policy with its critic, and the critic's coverage on the validation days."""
    held_out = _validation_returns(plan, policy)
    if fit.returns is None:
        raise ValueError("a lean fit has nothing to teach a critic with")
    critic = fit_critic(fit.returns, held_out, plan.seed)
    return replace(policy, critic=critic), coverage(critic, held_out)


def _validation_returns(plan: TrainingPlan, policy: ArbitragePolicy) -> Returns:
    """What the policy realised on the validation days from every node."""
    lesson = _lesson(plan, plan.validation_days)
    starts = plan.market.quarter_hours[lesson.path.rows]
    times = starts[:, None] + np.arange(0, MINUTES_PER_QUARTER_HOUR, policy.step_min)
    view = policy.read(plan.market.known_at(times.ravel()), plan.battery)
    end_value = day_end_values(policy.members[0], lesson)
    advantages = view.node_advantages_eur().reshape(*times.shape, 2, lesson.lattice.nodes)
    return realised_returns(
        lesson.path, lesson.lattice, lesson.encoded.features, advantages, end_value, lesson.encoded.scale_eur_mwh
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


def provenance(plan: TrainingPlan) -> Card:
    """Where a policy of this plan comes from, for its card."""
    return {
        "data_sha256": plan.market.data_hash,
        "publication_delay_min": plan.market.publication_delay_min,
        "decision_latency_min": plan.market.decision_latency_min,
        "minute_source": plan.market.minute_source,
        "minute_seed": plan.market.minute_seed,
        "split": plan.split(),
        "coverage": {
            purpose: {each.source: each.figures() for each in covered} for purpose, covered in plan.coverage().items()
        },
        "seed": plan.seed,
        "plan_sha256": plan.fingerprint(),
        "versions": _versions(),
        "code_revision": code_revision(),
    }


def finished_card(plan: TrainingPlan, directory: Path) -> Card | None:
    """The card of the whole policy that this plan has left there, if it has."""
    if not (directory / CARD_FILE).is_file():
        return None
    card = read_any_card(directory)
    ours = card.get("plan_sha256") == plan.fingerprint() and tensors_beside(directory, card) is TensorsState.MATCH
    return card if ours else None


def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES} | {"python": sys.version.split()[0]}
