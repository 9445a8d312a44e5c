"""The composition root of neural agents: from a split of days to a policy directory.

Contract
- Updates are counted, not seconds, so that a seed determines the result. At regular updates the agent is validated on
  the validation days. The best agent so far is served in the end.
- What is needed to go on is written at each validation; an interrupted training goes on bit for bit. A training that
  diverges stops with a message, and the best agent before that is written.
- Test days are in no split.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from arbitrage.battery import Battery
from arbitrage.errors import Fault, refuse
from arbitrage.features.encoder import MarketFeatures, encoder_needs
from arbitrage.learners.experience.counterfactual_source import (
    DISCRETE_SHARES,
    CounterfactualConfig,
    CounterfactualSource,
)
from arbitrage.learners.experience.market_path import STATE_FEATURES, MarketPath, lay_market_path, profit_by_span
from arbitrage.learners.neural.learner import Learner, UpdateReport
from arbitrage.learners.neural.monitoring import Diverged, figures_of, refuse_collapse, refuse_divergence
from arbitrage.learners.neural.registry import make_learner, named_learner
from arbitrage.market.coverage import Need
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import SocReset
from arbitrage.policies.checkpoint.files import Card, write_whole
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.checkpoint.network import save_network_policy
from arbitrage.policies.network_policy import NetworkPolicy
from arbitrage.policies.protocol import Policy
from arbitrage.progress import Progress, ProgressCallback, silent
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR
from arbitrage.training.data_split import DataSplit, missing_minutes
from arbitrage.training.plan import TrainingPlan, provenance, records_delay_min

LEARNER_FILE = "learner.safetensors"
"""Beside a policy, where its learner is kept."""
_WORK_FILE = ".work.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuralTrainer:
    """An agent that learns from counterfactual transitions. Raises BadInput naming every setting that cannot be."""

    algorithm: str
    """Name of a learner; see `learners.neural.registry`."""
    features: MarketFeatures = field(default_factory=MarketFeatures)
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the algorithm, by the names of its configuration."""
    source: CounterfactualConfig = field(default_factory=CounterfactualConfig)
    updates: int = 10_000
    judge_every: int = 500
    """Updates between validations."""
    largest_value: float = 1e4
    """Values beyond it count as divergence, in the learner's unit."""
    device: str = "cpu"
    compiled: bool = True
    warm_start: Path | None = None
    """Policy directory whose kept learner the training begins with; None: random weights."""
    keep_learner: bool = False
    """Whether the learner is kept beside the policy, for another training to begin with."""

    def __post_init__(self) -> None:
        gpu_missing = self.device == "cuda" and not torch.cuda.is_available()
        compiler_missing = self.compiled and self.device == "cpu" and cpp_compiler() is None
        rules = {
            "updates": (self.updates >= 1, "must be 1 or more"),
            "judge_every": (self.judge_every >= 1, "must be 1 or more"),
            "device": (self.device in ("cpu", "cuda") and not gpu_missing, f"{self.device} is not available here"),
            "compiler": (
                not compiler_missing,
                "no C++ compiler was found (g++, or what CXX names); install one, or do not compile",
            ),
        }
        named_learner(self.algorithm)
        refuse(Fault(name, message) for name, (holds, message) in rules.items() if not holds)

    @property
    def step_min(self) -> int:
        """Minutes between decisions."""
        return 1 if self.features.running_names else MINUTES_PER_QUARTER_HOUR

    def needs(self, market: MarketSeries) -> Sequence[Need]:
        """The series that are encoded."""
        return encoder_needs(self.features.feature_set, market.known_series)

    def facts(self) -> dict[str, Any]:
        """Method and configuration; of a learner to begin with, its digest."""
        before = None if self.warm_start is None else hashlib.sha256((self.warm_start / LEARNER_FILE).read_bytes())
        return {
            "method": "neural",
            "algorithm": self.algorithm,
            "features": self.features.feature_set.value,
            "settings": {name: str(value) for name, value in self.settings.items()},
            "source": asdict(self.source),
            "updates": self.updates,
            "judge_every": self.judge_every,
            "device": self.device,
            "compiled": self.compiled,
            "warm_start": before and before.hexdigest(),
        }

    def faults(self, split: DataSplit) -> Sequence[Fault]:
        """Minutes that the features need and the market lacks."""
        return missing_minutes(self.features, split.market)

    def fit(
        self, split: DataSplit, battery: Battery, seed: int, directory: Path, progress: ProgressCallback = silent
    ) -> Card:
        """Train into a directory and return the policy's card; call again after an interruption to go on.

        Raises Diverged; the best agent before that is written all the same, if there was one.
        """
        began = time.perf_counter()
        directory.mkdir(parents=True, exist_ok=True)
        training, work = NeuralTraining(self, split, battery, seed), directory / _WORK_FILE
        if work.exists() and not training.resume(work):
            remark = f"{work} belongs to another plan or another version of the program; training begins again"
            progress(Progress("begins again", 0, self.updates, remark=remark))
        try:
            while training.progress.updates < self.updates:
                training.run(training.progress.updates + self.judge_every, progress)
                training.save(work)
        except Diverged:
            if training.progress.judged:
                training.save_policy(directory, time.perf_counter() - began)
            work.unlink(missing_ok=True)
            raise
        card = training.save_policy(directory, time.perf_counter() - began)
        work.unlink(missing_ok=True)
        return card

    def load(self, directory: Path) -> Policy:
        """The policy that `fit` wrote there."""
        return load_policy(directory)


