"""Training by replay: step an environment, store transitions, learn from them.

Contract: steps are counted over all copies of the environment. A run is taken up again bit for bit, the environment's
own state included, if the environment can be pickled; such a file is this program's own work and read from nowhere
else.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from arbitrage.errors import BadInput, Fault
from arbitrage.learners.experience.collector import CollectionConfig, Collector
from arbitrage.learners.experience.replay_buffer import Replay, ReplayConfig
from arbitrage.learners.neural.learner import Learner, LearningProblem, UpdateReport
from arbitrage.learners.neural.monitoring import figures_of, refuse_divergence
from arbitrage.policies.checkpoint.files import write_whole
from arbitrage.progress import Progress, ProgressCallback, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineConfig:
    """How many steps to take and how much to learn from them."""

    steps: int
    warm_up: int = 1_000
    """Random steps before the first update."""
    updates_per_step: float = 0.5
    report_every: int = 1_000
    """Steps between looks at the figures."""
    largest_value: float = 1e5
    """Values beyond it count as divergence, in the learner's unit."""
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    collection: CollectionConfig = field(default_factory=CollectionConfig)


class OnlineTrainer:
    """One learner in one vector environment."""

    def __init__(
        self, env: VectorEnv[Any, Any, Any], make: Callable[[LearningProblem], Learner], config: OnlineConfig, seed: int
    ) -> None:
        """Raises BadInput if the first update would come before anything is remembered."""
        self.config = config
        rounds = config.collection.steps - 1
        if config.warm_up < rounds * env.num_envs:
            spanned = f"{config.collection.steps} steps in each of {env.num_envs} copies"
            raise BadInput([Fault("warm_up", f"must be {rounds * env.num_envs} or more: a transition spans {spanned}")])
        self.collector = Collector(env, config.collection, seed)
        self.learner = make(self.collector.problem)
        self.replay = Replay(self.collector.problem, config.replay, str(self.learner.device))
        self.steps = 0
        self._updates_due = 0.0
        self._report: UpdateReport | None = None

    def run(self, until: int | None = None, progress: ProgressCallback = silent) -> None:
        """Go on until that many steps have been taken, all of them by default. Raises Diverged."""
        end = self.config.steps if until is None else until
        while self.steps < end:
            self._step()
            if self.steps % self.config.report_every < self.collector.env.num_envs and self._report is not None:
                self._report_to(progress)

    def _step(self) -> None:
        config, copies = self.config, self.collector.env.num_envs
        if self.steps < config.warm_up:
            collected = self.collector.step_randomly(self.learner.generator)
        else:
            collected = self.collector.step(self.learner, self.steps / config.steps)
            self._updates_due += config.updates_per_step * copies
        if collected is not None:
            self.replay.add(collected)
        self.steps += copies
        while self._updates_due >= 1.0:
            self._report = self.replay.update(self.learner)
            self._updates_due -= 1.0

    def _report_to(self, progress: ProgressCallback) -> None:
        assert self._report is not None
        figures = figures_of(self._report)
        if self.collector.finished:
            figures["episode_return"] = float(np.mean(self.collector.finished))
            self.collector.finished.clear()
        progress(Progress("training", self.steps, self.config.steps, figures=figures))
        refuse_divergence(self.steps, figures, self.config.largest_value)

    def save(self, path: Path) -> None:
        """Keep everything that is needed to go on bit for bit. Raises BadInput if the environment cannot be pickled."""
        kept = {
            "learner": self.learner.tensors(),
            "replay": self.replay.tensors(),
            "collector": self.collector,
            "steps": self.steps,
            "updates_due": self._updates_due,
        }
        try:
            content = pickle.dumps(kept)
        except (AttributeError, TypeError, pickle.PicklingError) as reason:
            raise BadInput(
                [Fault("environment", f"cannot be pickled, so the training cannot be kept: {reason}")]
            ) from None
        write_whole(path, content)

    def resume(self, path: Path) -> None:
        """Go on from a file that `save` wrote; read none but your own, for it holds pickled objects."""
        kept = pickle.loads(path.read_bytes())
        self.learner.load(kept["learner"])
        self.replay.load(kept["replay"])
        self.collector = kept["collector"]
        self.steps, self._updates_due = kept["steps"], kept["updates_due"]


@torch.no_grad()
def mean_return(learner: Learner, env: VectorEnv[Any, Any, Any], episodes: int, seed: int) -> float:
    """Mean undiscounted return of greedy episodes, counted in the order in which they end on each copy.

    Every copy contributes the same number of episodes, so that short ones are not favoured.
    """
    collector = Collector(env, CollectionConfig(), seed)
    copies = env.num_envs
    wanted = -(-episodes // copies)
    returns, done = np.zeros((copies, wanted)), np.zeros(copies, dtype=np.int64)
    while done.min() < wanted:
        ended = collector.step_greedily(learner)
        for copy, value in ended:
            if done[copy] < wanted:
                returns[copy, done[copy]] = value
                done[copy] += 1
    return float(returns.mean())
