"""One training, whatever the method: a trainer, a split of days, a battery and a seed; and what its card says of it.

Contract
- A trainer holds the configuration of its own method and nothing else. It turns a split into a policy directory.
- Equal plans have equal fingerprints. An interrupted training resumes only under the fingerprint that it began with.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from arbitrage.battery import Battery
from arbitrage.code_revision import code_revision
from arbitrage.errors import Fault, refuse
from arbitrage.market.coverage import Need, SourceCoverage
from arbitrage.market.series import MarketSeries
from arbitrage.policies.checkpoint.card import TensorsState, read_any_card, tensors_of_card
from arbitrage.policies.checkpoint.files import CARD_FILE, Card
from arbitrage.policies.protocol import Policy
from arbitrage.progress import ProgressCallback, silent
from arbitrage.training.data_split import DataSplit

VALIDATED = ("profit_eur_per_day", "capture_fraction", "cycles_per_day", "conditional_value_at_risk_eur", "violations")
"""Figures of the validation days that a card states."""
_PACKAGES = ("arbitrage", "numpy", "numba", "pandas", "torch")


class Trainer(Protocol):
    """A method of learning, with its configuration; see `closed_form`, `neural`, `mpc` and `rules`."""

    @property
    def step_min(self) -> int:
        """Minutes between the decisions of the policies that it trains."""
        ...

    def needs(self, market: MarketSeries) -> Sequence[Need]:
        """The series that the policies decide on, as far as the market has them."""
        ...

    def facts(self) -> dict[str, Any]:
        """The method and its configuration, ready for JSON; part of the fingerprint."""
        ...

    def faults(self, split: DataSplit) -> Sequence[Fault]:
        """Why the method cannot learn from the split; empty where it can."""
        ...

    def fit(
        self, split: DataSplit, battery: Battery, seed: int, directory: Path, progress: ProgressCallback = silent
    ) -> Card:
        """Train a policy into a directory and return its card; call again after an interruption to go on."""
        ...

    def load(self, directory: Path) -> Policy:
        """The policy that `fit` wrote there. Raises BadInput."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What to train on what. Raises BadInput where the method cannot learn from the split."""

    trainer: Trainer
    split: DataSplit
    battery: Battery
    seed: int = 0

    def __post_init__(self) -> None:
        refuse(self.trainer.faults(self.split))

    def coverage(self) -> dict[str, tuple[SourceCoverage, ...]]:
        """How many records of each series are there on the days to learn from and to choose on, by purpose."""
        return self.split.coverage(self.trainer.needs(self.split.market), self.trainer.step_min)

    def fingerprint(self) -> str:
        """Names everything that the policy depends on, the code and its packages included."""
        facts = {
            "method": self.trainer.facts(),
            "versions": _versions(),
            "code": code_revision(),
            "data": self.split.market.data_hash,
            "battery": asdict(self.battery),
            "split": self.split.facts(),
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def train(plan: TrainingPlan, directory: Path, progress: ProgressCallback = silent) -> Card:
    """Train a policy into a directory and return its card; call again after an interruption to go on."""
    return plan.trainer.fit(plan.split, plan.battery, plan.seed, directory, progress)


def finished_card(plan: TrainingPlan, directory: Path) -> Card | None:
    """The card of the whole policy that this plan has left there, if it has."""
    if not (directory / CARD_FILE).is_file():
        return None
    card = read_any_card(directory)
    ours = card.get("plan_sha256") == plan.fingerprint() and tensors_of_card(directory, card) is TensorsState.MATCH
    return card if ours else None


def trained_policy(plan: TrainingPlan, directory: Path, progress: ProgressCallback = silent) -> Policy:
    """The plan's policy, from the directory if it is finished there, else trained into it."""
    if finished_card(plan, directory) is None:
        train(plan, directory, progress)
    return plan.trainer.load(directory)


def provenance(plan: TrainingPlan) -> Card:
    """Where a policy of this plan comes from, for its card."""
    market = plan.split.market
    return {
        "data_sha256": market.data_hash,
        "publication_delay_min": market.publication_delay_min,
        "decision_latency_min": market.decision_latency_min,
        "minute_source": market.minute_source,
        "minute_seed": market.minute_seed,
        "split": plan.split.facts(),
        "coverage": {
            purpose: {each.source: each.figures() for each in covered} for purpose, covered in plan.coverage().items()
        },
        "seed": plan.seed,
        "plan_sha256": plan.fingerprint(),
        "versions": _versions(),
        "code_revision": code_revision(),
    }


def records_delay_min(market: MarketSeries) -> int:
    """How late records reach a policy: their publication delay and the decision latency."""
    return market.publication_delay_min + market.decision_latency_min


def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES} | {"python": sys.version.split()[0]}
