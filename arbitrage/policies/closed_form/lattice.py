"""The battery's states as a lattice of nodes, and where each action leads from each node.

Contract: nodes are (state of charge, cycles used), both evenly spaced over what the battery allows; a value between
nodes is interpolated linearly. Where an action leads is what the battery law says, and nothing else.

The market does not depend on the battery, so one recorded price teaches about every node and action at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats
from arbitrage.battery import Battery, BatteryLaw, clip_and_advance
from arbitrage.quarter_hour import MINUTES_PER_HOUR, refuse_step
from arbitrage.settling import action_power_mw

Indices = npt.NDArray[np.int64]

SOC_NODES = 17
CYCLE_NODES = 9
"""About one full-power discharge apart for the usual budget of a two-hour battery."""


class LatticeShape(NamedTuple):
    """How the nodes lie, without the moves: what it takes to find the cell of a state."""

    law: BatteryLaw
    soc_nodes: int
    cycle_nodes: int


class Lattice(NamedTuple):
    """Nodes and moves as compiled code takes them; node = soc index x cycle_nodes + cycle index."""

    law: BatteryLaw
    soc_nodes: int
    cycle_nodes: int
    """1 where there is no budget."""
    energy_mwh: Floats
    """Shape [2, nodes]; grid-side energy of a full-power interval, discharge positive."""
    wear_eur: Floats
    """Shape [2, nodes]."""
    corner: Indices
    """Shape [2, nodes]; the lowest node of the cell in which the action ends."""
    soc_share: Floats
    """Shape [2, nodes]; position in that cell along the state of charge, 0 to 1."""
    cycle_share: Floats
    """Shape [2, nodes]; position in that cell along the cycles used, 0 to 1."""

    @property
    def nodes(self) -> int:
        return self.soc_nodes * self.cycle_nodes

    @property
    def shape(self) -> LatticeShape:
        """Without the moves."""
        return LatticeShape(self.law, self.soc_nodes, self.cycle_nodes)


@dataclass(frozen=True, slots=True)
class LatticeSize:
    """How fine the lattice is."""

    soc_nodes: int = SOC_NODES
    cycle_nodes: int = CYCLE_NODES


def make_lattice(battery: Battery, duration_min: int, size: LatticeSize) -> Lattice:
    """The lattice of a battery for intervals of `duration_min`: 1, 3, 5 or 15, else BadInput."""
    refuse_step(duration_min)
    law = battery.law
    cycle_nodes = size.cycle_nodes if 0 < law.max_cycles_per_day < math.inf else 1
    nodes = size.soc_nodes * cycle_nodes
    floats = np.zeros((4, 2, nodes))
    corner = np.zeros((2, nodes), dtype=np.int64)
    empty = Lattice(law, size.soc_nodes, cycle_nodes, floats[0], floats[1], corner, floats[2], floats[3])
    _fill_moves(empty, duration_min / MINUTES_PER_HOUR)
    return empty


@numba.njit(cache=True)
def cell(lattice: Lattice | LatticeShape, soc_mwh: float, cycles_used: float) -> tuple[int, float, float]:
    """The cell that holds a state: its lowest node, and the position inside along SoC and cycles, 0 to 1 each."""
    law = lattice.law
    along = (soc_mwh - law.min_soc_mwh) / (law.max_soc_mwh - law.min_soc_mwh) * (lattice.soc_nodes - 1)
    along = min(max(along, 0.0), lattice.soc_nodes - 1.0)
    row = min(int(along), lattice.soc_nodes - 2)
    if lattice.cycle_nodes == 1:
        return row, along - row, 0.0
    used = min(max(cycles_used / law.max_cycles_per_day, 0.0), 1.0) * (lattice.cycle_nodes - 1)
    column = min(int(used), lattice.cycle_nodes - 2)
    return row * lattice.cycle_nodes + column, along - row, used - column


@numba.njit(cache=True)
def interpolate(
    values: npt.NDArray[np.floating], cycle_nodes: int, corner: int, soc_share: float, cycle_share: float
) -> float:
    """Value [nodes] at a position inside a cell."""
    above = corner + cycle_nodes
    if cycle_nodes == 1:
        return float((1.0 - soc_share) * values[corner] + soc_share * values[above])
    low = (1.0 - cycle_share) * values[corner] + cycle_share * values[corner + 1]
    high = (1.0 - cycle_share) * values[above] + cycle_share * values[above + 1]
    return float((1.0 - soc_share) * low + soc_share * high)


@numba.njit(cache=True)
def node_state(lattice: Lattice, node: int) -> tuple[float, float]:
    """State of charge in MWh and cycles used at a node."""
    law = lattice.law
    row, column = divmod(node, lattice.cycle_nodes)
    soc_mwh = law.min_soc_mwh + (law.max_soc_mwh - law.min_soc_mwh) * row / (lattice.soc_nodes - 1)
    if lattice.cycle_nodes == 1:
        return soc_mwh, 0.0
    return soc_mwh, law.max_cycles_per_day * column / (lattice.cycle_nodes - 1)


@numba.njit(cache=True)
def _fill_moves(lattice: Lattice, duration_h: float) -> None:
    law = lattice.law
    for node in range(lattice.soc_nodes * lattice.cycle_nodes):
        soc_mwh, cycles = node_state(lattice, node)
        for action in range(2):
            asked = action_power_mw(law, action)
            power, soc_after, cycles_after, wear_eur = clip_and_advance(law, soc_mwh, cycles, asked, duration_h)
            lattice.energy_mwh[action, node] = power * duration_h
            lattice.wear_eur[action, node] = wear_eur
            corner, soc_share, cycle_share = cell(lattice, soc_after, cycles_after)
            lattice.corner[action, node] = corner
            lattice.soc_share[action, node] = soc_share
            lattice.cycle_share[action, node] = cycle_share


@numba.njit(cache=True)
def begin_day(lattice: Lattice, values: Floats) -> None:
    """Value at the last moment of a day from the value at the first moment of the next: cycles used are forgotten."""
    for row in range(lattice.soc_nodes):
        first = row * lattice.cycle_nodes
        for node in range(first + 1, first + lattice.cycle_nodes):
            values[node] = values[first]
