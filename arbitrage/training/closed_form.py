"""The composition root of the closed form: from a split of days to a policy directory.

Contract
- Training days are fitted. Validation days choose how far the correction goes. Test days are in no split.
- Once the validation days have chosen, the policy may be fitted to them too (`refit`). Validation figures, the critic
  and the risk head stay those of the fit without them.
- Each step is kept when it ends, so that an interrupted training resumes where it was and ends with the same policy,
  bit for bit. What is kept belongs to one plan; under another plan it is not used.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save

from arbitrage.backtest.engine import Backtest, run_backtest
from arbitrage.backtest.metrics import daily_profit_eur, summary
from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault
from arbitrage.features.encoder import LEAST_SCALE_EUR_MWH, MarketFeatures, TrailingScale, encoder_needs
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.config import NETWORK_FROM_DAYS, ClosedFormConfig, Preset
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
from arbitrage.learners.closed_form.risk_search import RiskSearchConfig, fit_risk_head
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import PRICE, RESIDUAL
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, Span, rows_of
from arbitrage.policies.checkpoint.closed_form import (
    head_from_tensors,
    head_tensors,
    member_from_tensors,
    member_tensors,
    save_policy,
)
from arbitrage.policies.checkpoint.files import Card, write_whole
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.closed_form.ensemble_member import EnsembleMember
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.closed_form.risk_head import RiskHead
from arbitrage.policies.protocol import Policy
from arbitrage.progress import Progress, ProgressCallback, silent
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR
from arbitrage.training.data_split import DataSplit, full_feature_set, missing_minutes
from arbitrage.training.plan import VALIDATED, TrainingPlan, provenance, records_delay_min

_WORK_FOLDER = ".work"
_FEWEST_FOLDS = 2
_RECENT_QUARTER_HOURS = 30 * 96
_SIGNIFICANT = 2.0
"""Standard errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedFormTrainer:
    """The counterfactual agent. Raises BadInput for a critic or risk head that its fit cannot have."""

    config: ClosedFormConfig = field(default_factory=ClosedFormConfig)
    features: MarketFeatures = field(default_factory=MarketFeatures)
    members: int = 1
    """Fits with different random features whose advantages are averaged."""
    refit: bool = False
    """Whether the chosen stage is fitted again on training and validation days together."""
    with_critic: bool = True
    """Whether to fit the quantile critic, which predicts outcomes and chooses nothing."""
    with_risk_head: bool = True
    """Whether to fit the risk head, which chooses nothing while the risk aversion is zero."""
    risk_search: RiskSearchConfig = field(default_factory=RiskSearchConfig)

    def __post_init__(self) -> None:
        if self.with_critic and self.config.final_stage_only:
            raise BadInput([Fault("critic", "needs the returns of all stages; a final-stage-only fit has none")])
        if self.with_risk_head and self.config.final_stage_only:
            raise BadInput([Fault("risk head", "needs the returns of all stages; a final-stage-only fit has none")])

    @classmethod
    def of(
        cls,
        split: DataSplit,
        feature_set: FeatureSet | None = None,
        preset: Preset = Preset.FULL,
        **settings: Any,
    ) -> ClosedFormTrainer:
        """The configuration that suits the set of features and the number of training days.

        feature_set: None is all that the market has; settings: further fields of this class.

        Raises BadInput for a preset other than the full one by the minute.
        """
        feature_set = feature_set or full_feature_set(split.market)
        by_minute = feature_set is not FeatureSet.QUARTER_HOUR
        if by_minute and preset is not Preset.FULL:
            raise BadInput([Fault("preset", f"{preset} is for the feature set {FeatureSet.QUARTER_HOUR}; ask for it")])
        config = ClosedFormConfig.by_minute() if by_minute else ClosedFormConfig.of(preset)
        if config.network is not None and split.training_day_count() < NETWORK_FROM_DAYS:
            config = replace(config, network=None)
        whole = preset is Preset.FULL
        chosen = {"with_critic": whole, "with_risk_head": whole and not by_minute, **settings}
        return cls(features=MarketFeatures(feature_set), config=config, **chosen)

    @property
    def step_min(self) -> int:
        """Minutes between decisions."""
        return 1 if self.features.running_names else MINUTES_PER_QUARTER_HOUR

    def needs(self, market: MarketSeries) -> Sequence[Need]:
        """The series that are encoded."""
        return encoder_needs(self.features.feature_set, market.known_series)

    def facts(self) -> dict[str, Any]:
        """Method and configuration."""
        return {
            "method": "closed form",
            "members": self.members,
            "refit": self.refit,
            "config": asdict(self.config),
            "features": self.features.feature_set.value,
            "with_critic": self.with_critic,
            "risk_search": asdict(self.risk_search) if self.with_risk_head else None,
        }

    def faults(self, split: DataSplit) -> Sequence[Fault]:
        """Minutes that the features need and the market lacks."""
        return missing_minutes(self.features, split.market)

    def fit(
        self, split: DataSplit, battery: Battery, seed: int, directory: Path, progress: ProgressCallback = silent
    ) -> Card:
        """Train into a directory, with critic and risk head if asked for; see the module's head."""
        return _Fit(self, split, battery, seed).into(directory, progress)

    def load(self, directory: Path) -> Policy:
        """The policy that `fit` wrote there."""
        return load_policy(directory)

    def policy(self, split: DataSplit, battery: Battery, seed: int = 0) -> ClosedFormPolicy:
        """The policy of the last stage: fitted in memory, without validation, critic, risk head or files."""
        fit = _Fit(self, split, battery, seed)
        return fit.policy(fit.members(self.config))


