"""Perfect foresight: the most that any strategy can earn, as a linear programme and as dynamic programming.

Law
- Prices are known, energy at the end of a span is worth nothing, each span starts empty.
- It is a ceiling. As in the usual linear programme, the store may take in and give off energy in the same
  quarter-hour. That pays only at negative prices, where losses are welcome, and no battery with one
  power conversion can do it; `circulated_mwh` says how much of it there is.
- A quarter-hour without a price is held.

The linear programme gives a schedule. The dynamic programme gives the value only, in a fraction of the time: it
keeps a concave value function on a lattice of (budget left, state of charge) and raises it, quarter-hour by
quarter-hour, by all charges and then all discharges the power rating allows. Linear interpolation of a concave
function lies below it, so its error is never in favour of the ceiling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import highspy
import numba
import numpy as np
import numpy.typing as npt

from arbitrage.battery import Battery, BatteryLaw
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import Span, new_day_flags, rows_of
from arbitrage.quarter_hour import QUARTER_HOUR_H

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Lattice = npt.NDArray[np.float32]

SOC_SEGMENTS = 160
"""Segments of the SoC lattice without a budget; slow batteries get more, so that a quarter-hour spans several."""
_SEGMENTS_PER_HOUR = 16
_MOST_SEGMENTS = 4096
SOC_SEGMENTS_WITH_BUDGET = range(48, 65)
"""With a budget the lattice has two dimensions; the number that fits the budget best is taken."""
SOC_SEGMENTS_OF_SHORT_SPANS = range(80, 121)
"""The same for spans of up to a week, where fewer nights average the error and time does not matter."""
_WEEK_QUARTER_HOURS = 7 * 96
_UNREACHABLE = np.float32(-1e30)


@dataclass(frozen=True, slots=True)
class Foresight:
    """The optimal schedule over some spans, arrays of shape [n] in the order of the spans' rows."""

    profit_eur: float
    """Cash less wear."""
    charge_mwh: Floats
    """Grid side, 0 or more."""
    discharge_mwh: Floats
    """Grid side, 0 or more."""
    soc_mwh: Floats
    """At the end of each quarter-hour."""

    @property
    def circulated_mwh(self) -> float:
        """Grid-side energy taken and given in the same quarter-hour."""
        return float(np.minimum(self.charge_mwh, self.discharge_mwh).sum())


def perfect_foresight(market: MarketSeries, battery: Battery, selection: Sequence[Span]) -> Foresight:
    """The optimum as one linear programme over all spans, solved by HiGHS.

    Raises RuntimeError if the solver does not end at an optimum.
    """
    programme = _build_programme(market, battery, selection)
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor carries no types
    solver.silent()
    solver.passModel(programme)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"the linear programme ended as {solver.getModelStatus()}")
    columns = np.asarray(solver.getSolution().col_value).reshape(3, -1)
    return Foresight(float(solver.getInfo().objective_function_value), columns[0], columns[1], columns[2])


def _build_programme(market: MarketSeries, battery: Battery, selection: Sequence[Span]) -> highspy.HighsLp:
    """Columns: charge, discharge (grid side, MWh) and SoC after each quarter-hour; rows: SoC balance, daily budget."""
    law = battery.law
    rows = rows_of(selection)
    prices = market.price_eur_mwh[rows]
    settled = ~np.isnan(prices)
    count = len(rows)
    starts = np.cumsum([0, *(len(span) for span in selection[:-1])])
    begins = np.zeros(count, dtype=np.bool_)
    begins[starts] = True
    day_rows = count + np.cumsum(np.concatenate([new_day_flags(market, span) for span in selection])) - 1

    lp = highspy.HighsLp()
    cash = np.where(settled, prices, 0.0)
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = np.concatenate([-cash, cash - law.wear_cost_eur_mwh / law.discharge_efficiency, np.zeros(count)])
    lp.col_lower_ = np.concatenate([np.zeros(2 * count), np.full(count, law.min_soc_mwh)])
    lp.col_upper_ = np.concatenate(
        [
            settled * law.charge_power_mw * QUARTER_HOUR_H,
            settled * law.discharge_power_mw * QUARTER_HOUR_H,
            np.full(count, law.max_soc_mwh),
        ]
    )
    balance = np.where(begins, law.min_soc_mwh, 0.0)
    capped = math.isfinite(law.max_cycles_per_day)
    days = int(day_rows[-1]) - count + 1 if capped else 0
    budget = np.full(days, law.max_cycles_per_day * law.capacity_mwh if capped else 0.0)
    lp.row_lower_ = np.concatenate([balance, np.full(days, -highspy.kHighsInf)])
    lp.row_upper_ = np.concatenate([balance, budget])
    lp.num_col_, lp.num_row_ = 3 * count, count + days
    _fill_matrix(lp, law, begins, day_rows if capped else None)
    return lp


def _fill_matrix(lp: highspy.HighsLp, law: BatteryLaw, begins: Flags, day_rows: npt.NDArray[np.int64] | None) -> None:
    """Column-wise coefficients of soc[t] - soc[t-1] - charge x eff + discharge / eff = start, and of the budget."""
    count = len(begins)
    own = np.arange(count)
    carries = np.append(~begins[1:], False)
    drawn = 1.0 / law.discharge_efficiency
    rows = [own, own, own, own[carries] + 1]
    columns = [own, own + count, own + 2 * count, own[carries] + 2 * count]
    values = [np.full(count, -law.charge_efficiency), np.full(count, drawn), np.ones(count), -np.ones(carries.sum())]
    if day_rows is not None:
        rows.append(day_rows)
        columns.append(own + count)
        values.append(np.full(count, drawn))
    order = np.argsort(np.concatenate(columns), kind="stable")
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.searchsorted(np.concatenate(columns)[order], np.arange(3 * count + 1)).astype(np.int32)
    lp.a_matrix_.index_ = np.concatenate(rows)[order].astype(np.int32)
    lp.a_matrix_.value_ = np.concatenate(values)[order]


