"""Thousands of batteries through time, compiled: decide, let the battery law act, settle, add up, and check.

Law: a battery's row of numbers is its own; nothing passes from one to another, so it does not matter how many threads
share the work. The check knows the flows alone and is other arithmetic than made them.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from arbitrage.agents.lattice import Lattice
from arbitrage.agents.policy_table import power_by_table
from arbitrage.agents.rules import Scale
from arbitrage.backtest.ledger import TOLERANCE
from arbitrage.battery import BatteryLaw, advance, clip_power_mw
from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR, QUARTER_HOUR_H

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

COLUMNS = (
    "charge_mwh",
    "discharge_mwh",
    "soc_start_mwh",
    "soc_end_mwh",
    "cycles_used",
    "wear_eur",
    "asked_mw",
    "shielded_fraction",
)
"""Of a kept ledger, in the order of `Keep.rows`."""


class Stretch(NamedTuple):
    """Some quarter-hours in a row, arrays of shape [T]."""

    price_eur_mwh: Floats
    begins: Flags
    """Whether a span begins, and with it every battery anew."""
    new_day: Flags
    day: Numbers
    """Which column of the daily figures it counts to."""

    def between(self, first: int, last: int) -> Stretch:
        """Rows [first, last) of it."""
        rows = slice(first, last)
        return Stretch(self.price_eur_mwh[rows], self.begins[rows], self.new_day[rows], self.day[rows])


class Laws(NamedTuple):
    """Batteries, arrays of shape [n]."""

    values: Floats
    """Shape [n, 9]; the fields of a `BatteryLaw`."""
    start_soc_mwh: Floats
    bounds: Floats
    """Shape [n, 2]; a rule's lower and upper number."""
    times_larger: Floats
    """Than the battery that a learned policy was trained for."""


class Books(NamedTuple):
    """What is known of the batteries so far, arrays of shape [n] or [n, days]."""

    soc_mwh: Floats
    cycles_used: Floats
    drawn_today_mwh: Floats
    """By the check's own count."""
    charge_mwh: Floats
    discharge_mwh: Floats
    cash_eur: Floats
    wear_eur: Floats
    violations: Numbers
    profit_by_day_eur: Floats
    drawn_by_day_mwh: Floats


class Keep(NamedTuple):
    """Ledgers that are kept row by row."""

    slot: Numbers
    """Shape [n]; which ledger a battery's rows go to, -1: none."""
    rows: Floats
    """Shape [T, ledgers, columns]."""


@numba.njit(cache=True, nogil=True)
def live(
    stretch: Stretch,
    scale: Scale,
    lattice: Lattice,
    table: Floats,
    laws: Laws,
    books: Books,
    keep: Keep,
    first: int,
    last: int,
) -> None:
    """Take batteries [first, last) through a stretch of time.

    table: shape [members, T, 2, nodes]; with no members the rule of `scale` decides.
    """
    for i in range(first, last):
        v = laws.values[i]
        law = BatteryLaw(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8])
        for t in range(stretch.price_eur_mwh.shape[0]):
            if stretch.begins[t]:
                books.soc_mwh[i] = laws.start_soc_mwh[i]
            if stretch.new_day[t]:
                books.cycles_used[i] = 0.0
                books.drawn_today_mwh[i] = 0.0
            soc_mwh = books.soc_mwh[i]
            asked, power, wear_eur = 0.0, 0.0, 0.0
            if not np.isnan(stretch.price_eur_mwh[t]):
                asked = _asked_mw(law, scale, lattice, table, laws, i, t, soc_mwh, books.cycles_used[i])
                power, wear_eur = _act(law, books, i, asked)
                _settle(law, stretch, books, i, t, power, wear_eur, soc_mwh)
            if keep.slot[i] >= 0:
                row = keep.rows[t, keep.slot[i]]
                energy = power * MINUTES_PER_QUARTER_HOUR / MINUTES_PER_HOUR
                row[0], row[1], row[2], row[3] = max(-energy, 0.0), max(energy, 0.0), soc_mwh, books.soc_mwh[i]
                row[4], row[5], row[6], row[7] = books.cycles_used[i], wear_eur, asked, 1.0 if power != asked else 0.0


@numba.njit(cache=True, nogil=True)
def _asked_mw(
    law: BatteryLaw,
    scale: Scale,
    lattice: Lattice,
    table: Floats,
    laws: Laws,
    i: int,
    t: int,
    soc_mwh: float,
    cycles_used: float,
) -> float:
    if table.shape[0]:
        times = laws.times_larger[i]
        return float(power_by_table(lattice, table, t, soc_mwh / times, cycles_used) * times)
    if scale.signal[t] < scale.zero[t] + laws.bounds[i, 0] * scale.unit[t]:
        return -law.charge_power_mw
    if scale.signal[t] > scale.zero[t] + laws.bounds[i, 1] * scale.unit[t]:
        return law.discharge_power_mw
    return 0.0


@numba.njit(cache=True, nogil=True)
def _act(law: BatteryLaw, books: Books, i: int, asked_mw: float) -> tuple[float, float]:
    """Power that flows, MW, and wear, EUR."""
    power = clip_power_mw(law, books.soc_mwh[i], books.cycles_used[i], asked_mw, QUARTER_HOUR_H)
    after = advance(law, books.soc_mwh[i], books.cycles_used[i], power, QUARTER_HOUR_H)
    books.soc_mwh[i], books.cycles_used[i] = after[0], after[1]
    return power, after[2]


@numba.njit(cache=True, nogil=True)
def _settle(
    law: BatteryLaw,
    stretch: Stretch,
    books: Books,
    i: int,
    t: int,
    power_mw: float,
    wear_eur: float,
    soc_start_mwh: float,
) -> None:
    energy = power_mw * MINUTES_PER_QUARTER_HOUR / MINUTES_PER_HOUR
    charge, discharge = max(-energy, 0.0), max(energy, 0.0)
    cash = stretch.price_eur_mwh[t] * energy
    drawn = discharge / law.discharge_efficiency
    day = stretch.day[t]
    books.charge_mwh[i] += charge
    books.discharge_mwh[i] += discharge
    books.cash_eur[i] += cash
    books.wear_eur[i] += wear_eur
    books.profit_by_day_eur[i, day] += cash - wear_eur
    books.drawn_by_day_mwh[i, day] += drawn
    books.drawn_today_mwh[i] += drawn
    books.violations[i] += _broken(law, books, i, charge, discharge, soc_start_mwh, wear_eur)


@numba.njit(cache=True, nogil=True)
def _broken(
    law: BatteryLaw,
    books: Books,
    i: int,
    charge_mwh: float,
    discharge_mwh: float,
    soc_start_mwh: float,
    wear_eur: float,
) -> int:
    """How many rules a row breaks: power, SoC window and balance, cycle budget and count, wear; NaN breaks them."""
    drawn = discharge_mwh / law.discharge_efficiency
    soc, used = books.soc_mwh[i], books.drawn_today_mwh[i] / law.capacity_mwh
    broken = 0
    for excess in (
        charge_mwh - law.charge_power_mw * QUARTER_HOUR_H,
        discharge_mwh - law.discharge_power_mw * QUARTER_HOUR_H,
        law.min_soc_mwh - soc,
        soc - law.max_soc_mwh,
        abs(soc_start_mwh + charge_mwh * law.charge_efficiency - drawn - soc),
        used - law.max_cycles_per_day,
        abs(used - books.cycles_used[i]),
        abs(wear_eur - drawn * law.wear_cost_eur_mwh),
    ):
        if not excess <= TOLERANCE:
            broken += 1
    return broken
