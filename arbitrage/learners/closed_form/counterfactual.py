"""Counterfactual learning: one recorded price path teaches about every battery state and action.

Contract
- A backward pass over a recorded path gives, for every time, node and action, the realised advantage over idling: D[t,
  action, node] = price x energy - wear + V[t+1](where the action leads) - V[t+1](here). Price noise that is common to
  acting and idling cancels.
- V is the realised value of following a given policy from every node, decision by decision under the battery law, as
  often in a quarter-hour as the policy decides. Nothing is bootstrapped; there is no target net.
- The target is one a quarter-hour, however often is decided: for a risk-neutral price taker the energy already moved in
  the running quarter-hour does not change what the next minute is worth.
- What is recorded after time t is used to LEARN about time t, never to decide at it.

This is least-squares Monte Carlo (Longstaff and Schwartz, 2001; Carriere, 1996; for storage Boogert and de Jong, 2008)
on advantages.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from arbitrage.arrays import Floats, Numbers, Singles
from arbitrage.market.path import Path
from arbitrage.policies.closed_form.lattice import Lattice, begin_day, cell, interpolate, node_state
from arbitrage.quarter_hour import QUARTER_HOUR_H
from arbitrage.settling import (
    CHARGE,
    DISCHARGE,
    IDLE,
    action_power_mw,
    greedy_action,
    possible_power_mw,
    settle_eur,
    step_and_settle,
)


@dataclass(frozen=True, slots=True)
class BackwardPass:
    """What a backward backward_pass saw; float32 because it feeds a regression."""

    advantage_eur: Singles
    """Shape [n, 2, nodes]; of charging and discharging over idling, realised under the policy followed after."""
    value_eur: Singles
    """Shape [n, nodes]; realised value from each quarter-hour on, under the policy."""


def backward_pass(path: Path, lattice: Lattice, advantages_eur: Singles, end_value_eur: Floats) -> BackwardPass:
    """Follow the policy that takes the better positive of `advantages_eur` [n, decisions, 2, nodes], idling otherwise.

    The decisions divide the quarter-hour evenly; between nodes, advantages are interpolated.
    end_value_eur: shape [n, nodes]; worth of a state after a span's last quarter-hour, read where a span ends.
    """
    count = len(path.rows)
    realised = np.zeros((count, 2, lattice.nodes), dtype=np.float32)
    value = np.zeros((count, lattice.nodes), dtype=np.float32)
    _backward_pass(lattice, path.price_eur_mwh, path.after, advantages_eur, end_value_eur, realised, value)
    return BackwardPass(realised, value)


@numba.njit(cache=True)
def _backward_pass(
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
    cash = settle_eur(price, lattice.energy_mwh[action, node]) - lattice.wear_eur[action, node]
    return float(cash + ahead - following[node])


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
        if possible_power_mw(law, soc_mwh, cycles, CHARGE, 1.0, duration_h) == 0.0:
            charge = -np.inf
        if possible_power_mw(law, soc_mwh, cycles, DISCHARGE, 1.0, duration_h) == 0.0:
            discharge = -np.inf
        action = greedy_action(charge, discharge)
        if action != IDLE:
            asked = action_power_mw(law, action)
            soc_mwh, cycles, paid_eur, wear_eur = step_and_settle(law, soc_mwh, cycles, asked, price, duration_h)
            cash += paid_eur - wear_eur
    return cash, soc_mwh, cycles
