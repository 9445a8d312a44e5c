"""Counterfactual learning: one recorded price path teaches about every battery state and action.

Law
- A sweep runs backwards over a recorded path and gives, for every time, node and action, the realised advantage over
  idling: D[t, action, node] = price x energy - wear + V[t+1](where the action leads) - V[t+1](here). Price noise that
  is common to acting and idling cancels.
- V is the realised value of following a given policy from every node, decision by decision under the battery law, as
  often in a quarter-hour as the policy decides. Nothing is bootstrapped; there is no target net.
- The target is one a quarter-hour, however often is decided: for a risk-neutral price taker the energy already moved in
  the running quarter-hour does not change what the next minute is worth.
- What is recorded after time t is used to LEARN about time t, never to decide at it.

This is least-squares Monte Carlo (Longstaff and Schwartz, 2001; Carriere, 1996; for storage Boogert and de Jong, 2008)
on advantages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numba
import numpy as np
import numpy.typing as npt

from arbitrage.agents.lattice import CHARGE, DISCHARGE, Lattice, begin_day, cell, interpolate, node_state
from arbitrage.battery import advance, clip_power_mw
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import Span, rows_of
from arbitrage.quarter_hour import QUARTER_HOUR_H

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


_LEAST_POWER_FRACTION = 1e-9


class After(IntEnum):
    """What follows a quarter-hour."""

    SAME_DAY = 0
    NEXT_DAY = 1
    END_OF_SPAN = 2


@dataclass(frozen=True, slots=True)
class Path:
    """Recorded quarter-hours laid end to end, arrays of shape [n]."""

    rows: Numbers
    """Rows of the market series."""
    price_eur_mwh: Floats
    """NaN in a gap, where the battery is held."""
    after: Numbers
    """One of `After`."""
    day_numbers: Numbers

    @property
    def settled(self) -> Flags:
        """Which quarter-hours have a price."""
        return ~np.isnan(self.price_eur_mwh)


def lay_path(market: MarketSeries, selection: Sequence[Span]) -> Path:
    """The spans as one path."""
    rows = rows_of(selection)
    days = market.day_numbers[rows]
    after = np.where(np.append(days[1:] != days[:-1], True), int(After.NEXT_DAY), int(After.SAME_DAY))
    after[np.cumsum([len(span) for span in selection]) - 1] = After.END_OF_SPAN
    return Path(rows, market.price_eur_mwh[rows], after, days)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a backward sweep saw; float32 because it feeds a regression."""

    advantage_eur: Singles
    """Shape [n, 2, nodes]; of charging and discharging over idling, realised under the policy followed after."""
    value_eur: Singles
    """Shape [n, nodes]; realised value from each quarter-hour on, under the policy."""


def sweep(path: Path, lattice: Lattice, advantages_eur: Singles, end_value_eur: Floats) -> Sweep:
    """Follow the policy that takes the better positive of `advantages_eur` [n, decisions, 2, nodes], idling otherwise.

    The decisions divide the quarter-hour evenly; between nodes, advantages are interpolated.
    end_value_eur: shape [n, nodes]; worth of a state after a span's last quarter-hour, read where a span ends.
    """
    count = len(path.rows)
    realised = np.zeros((count, 2, lattice.nodes), dtype=np.float32)
    value = np.zeros((count, lattice.nodes), dtype=np.float32)
    _sweep(lattice, path.price_eur_mwh, path.after, advantages_eur, end_value_eur, realised, value)
    return Sweep(realised, value)


@numba.njit(cache=True)
def _sweep(
    lattice: Lattice,
    prices: Floats,
    after: Numbers,
    advantages: Singles,
    end_value: Floats,
    realised: Singles,
    value: Singles,
) -> None:
    nodes = lattice.soc_nodes * lattice.cycle_nodes
    following = np.zeros(nodes)
    current = np.zeros(nodes)
    for t in range(prices.shape[0] - 1, -1, -1):
        if after[t] == 2:
            following[:] = end_value[t]
        if after[t] != 0:
            begin_day(lattice, following)
        held = np.isnan(prices[t])
        for node in range(nodes):
            current[node] = following[node]
            if not held:
                for action in range(2):
                    if lattice.energy_mwh[action, node] != 0.0:
                        realised[t, action, node] = _advantage(lattice, prices[t], following, action, node)
                cash, soc_mwh, cycles = _follow(lattice, prices[t], advantages[t], node)
                corner, soc_share, cycle_share = cell(lattice, soc_mwh, cycles)
                current[node] = cash + interpolate(following, lattice.cycle_nodes, corner, soc_share, cycle_share)
            value[t, node] = current[node]
        following, current = current, following


@numba.njit(cache=True)
def _advantage(lattice: Lattice, price: float, following: Floats, action: int, node: int) -> float:
    """Realised gain of a whole quarter-hour of an action over idling, when `following` [nodes] is worth after it."""
    corner = lattice.corner[action, node]
    soc_share, cycle_share = lattice.soc_share[action, node], lattice.cycle_share[action, node]
    ahead = interpolate(following, lattice.cycle_nodes, corner, soc_share, cycle_share)
    return float(price * lattice.energy_mwh[action, node] - lattice.wear_eur[action, node] + ahead - following[node])


@numba.njit(cache=True)
def _follow(lattice: Lattice, price: float, advantages: Singles, node: int) -> tuple[float, float, float]:
    """A quarter-hour under the policy from a node: cash in EUR, state of charge and cycles used after it.

    advantages: shape [decisions, 2, nodes].
    """
    law = lattice.law
    duration_h = QUARTER_HOUR_H / advantages.shape[0]
    soc_mwh, cycles = node_state(lattice, node)
    cash = 0.0
    for decision in range(advantages.shape[0]):
        corner, soc_share, cycle_share = cell(lattice, soc_mwh, cycles)
        charge = interpolate(advantages[decision, CHARGE], lattice.cycle_nodes, corner, soc_share, cycle_share)
        discharge = interpolate(advantages[decision, DISCHARGE], lattice.cycle_nodes, corner, soc_share, cycle_share)
        charging = clip_power_mw(law, soc_mwh, cycles, -law.charge_power_mw, duration_h)
        discharging = clip_power_mw(law, soc_mwh, cycles, law.discharge_power_mw, duration_h)
        charge = charge if charging < -_LEAST_POWER_FRACTION * law.charge_power_mw else -np.inf
        discharge = discharge if discharging > _LEAST_POWER_FRACTION * law.discharge_power_mw else -np.inf
        power = 0.0
        if charge > 0.0 and charge >= discharge:
            power = charging
        elif discharge > 0.0:
            power = discharging
        if power != 0.0:
            soc_mwh, cycles, wear_eur = advance(law, soc_mwh, cycles, power, duration_h)
            cash += price * power * duration_h - wear_eur
    return cash, soc_mwh, cycles
