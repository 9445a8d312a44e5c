"""A learned policy's advantages at every node of its lattice, tabulated: how it decides for thousands of batteries.

Contract: interpolated from the table, a decision equals that of `ClosedFormView` for one battery bit for bit: the same
sums in the same order.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats, Singles
from arbitrage.policies.closed_form.lattice import Lattice, LatticeShape, cell
from arbitrage.policies.closed_form.view import ClosedFormView
from arbitrage.quarter_hour import QUARTER_HOUR_H
from arbitrage.settling import CHARGE, DISCHARGE, action_power_mw, greedy_action, possible_power_mw, settle_eur


def tabulate(view: ClosedFormView, first: int, last: int) -> Floats:
    """Advantages in EUR at the nodes, shape [members, last - first, 2, nodes], at times [first, last) of the view."""
    lattice, quarter = view.lattice, view.quarter[first:last]
    table = np.zeros((len(view.members), last - first, 2, lattice.nodes))
    for member, out in zip(view.members, table, strict=True):
        by_regressor = np.ascontiguousarray(member.correction.transpose(0, 2, 1))
        forecast, continuation = member.forecast_eur_mwh[first:last], member.continuation_eur[first:last]
        scale = view.encoded.scale_eur_mwh[quarter]
        _fill(lattice, member.regressors[quarter], by_regressor, forecast, scale, continuation, out)
    return table


@numba.njit(cache=True, nogil=True)
def _fill(
    lattice: Lattice,
    regressors: Singles,
    correction: Singles,
    forecast: Floats,
    scale: npt.NDArray[np.floating],
    continuation: Singles,
    out: Floats,
) -> None:
    for t in range(out.shape[0]):
        for action in range(2):
            learned = np.zeros(out.shape[2])
            for j in range(regressors.shape[1]):
                for node in range(out.shape[2]):
                    learned[node] += regressors[t, j] * correction[action, j, node]
            for node in range(out.shape[2]):
                cash = settle_eur(forecast[t], lattice.energy_mwh[action, node]) - lattice.wear_eur[action, node]
                out[t, action, node] = cash + continuation[t, action, node] + scale[t] * learned[node]


@numba.njit(cache=True, nogil=True)
def power_by_table(shape: LatticeShape, table: Floats, at: int, soc_mwh: float, cycles_used: float) -> float:
    """The power that the policy asks for at a time of the table, for a battery of its own kind in this state, MW."""
    law = shape.law
    may_charge = possible_power_mw(law, soc_mwh, cycles_used, CHARGE, 1.0, QUARTER_HOUR_H) != 0.0
    may_discharge = possible_power_mw(law, soc_mwh, cycles_used, DISCHARGE, 1.0, QUARTER_HOUR_H) != 0.0
    corner, soc_share, cycle_share = cell(shape, soc_mwh, cycles_used)
    charge, discharge = -np.inf, -np.inf
    if may_charge:
        charge = _mean(shape.cycle_nodes, table, at, CHARGE, corner, soc_share, cycle_share)
    if may_discharge:
        discharge = _mean(shape.cycle_nodes, table, at, DISCHARGE, corner, soc_share, cycle_share)
    return float(action_power_mw(law, greedy_action(charge, discharge)))


@numba.njit(cache=True, nogil=True)
def _mean(
    cycle_nodes: int, table: Floats, at: int, action: int, corner: int, soc_share: float, cycle_share: float
) -> float:
    """The members' mean advantage inside a cell."""
    mean = 0.0
    for member in range(table.shape[0]):
        total = 0.0
        for above in range(2):
            for beside in range(2 if cycle_nodes > 1 else 1):
                share = (soc_share if above else 1.0 - soc_share) * (cycle_share if beside else 1.0 - cycle_share)
                if share != 0.0:
                    total += share * table[member, at, action, corner + above * cycle_nodes + beside]
        mean += total / table.shape[0]
    return mean
