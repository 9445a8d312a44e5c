"""Many risk heads at once through recorded days: what each day would have made under each of them.

Contract
- All heads live through the same recorded prices, under the battery law, each with its own state of charge, cycles and
  known profit. Profit counts for the head's decisions once its price is published, as when the policy is served.
- A day's profit is given twice: in cash, and marked to market, which adds the change in what the policy holds the
  energy in store at midnight worth.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np

from arbitrage.arrays import Floats, Numbers, Singles
from arbitrage.battery import BatteryLaw
from arbitrage.market.path import Path
from arbitrage.policies.closed_form.lattice import Lattice, cell, interpolate
from arbitrage.policies.closed_form.risk_head import HeadParameters, RiskContext, adjusted_advantages, power_fraction
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, QUARTER_HOUR_H
from arbitrage.settling import (
    CHARGE,
    DISCHARGE,
    action_power_mw,
    greedy_action,
    possible_power_mw,
    reveal_settled,
    step_and_settle,
)

_TOGETHER = 8
"""Heads that go through the days side by side, so that a row of advantages is fetched once for all."""


class RecordedRollout(NamedTuple):
    """What was recorded of n quarter-hours, and what the risk-neutral policy said of them."""

    price_eur_mwh: Floats
    """Shape [n]; NaN in a gap."""
    after: Numbers
    """Shape [n]; one of `counterfactual.After`."""
    day: Numbers
    """Shape [n]; 0, 1, ... for each Brussels day in turn."""
    start_min: Numbers
    """Shape [n]; epoch minutes."""
    published_min: Numbers
    """Shape [n]; epoch minute from which the price is known, ascending."""
    advantages_eur: Singles
    """Shape [n, decisions, 2, nodes]."""
    end_value_eur: Floats
    """Shape [n, nodes]; worth of a state at the end of the row's day."""
    context: RiskContext
    """Of the decisions row by row, arrays of shape [n x decisions]."""

    @property
    def days(self) -> int:
        return int(self.day[-1]) + 1


class DailyProfits(NamedTuple):
    """Of each head on each day, arrays of shape [heads, days]."""

    cash_eur: Floats
    """Less wear."""
    marked_eur: Floats
    """Cash, and the change of the worth of what is in store at midnight."""


def days_in_turn(path: Path) -> Numbers:
    """The Brussels days of a path numbered from 0, shape [n]."""
    return np.cumsum(np.append(False, np.diff(path.day_numbers) != 0)).astype(np.int64)


def roll_out(lattice: Lattice, recording: RecordedRollout, heads: Floats) -> DailyProfits:
    """Daily profits under each of some heads [heads, 7], each span begun with an empty battery."""
    cash, marked = np.zeros((2, len(heads), recording.days))

    def live(first: int) -> None:
        some = slice(first, first + _TOGETHER)
        _live(lattice, recording, np.ascontiguousarray(heads[some]), cash[some], marked[some])

    with ThreadPoolExecutor(numba.get_num_threads()) as pool:
        list(pool.map(live, range(0, len(heads), _TOGETHER)))
    return DailyProfits(cash, marked)


class _Contenders(NamedTuple):
    """Where each head is, arrays of shape [heads]."""

    soc_mwh: Floats
    cycles_used: Floats
    known_eur: Floats
    """Profit of today that is known."""
    worth_eur: Floats
    """Of what was in store at the last midnight."""


@numba.njit(cache=True, nogil=True)
def _live(lattice: Lattice, recording: RecordedRollout, heads: Floats, cash: Floats, marked: Floats) -> None:
    """Live through all rows."""
    rows, count = recording.price_eur_mwh.shape[0], heads.shape[0]
    settled, worn = np.zeros((rows, count)), np.zeros((rows, count))
    stands = _Contenders(np.full(count, lattice.law.min_soc_mwh), np.zeros(count), np.zeros(count), np.zeros(count))
    due = 0
    for t in range(rows):
        if not np.isnan(recording.price_eur_mwh[t]):
            due = _live_quarter(lattice, recording, heads, stands, settled, worn, t, due)
        day = recording.day[t]
        for head in range(count):
            cash[head, day] += settled[t, head] - worn[t, head]
            marked[head, day] += settled[t, head] - worn[t, head]
        if recording.after[t] != 0:
            _pass_midnight(lattice, recording.end_value_eur[t], stands, marked[:, day])
            due = t + 1
        if recording.after[t] == 2:
            stands.soc_mwh[:] = lattice.law.min_soc_mwh
            stands.worth_eur[:] = 0.0


