"""The composition root of training neural agents on a market: from a plan to a policy directory.

Contract
- Updates are counted, not seconds, so that a seed says what comes out. Every so often the agent is judged on the
  validation days, and the best so far is what is kept in the end.
- What is needed to go on is written at each judgement; an interrupted training goes on bit for bit. A training that
  diverges stops with a message, and the best agent before that stays.
- Test days are nobody's business here.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from arbitrage.errors import Fault, refuse
from arbitrage.learners.experience.counterfactual_source import (
    DISCRETE_SHARES,
    CounterfactualConfig,
    CounterfactualSource,
)
from arbitrage.learners.experience.market_path import STATE_FEATURES, MarketPath, lay_market_path, profit_by_span
from arbitrage.learners.neural.export import networks_of
from arbitrage.learners.neural.learner import Learner, UpdateReport
from arbitrage.learners.neural.monitoring import Diverged, Sink, figures_of, refuse_collapse, refuse_divergence
from arbitrage.learners.neural.registry import Algorithm, make_learner
from arbitrage.market.splits import SocReset
from arbitrage.policies.checkpoint.files import Card, write_whole
from arbitrage.policies.checkpoint.network import save_network_policy
from arbitrage.policies.network_policy import NetworkPolicy
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR
from arbitrage.training.plan import TrainingPlan, provenance

_WORK_FILE = ".work.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerPlan:
    """What to train on what."""

    days: TrainingPlan
    """Market, battery, split, features and seed; its settings of the closed form do not matter here."""
    algorithm: Algorithm
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the algorithm, by the names of its configuration."""
    source: CounterfactualConfig = field(default_factory=CounterfactualConfig)
    updates: int = 10_000
    judge_every: int = 500
    """Updates between looks at the validation days."""
    largest_value: float = 1e4
    """Values beyond it count as divergence, in the learner's unit."""
    device: str = "cpu"
    compiled: bool = True

    def __post_init__(self) -> None:
        gpu_missing = self.device == "cuda" and not torch.cuda.is_available()
        compiler_missing = self.compiled and self.device == "cpu" and cpp_compiler() is None
        rules = {
            "updates": (self.updates >= 1, "must be 1 or more"),
            "judge_every": (self.judge_every >= 1, "must be 1 or more"),
            "refit": (not self.days.refit, "is for closed forms; a neural agent's best weights are those validated"),
            "device": (self.device in ("cpu", "cuda") and not gpu_missing, f"{self.device} is not at hand here"),
            "compiler": (
                not compiler_missing,
                "no C++ compiler is at hand (g++, or what CXX names); install one, or do not compile",
            ),
        }
        refuse(Fault(name, message) for name, (holds, message) in rules.items() if not holds)

    @property
    def step_min(self) -> int:
        """Minutes between decisions."""
        return 1 if self.days.features.running_names else MINUTES_PER_QUARTER_HOUR


@dataclass(slots=True)
class _Progress:
    """What changes while training, beside the learner."""

    updates: int = 0
    best_eur_per_day: float = -np.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    judged: list[tuple[int, float]] = field(default_factory=list)


