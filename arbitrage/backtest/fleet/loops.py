"""Thousands of batteries through time, compiled: decide, let the battery law act, settle, add up, and check.

Contract: a battery's row of numbers is its own; nothing passes from one to another, so it does not matter how many
threads share the work. The check knows the flows alone and is other arithmetic than made them.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from arbitrage.arrays import Flags, Floats, Numbers
from arbitrage.backtest.ledger import rounding
from arbitrage.battery import BatteryLaw, clip_and_advance
from arbitrage.policies.closed_form.advantage_table import power_by_table
from arbitrage.policies.closed_form.lattice import LatticeShape
from arbitrage.policies.fleet_reading import Scale
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, QUARTER_HOUR_H, energy_mwh
from arbitrage.settling import settle_eur

KEPT = ("power_mw", "soc_start_mwh", "soc_end_mwh", "cycles_used", "wear_eur", "asked_mw")
"""What is kept of a quarter-hour for a ledger, in the order of `Keep.rows`."""


class Stretch(NamedTuple):
    """Some quarter-hours in a row, arrays of shape [T]."""

    price_eur_mwh: Floats
    begins: Flags
    """Whether a span begins, with every battery reset."""
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
    """Shape [T, ledgers, 6]."""


@numba.njit(cache=True, nogil=True)
def live(
    stretch: Stretch,
    scale: Scale,
    shape: LatticeShape,
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
        _live_one(i, law, stretch, scale, shape, table, laws, books, keep)


@numba.njit(cache=True, nogil=True)
def _live_one(
    i: int,
    law: BatteryLaw,
    stretch: Stretch,
    scale: Scale,
    shape: LatticeShape,
    table: Floats,
    laws: Laws,
    books: Books,
    keep: Keep,
) -> None:
    """One battery; inside the loop nothing but numbers is handed to functions, which saves most of the time."""
    soc, used, drawn_today = books.soc_mwh[i], books.cycles_used[i], books.drawn_today_mwh[i]
    profit_eur, drawn_mwh = books.profit_by_day_eur[i], books.drawn_by_day_mwh[i]
    low, high, times, slot = laws.bounds[i, 0], laws.bounds[i, 1], laws.times_larger[i], keep.slot[i]
    by_table = table.shape[0] > 0
    for t in range(stretch.price_eur_mwh.shape[0]):
        price = stretch.price_eur_mwh[t]
        if stretch.begins[t]:
            soc = laws.start_soc_mwh[i]
        if stretch.new_day[t]:
            used, drawn_today = 0.0, 0.0
        before, asked, power, wear = soc, 0.0, 0.0, 0.0
        if by_table and not np.isnan(price):
            asked = power_by_table(shape, table, t, soc / times, used) * times
        elif not np.isnan(price):
            asked = _by_rule(law, scale.signal[t], scale.zero[t], scale.unit[t], low, high)
        if asked != 0.0:
            power, soc, used, wear = clip_and_advance(law, soc, used, asked, QUARTER_HOUR_H)
            energy = energy_mwh(power, MINUTES_PER_QUARTER_HOUR)
            cash = settle_eur(price, energy)
            charge, discharge = max(-energy, 0.0), max(energy, 0.0)
            drawn = discharge / law.discharge_efficiency
            drawn_today += drawn
            profit_eur[stretch.day[t]] += cash - wear
            drawn_mwh[stretch.day[t]] += drawn
            books.charge_mwh[i] += charge
            books.discharge_mwh[i] += discharge
            books.cash_eur[i] += cash
            books.wear_eur[i] += wear
            books.violations[i] += broken_rules(law, charge, drawn, before, soc, drawn_today, used, wear)
        if slot >= 0:
            row = keep.rows[t, slot]
            row[0], row[1], row[2], row[3], row[4], row[5] = power, before, soc, used, wear, asked
    books.soc_mwh[i], books.cycles_used[i], books.drawn_today_mwh[i] = soc, used, drawn_today


@numba.njit(cache=True, nogil=True)
def _by_rule(law: BatteryLaw, signal: float, zero: float, unit: float, low: float, high: float) -> float:
    """Power asked for, MW; NaN fails both comparisons and idles."""
    if signal < zero + low * unit:
        return -law.charge_power_mw
    return law.discharge_power_mw if signal > zero + high * unit else 0.0


@numba.njit(cache=True, nogil=True)
def broken_rules(
    law: BatteryLaw,
    charge_mwh: float,
    drawn_mwh: float,
    soc_before_mwh: float,
    soc_mwh: float,
    drawn_today_mwh: float,
    cycles_used: float,
    wear_eur: float,
) -> int:
    """How many rules a row breaks: power, SoC window and balance, cycle budget and count, wear; NaN breaks them."""
    used = drawn_today_mwh / law.capacity_mwh
    broken, allowed = 0, rounding(law)
    for excess in (used - law.max_cycles_per_day, abs(used - cycles_used)):
        if not excess <= allowed / law.capacity_mwh:
            broken += 1
    for excess in (
        charge_mwh - law.charge_power_mw * QUARTER_HOUR_H,
        drawn_mwh * law.discharge_efficiency - law.discharge_power_mw * QUARTER_HOUR_H,
        law.min_soc_mwh - soc_mwh,
        soc_mwh - law.max_soc_mwh,
        abs(soc_before_mwh + charge_mwh * law.charge_efficiency - drawn_mwh - soc_mwh),
        abs(wear_eur - drawn_mwh * law.wear_cost_eur_mwh),
    ):
        if not excess <= allowed:
            broken += 1
    return broken