@dataclass(slots=True)
class _Progress:
    """What changes while training, beside the learner."""

    updates: int = 0
    best_eur_per_day: float = -np.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    judged: list[tuple[int, float]] = field(default_factory=list)


class NeuralTraining:
    """One agent learning from counterfactual transitions of a split's training days."""

    def __init__(
        self,
        trainer: NeuralTrainer,
        split: DataSplit,
        battery: Battery,
        seed: int = 0,
        paths: tuple[MarketPath, MarketPath] | None = None,
    ) -> None:
        """`paths` are those of `lay_paths`, where they are at hand."""
        self.trainer, self.battery = trainer, battery
        self.plan = TrainingPlan(trainer=trainer, split=split, battery=battery, seed=seed)
        training, self._validation = paths or lay_paths(split, trainer.features)
        discrete = named_learner(trainer.algorithm).discrete
        self.source = CounterfactualSource(
            training, battery, trainer.source, seed, discrete=discrete, device=trainer.device
        )
        self.learner = make_learner(
            trainer.algorithm,
            self.source.problem,
            trainer.settings,
            seed,
            standard=self.source.standard(),
            device=trainer.device,
            compiled=trainer.compiled,
        )
        if trainer.warm_start is not None:
            self.learner.take_over(load_file(trainer.warm_start / LEARNER_FILE))
        self.progress = _Progress(best=self._copy())

    def run(self, until: int | None = None, progress: ProgressCallback = silent) -> None:
        """Go on until that many updates are made, all of them by default. Raises Diverged."""
        updates = self.trainer.updates
        end = updates if until is None else min(until, updates)
        while self.progress.updates < end:
            report = self.source.update(self.learner)
            self.progress.updates += 1
            if self.progress.updates % self.trainer.judge_every == 0 or self.progress.updates == updates:
                self._judge(report, progress)

    def _judge(self, report: UpdateReport, callback: ProgressCallback) -> None:
        progress, trainer = self.progress, self.trainer
        figures = figures_of(report)
        refuse_divergence(progress.updates, figures, trainer.largest_value)
        earned = self.validate()
        figures["validation_eur_per_day"] = earned
        progress.judged.append((progress.updates, earned))
        if earned > progress.best_eur_per_day:
            progress.best_eur_per_day, progress.best = earned, self._copy()
        doing = f"{trainer.algorithm}: {earned:,.1f} EUR a day on validation days, loss {figures['loss']:.3g}"
        callback(Progress(doing, progress.updates, trainer.updates, figures=figures))
        refuse_collapse(progress.updates, [earned for _, earned in progress.judged])

    def validate(self) -> float:
        """EUR a day on the validation days by the agent as it stands."""
        return float(profit_by_span(self._validation, self.battery, shares_of(self.learner)).mean())

    def policy(self) -> NetworkPolicy:
        """The best agent so far, as it is served."""
        now = self._copy()
        self.learner.load(self.progress.best)
        trainer, split, market = self.trainer, self.plan.split, self.plan.split.market
        policy = NetworkPolicy(
            battery=self.battery,
            sources=tuple(sorted(market.known_series)),
            features=replace(trainer.features, learned_day_ahead_min=split.day_ahead_steps_min(split.train_days)),
            state_features=STATE_FEATURES,
            step_min=trainer.step_min,
            reward_scale=trainer.source.reward_scale,
            publication_delay_min=records_delay_min(market),
            name=trainer.algorithm,
            **self.learner.served(),
        )
        self.learner.load(now)
        return policy

    def save_policy(self, directory: Path, seconds: float) -> Card:
        """Write the best agent so far, and the learner as it stands where it is to be kept; returns the card."""
        if self.trainer.keep_learner:
            kept = {name: tensor.cpu().contiguous() for name, tensor in self.learner.handed_on().items()}
            write_whole(directory / LEARNER_FILE, save(kept))
        return save_network_policy(directory, self.policy(), self._about(seconds))

    def save(self, path: Path) -> None:
        """Keep everything that is needed to go on bit for bit."""
        progress = self.progress
        tensors = {f"learner.{name}": tensor.cpu() for name, tensor in self.learner.tensors().items()}
        tensors |= {f"best.{name}": tensor.cpu() for name, tensor in progress.best.items()}
        counts = {"updates": progress.updates, "best_eur_per_day": progress.best_eur_per_day, "judged": progress.judged}
        metadata = {"plan": self.plan.fingerprint(), "progress": json.dumps(counts)}
        write_whole(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata))

    def resume(self, path: Path) -> bool:
        """Go on from a file of the same plan, if it is one; says whether it was."""
        with safe_open(path, framework="pt") as kept:
            metadata = kept.metadata()
            tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118 (not a dictionary)
        if metadata["plan"] != self.plan.fingerprint():
            return False
        self.learner.load(_part(tensors, "learner."))
        counts = json.loads(metadata["progress"])
        judged = [(int(update), float(earned)) for update, earned in counts["judged"]]
        best = {name: tensor.to(self._home(name)) for name, tensor in _part(tensors, "best.").items()}
        self.progress = _Progress(counts["updates"], counts["best_eur_per_day"], best, judged)
        return True

    def _home(self, name: str) -> torch.device:
        """The device of a tensor of the learner."""
        return self.learner.tensors()[name].device

    def _copy(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self.learner.tensors().items()}

    def _about(self, seconds: float) -> Card:
        progress, trainer = self.progress, self.trainer
        return {
            **provenance(self.plan),
            "config": {"algorithm": trainer.algorithm, **{k: str(v) for k, v in trainer.settings.items()}},
            "source": {"kind": "counterfactual", **asdict(trainer.source)},
            "updates": progress.updates,
            "validation": {"best": {"profit_eur_per_day": progress.best_eur_per_day}},
            "chosen_stage": "best",
            "validation_curve": progress.judged,
            "training_seconds": round(seconds, 2),
        }


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def cpp_compiler() -> str | None:
    """The compiler that torch makes machine code of updates with on a processor, None where there is none."""
    named = os.environ.get("CXX", "g++").split()
    return shutil.which(named[0]) if named else None


def shares_of(learner: Learner) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Shares of rated power by a learner's best actions."""
    powers = torch.tensor(DISCRETE_SHARES, dtype=torch.float64)

    def act(observations: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        chosen = learner.act_greedily(torch.from_numpy(observations).to(learner.device)).cpu()
        return (powers[chosen] if learner.problem.discrete else chosen[:, 0].double()).numpy()

    return act


def lay_paths(split: DataSplit, features: MarketFeatures) -> tuple[MarketPath, MarketPath]:
    """Training and validation days step by step; each validation day stands on its own."""
    alone = replace(split, soc_reset=SocReset.DAILY)
    step_min = 1 if features.running_names else MINUTES_PER_QUARTER_HOUR
    chosen = ((split, split.train_days), (alone, split.validation_days))
    training, validation = (
        lay_market_path(split.market, which.selection(of), features, step_min, which.soc_reset) for which, of in chosen
    )
    return training, validation