class LearnerTraining:
    """One agent learning from counterfactual transitions of a plan's training days."""

    def __init__(self, plan: LearnerPlan, paths: tuple[MarketPath, MarketPath] | None = None) -> None:
        """`paths` are those of `lay_paths`, where they are at hand."""
        self.plan = plan
        days = plan.days
        training, self._validation = paths or lay_paths(plan)
        discrete = plan.algorithm.discrete
        self.source = CounterfactualSource(
            training, days.battery, plan.source, days.seed, discrete=discrete, device=plan.device
        )
        self.learner = make_learner(
            plan.algorithm,
            self.source.problem,
            plan.settings,
            days.seed,
            standard=self.source.standard(),
            device=plan.device,
            compiled=plan.compiled,
        )
        self.progress = _Progress(best=self._copy())

    def run(self, until: int | None = None, tell: Sink = lambda _step, _figures: None) -> None:
        """Go on until that many updates are made, all of them by default. Raises Diverged."""
        end = self.plan.updates if until is None else min(until, self.plan.updates)
        while self.progress.updates < end:
            report = self.source.update(self.learner)
            self.progress.updates += 1
            if self.progress.updates % self.plan.judge_every == 0 or self.progress.updates == self.plan.updates:
                self._judge(report, tell)

    def _judge(self, report: UpdateReport, tell: Sink) -> None:
        progress = self.progress
        figures = figures_of(report)
        refuse_divergence(progress.updates, figures, self.plan.largest_value)
        figures["validation_eur_per_day"] = self.validate()
        progress.judged.append((progress.updates, figures["validation_eur_per_day"]))
        if figures["validation_eur_per_day"] > progress.best_eur_per_day:
            progress.best_eur_per_day, progress.best = figures["validation_eur_per_day"], self._copy()
        tell(progress.updates, figures)
        refuse_collapse(progress.updates, [earned for _, earned in progress.judged])

    def validate(self) -> float:
        """EUR a day on the validation days by the agent as it stands."""
        return float(profit_by_span(self._validation, self.plan.days.battery, shares_of(self.learner)).mean())

    def policy(self) -> NetworkPolicy:
        """The best agent so far, as it is served."""
        now = self._copy()
        self.learner.load(self.progress.best)
        plan, days = self.plan, self.plan.days
        policy = NetworkPolicy(
            battery=days.battery,
            sources=tuple(sorted(days.market.known_series)),
            features=days.features,
            state_features=STATE_FEATURES,
            step_min=plan.step_min,
            reward_scale=plan.source.reward_scale,
            publication_delay_min=days.market.publication_delay_min + days.market.decision_latency_min,
            name=plan.algorithm.value,
            **networks_of(self.learner),
        )
        self.learner.load(now)
        return policy

    def save(self, path: Path) -> None:
        """Keep everything that is needed to go on bit for bit."""
        progress = self.progress
        tensors = {f"learner.{name}": tensor.cpu() for name, tensor in self.learner.tensors().items()}
        tensors |= {f"best.{name}": tensor.cpu() for name, tensor in progress.best.items()}
        told = {"updates": progress.updates, "best_eur_per_day": progress.best_eur_per_day, "judged": progress.judged}
        metadata = {"plan": fingerprint(self.plan), "progress": json.dumps(told)}
        write_whole(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata))

    def resume(self, path: Path) -> bool:
        """Go on from a file of the same plan, if it is one; says whether it was."""
        with safe_open(path, framework="pt") as kept:
            metadata = kept.metadata()
            tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118 (not a dictionary)
        if metadata["plan"] != fingerprint(self.plan):
            return False
        self.learner.load(_part(tensors, "learner."))
        told = json.loads(metadata["progress"])
        judged = [(int(update), float(earned)) for update, earned in told["judged"]]
        best = {name: tensor.to(self._home(name)) for name, tensor in _part(tensors, "best.").items()}
        self.progress = _Progress(told["updates"], told["best_eur_per_day"], best, judged)
        return True

    def _home(self, name: str) -> torch.device:
        """Where a tensor of the learner lives."""
        return self.learner.tensors()[name].device

    def _copy(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self.learner.tensors().items()}


def train_learner(
    plan: LearnerPlan,
    directory: Path,
    tell: Sink = lambda _step, _figures: None,
    warn: Callable[[str], None] = lambda _text: None,
) -> Card:
    """Train into a directory and return the policy's card; call again after an interruption to go on.

    Raises Diverged; the best agent before that is written all the same, if there was one.
    """
    began = time.perf_counter()
    directory.mkdir(parents=True, exist_ok=True)
    training, work = LearnerTraining(plan), directory / _WORK_FILE
    if work.exists() and not training.resume(work):
        warn(f"{work} belongs to another plan or another version of the program; training begins anew")
    try:
        while training.progress.updates < plan.updates:
            training.run(training.progress.updates + plan.judge_every, tell)
            training.save(work)
    except Diverged:
        if training.progress.judged:
            save_network_policy(directory, training.policy(), _about(plan, training, time.perf_counter() - began))
        work.unlink(missing_ok=True)
        raise
    card = save_network_policy(directory, training.policy(), _about(plan, training, time.perf_counter() - began))
    work.unlink(missing_ok=True)
    return card


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


def fingerprint(plan: LearnerPlan) -> str:
    """Names everything that the outcome depends on."""
    settings = {name: getattr(plan, name) for name in ("algorithm", "settings", "source", "updates", "judge_every")}
    return f"{plan.days.fingerprint()} {plan.device} {plan.compiled} {settings}"


def lay_paths(plan: LearnerPlan) -> tuple[MarketPath, MarketPath]:
    """Training and validation days step by step; each validation day stands on its own."""
    days = plan.days
    alone = replace(days, soc_reset=SocReset.DAILY)
    chosen = ((days, days.train_days), (alone, days.validation_days))
    training, validation = (
        lay_market_path(days.market, which.selection(of), days.features, plan.step_min, which.soc_reset)
        for which, of in chosen
    )
    return training, validation


def _about(plan: LearnerPlan, training: LearnerTraining, seconds: float) -> Card:
    progress = training.progress
    return {
        **provenance(plan.days),
        "config": {"algorithm": plan.algorithm.value, **{k: str(v) for k, v in plan.settings.items()}},
        "source": {"kind": "counterfactual", **asdict(plan.source)},
        "updates": progress.updates,
        "validation": {"best": {"profit_eur_per_day": progress.best_eur_per_day}},
        "chosen_stage": "best",
        "validation_curve": progress.judged,
        "training_seconds": round(seconds, 2),
    }