def foresight_value_eur(market: MarketSeries, battery: Battery, selection: Sequence[Span]) -> Floats:
    """The optimum of each span by dynamic programming on a lattice, shape [spans]; about 0.1 % low."""
    law = battery.law
    window_mwh = law.max_soc_mwh - law.min_soc_mwh
    values = np.empty(len(selection))
    for i, span in enumerate(selection):
        choices = SOC_SEGMENTS_OF_SHORT_SPANS if len(span) <= _WEEK_QUARTER_HOURS else SOC_SEGMENTS_WITH_BUDGET
        segments, budget_nodes = _lattice_shape(law, window_mwh, choices)
        prices = market.price_eur_mwh[span.first : span.last]
        values[i] = _span_value(law, prices, new_day_flags(market, span), segments, budget_nodes, window_mwh / segments)
    return values


def _lattice_shape(law: BatteryLaw, window_mwh: float, choices: range) -> tuple[int, int]:
    """SoC segments, and nodes of the budget (0: none), in units of one SoC segment."""
    budget_mwh = law.max_cycles_per_day * law.capacity_mwh
    if math.isinf(budget_mwh):
        slower_mw = min(law.charge_power_mw, law.discharge_power_mw)
        hours = window_mwh / slower_mw if slower_mw > 0.0 else 0.0
        return min(max(SOC_SEGMENTS, int(_SEGMENTS_PER_HOUR * hours)), _MOST_SEGMENTS), 0
    lost = {n: math.fmod(budget_mwh * n / window_mwh + 1e-9, 1.0) / n for n in choices}
    segments = min(lost, key=lambda n: (round(lost[n], 9), n))
    return segments, int(budget_mwh * segments / window_mwh + 1e-9) + 1


class _Board(NamedTuple):
    """Working arrays of the dynamic programme, each of shape [margin + rows x stride + margin].

    A row per node of the budget (full first), each followed by unreachable cells, and unreachable margins around: so
    charging (next cell) and discharging (next row, previous cell) are constant strides with no bounds to test.
    """

    value: Lattice
    spare: Lattice
    other_spare: Lattice
    forbidden: Lattice
    """Shape [rows x stride]; added after each move, so that what leaks into the unreachable cells stays unreachable."""
    first: int
    last: int


@numba.njit(cache=True)
def _span_value(
    law: BatteryLaw, prices: Floats, new_day: Flags, segments: int, budget_nodes: int, segment_mwh: float
) -> float:
    """Value of an empty battery at the start of the prices [n]."""
    charge_reach = law.charge_power_mw * QUARTER_HOUR_H * law.charge_efficiency / segment_mwh
    discharge_reach = law.discharge_power_mw * QUARTER_HOUR_H / law.discharge_efficiency / segment_mwh
    stride = segments + 1 + int(max(charge_reach, discharge_reach)) + 2
    rows = max(1, budget_nodes)
    towards_empty = stride - 1 if budget_nodes > 0 else -1
    margin = (int(max(charge_reach, discharge_reach)) + 2) * stride
    arrays = np.full((3, rows * stride + 2 * margin), _UNREACHABLE, dtype=np.float32)
    forbidden = np.zeros((rows, stride), dtype=np.float32)
    forbidden[:, segments + 1 :] = _UNREACHABLE
    board = _Board(arrays[0], arrays[1], arrays[2], forbidden.ravel(), margin, margin + rows * stride)
    board.value[board.first : board.last] = board.forbidden
    total_eur = 0.0
    for t in range(prices.shape[0] - 1, -1, -1):
        price = prices[t]
        if not np.isnan(price):
            board = _raise_by(board, charge_reach, 1, -price / law.charge_efficiency * segment_mwh)
            gain_eur = (price * law.discharge_efficiency - law.wear_cost_eur_mwh) * segment_mwh
            board = _raise_by(board, discharge_reach, towards_empty, gain_eur)
        if new_day[t]:
            base = board.value[margin]
            total_eur += base
            for cell in range(segments + 1):
                board.value[margin + cell] -= base
                for row in range(1, rows):
                    board.value[margin + row * stride + cell] = board.value[margin + cell]
    return total_eur


@numba.njit(cache=True)
def _raise_by(board: _Board, reach: float, stride: int, gain_per_segment_eur: float) -> _Board:
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
    return _Board(out, before, other, forbidden, first, last)


@numba.njit(cache=True)
def _raise_to_shifted(value: Lattice, out: Lattice, first: int, last: int, shift: int, gain_eur: np.float32) -> None:
    """out[i] = the better of value[i] and value[i + shift] + gain."""
    here, there, target = value[first:last], value[first + shift : last + shift], out[first:last]
    for i in range(target.shape[0]):
        moved = there[i] + gain_eur
        target[i] = moved if moved > here[i] else here[i]


@numba.njit(cache=True)
def _raise_to_full(
    board: _Board,
    value: Lattice,
    out: Lattice,
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
