"""Replay of collected transitions: memory allocated once, drawn uniformly or by priority.

Contract: what is drawn depends on the learner's generator alone (on a processor: a GPU sums
priorities in no fixed order). Priorities are (error + least) ** exponent, new transitions
have the largest so far, and weights undo the bias in so far as `correction` says (Schaul and others, 2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from arbitrage.learners.neural.batch import Batch, empty_storage
from arbitrage.learners.neural.learner import Learner, LearningProblem, UpdateReport

_LEAST_ERROR = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayConfig:
    """Settings."""

    size: int = 100_000
    batch: int = 128
    priority_exponent: float = 0.0
    """0: drawn uniformly."""
    correction: float = 0.4
    """How much of the bias of priorities the weights undo, 0 to 1."""


class Replay:
    """The newest transitions."""

    def __init__(self, problem: LearningProblem, config: ReplayConfig, device: str = "cpu") -> None:
        self.config = config
        storage = empty_storage(config.size, problem.inputs, None if problem.discrete else problem.actions)
        self.storage = Batch(*(part.to(device) for part in storage))
        self._priority = torch.zeros(config.size, device=device)
        self._largest = torch.ones((), device=device)
        self.written = 0
        """Transitions ever added."""

    def __len__(self) -> int:
        return min(self.written, self.config.size)

    def add(self, batch: Batch) -> None:
        """Append transitions, in the place of the oldest where there is no more room."""
        count = len(batch.reward)
        rows = (self.written + torch.arange(count, device=self._priority.device)) % self.config.size
        for own, new in zip(self.storage, batch, strict=True):
            own[rows] = new
        self._priority[rows] = self._largest
        self.written += count

    def update(self, learner: Learner) -> UpdateReport:
        """One update of the learner from a batch that is drawn here."""
        if self.config.priority_exponent == 0.0:
            rows = torch.randint(
                len(self), (self.config.batch,), generator=learner.generator, device=self._priority.device
            )
            return learner.update(self.storage, rows)
        rows, weight = self._draw(learner.generator)
        report = learner.update(self.storage, rows, weight)
        priority = (report.error.detach() + _LEAST_ERROR) ** self.config.priority_exponent
        self._priority[rows] = priority
        self._largest = torch.maximum(self._largest, priority.max())
        return report

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        cumulative = self._priority[: len(self)].cumsum(0)
        drawn = torch.rand(self.config.batch, generator=generator, device=cumulative.device) * cumulative[-1]
        rows = torch.searchsorted(cumulative, drawn).clamp(max=len(self) - 1)
        likelihood = self._priority[rows] / cumulative[-1] * len(self)
        weight = likelihood.clamp(min=1e-12) ** -self.config.correction
        return rows, weight / weight.max()

    def tensors(self) -> dict[str, Tensor]:
        """Everything that has to be kept to go on."""
        counts = torch.tensor([self.written], dtype=torch.int64)
        return {**self.storage._asdict(), "priority": self._priority, "largest": self._largest, "written": counts}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take up what `tensors` once returned."""
        for name, own in self.storage._asdict().items():
            own.copy_(tensors[name])
        self._priority.copy_(tensors["priority"])
        self._largest = tensors["largest"].to(self._priority.device)
        self.written = int(tensors["written"])
