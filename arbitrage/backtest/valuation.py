"""Fair accounts: what was earned in cash, what is still in store, and how the battery was worked for it.

Contract
- Every span starts from an empty battery. What is left in store is reported beside the cash, never added to it: marked
  to market, a day's profit is its cash less wear plus the change of what the store is worth.
- Energy in store is worth the day's mean price, not below zero, on what would reach the grid, less the wear of it.
- Cycles are counted three ways: equivalent full cycles (storage-side discharge over capacity), half the throughput, and
  rainflow (ASTM E1049-85) on the state of charge, which knows how deep they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import rainflow

from arbitrage.arrays import Floats
from arbitrage.battery import Battery
from arbitrage.settling import settle_eur

DEEP_FRACTION = 0.8
"""Depth from which a rainflow cycle counts as deep, as a share of the capacity."""
_DIGITS = 9


def daily_accounts(
    ledger: pd.DataFrame, battery: Battery, day_price_eur_mwh: pd.Series[float] | None = None
) -> pd.DataFrame:
    """Money of each Brussels day.

    Columns: `cash_eur`, `wear_eur`, `profit_eur` (cash less wear), `stored_change_eur`, `marked_eur` (both together).
    day_price_eur_mwh: what a day's energy in store is valued at, indexed by Brussels day; by default the mean imbalance
    price of the day's settled quarter-hours.
    """
    law = battery.law
    by_day = ledger.groupby("brussels_day")
    days = by_day[["cash_eur", "wear_eur", "profit_eur"]].sum()
    price = by_day["imbalance_price_eur_mwh"].mean() if day_price_eur_mwh is None else day_price_eur_mwh
    worth_eur_mwh = (price.reindex(days.index).fillna(0.0).clip(lower=0.0) * law.discharge_efficiency) - (
        law.wear_cost_eur_mwh
    )
    last = by_day[["soc_end_mwh", "span"]].last()
    worth_eur = settle_eur(worth_eur_mwh.clip(lower=0.0), last["soc_end_mwh"] - law.min_soc_mwh)
    carried_eur = worth_eur.shift(1).where(last["span"].diff().eq(0), 0.0).fillna(0.0)
    days["stored_change_eur"] = worth_eur - carried_eur
    days["marked_eur"] = days["profit_eur"] + days["stored_change_eur"]
    return days


@dataclass(frozen=True, slots=True)
class Rainflow:
    """Rainflow cycles of a state of charge; a half cycle counts a half."""

    depth_fraction: Floats
    """Of each cycle, as a share of the capacity, shape [n]."""
    count: Floats
    """1 or 0.5, shape [n]."""

    @property
    def total(self) -> float:
        """How many there are."""
        return float(self.count.sum())

    @property
    def deep(self) -> float:
        """How many are deep."""
        return float(self.count[self.depth_fraction >= DEEP_FRACTION - 10.0**-_DIGITS].sum())

    @property
    def mean_depth_fraction(self) -> float | None:
        """None where there is no cycle."""
        return float(self.depth_fraction @ self.count) / self.total if self.total else None


def rainflow_cycles(ledger: pd.DataFrame, battery: Battery) -> Rainflow:
    """The cycles of every span. Moves within a quarter-hour are not seen."""
    found: list[tuple[float, float]] = []
    for _, rows in ledger.groupby("span"):
        soc = np.append(rows["soc_start_mwh"].to_numpy()[:1], rows["soc_end_mwh"].to_numpy()) / battery.capacity_mwh
        turns = rainflow.extract_cycles(np.round(soc, _DIGITS).tolist())
        found += [(depth, count) for depth, _, count, _, _ in turns if depth > 0.0]
    depth, count = np.array(found).reshape(-1, 2).T
    return Rainflow(depth, count)
