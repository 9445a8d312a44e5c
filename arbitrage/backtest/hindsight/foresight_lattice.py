"""Perfect foresight as dynamic programming: the value of every state of the battery, backwards through known prices.

Contract
- A concave value function is kept on a lattice of (budget left, state of charge). Quarter-hour by quarter-hour it is
  raised by all charges and then all discharges that the power rating allows: the same relaxation as the programme of
  `perfect_foresight`.
- Linear interpolation of a concave function lies below it, so the lattice's error is never in favour of the ceiling.
- At Brussels midnight the whole budget is there again, whatever was left of it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Flags, Floats
from arbitrage.battery import BatteryLaw
from arbitrage.quarter_hour import QUARTER_HOUR_H
from arbitrage.settling import settle_eur

LatticeValues = npt.NDArray[np.float32]

SOC_SEGMENTS = 160
"""Segments of the SoC lattice without a budget; slow batteries get more, so that a quarter-hour spans several."""
_SEGMENTS_PER_HOUR = 16
_MOST_SEGMENTS = 4096
_UNREACHABLE = np.float32(-1e30)


class LatticeShape(NamedTuple):
    """How fine the lattice is."""

    segments: int
    """Of the SoC window."""
    budget_nodes: int
    """One segment apart, the full budget first; 0 where there is no budget."""
    segment_mwh: float


def lattice_shape(law: BatteryLaw, choices: range) -> LatticeShape:
    """The lattice of a battery; of `choices` for the number of segments the one that fits a budget best is taken."""
    window_mwh = law.max_soc_mwh - law.min_soc_mwh
    budget_mwh = law.max_cycles_per_day * law.capacity_mwh
    if math.isinf(budget_mwh):
        slower_mw = min(law.charge_power_mw, law.discharge_power_mw)
        hours = window_mwh / slower_mw if slower_mw > 0.0 else 0.0
        segments = min(max(SOC_SEGMENTS, int(_SEGMENTS_PER_HOUR * hours)), _MOST_SEGMENTS)
        return LatticeShape(segments, 0, window_mwh / segments)
    lost = {n: math.fmod(budget_mwh * n / window_mwh + 1e-9, 1.0) / n for n in choices}
    segments = min(lost, key=lambda n: (round(lost[n], 9), n))
    return LatticeShape(segments, int(budget_mwh * segments / window_mwh + 1e-9) + 1, window_mwh / segments)


class Board(NamedTuple):
    """Working arrays of the dynamic programme, each of shape [margin + rows x stride + margin].

    A row per node of the budget (full first), each followed by unreachable cells, and unreachable margins around: so
    charging (next cell) and discharging (next row, previous cell) are constant strides with no bounds to test.
    """

    value: LatticeValues
    spare: LatticeValues
    other_spare: LatticeValues
    forbidden: LatticeValues
    """Shape [rows x stride]; added after each move, so that what leaks into the unreachable cells stays unreachable."""
    first: int
    last: int


class Moves(NamedTuple):
    """What a quarter-hour can do on the board, and where on it things lie."""

    charge_reach: float
    """Segments of a charge at full power."""
    discharge_reach: float
    stride: int
    """Cells from one node of the budget to the next."""
    rows: int
    towards_empty: int
    """Cells from a state to that after a discharge of one segment."""
    segments: int
    segment_mwh: float


@numba.njit(cache=True)
def worthless(law: BatteryLaw, shape: LatticeShape) -> tuple[Board, Moves]:
    """The board at the end of a span, where nothing left is worth anything."""
    segments, budget_nodes, segment_mwh = shape
    # No move is longer than the window; a battery full within seconds would else need a board of gigabytes.
    charge_reach = min(law.charge_power_mw * QUARTER_HOUR_H * law.charge_efficiency / segment_mwh, float(segments))
    discharge_reach = min(
        law.discharge_power_mw * QUARTER_HOUR_H / law.discharge_efficiency / segment_mwh, float(segments)
    )
    stride = segments + 1 + int(max(charge_reach, discharge_reach)) + 2
    rows = max(1, budget_nodes)
    towards_empty = stride - 1 if budget_nodes > 0 else -1
    margin = (int(max(charge_reach, discharge_reach)) + 2) * stride
    arrays = np.full((3, rows * stride + 2 * margin), _UNREACHABLE, dtype=np.float32)
    forbidden = np.zeros((rows, stride), dtype=np.float32)
    forbidden[:, segments + 1 :] = _UNREACHABLE
    board = Board(arrays[0], arrays[1], arrays[2], forbidden.ravel(), margin, margin + rows * stride)
    board.value[board.first : board.last] = board.forbidden
    return board, Moves(charge_reach, discharge_reach, stride, rows, towards_empty, segments, segment_mwh)


@numba.njit(cache=True)
def span_value(law: BatteryLaw, prices: Floats, new_day: Flags, shape: LatticeShape) -> float:
    """Value in EUR of an empty battery at the start of the prices [n]."""
    board, moves = worthless(law, shape)
    total_eur = 0.0
    for t in range(prices.shape[0] - 1, -1, -1):
        board = raised(law, board, moves, prices[t])
        if new_day[t]:
            total_eur += begin_day(board, moves)
    return total_eur


@numba.njit(cache=True)
def raised(law: BatteryLaw, board: Board, moves: Moves, price: float) -> Board:
    """The board before a quarter-hour at that price from the board after it; not a number: it is held."""
    if np.isnan(price):
        return board
    bought_eur = settle_eur(-price / law.charge_efficiency, moves.segment_mwh)
    board = raise_by(board, moves.charge_reach, 1, bought_eur)
    gain_eur = settle_eur(price * law.discharge_efficiency - law.wear_cost_eur_mwh, moves.segment_mwh)
    return raise_by(board, moves.discharge_reach, moves.towards_empty, gain_eur)


@numba.njit(cache=True)
def begin_day(board: Board, moves: Moves) -> float:
    """Forget the budget used, and return in EUR the value of an empty battery, which is taken off the board."""
    base = board.value[board.first]
    for cell in range(moves.segments + 1):
        board.value[board.first + cell] -= base
        for row in range(1, moves.rows):
            board.value[board.first + row * moves.stride + cell] = board.value[board.first + cell]
    return float(base)


@numba.njit(cache=True)
def raise_by(board: Board, reach: float, stride: int, gain_per_segment_eur: float) -> Board:
    """Best of moving 0 to `reach` segments along `stride`: whole segments by doubling, with the full reach at the end.

    Nothing is raised in place: arrays that never overlap let the loops use wide registers.
    """
    before, out, other, forbidden, first, last = board
    whole = int(reach + 1e-6)
    value, covered = before, 0
    while covered + (covered + 1) < whole:
        hop = covered + 1
        _raise_to_shifted(value, out, first, last, hop * stride, np.float32(gain_per_segment_eur * hop))
        value, out, other = out, other, out
        covered += hop
    hop = whole - covered
    full = (whole * stride, stride, np.float32(max(0.0, reach - whole)), np.float32(gain_per_segment_eur * reach))
    _raise_to_full(board, value, out, hop * stride, np.float32(gain_per_segment_eur * hop), full)
    return Board(out, before, other, forbidden, first, last)


@numba.njit(cache=True)
def _raise_to_shifted(
    value: LatticeValues, out: LatticeValues, first: int, last: int, shift: int, gain_eur: np.float32
) -> None:
    """out[i] = the better of value[i] and value[i + shift] + gain."""
    here, there, target = value[first:last], value[first + shift : last + shift], out[first:last]
    for i in range(target.shape[0]):
        moved = there[i] + gain_eur
        target[i] = moved if moved > here[i] else here[i]


@numba.njit(cache=True)
def _raise_to_full(
    board: Board,
    value: LatticeValues,
    out: LatticeValues,
    shift: int,
    gain_eur: np.float32,
    full: tuple[int, int, np.float32, np.float32],
) -> None:
    """out[i] = the best of value[i], value[i + shift] + gain, and the board's value at the full reach plus its gain.

    full: shift of the whole segments, stride of one more, the fraction of it that is reached, and the gain in EUR.
    """
    whole_shift, stride, fraction, full_gain_eur = full
    before, first, last, forbidden = board.value, board.first, board.last, board.forbidden
    rest = np.float32(1.0) - fraction
    here, there, target = value[first:last], value[first + shift : last + shift], out[first:last]
    near = before[first + whole_shift : last + whole_shift]
    far = before[first + whole_shift + stride : last + whole_shift + stride]
    for i in range(target.shape[0]):
        moved = there[i] + gain_eur
        kept = moved if moved > here[i] else here[i]
        reached = rest * near[i] + fraction * far[i] + full_gain_eur
        target[i] = (reached if reached > kept else kept) + forbidden[i]
