"""A small price model, and the exact dynamic programme on it: the prior that realised advantages then correct.

Contract
- At Brussels midnight a plan says what each quarter-hour of the day is expected to cost, given what is known then.
- Two numbers say how the day departs from its plan, in units of the plan's scale: the fast gap, which is the newest
  one-step forecast less the plan, and the slow gap, which is what is left of a forecast of the coming hours. Together
  they move as a Markov chain on bins.
- Under that model the value of energy in store is computed exactly, backwards over the day, for every chain state.
- Where decisions are made within the quarter-hour, a price innovation arrives in it: a few equally likely surprises of
  its price, each with the shift of the gap that it implies, and the best action is taken on each. By the quarter-hour
  the only innovation is none.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np

from arbitrage.arrays import Floats, Numbers, Singles
from arbitrage.policies.closed_form.lattice import Lattice, begin_day, interpolate
from arbitrage.settling import settle_eur

_LEAST_SHARE = 1e-6
_LEAST_SLOPE = 0.1


@dataclass(frozen=True, slots=True)
class ChainSize:
    """How many bins each gap has, two at least."""

    fast_bins: int = 13
    slow_bins: int = 3

    @property
    def states(self) -> int:
        """Pairs of bins."""
        return self.fast_bins * self.slow_bins


class PriceChain(NamedTuple):
    """The chain of gaps; state = fast bin x slow bins + slow bin."""

    fast_centres: Floats
    """Shape [fast], ascending; mean fast gap of each bin."""
    slow_centres: Floats
    """Shape [slow], ascending; mean slow gap of each bin."""
    centres: Floats
    """Shape [states]; mean fast gap in each state."""
    transitions: Floats
    """Shape [states, states]; from row to column, rows sum to 1."""
    surprises: Floats
    """Shape [innovations]; price innovations within a quarter-hour, in units of the scale; equally likely."""
    shifts: Floats
    """Shape [innovations]; how each moves the fast gap."""


class DayPlans(NamedTuple):
    """What is expected, as of each day's midnight, of whole Brussels days laid end to end; arrays of shape [n]."""

    expected_price_eur_mwh: Floats
    scale_eur_mwh: Floats
    day_start: Numbers
    """Shape [days + 1]; the row at which each day begins, and the end."""
    end_value_eur: Floats
    """Shape [days, nodes]; worth of a state at the day's end."""


class DecisionQueries(NamedTuple):
    """Decisions asked about, arrays of shape [q], in the order of their rows."""

    row: Numbers
    """Row of the plans that holds the decision's quarter-hour, ascending."""
    fast: Floats
    """Fast gap: (newest one-step forecast - expected price) / scale of that row."""
    slow: Floats
    """Slow gap, in the same unit."""


def gap_that_implies(chain: PriceChain, next_gap: Floats) -> Floats:
    """The fast gap [n] from which the chain expects `next_gap` [n] of the next quarter-hour.

    Taken from the straight line through what the chain expects from each state. So a forecast made in the middle of a
    quarter-hour asks the same question as one made at its beginning.
    """
    slope, intercept = np.polyfit(chain.centres, chain.transitions @ chain.centres, 1)
    return np.asarray((next_gap - intercept) / max(float(slope), _LEAST_SLOPE))


def gap_shift(chain: PriceChain) -> float:
    """By how much the fast gap moves with a surprise of one scale: least squares over the chain's innovations."""
    size = float(chain.surprises @ chain.surprises)
    return float(chain.surprises @ chain.shifts) / size if size > 0.0 else 0.0


def continuation_advantages(
    lattice: Lattice, chain: PriceChain, plans: DayPlans, questions: DecisionQueries
) -> Singles:
    """V[t+1](where the action leads) - V[t+1](here) under the model at each question's gaps, shape [q, 2, nodes].

    Days do not know each other, so they are planned side by side.
    """
    out = np.zeros((len(questions.row), 2, lattice.nodes), dtype=np.float32)
    first = np.searchsorted(questions.row, plans.day_start)

    def plan(day: int) -> None:
        _plan_day(lattice, chain, plans, questions, day, first[day], first[day + 1], out)

    asked = np.flatnonzero(np.diff(first)).tolist()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(plan, asked))
    return out


