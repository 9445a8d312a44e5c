"""Perfect foresight: the most that any strategy can earn, as a linear programme and as dynamic programming.

Contract
- Prices are known, energy at the end of a span is worth nothing, each span starts empty.
- It is a ceiling. As in the usual linear programme, the store may take in and give off energy in the same
  quarter-hour. That pays only at negative prices, where losses are welcome, and no battery with one
  power conversion can do it; `circulated_mwh` says how much of it there is.
- A quarter-hour without a price is held.

The linear programme gives a schedule. The dynamic programme of `foresight_lattice` gives the value only, in a fraction
of the time, and the value of every state on the way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import highspy
import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Flags, Floats
from arbitrage.backtest.hindsight.foresight_lattice import lattice_shape, span_value
from arbitrage.battery import Battery, BatteryLaw
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import Span, new_day_flags, rows_of
from arbitrage.quarter_hour import QUARTER_HOUR_H

SOC_SEGMENTS_WITH_BUDGET = range(48, 65)
"""With a budget the lattice has two dimensions; the number that fits the budget best is taken."""
SOC_SEGMENTS_OF_SHORT_SPANS = range(80, 121)
"""The same for spans of up to a week, where fewer nights average the error and time does not matter."""
_WEEK_QUARTER_HOURS = 7 * 96
_FEASIBILITY = 1e-10
"""What HiGHS may miss a bound by, in the battery's unit: its least, well within the rounding that the ledger allows."""


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
    """The optimum as one linear programme over all spans, solved by HiGHS in the battery's own unit of energy.

    Raises RuntimeError if the solver does not end at an optimum.
    """
    unit_mwh = battery.law.unit_mwh
    programme = _build_programme(market, battery.law.in_units_of(unit_mwh), selection)
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor carries no types
    solver.silent()
    solver.setOptionValue("primal_feasibility_tolerance", _FEASIBILITY)
    solver.passModel(programme)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"the linear programme ended as {solver.getModelStatus()}")
    columns = unit_mwh * np.asarray(solver.getSolution().col_value).reshape(3, -1)
    profit_eur = unit_mwh * float(solver.getInfo().objective_function_value)
    return Foresight(profit_eur, columns[0], columns[1], battery.law.min_soc_mwh + columns[2])


def _build_programme(market: MarketSeries, law: BatteryLaw, selection: Sequence[Span]) -> highspy.HighsLp:
    """Columns: charge, discharge (grid side) and SoC above its least after each quarter-hour; rows: balance, budget."""
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
    lp.col_lower_ = np.zeros(3 * count)
    lp.col_upper_ = np.concatenate(
        [
            settled * law.charge_power_mw * QUARTER_HOUR_H,
            settled * law.discharge_power_mw * QUARTER_HOUR_H,
            np.full(count, law.max_soc_mwh - law.min_soc_mwh),
        ]
    )
    capped = math.isfinite(law.max_cycles_per_day)
    days = int(day_rows[-1]) - count + 1 if capped else 0
    budget = np.full(days, law.max_cycles_per_day * law.capacity_mwh if capped else 0.0)
    lp.row_lower_ = np.concatenate([np.zeros(count), np.full(days, -highspy.kHighsInf)])
    lp.row_upper_ = np.concatenate([np.zeros(count), budget])
    lp.num_col_, lp.num_row_ = 3 * count, count + days
    _fill_matrix(lp, law, begins, day_rows if capped else None)
    return lp


def _fill_matrix(lp: highspy.HighsLp, law: BatteryLaw, begins: Flags, day_rows: npt.NDArray[np.int64] | None) -> None:
    """Column-wise coefficients of soc[t] - soc[t-1] - charge x eff + discharge / eff = 0, and of the budget."""
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
    values = np.empty(len(selection))
    for i, span in enumerate(selection):
        choices = SOC_SEGMENTS_OF_SHORT_SPANS if len(span) <= _WEEK_QUARTER_HOURS else SOC_SEGMENTS_WITH_BUDGET
        prices = market.price_eur_mwh[span.first : span.last]
        values[i] = span_value(law, prices, new_day_flags(market, span), lattice_shape(law, choices))
    return values
