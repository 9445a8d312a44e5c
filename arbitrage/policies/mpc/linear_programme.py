"""The linear programme of a plan: what a battery would best do on one price path, or on several at once.

Contract
- The battery's law, as in perfect foresight: power in both directions, efficiency each way, state-of-charge window,
  wear, and a row for the cycle budget of each Brussels day that the plan reaches into.
- With several paths, the first quarter-hours are decided for all of them together, for what they bring is not known
  yet; what follows may differ from path to path. The aim is mean + weight x CVaR of the plan's profit.
- A programme is solved from the same start, whatever was solved before: a warm start would let one decision's ties rest
  on another's. Only its matrix's pattern is kept and reused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import highspy
import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats, Numbers
from arbitrage.battery import BatteryLaw, BatteryState
from arbitrage.quarter_hour import QUARTER_HOUR_H

_LEAST_POWER_FRACTION = 1e-9
"""A share of the rating below which a plan idles."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What a plan maximises: mean + weight x CVaR at a level of the profit over its paths."""

    cvar_weight: float = 0.0
    cvar_level: float = 0.1


@dataclass(frozen=True, slots=True)
class Outline:
    """All that decides the matrix's pattern."""

    today: int
    """Quarter-hours left in the Brussels day, the running one included."""
    length: int
    """Quarter-hours of the plan."""
    paths: int
    shared: int
    """Quarter-hours from now that are decided for all paths together."""
    capped: bool
    risky: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The first quarter-hour of the best plan, and what the plan is worth."""

    power_mw: float
    """Discharge positive, net: where losses are welcome the plan may do both in one quarter-hour."""
    worth_eur: float
    """The aim's value."""
    stored_worth_eur_mwh: float
    """What one more MWh in store would add to it."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """Columns and rows of a programme, and where its entries stand."""

    charge: Numbers
    """Shape [paths, length]; columns of energy taken, grid side; a shared quarter-hour has the same for all paths."""
    discharge: Numbers
    stored: Numbers
    """State of charge after each quarter-hour."""
    columns: int
    rows: int
    balances: int
    """Rows of the SoC balance come first, then the budgets, then the paths' profits."""
    order: Numbers
    start: npt.NDArray[np.int32]
    index: npt.NDArray[np.int32]

    @property
    def tails(self) -> Numbers:
        """Columns of how far each path's profit lies below the value at risk; that of the latter comes before."""
        return np.arange(self.columns - len(self.charge), self.columns)


def best_plan(
    solver: highspy.Highs,
    law: BatteryLaw,
    state: BatteryState,
    prices_eur_mwh: Floats,
    today: int,
    end_value_eur_mwh: float = 0.0,
    *,
    shared: int = 1,
    aim: Aim | None = None,
) -> Plan:
    """The best plan from a state on price paths [paths, length], of which `today` quarter-hours end the day.

    end_value_eur_mwh: of energy in store at the plan's end. Raises RuntimeError if the solver finds no optimum.
    """
    aim, unit_mwh = aim or Aim(), law.unit_mwh
    law, state = law.in_units_of(unit_mwh), BatteryState(state.soc_mwh / unit_mwh, state.cycles_used)
    paths, length = prices_eur_mwh.shape
    capped = math.isfinite(law.max_cycles_per_day)
    outline = Outline(today, length, paths, min(shared, length) if paths > 1 else length, capped, aim.cvar_weight > 0.0)
    pattern = _lay_out(outline)
    money = _money(pattern, law, prices_eur_mwh, end_value_eur_mwh)
    cost = _cost(pattern, money, aim, outline.risky)
    lower, upper = _column_bounds(pattern, law, outline.risky)
    row_lower, row_upper = _row_bounds(pattern, outline, law, state)
    values = _values(pattern, outline, law, money)
    _solve(solver, pattern, cost, (lower, upper), (row_lower, row_upper), values)
    solution = solver.getSolution()
    found = np.asarray(solution.col_value)
    power = float(found[pattern.discharge[0, 0]] - found[pattern.charge[0, 0]]) / QUARTER_HOUR_H
    power_mw = power * unit_mwh if abs(power) > _LEAST_POWER_FRACTION else 0.0
    worth_eur = float(solver.getInfo().objective_function_value) * unit_mwh
    return Plan(power_mw, worth_eur, float(solution.row_dual[0]))


def make_solver() -> highspy.Highs:
    """A silent solver for small programmes: dual simplex, one thread, no presolve."""
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor carries no types
    solver.silent()
    for option, value in (("presolve", "off"), ("solver", "simplex"), ("simplex_strategy", 1), ("threads", 1)):
        solver.setOptionValue(option, value)
    return solver


