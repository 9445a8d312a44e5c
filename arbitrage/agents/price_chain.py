"""A small price model, and the exact dynamic programme on it: the prior that realised advantages then correct.

Law
- At Brussels midnight a plan says what each quarter-hour of the day is expected to cost, given what is known then.
- Through the day, the gap between the newest one-step forecast and the plan, in units of the plan's scale, moves as a
  Markov chain whose transitions depend on the quarter of the hour.
- Under that model the value of energy in store is computed exactly, backwards over the day, for every chain state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from arbitrage.agents.lattice import Lattice, begin_day, interpolate

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

STATES = 13
QUARTERS = 4
_PSEUDO_COUNT = 0.02


@dataclass(frozen=True, slots=True)
class PriceChain:
    """The chain of forecast gaps."""

    centres: Floats
    """Shape [states], ascending; the mean gap in each state, in units of the plan's scale."""
    transitions: Floats
    """Shape [4, states, states]; [quarter of the hour, from, to], rows sum to 1."""


def fit_chain(gaps: Floats, quarter_of_hour: Numbers, followed: npt.NDArray[np.bool_]) -> PriceChain:
    """Count transitions between equally filled bins of the gaps [n]; `followed` marks rows whose next row comes next."""
    edges = np.quantile(gaps, np.linspace(0.0, 1.0, STATES + 1)[1:-1])
    state = np.digitize(gaps, edges)
    counts = np.bincount(state, minlength=STATES)
    sums = np.bincount(state, weights=gaps, minlength=STATES)
    inner = np.concatenate((edges[:1], edges))
    centres = np.where(counts > 0, sums / np.maximum(counts, 1), inner)
    moves = np.full((QUARTERS, STATES, STATES), _PSEUDO_COUNT)
    origin = np.flatnonzero(followed)
    np.add.at(moves, (quarter_of_hour[origin], state[origin], state[origin + 1]), 1.0)
    return PriceChain(centres, moves / moves.sum(axis=2, keepdims=True))


@dataclass(frozen=True, slots=True)
class DayPlans:
    """What is expected, as of each day's midnight, of whole Brussels days laid end to end; arrays of shape [n]."""

    expected_price_eur_mwh: Floats
    scale_eur_mwh: Floats
    quarter_of_hour: Numbers
    day_start: Numbers
    """Shape [days + 1]; the row at which each day begins, and the end."""
    end_value_eur: Floats
    """Shape [days, nodes]; worth of a state at the day's end."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Decisions asked about, arrays of shape [q], in the order of their rows."""

    row: Numbers
    """Row of the plans that holds the decision's quarter-hour, ascending."""
    gap: Floats
    """(newest one-step forecast - expected price) / scale of that row."""


def continuation_advantages(lattice: Lattice, chain: PriceChain, plans: DayPlans, questions: Questions) -> Singles:
    """V[t+1](where the action leads) - V[t+1](here) under the model at each question's gap, shape [q, 2, nodes]."""
    out = np.zeros((len(questions.row), 2, lattice.nodes), dtype=np.float32)
    first = np.searchsorted(questions.row, plans.day_start)
    for day, start in enumerate(plans.day_start[:-1]):
        rows = slice(start, plans.day_start[day + 1])
        asked = slice(first[day], first[day + 1])
        if first[day] == first[day + 1]:
            continue
        _plan_day(
            lattice,
            chain.centres,
            chain.transitions,
            plans.expected_price_eur_mwh[rows],
            plans.scale_eur_mwh[rows],
            plans.quarter_of_hour[rows],
            plans.end_value_eur[day],
            questions.row[asked] - start,
            questions.gap[asked],
            out[asked],
        )
    return out


@numba.njit(cache=True)
def _plan_day(
    lattice: Lattice,
    centres: Floats,
    transitions: Floats,
    price: Floats,
    scale: Floats,
    quarter: Numbers,
    end_value: Floats,
    asked_row: Numbers,
    gap: Floats,
    out: Singles,
) -> None:
    """Backwards over one day, answering the questions on the way: `following[state]` is the value after the quarter-hour, `expected` its mean from a state."""
    states, nodes = centres.shape[0], end_value.shape[0]
    following = np.empty((states, nodes))
    following[:] = end_value
    for state in range(states):
        begin_day(lattice, following[state])
    expected = np.empty((states, nodes))
    question = asked_row.shape[0] - 1
    for t in range(price.shape[0] - 1, asked_row[0] - 1, -1):
        expected[:] = 0.0
        for here in range(states):
            for there in range(states):
                share = transitions[quarter[t], here, there]
                for node in range(nodes):
                    expected[here, node] += share * following[there, node]
        while question >= 0 and asked_row[question] == t:
            _read_at_gap(lattice, centres, expected, gap[question], out[question])
            question -= 1
        for state in range(states):
            _act_best(lattice, price[t] + scale[t] * centres[state], expected[state], following[state])


@numba.njit(cache=True)
def _read_at_gap(lattice: Lattice, centres: Floats, expected: Floats, gap: float, out: Singles) -> None:
    """Gain in expected value by acting, between the two chain states around the gap."""
    state = min(max(np.searchsorted(centres, gap) - 1, 0), centres.shape[0] - 2)
    share = (gap - centres[state]) / max(centres[state + 1] - centres[state], 1e-12)
    share = min(max(share, 0.0), 1.0)
    for action in range(2):
        for node in range(out.shape[1]):
            low = _gain(lattice, expected[state], action, node)
            high = _gain(lattice, expected[state + 1], action, node)
            out[action, node] = (1.0 - share) * low + share * high


@numba.njit(cache=True)
def _gain(lattice: Lattice, values: Floats, action: int, node: int) -> float:
    corner = lattice.corner[action, node]
    soc, cycle = lattice.soc_share[action, node], lattice.cycle_share[action, node]
    return interpolate(values, lattice.cycle_nodes, corner, soc, cycle) - values[node]


@numba.njit(cache=True)
def _act_best(lattice: Lattice, price: float, expected: Floats, out: Floats) -> None:
    """Value before the quarter-hour when its price is `price` and the best action is taken."""
    for node in range(expected.shape[0]):
        best = 0.0
        for action in range(2):
            energy = lattice.energy_mwh[action, node]
            if energy != 0.0:
                cash = price * energy - lattice.wear_eur[action, node]
                best = max(best, cash + _gain(lattice, expected, action, node))
        out[node] = expected[node] + best
