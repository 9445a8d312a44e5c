"""Networks as one flat vector of numbers each, several of one shape stacked, and the optimiser that moves them.

Contract
- All weights of K equal networks are a tensor [K, parameters]: twins are computed side by side, Adam and the target's
  averaging are one operation on one tensor, and a checkpoint is a handful of tensors.
- Layers are linear with ReLU between.
- Everything changes in place, so that an update can be compiled as one graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

_FIRST_DECAY, _SECOND_DECAY, _LEAST = 0.9, 0.999, 1e-8
"""Adam's usual numbers (Kingma and Ba, 2015)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Shape of K stacked networks."""

    widths: tuple[int, ...]
    """Inputs, hidden layers, outputs."""
    stacked: int = 1

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Weight and bias of each layer in turn, without the stacking axis."""
        return tuple(shape for a, b in pairwise(self.widths) for shape in ((a, b), (1, b)))

    @property
    def sizes(self) -> list[int]:
        """Numbers in each of them."""
        return [math.prod(shape) for shape in self.shapes]

    def unpack(self, flat: Tensor) -> list[Tensor]:
        """Views of a flat [K, parameters] tensor, each of shape [K, *shape]."""
        parts = torch.split(flat, self.sizes, dim=1)
        return [part.view(self.stacked, *shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def initial(self, generator: torch.Generator) -> Tensor:
        """Uniform within 1 / sqrt(fan in), as torch's linear layers begin; shape [K, parameters]."""
        bounds = [1.0 / math.sqrt(fan_in) for fan_in in self.widths[:-1] for _ in range(2)]
        parts = [
            (2.0 * torch.rand(self.stacked, size, generator=generator) - 1.0) * bound
            for size, bound in zip(self.sizes, bounds, strict=True)
        ]
        return torch.cat(parts, dim=1)


def forward(parts: Sequence[Tensor], inputs: Tensor) -> Tensor:
    """Outputs [K, batch, outputs] for inputs [batch, inputs] (the same for all) or [K, batch, inputs]."""
    stacked = parts[0].shape[0]
    if stacked == 1:
        values = inputs.reshape(inputs.shape[-2:])
        for weight, bias in zip(parts[0:-2:2], parts[1:-2:2], strict=True):
            values = torch.relu(torch.addmm(bias[0], values, weight[0]))
        return torch.addmm(parts[-1][0], values, parts[-2][0])[None]
    values = inputs.expand(stacked, *inputs.shape[-2:])
    for weight, bias in zip(parts[0:-2:2], parts[1:-2:2], strict=True):
        values = torch.relu(torch.baddbmm(bias, values, weight))
    return torch.baddbmm(parts[-1], values, parts[-2])


class Trained(NamedTuple):
    """Weights and what Adam remembers of them."""

    flat: Tensor
    """Shape [K, parameters]."""
    first_moment: Tensor
    second_moment: Tensor
    steps: Tensor
    """Shape []; updates so far."""


def trained(flat: Tensor) -> Trained:
    """Weights that have not been moved yet."""
    return Trained(flat, torch.zeros_like(flat), torch.zeros_like(flat), torch.zeros((), device=flat.device))


def descend(weights: Trained, gradients: Sequence[Tensor], learning_rate: float, longest: float | None = None) -> None:
    """One step of Adam in place; each of the K gradients is cut to a norm of `longest` first, if given."""
    stacked = weights.flat.shape[0]
    gradient = torch.cat([part.reshape(stacked, -1) for part in gradients], dim=1)
    if longest is not None:
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        gradient = gradient * (longest / (norm + _LEAST)).clamp(max=1.0)
    weights.steps.add_(1.0)
    weights.first_moment.lerp_(gradient, 1.0 - _FIRST_DECAY)
    weights.second_moment.mul_(_SECOND_DECAY).addcmul_(gradient, gradient, value=1.0 - _SECOND_DECAY)
    first = weights.first_moment / (1.0 - _FIRST_DECAY**weights.steps)
    second = weights.second_moment / (1.0 - _SECOND_DECAY**weights.steps)
    weights.flat.sub_(learning_rate * first / (second.sqrt() + _LEAST))


class Standard(NamedTuple):
    """How observations are standardised before the first layer."""

    mean: Tensor
    """Shape [inputs]."""
    std: Tensor
    """Shape [inputs]."""
    limit: Tensor
    """Shape []; standard deviations beyond which an input is taken as just far."""

    def __call__(self, observations: Tensor) -> Tensor:
        """Standardised and clipped observations [..., inputs]."""
        scaled = (observations - self.mean) / self.std
        return torch.minimum(torch.maximum(scaled, -self.limit), self.limit)


def as_they_are(inputs: int) -> Standard:
    """Observations enter as they come."""
    return Standard(torch.zeros(inputs), torch.ones(inputs), torch.tensor(math.inf))
