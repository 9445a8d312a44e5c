"""The composition root of rules: from a split of days to a tuned strategy, in memory or in a policy directory.

Contract: a rule is tuned on training and validation days together: it has nothing else to choose. Test days are in no
split. A seed changes nothing. A rule decides for any battery; the card states the battery that it was tuned for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.metrics import summary
from arbitrage.battery import Battery
from arbitrage.errors import Fault
from arbitrage.market.coverage import Need
from arbitrage.market.series import MarketSeries
from arbitrage.policies.checkpoint.files import Card, read_card
from arbitrage.policies.checkpoint.rule import rule_from, save_rule
from arbitrage.policies.protocol import Policy
from arbitrage.policies.strategy_spec import StrategySpec
from arbitrage.progress import Progress, ProgressCallback, silent
from arbitrage.training.data_split import DataSplit
from arbitrage.training.plan import VALIDATED, TrainingPlan, provenance

_TUNED_ON = "the days to learn from"
_STAGE = "tuned"


@dataclass(frozen=True, slots=True)
class RuleTrainer:
    """Tunes a strategy that is made from code."""

    spec: StrategySpec

    @property
    def step_min(self) -> int:
        """Minutes between its decisions."""
        return self.spec.step_min

    def needs(self, market: MarketSeries) -> Sequence[Need]:  # noqa: ARG002 (a rule needs the same of every market)
        """The series that it reads."""
        return self.spec.needs

    def facts(self) -> dict[str, Any]:
        """Method and rule; of a user's own strategy the digest of its code."""
        return {"method": "rule", "rule": self.spec.name, "code_sha256": self.spec.code_sha256}

    def faults(self, split: DataSplit) -> Sequence[Fault]:
        """Series that it needs and the market lacks."""
        return self.spec.source_faults(split.market)

    def policy(self, split: DataSplit, battery: Battery) -> Policy:
        """The strategy with its numbers tuned, in memory."""
        days = split.selection(split.train_days, split.validation_days)
        return self.spec.tuned(split.market, battery, days, _TUNED_ON)

    def fit(
        self, split: DataSplit, battery: Battery, seed: int, directory: Path, progress: ProgressCallback = silent
    ) -> Card:
        """Tune into a directory and return the card, with what the rule earns on the validation days, of which it has
        seen all.

        Raises BadInput for a user's own strategy whose numbers cannot be written; see `save_rule`.
        """
        progress(Progress("tuning", 0.0))
        policy = self.policy(split, battery)
        progress(Progress("validating", 0.5))
        days = split.selection(split.validation_days)
        result = summary(run_backtest(split.market, battery, policy, days, step_min=policy.step_min))
        about = {
            **provenance(TrainingPlan(trainer=self, split=split, battery=battery, seed=seed)),
            "validation": {_STAGE: {name: result[name] for name in VALIDATED}},
            "chosen_stage": _STAGE,
        }
        card = save_rule(directory, self.spec, policy, battery, about)
        progress(Progress("done", 1.0))
        return card

    def load(self, directory: Path) -> Policy:
        """The rule that `fit` wrote there; a user's own strategy too."""
        return rule_from(read_card(directory), self.spec, str(directory))
