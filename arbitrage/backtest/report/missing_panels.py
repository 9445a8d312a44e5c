"""Why a picture has nothing to show: one sentence, or None where it has something.

Contract: a panel whose picture would be empty, or would show a scale for values that are all equal, bears the sentence
in its place. Each function looks at what one kind of picture needs.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from arbitrage.backtest.ledger import TOLERANCE
from arbitrage.backtest.report.figures.rounding import number
from arbitrage.backtest.report.material import Material
from arbitrage.battery import Battery


def no_settlement(ledger: pd.DataFrame) -> str | None:
    """For every picture of money."""
    if ledger["settled"].any():
        return None
    return "No quarter-hour tested has a price, so nothing was settled: there is nothing to draw."


def no_leads(material: Material) -> str | None:
    """For the picture of leads over rivals."""
    if (why := no_settlement(material.backtest.ledger)) is not None:
        return why
    names = material.real_rivals
    if np.abs(material.seeds_eur.mean(axis=0) - material.daily_eur[names].to_numpy().T).max() > TOLERANCE:
        return None
    return "It earned the same as every rival on every day tested: there is no lead to draw."


def no_profits(material: Material) -> str | None:
    """For the picture of running totals."""
    if (why := no_settlement(material.backtest.ledger)) is not None:
        return why
    if material.daily_eur.abs().to_numpy().max() > TOLERANCE:
        return None
    return "No strategy earned or lost anything on any day tested."


def no_course_of_days(material: Material, subject: str) -> str | None:
    """For pictures that compare days; `subject` is what one day does not have."""
    if material.days == 1:
        return no_settlement(material.backtest.ledger) or f"Only one day was tested, and one day has no {subject}."
    return no_settlement(material.backtest.ledger)


def no_drawdown(material: Material) -> str | None:
    """For the picture of how far the running total fell."""
    if (why := no_course_of_days(material, "course of profits")) is not None:
        return why
    deepest_eur = material.figures["largest_drawdown_eur"]
    return None if deepest_eur > TOLERANCE else "The running total of profits never fell."


def no_gap(material: Material) -> str | None:
    """For the account of what was lost against perfect foresight."""
    if (why := no_settlement(material.backtest.ledger)) is not None:
        return why
    lost = material.figures["gap_eur_per_day"], material.figures["perfect_foresight_eur_per_day"]
    if max(map(abs, lost)) > TOLERANCE:
        return None
    return "Perfect foresight earns nothing here, and nothing was lost against it: there is no gap to explain."


def no_losses(material: Material) -> str | None:
    """For the account of every strategy."""
    lost_eur = [abs(loss) for causes in material.causes.values() for loss in causes.values()]
    return None if max(lost_eur) > TOLERANCE else "No strategy lost anything against perfect foresight."


def no_profit_by_hour(ledger: pd.DataFrame) -> str | None:
    """For the map of profits, whose colours need a scale."""
    if (why := no_settlement(ledger)) is not None:
        return why
    if ledger["profit_eur"].abs().max() > TOLERANCE:
        return None
    return "No hour earned or cost anything, so there is no scale to colour it by."


def no_price_groups(ledger: pd.DataFrame, ceiling: pd.DataFrame | None) -> str | None:
    """For pictures of flows and cash by price, of the ledger and of the ceiling's, if it is drawn."""
    if (why := no_settlement(ledger)) is not None:
        return why
    price = ledger["imbalance_price_eur_mwh"]
    if price.min() == price.max():
        only = number(float(price.min()), 2)
        return f"Every settled price is {only} EUR/MWh, so cheap and dear ones cannot be distinguished."
    drawn = [ledger, *([] if ceiling is None else [ceiling])]
    if all(float(rows[["charge_mwh", "discharge_mwh"]].to_numpy().max()) <= TOLERANCE for rows in drawn):
        return "No energy was bought or sold, neither here nor by perfect foresight."
    return None


def no_energy(ledger: pd.DataFrame, battery: Battery) -> str | None:
    """For the course of the energy in store through the day."""
    if float((ledger[["soc_start_mwh", "soc_end_mwh"]] - battery.law.min_soc_mwh).to_numpy().max()) <= TOLERANCE:
        return "The battery stayed empty all the time."
    return "Only one quarter-hour was tested, and one moment has no course." if len(ledger) == 1 else None


def no_cycles(ledger: pd.DataFrame) -> str | None:
    """For cycles by day."""
    return None if ledger["discharge_mwh"].sum() > TOLERANCE else "Nothing was discharged, so no cycle was used."


def no_turns(material: Material) -> str | None:
    """For rainflow cycles by depth."""
    if material.cycles.total > 0.0:
        return None
    return "The state of charge never changed, so rainflow counting finds no cycle."