@dataclass(frozen=True, slots=True)
class _Fit:
    """One training of the closed form."""

    trainer: ClosedFormTrainer
    split: DataSplit
    battery: Battery
    seed: int

    @property
    def plan(self) -> TrainingPlan:
        return TrainingPlan(trainer=self.trainer, split=self.split, battery=self.battery, seed=self.seed)

    def into(self, directory: Path, progress: ProgressCallback) -> Card:
        began, trainer = time.perf_counter(), self.trainer
        work = directory / _WORK_FOLDER
        work.mkdir(parents=True, exist_ok=True)
        names = stage_names(trainer.config)
        steps = trainer.members + len(names) + 2 + trainer.refit
        fits = self._fits(work, steps, progress)
        fit_seconds = time.perf_counter() - began
        candidates = [self.policy([kept.fit.stages[stage] for kept in fits]) for stage in range(len(names))]
        results, earned = self._validate(candidates, steps, progress)
        chosen = choose([daily_profit_eur(result.ledger) for result in results])
        policy, covered = candidates[chosen], None
        if trainer.with_critic:
            progress(Progress(f"fitting the quantile critic{earned}", (steps - 1 - trainer.refit) / steps))
            policy, covered = self._with_critic(policy, fits[0].fit)
        if trainer.refit:
            progress(Progress(f"fitting again with the validation days{earned}", (steps - 1) / steps))
            policy = replace(policy, members=tuple(self.members(trainer.config.up_to_stage(chosen))))
        policy = replace(policy, head=fits[0].head)
        about = self._about([summary(result) for result in results], names[chosen], covered)
        seconds = {"fit_seconds": fit_seconds, "training_seconds": time.perf_counter() - began}
        card = save_policy(directory, policy, about | {name: round(value, 2) for name, value in seconds.items()})
        shutil.rmtree(work)
        progress(Progress(f"done: {_earned(names[chosen], results[chosen])}", 1.0))
        return card

    def _fits(self, work: Path, steps: int, progress: ProgressCallback) -> list[_Kept]:
        """All members, at every stage."""
        progress(Progress("encoding the training days", 0.0))
        training_data = self._data_to_fit(self.split.train_days)
        fits = []
        for number in range(self.trainer.members):
            progress(Progress(f"fitting member {number + 1} of {self.trainer.members}", (1 + number) / steps))
            fits.append(self._fit_or_resume(training_data, number, work))
        return fits

    def _validate(
        self, candidates: Sequence[ClosedFormPolicy], steps: int, progress: ProgressCallback
    ) -> tuple[list[Backtest], str]:
        """The backtest of every stage on the validation days, and in words what the last one earned."""
        results: list[Backtest] = []
        names, split, earned = stage_names(self.trainer.config), self.split, ""
        for stage, candidate in enumerate(candidates):
            share = (1 + self.trainer.members + stage) / steps
            progress(Progress(f"validating: {names[stage]}{earned}", share))
            days = split.selection(split.validation_days)
            results.append(run_backtest(split.market, self.battery, candidate, days, step_min=candidate.step_min))
            earned = f" ({_earned(names[stage], results[-1])})"
        return results, earned

    def members(self, config: ClosedFormConfig) -> list[EnsembleMember]:
        """All members at the last stage of `config`, on all that the policy may learn from."""
        training_data = self._data_to_fit(*self.split.fitted_days(refit=self.trainer.refit))
        return [fit_closed_form(training_data, config, seed).stages[-1] for seed in self._member_seeds]

    @property
    def _member_seeds(self) -> Sequence[int]:
        first = self.seed * self.trainer.members
        return range(first, first + self.trainer.members)

    def _data_to_fit(self, *days: DaysOfMonth) -> TrainingData:
        training_data = self._data(*days)
        if len(np.unique(training_data.folds[training_data.folds >= 0])) < _FEWEST_FOLDS:
            raise BadInput([Fault("training days", "are too few to hold days out; give more than a week")])
        return training_data

    def _data(self, *days: DaysOfMonth) -> TrainingData:
        split, trainer = self.split, self.trainer
        selection = split.selection(*days)
        return prepare_training_data(
            split.market, self.battery, selection, split.soc_reset, trainer.config.size, self.features()
        )

    def features(self) -> MarketFeatures:
        """The features with the configured trailing scale, whose prior comes from the training days."""
        config, split = self.trainer.config, self.split
        learned_min = split.day_ahead_steps_min(*split.fitted_days(refit=self.trainer.refit))
        features = replace(self.trainer.features, hour_means=config.hour_means, learned_day_ahead_min=learned_min)
        if config.scale_days is None:
            return features
        prior_eur_mwh = _recent_size_eur_mwh(split.market, split.selection(split.train_days))
        scale = TrailingScale(days=config.scale_days, prior_eur_mwh=prior_eur_mwh, fading=True)
        return replace(features, scale=scale)

    def policy(self, members: Sequence[EnsembleMember]) -> ClosedFormPolicy:
        """A policy of these members, without critic and risk head."""
        market, trainer = self.split.market, self.trainer
        sources, delay_min = tuple(sorted(market.known_series)), records_delay_min(market)
        combination = trainer.config.combination if trainer.features.feature_set is FeatureSet.FULL else None
        return ClosedFormPolicy(
            self.battery,
            trainer.config.size,
            tuple(members),
            sources,
            self.features(),
            delay_min,
            combination=combination,
        )

    def _fit_or_resume(self, training_data: TrainingData, number: int, work: Path) -> _Kept:
        """A member at each stage, from the kept file if it belongs to this plan."""
        trainer, kept = self.trainer, work / f"{self.plan.fingerprint()[:16]}-{number}.safetensors"
        if kept.exists():
            return _Kept.read(kept, trainer.config)
        fit = fit_closed_form(training_data, trainer.config, seed=self._member_seeds[number])
        head = None
        if trainer.with_risk_head and number == 0:
            head = fit_risk_head(self.split.market, training_data, fit, trainer.risk_search, self.seed)
        done = _Kept(replace(fit, advantages_eur=None), head)
        done.write(kept)
        return done

    def _with_critic(self, policy: ClosedFormPolicy, fit: Fitted) -> tuple[ClosedFormPolicy, dict[str, float]]:
        """The policy with its critic, and the critic's coverage on the validation days."""
        held_out = self._validation_returns(policy)
        if fit.returns is None:
            raise ValueError("a critic needs the returns of all stages; a final-stage-only fit has none")
        critic = fit_critic(fit.returns, held_out, self.seed)
        return replace(policy, critic=critic), coverage(critic, held_out)

    def _validation_returns(self, policy: ClosedFormPolicy) -> Returns:
        """What the policy realised on the validation days from every node."""
        market, training_data = self.split.market, self._data(self.split.validation_days)
        starts = market.quarter_hours[training_data.path.rows]
        times = starts[:, None] + np.arange(0, MINUTES_PER_QUARTER_HOUR, policy.step_min)
        view = policy.bind(market.known_at(times.ravel()), self.battery)
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

    def _about(self, validation: list[dict[str, Any]], chosen: str, covered: dict[str, float] | None) -> Card:
        stages = zip(stage_names(self.trainer.config), validation, strict=True)
        return {
            **provenance(self.plan),
            "config": asdict(self.trainer.config),
            "validation": {stage: {name: result[name] for name in VALIDATED} for stage, result in stages},
            "chosen_stage": chosen,
            "refit": self.trainer.refit,
            "critic_validation_coverage": covered,
        }


