"""What a training is asked for, and what its policy's card says of where it came from.

Contract
- A plan holds the market, the battery and the split of its days. Test days are in no plan.
- Equal plans have equal digests; an interrupted training resumes only under the digest that it began with.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from arbitrage.backtest.engine import selection_coverage
from arbitrage.battery import Battery
from arbitrage.code_revision import code_revision
from arbitrage.errors import BadInput, Fault
from arbitrage.features.encoder import MarketFeatures, encoder_needs
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.config import NETWORK_FROM_DAYS, ClosedFormConfig, Preset
from arbitrage.learners.closed_form.risk_search import RiskSearchConfig
from arbitrage.market.coverage import SourceCoverage
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, Span, rows_of, select_rows, spans
from arbitrage.policies.checkpoint.load import Card
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR

ProgressCallback = Callable[[str, float], None]
"""Told what is being done, and the share of the whole that is done, 0 to 1."""

_PACKAGES = ("arbitrage", "numpy", "numba", "pandas", "torch")


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
        if self.with_critic and self.config.final_stage_only:
            raise BadInput(
                [Fault("critic", "cannot be taught by a final-stage-only fit, which returns nothing for it")]
            )
        if self.with_risk_head and self.config.final_stage_only:
            raise BadInput(
                [Fault("risk head", "cannot be fitted to a final-stage-only fit, which returns nothing for it")]
            )

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
        needs = encoder_needs(self.features.feature_set, self.market.known_series)
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


def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES} | {"python": sys.version.split()[0]}
