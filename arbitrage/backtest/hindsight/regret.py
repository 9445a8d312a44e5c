"""What each decision lost, measured against perfect foresight from the very state in which it was taken.

Contract
- Regret is V(t, state) - profit of the quarter-hour - V(t + 1, next state), V being the value that perfect foresight
  makes of a state. Along a path it telescopes: over a span it sums to the ceiling less the profit.
- A mistake is charged when it is made, not when its consequence is felt: who sold before the better price loses then.
- V comes from the lattice of `foresight_lattice`. What it rounds, and what only the ceiling's relaxation can do (take
  and give energy in one quarter-hour), is kept apart: `rest_eur`.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from arbitrage.arrays import Flags, Floats
from arbitrage.backtest.hindsight.foresight_lattice import Board, LatticeShape, Moves, begin_day, raised, worthless
from arbitrage.battery import BatteryLaw, advance, clip_power_mw
from arbitrage.quarter_hour import QUARTER_HOUR_H
from arbitrage.settling import CHARGE, DISCHARGE, action_power_mw, settle_eur

_POWER_STEPS = 20
"""Powers tried each way when the best decision is looked for."""
_TOLERANCE = 1e-6
"""MWh for each MWh of capacity by which a store may miss a bound and still be empty or full."""


class Trajectory(NamedTuple):
    """What a strategy did in the quarter-hours of one span, arrays of shape [n]."""

    price_eur_mwh: Floats
    """Not a number where nothing is settled."""
    new_day: Flags
    net_mwh: Floats
    """Grid side, discharge positive."""
    profit_eur: Floats
    soc_start_mwh: Floats
    soc_end_mwh: Floats
    used_start: Floats
    """Cycles used since midnight, before and after."""
    used_end: Floats


class Regrets(NamedTuple):
    """What each quarter-hour of a span lost, arrays of shape [n]."""

    regret_eur: Floats
    """Against the best single power from the same state; 0 or more."""
    rest_eur: Floats
    """What only the relaxation can do, and rounding of the lattice."""
    best_net_mwh: Floats
    """Grid-side energy of that best power, discharge positive."""
    budget_eur: Floats
    """What the next state would be worth more if it had the budget that the best power leaves; 0 or more."""
    nothing_left: Flags
    """The battery was empty, and with more energy perfect foresight would have sold it now."""
    no_room: Flags
    """The battery was full, and with more room perfect foresight would have bought now."""


def span_regrets(law: BatteryLaw, shape: LatticeShape, trajectory: Trajectory) -> Regrets:
    """The regrets of one span that begins with an empty battery."""
    count = len(trajectory.net_mwh)
    floats, flags = np.zeros((4, count)), np.zeros((2, count), dtype=np.bool_)
    found = Regrets(floats[0], floats[1], floats[2], floats[3], flags[0], flags[1])
    _walk_back(law, shape, trajectory, found)
    return found


@numba.njit(cache=True)
def _walk_back(law: BatteryLaw, shape: LatticeShape, trajectory: Trajectory, found: Regrets) -> None:
    board, moves = worthless(law, shape)
    for t in range(trajectory.net_mwh.shape[0] - 1, -1, -1):
        price = trajectory.price_eur_mwh[t]
        if not np.isnan(price):
            taken_eur, best_eur = _judge(law, board, moves, trajectory, found, t)
            board = raised(law, board, moves, price)
            before_eur = _value(law, board, moves, trajectory.soc_start_mwh[t], trajectory.used_start[t])
            found.regret_eur[t] = best_eur - taken_eur
            found.rest_eur[t] = before_eur - best_eur
        if trajectory.new_day[t]:
            begin_day(board, moves)


@numba.njit(cache=True)
def _judge(
    law: BatteryLaw, board: Board, moves: Moves, trajectory: Trajectory, found: Regrets, t: int
) -> tuple[float, float]:
    """Value of what was done at t and of the best single power, in EUR; the board is that after the quarter-hour."""
    soc, used, price = trajectory.soc_start_mwh[t], trajectory.used_start[t], trajectory.price_eur_mwh[t]
    soc_end, used_end = trajectory.soc_end_mwh[t], trajectory.used_end[t]
    taken_eur = trajectory.profit_eur[t] + _value(law, board, moves, soc_end, used_end)
    best_eur, best_net, best_used = taken_eur, trajectory.net_mwh[t], used_end
    for step in range(-_POWER_STEPS, _POWER_STEPS + 1):
        asked = action_power_mw(law, DISCHARGE if step > 0 else CHARGE)
        bound = clip_power_mw(law, soc, used, asked, QUARTER_HOUR_H)
        power = abs(bound) * step / _POWER_STEPS
        soc_after, used_after, wear_eur = advance(law, soc, used, power, QUARTER_HOUR_H)
        net = power * QUARTER_HOUR_H
        value = settle_eur(price, net) - wear_eur + _value(law, board, moves, soc_after, used_after)
        if value > best_eur:
            best_eur, best_net, best_used = value, net, used_after
    found.best_net_mwh[t] = best_net
    if best_used < used_end:
        given_back = _value(law, board, moves, soc_end, best_used) - _value(law, board, moves, soc_end, used_end)
        found.budget_eur[t] = max(0.0, given_back)
    _notice_bounds(law, board, moves, trajectory, found, t)
    return taken_eur, best_eur


@numba.njit(cache=True)
def _notice_bounds(law: BatteryLaw, board: Board, moves: Moves, trajectory: Trajectory, found: Regrets, t: int) -> None:
    """Would one segment more of energy, or of room, have been used at t?"""
    soc, used, price, net = (
        trajectory.soc_end_mwh[t],
        trajectory.used_end[t],
        trajectory.price_eur_mwh[t],
        trajectory.net_mwh[t],
    )
    unit = moves.segment_mwh
    tolerance_mwh = _TOLERANCE * law.capacity_mwh
    here = _value(law, board, moves, soc, used)
    sold_used = used + unit / law.capacity_mwh
    if (
        soc <= law.min_soc_mwh + tolerance_mwh
        and net < law.discharge_power_mw * QUARTER_HOUR_H - tolerance_mwh
        and sold_used <= law.max_cycles_per_day
    ):
        sold_eur = settle_eur(price * law.discharge_efficiency - law.wear_cost_eur_mwh, unit)
        kept_eur = _value(law, board, moves, soc + unit, used)
        found.nothing_left[t] = sold_eur + _value(law, board, moves, soc, sold_used) > kept_eur
    if soc >= law.max_soc_mwh - tolerance_mwh and net > -law.charge_power_mw * QUARTER_HOUR_H + tolerance_mwh:
        bought_eur = settle_eur(price, unit) / law.charge_efficiency
        found.no_room[t] = here - bought_eur > _value(law, board, moves, soc - unit, used)


@numba.njit(cache=True)
def _value(law: BatteryLaw, board: Board, moves: Moves, soc_mwh: float, used: float) -> float:
    """Value of a state, interpolated between the four nodes around it."""
    along = min(max((soc_mwh - law.min_soc_mwh) / moves.segment_mwh, 0.0), float(moves.segments))
    cell = min(int(along), moves.segments - 1)
    soc_share = along - cell
    row, used_share = 0, 0.0
    if moves.rows > 1:
        down = min(max(used * law.capacity_mwh / moves.segment_mwh, 0.0), moves.rows - 1.0)
        row = min(int(down), moves.rows - 2)
        used_share = down - row
    at = board.first + row * moves.stride + cell
    value = _between(board.value[at], board.value[at + 1], soc_share)
    if used_share > 0.0:
        below = at + moves.stride
        value += used_share * (_between(board.value[below], board.value[below + 1], soc_share) - value)
    return value


@numba.njit(cache=True)
def _between(low: float, high: float, share: float) -> float:
    return float(low) + share * (float(high) - float(low))
