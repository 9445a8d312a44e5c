"""What learners learn from: transitions, wherever they come from.

Contract: a transition says by how much the value after it counts (`discount`), so that one form holds for one step and
for several, for an end (0) and for a mere cut (not 0). Rewards are in the learner's unit.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Transitions, a batch of them or all there are; the first axis is the transition."""

    observation: Tensor
    """Shape [n, inputs]."""
    action: Tensor
    """Shape [n], int64, or [n, actions] in (-1, 1) where actions are continuous."""
    reward: Tensor
    """Shape [n]; discounted sum where a transition spans several steps."""
    next_observation: Tensor
    """Shape [n, inputs]."""
    discount: Tensor
    """Shape [n]; what the value after the transition counts; 0 where the problem has ended."""
    entropy: Tensor
    """Shape [n]; of the policy that acted, where it had one."""


def take(storage: Batch, rows: Tensor) -> Batch:
    """The transitions of these rows [b]."""
    return Batch(*(part[rows] for part in storage))


def empty_storage(count: int, inputs: int, actions: int | None) -> Batch:
    """Room for `count` transitions; `actions` is the number of continuous ones, None where they are discrete."""
    action = torch.zeros(count, dtype=torch.int64) if actions is None else torch.zeros(count, actions)
    return Batch(
        observation=torch.zeros(count, inputs),
        action=action,
        reward=torch.zeros(count),
        next_observation=torch.zeros(count, inputs),
        discount=torch.zeros(count),
        entropy=torch.zeros(count),
    )