@dataclass(frozen=True, slots=True)
class _Kept:
    """A fitted member, and for the first one the risk head."""

    fit: Fitted
    head: RiskHead | None

    def write(self, path: Path) -> None:
        named = {
            f"{stage}.{name}": value
            for stage, member in enumerate(self.fit.stages)
            for name, value in member_tensors(member).items()
        }
        if self.fit.returns is not None:
            named |= {f"returns.{name}": getattr(self.fit.returns, name) for name in Returns.__dataclass_fields__}
        if self.head is not None:
            named |= head_tensors(self.head)
        write_whole(path, save(named))

    @classmethod
    def read(cls, path: Path, config: ClosedFormConfig) -> _Kept:
        tensors = load_file(path)
        names = Returns.__dataclass_fields__
        fit = Fitted(
            tuple(member_from_tensors(tensors, f"{stage}.", str(path)) for stage in range(len(stage_names(config)))),
            None if config.final_stage_only else Returns(**{name: tensors[f"returns.{name}"] for name in names}),
        )
        return cls(fit, head_from_tensors(tensors, str(path)))


def _earned(name: str, result: Backtest) -> str:
    """What a stage earned on the validation days, for progress reports."""
    return f"{name} {daily_profit_eur(result.ledger).mean():,.1f} EUR/day"