@numba.njit(cache=True, nogil=True)
def _plan_day(
    lattice: Lattice,
    chain: PriceChain,
    plans: DayPlans,
    questions: DecisionQueries,
    day: int,
    first_question: int,
    end_question: int,
    out: Singles,
) -> None:
    """Backwards over one day, answering the questions on the way.

    `following[state]` is the value after the quarter-hour, `expected` its mean from a state.
    """
    states, nodes = chain.centres.shape[0], plans.end_value_eur.shape[1]
    following, expected, mixed = np.empty((states, nodes)), np.empty((states, nodes)), np.empty(nodes)
    for state in range(states):
        following[state] = plans.end_value_eur[day]
        begin_day(lattice, following[state])
    question = end_question - 1
    for t in range(plans.day_start[day + 1] - 1, questions.row[first_question] - 1, -1):
        _expect(chain.transitions, following, expected)
        while question >= first_question and questions.row[question] == t:
            _mix_states(chain, expected, questions.fast[question], questions.slow[question], mixed)
            for action in range(2):
                for node in range(nodes):
                    out[question, action, node] = _gain(lattice, mixed, action, node)
            question -= 1
        for state in range(states):
            following[state] = 0.0
            for innovation in range(chain.surprises.shape[0]):
                _shift_gap(chain, expected, state, chain.shifts[innovation], mixed)
                gap = chain.centres[state] + chain.surprises[innovation]
                price = plans.expected_price_eur_mwh[t] + plans.scale_eur_mwh[t] * gap
                _act_best(lattice, price, mixed, 1.0 / chain.surprises.shape[0], following[state])


@numba.njit(cache=True)
def _expect(transitions: Floats, following: Floats, expected: Floats) -> None:
    """Mean of `following` [states, nodes] over the next state, from each state."""
    expected[:] = 0.0
    for here in range(transitions.shape[0]):
        for there in range(transitions.shape[0]):
            share = transitions[here, there]
            if share > _LEAST_SHARE:
                for node in range(expected.shape[1]):
                    expected[here, node] += share * following[there, node]


@numba.njit(cache=True)
def _mix_states(chain: PriceChain, expected: Floats, fast: float, slow: float, out: Floats) -> None:
    """Expected value [nodes] between the four chain states around a pair of gaps."""
    fast_bin, fast_share = _between(chain.fast_centres, fast)
    slow_bin, slow_share = _between(chain.slow_centres, slow)
    first = fast_bin * chain.slow_centres.shape[0] + slow_bin
    next_fast = first + chain.slow_centres.shape[0]
    for node in range(out.shape[0]):
        low = (1.0 - slow_share) * expected[first, node] + slow_share * expected[first + 1, node]
        high = (1.0 - slow_share) * expected[next_fast, node] + slow_share * expected[next_fast + 1, node]
        out[node] = (1.0 - fast_share) * low + fast_share * high


@numba.njit(cache=True)
def _shift_gap(chain: PriceChain, expected: Floats, state: int, shift: float, out: Floats) -> None:
    """Expected value [nodes] from a state whose fast gap has moved by `shift`."""
    slow_states = chain.slow_centres.shape[0]
    fast_bin, slow_bin = divmod(state, slow_states)
    low, share = _between(chain.fast_centres, chain.fast_centres[fast_bin] + shift)
    below = low * slow_states + slow_bin
    for node in range(out.shape[0]):
        out[node] = (1.0 - share) * expected[below, node] + share * expected[below + slow_states, node]


@numba.njit(cache=True)
def _between(centres: Floats, value: float) -> tuple[int, float]:
    """The centre at or below a value, and how far the value is on the way to the next, 0 to 1."""
    low = min(max(np.searchsorted(centres, value) - 1, 0), centres.shape[0] - 2)
    share = (value - centres[low]) / max(centres[low + 1] - centres[low], 1e-12)
    return low, min(max(share, 0.0), 1.0)


@numba.njit(cache=True)
def _gain(lattice: Lattice, values: Floats, action: int, node: int) -> float:
    corner = lattice.corner[action, node]
    soc, cycle = lattice.soc_share[action, node], lattice.cycle_share[action, node]
    return float(interpolate(values, lattice.cycle_nodes, corner, soc, cycle) - values[node])


@numba.njit(cache=True)
def _act_best(lattice: Lattice, price: float, expected: Floats, share: float, out: Floats) -> None:
    """Adds to `out` [nodes] that share of the value when the price is `price` and the best action is taken."""
    for node in range(expected.shape[0]):
        best = 0.0
        for action in range(2):
            energy = lattice.energy_mwh[action, node]
            if energy != 0.0:
                cash = settle_eur(price, energy) - lattice.wear_eur[action, node]
                best = max(best, cash + _gain(lattice, expected, action, node))
        out[node] += share * (expected[node] + best)
