"""The forms in which a critic represents the distribution of a return.

Contract: a form turns raw outputs into atoms (positions and shares of mass), equally likely outcomes, or a mean, and
says how raw outputs are pulled towards target atoms. Algorithms know forms by these acts only. Both take raw
outputs of shape [..., N].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from arbitrage.learners.neural.losses import (
    cross_entropy,
    equal_slices,
    midpoints,
    project,
    pseudo_loss,
    quantile_huber_gradient,
)
from arbitrage.policies.network_policy import Head


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileForm:
    """N equally likely quantiles at fixed fractions, by quantile Huber regression."""

    outputs: int = 32
    threshold: float = 1.0
    """Error from which the loss grows in a straight line, in the learner's unit of reward."""

    even: ClassVar[bool] = True
    """Whether all atoms have the same share."""

    def served(self) -> dict[str, Any]:
        """The form, as `NetworkPolicy` knows it."""
        return {"head": Head.QUANTILE}

    def of_twins(self, raw: Tensor, *, smaller: bool) -> tuple[Tensor, Tensor]:
        """Atoms of one distribution [...] from raw outputs of twins [2, ...]: quantile by quantile the smaller or the
        mean.
        """
        positions = raw.amin(0) if smaller else raw.mean(0)
        return positions, torch.full_like(positions, 1.0 / self.outputs)

    def atoms(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The quantiles, each with the same share."""
        return raw.detach(), torch.full_like(raw, 1.0 / self.outputs)

    def outcomes(self, raw: Tensor) -> Tensor:
        """The quantiles."""
        return raw

    def mean(self, raw: Tensor) -> Tensor:
        """Their mean."""
        return raw.mean(-1)

    def loss(self, raw: Tensor, positions: Tensor, shares: Tensor | None, weight: Tensor) -> Tensor:
        """A number whose gradient is that of the quantile Huber loss of raw [K, batch, N] at target atoms [batch, M].

        shares: [batch, M], None where all atoms weigh the same; weight: [batch], of the transitions.
        """
        fractions = midpoints(self.outputs, raw.device)
        pull = quantile_huber_gradient(raw.detach(), positions, fractions, shares, self.threshold)
        return pseudo_loss(raw, pull * weight[:, None] / len(weight))


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalForm:
    """Shares of mass on an even support, by cross-entropy to the projected target (C51, 1707.06887)."""

    lowest: float
    highest: float
    """The support, in the learner's unit of reward."""
    outputs: int = 51

    even: ClassVar[bool] = False
    """Whether all atoms have the same share."""

    def served(self) -> dict[str, Any]:
        """The form, as `NetworkPolicy` knows it."""
        return {"head": Head.CATEGORICAL, "support": (self.lowest, self.highest)}

    def of_twins(self, raw: Tensor, *, smaller: bool) -> tuple[Tensor, Tensor]:
        """Atoms of one distribution [...] from raw outputs of twins [2, ...]: the twin of the smaller mean, or half of
        each.
        """
        positions, shares = self.atoms(raw)
        if not smaller:
            return positions[0], shares.mean(0)
        first = self.mean(raw[0]) <= self.mean(raw[1])
        return positions[0], torch.where(first[..., None], shares[0], shares[1])

    def support(self, device: torch.device) -> Tensor:
        """Positions [N]."""
        return torch.linspace(self.lowest, self.highest, self.outputs, device=device)

    def atoms(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The support, and the shares on it."""
        shares = torch.softmax(raw.detach(), -1)
        return self.support(raw.device).expand_as(shares), shares

    def outcomes(self, raw: Tensor) -> Tensor:
        """Mean positions of equal slices of the mass."""
        return equal_slices(torch.softmax(raw, -1), self.support(raw.device))

    def mean(self, raw: Tensor) -> Tensor:
        """Mean position."""
        return (torch.softmax(raw, -1) * self.support(raw.device)).sum(-1)

    def loss(self, raw: Tensor, positions: Tensor, shares: Tensor | None, weight: Tensor) -> Tensor:
        """Cross-entropy of raw [K, batch, N] to the target atoms [batch, M] moved onto the support; see above."""
        if shares is None:
            shares = torch.full_like(positions, 1.0 / positions.shape[-1])
        target = project(positions, shares, self.support(raw.device))
        return (cross_entropy(raw, target) * weight).mean(-1).sum()


WIDE_SUPPORT = CategoricalForm(lowest=-50.0, highest=50.0)
"""In the learner's unit: the reference's 5,000 EUR each way where rewards are in units of 100.

With 51 atoms that is 200 EUR an atom, coarse against rewards of some EUR: quantiles suit this market better."""
FINE_QUANTILES = QuantileForm(threshold=0.1)
"""Quantiles to within 10 EUR where rewards are in units of 100; a wider threshold draws them to the mean."""


def select(raw: Tensor, chosen: Tensor) -> Tensor:
    """Raw outputs [batch, N] of one action each, from raw [batch, actions, N] and one-hot actions [batch, actions].

    A product of matrices, because its result is then computed once and not again for every pair of a pairwise loss.
    """
    return torch.bmm(chosen.to(raw.dtype)[:, None, :], raw)[:, 0]


def scores(outcomes: Tensor, sorted_weights: Tensor | None) -> Tensor:
    """Worth of equally likely outcomes [..., N]: their mean, or weights [N] on them in ascending order."""
    if sorted_weights is None:
        return outcomes.mean(-1)
    return (outcomes.sort(-1).values * sorted_weights).sum(-1)