def choose(daily_eur: Sequence[pd.Series[float]]) -> int:
    """The last stage, unless an earlier one earned significantly more per validation day (two standard errors).

    Sixty days distinguish stages poorly; cross-validation over 300 days favours the later ones.

    daily_eur: profit of each validation day, one series a stage, on the same days.
    """
    best, best_gain = len(daily_eur) - 1, 0.0
    for stage, daily in enumerate(daily_eur[:-1]):
        difference = (daily - daily_eur[-1]).to_numpy()
        gain = float(difference.mean())
        if gain > best_gain and gain > _SIGNIFICANT * float(difference.std()) / len(difference) ** 0.5:
            best, best_gain = stage, gain
    return best


def _recent_size_eur_mwh(market: MarketSeries, selection: Sequence[Span]) -> float:
    """What the trailing scale measures, over the newest month of the selected days; its own default without a price."""
    starts = market.quarter_hours[rows_of(selection)][-_RECENT_QUARTER_HOURS:]
    series = RESIDUAL if RESIDUAL in market.known_series else PRICE
    latest = int(market.known_series[series].available_at.max())
    values = market.known_at(np.full(len(starts), latest), starts).gather(series, [0])[:, 0]
    values = values[np.isfinite(values)]
    if not len(values):
        return TrailingScale().prior_eur_mwh
    centre = 0.0 if series == RESIDUAL else float(values.mean())
    return max(float(np.sqrt(((values - centre) ** 2).mean())), LEAST_SCALE_EUR_MWH)
