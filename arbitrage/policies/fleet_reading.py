"""What a fleet's compiled loops follow instead of a view: a rule's signal with its bounds, or a table of advantages.

Contract: a policy that decides for a fleet gives one reading for all batteries of a group; which of the two it is, the
reading says by what it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import numpy as np

from arbitrage.arrays import Floats
from arbitrage.battery import Battery
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import KnownMarket
from arbitrage.policies.closed_form.advantage_table import tabulate
from arbitrage.policies.closed_form.lattice import LatticeShape
from arbitrage.policies.closed_form.view import ClosedFormView
from arbitrage.policies.protocol import RiskChoice


class Scale(NamedTuple):
    """A signal and what a rule's two numbers mean on it, arrays of shape [T]: a bound is zero + number x unit."""

    signal: Floats
    zero: Floats
    unit: Floats


@dataclass(frozen=True, slots=True)
class FleetReading:
    """A policy's reading of the market at T times, for every battery of a group."""

    shape: LatticeShape
    scale: Scale
    """Zeros where a table decides."""
    view: ClosedFormView | None = None
    """What the table is made of; None: the rule's bounds decide."""

    @classmethod
    def of_rule(cls, scale: Scale) -> Self:
        """Bounds decide; the lattice is not looked at."""
        return cls(LatticeShape(Battery().law, 2, 1), scale)

    @classmethod
    def of_view(cls, view: ClosedFormView) -> Self:
        """Advantages decide; the scale is not looked at."""
        count = len(view.quarter)
        return cls(view.lattice.shape, Scale(*(np.zeros(count) for _ in Scale._fields)), view)

    def between(self, first: int, last: int) -> tuple[Scale, Floats]:
        """Scale and table [members, last - first, 2, nodes] of times [first, last); the table is empty for a rule."""
        scale = Scale(*(column[first:last] for column in self.scale))
        return scale, np.zeros((0, 1, 2, 1)) if self.view is None else tabulate(self.view, first, last)


class FleetPolicy(Protocol):
    """What a fleet asks of its policies."""

    @property
    def step_min(self) -> int:
        """Minutes between decisions."""
        ...

    @property
    def needs(self) -> tuple[Need, ...]:
        """The series that decisions rest on."""
        ...

    @property
    def trained_battery(self) -> Battery | None:
        """The battery that it was trained for; None: any."""
        ...

    @property
    def risk(self) -> RiskChoice:
        """How its risk is set."""
        ...

    @property
    def bounds(self) -> tuple[float, float] | None:
        """A rule's lower and upper number; None for one that has none."""
        ...

    def read_for_fleet(self, known: KnownMarket) -> FleetReading:
        """Read the market at the times of `known`, for batteries of any size."""
        ...