@lru_cache(maxsize=256)
def _lay_out(outline: Outline) -> _Pattern:
    paths, length, shared = outline.paths, outline.length, outline.shared
    step, path = np.arange(length), np.arange(paths)[:, None]
    own = step >= shared
    first = np.where(own, 3 * shared + path * 3 * (length - shared), 0)
    position, width = np.where(own, step - shared, step), np.where(own, length - shared, shared)
    charge, discharge, soc = (first + part * width + position for part in range(3))
    balance = np.where(own, shared + path * (length - shared) + step - shared, step)
    columns = 3 * (shared + paths * (length - shared))
    balances = columns // 3
    mine = own | (path == 0)
    later = mine & (step > 0)
    before = np.concatenate([np.zeros((paths, 1), dtype=np.int64), soc[:, :-1]], axis=1)
    rows = [balance[mine]] * 3 + [balance[later]]
    places = [charge[mine], discharge[mine], soc[mine], before[later]]
    row = balances
    if outline.capped:
        days = np.where(step < outline.today, 0, 1)
        rows.append((row + path * _days(outline) + days).ravel())
        places.append(discharge.ravel())
        row += paths * _days(outline)
    if outline.risky:
        profit = np.broadcast_to(row + path, (paths, length))
        rows += [profit.ravel(), profit.ravel(), profit[:, 0], profit[:, 0], profit[:, 0]]
        places += [charge.ravel(), discharge.ravel(), soc[:, -1], np.full(paths, columns), columns + 1 + path[:, 0]]
        row, columns = row + paths, columns + 1 + paths
    place, entry_row = np.concatenate(places), np.concatenate(rows)
    order = np.argsort(place, kind="stable")
    start = np.searchsorted(place[order], np.arange(columns + 1)).astype(np.int32)
    return _Pattern(charge, discharge, soc, columns, row, balances, order, start, entry_row[order].astype(np.int32))


def _days(outline: Outline) -> int:
    return 1 if outline.length == outline.today else 2


@dataclass(frozen=True, slots=True)
class _Money:
    """What a MWh brings on each path, in EUR."""

    charged: Floats
    """Shape [paths, length]."""
    discharged: Floats
    """Shape [paths, length]; less wear."""
    left: Floats
    """Shape [paths]; in store at the end."""


def _money(pattern: _Pattern, law: BatteryLaw, prices: Floats, end_value: float) -> _Money:
    worn = law.wear_cost_eur_mwh / law.discharge_efficiency
    return _Money(-prices, prices - worn, np.full(len(pattern.charge), end_value))


def _cost(pattern: _Pattern, money: _Money, aim: Aim, risky: bool) -> Floats:
    paths = len(pattern.charge)
    cost = np.zeros(pattern.columns)
    np.add.at(cost, pattern.charge, money.charged / paths)
    np.add.at(cost, pattern.discharge, money.discharged / paths)
    np.add.at(cost, pattern.stored[:, -1], money.left / paths)
    if risky:
        cost[pattern.tails[0] - 1] = aim.cvar_weight
        cost[pattern.tails] = -aim.cvar_weight / (aim.cvar_level * paths)
    return cost


def _column_bounds(pattern: _Pattern, law: BatteryLaw, risky: bool) -> tuple[Floats, Floats]:
    lower, upper = np.zeros(pattern.columns), np.full(pattern.columns, highspy.kHighsInf)
    upper[pattern.charge] = law.charge_power_mw * QUARTER_HOUR_H
    upper[pattern.discharge] = law.discharge_power_mw * QUARTER_HOUR_H
    lower[pattern.stored], upper[pattern.stored] = law.min_soc_mwh, law.max_soc_mwh
    if risky:
        lower[pattern.tails[0] - 1] = -highspy.kHighsInf
    return lower, upper


def _row_bounds(pattern: _Pattern, outline: Outline, law: BatteryLaw, state: BatteryState) -> tuple[Floats, Floats]:
    """The balance starts from the state; what is left of today's budget, and tomorrow's whole one."""
    lower, upper = np.zeros(pattern.rows), np.zeros(pattern.rows)
    lower[0] = upper[0] = min(max(state.soc_mwh, law.min_soc_mwh), law.max_soc_mwh)
    end = pattern.balances
    if outline.capped:
        left = max(0.0, law.max_cycles_per_day - state.cycles_used) * law.capacity_mwh
        budgets = np.array([left, law.max_cycles_per_day * law.capacity_mwh])[: _days(outline)]
        end += outline.paths * len(budgets)
        lower[pattern.balances : end] = -highspy.kHighsInf
        upper[pattern.balances : end] = np.tile(budgets, outline.paths)
    upper[end:] = highspy.kHighsInf
    return lower, upper


def _values(pattern: _Pattern, outline: Outline, law: BatteryLaw, money: _Money) -> Floats:
    """Entries of the matrix in the order of the pattern."""
    balances, drawn = pattern.balances, 1.0 / law.discharge_efficiency
    parts = [np.full(balances, -law.charge_efficiency), np.full(balances, drawn)]
    parts += [np.ones(balances), -np.ones(balances - 1)]
    if outline.capped:
        parts.append(np.full(outline.paths * outline.length, drawn))
    if outline.risky:
        nothing = np.ones(outline.paths)
        parts += [money.charged.ravel(), money.discharged.ravel(), money.left, -nothing, nothing]
    return np.concatenate(parts)[pattern.order]


def _solve(
    solver: highspy.Highs,
    pattern: _Pattern,
    cost: Floats,
    columns: tuple[Floats, Floats],
    rows: tuple[Floats, Floats],
    values: Floats,
) -> None:
    form, sense = int(highspy.MatrixFormat.kColwise), int(highspy.ObjSense.kMaximize)
    integral = np.zeros(pattern.columns, dtype=np.int32)
    size = (pattern.columns, pattern.rows, len(values), form, sense, 0.0)
    solver.passModel(*size, cost, *columns, *rows, pattern.start, pattern.index, values, integral)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"the linear programme of a plan ended as {solver.getModelStatus()}")