@numba.njit(cache=True)
def _pass_midnight(lattice: Lattice, end_value: Floats, stands: _Contenders, marked: Floats) -> None:
    """Mark what is in store, and restart the account and the count of cycles."""
    for head in range(marked.shape[0]):
        corner, soc_share, cycle_share = cell(lattice, stands.soc_mwh[head], 0.0)
        worth = interpolate(end_value, lattice.cycle_nodes, corner, soc_share, cycle_share)
        marked[head] += worth - stands.worth_eur[head]
        stands.worth_eur[head] = worth
        stands.cycles_used[head] = 0.0
        stands.known_eur[head] = 0.0


@numba.njit(cache=True)
def _live_quarter(
    lattice: Lattice,
    recording: RecordedRollout,
    heads: Floats,
    stands: _Contenders,
    settled: Floats,
    worn: Floats,
    t: int,
    due: int,
) -> int:
    """The quarter-hour of row t, decision by decision; `due` is the first row of today that is not known before it.

    Fills row t of `settled` and `worn`, in EUR. Returns the first row that is not known after it.
    """
    law, context = lattice.law, recording.context
    decisions = recording.advantages_eur.shape[1]
    step_h = QUARTER_HOUR_H / decisions
    for k in range(decisions):
        now = recording.start_min[t] + k * (MINUTES_PER_QUARTER_HOUR // decisions)
        due = reveal_settled(stands.known_eur, settled, recording.published_min, now, due, t)
        q = t * decisions + k
        seen = (context.size_eur[q], context.usual_eur[q], context.evening[q], context.to_come[q])
        for head in range(heads.shape[0]):
            soc_mwh, cycles = stands.soc_mwh[head], stands.cycles_used[head]
            advantages = _advantages(lattice, recording.advantages_eur, t, k, soc_mwh, cycles)
            parameters = _parameters(heads, head)
            asked = _asked_mw(law, parameters, seen, stands.known_eur[head], (soc_mwh, cycles), advantages, step_h)
            if asked != 0.0:
                price = recording.price_eur_mwh[t]
                soc_mwh, cycles, cash_eur, wear_eur = step_and_settle(law, soc_mwh, cycles, asked, price, step_h)
                stands.soc_mwh[head], stands.cycles_used[head] = soc_mwh, cycles
                stands.known_eur[head] -= wear_eur
                worn[t, head] += wear_eur
                settled[t, head] += cash_eur
    return due


@numba.njit(cache=True)
def _parameters(heads: Floats, head: int) -> HeadParameters:
    row = head
    return HeadParameters(
        heads[row, 0], heads[row, 1], heads[row, 2], heads[row, 3], heads[row, 4], heads[row, 5], heads[row, 6]
    )


@numba.njit(cache=True)
def _advantages(lattice: Lattice, nodes: Singles, t: int, k: int, soc_mwh: float, cycles: float) -> tuple[float, float]:
    """Of charging and discharging in a state, interpolated as `lattice.interpolate` does, without slicing."""
    corner, up, beside = cell(lattice, soc_mwh, cycles)
    above = corner + lattice.cycle_nodes
    charge = (1.0 - up) * nodes[t, k, 0, corner] + up * nodes[t, k, 0, above]
    discharge = (1.0 - up) * nodes[t, k, 1, corner] + up * nodes[t, k, 1, above]
    if lattice.cycle_nodes > 1:
        other_charge = (1.0 - up) * nodes[t, k, 0, corner + 1] + up * nodes[t, k, 0, above + 1]
        other_discharge = (1.0 - up) * nodes[t, k, 1, corner + 1] + up * nodes[t, k, 1, above + 1]
        charge = (1.0 - beside) * charge + beside * other_charge
        discharge = (1.0 - beside) * discharge + beside * other_discharge
    return charge, discharge


@numba.njit(cache=True)
def _asked_mw(
    law: BatteryLaw,
    head: HeadParameters,
    context: tuple[float, float, float, float],
    known_eur: float,
    state: tuple[float, float],
    advantages: tuple[float, float],
    step_h: float,
) -> float:
    """What a head asks for in a state (SoC in MWh, cycles used)."""
    soc_mwh, cycles = state
    fraction = power_fraction(head)
    charging = possible_power_mw(law, soc_mwh, cycles, CHARGE, fraction, step_h)
    discharging = possible_power_mw(law, soc_mwh, cycles, DISCHARGE, fraction, step_h)
    charge = advantages[0] if charging != 0.0 else -np.inf
    discharge = advantages[1] if discharging != 0.0 else -np.inf
    soc_fraction = (soc_mwh - law.min_soc_mwh) / (law.max_soc_mwh - law.min_soc_mwh)
    charge, discharge = adjusted_advantages(head, context, known_eur, soc_fraction, (charge, discharge))
    return float(action_power_mw(law, greedy_action(charge, discharge)) * fraction)
