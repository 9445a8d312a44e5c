"""The key figures of the report as cards, and its accounts as a table.

Contract: figures come from `metrics.summary` and are only rounded here; a unit stands with every number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from arbitrage.backtest.bootstrap import Estimate
from arbitrage.backtest.metrics import daily_profit_eur
from arbitrage.backtest.report.figures.rounding import (
    calendar_date,
    counted,
    interval_in_words,
    number,
    percent,
    sensible_decimals,
)
from arbitrage.backtest.report.material import Material
from arbitrage.backtest.statistics import AHEAD, BEHIND


@dataclass(frozen=True, slots=True)
class Card:
    """One key figure."""

    name: str
    """As in `metrics.summary`."""
    exact: float | None
    """The figure before rounding."""
    label: str
    figure: str
    unit: str
    remark: str
    tone: str = ""
    """`good`, `bad` or nothing."""


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One way of counting the money."""

    name: str
    note: str
    cells: Sequence[str]


ACCOUNT_COLUMNS = (
    ("Whole period", "EUR"),
    ("A day", "EUR"),
    ("Per MW", "EUR a day"),
    ("Per MWh of capacity", "EUR a day"),
    ("Per MWh discharged", "EUR"),
    ("Per full cycle", "EUR"),
)


def cards(material: Material) -> Iterator[Card]:
    """The key figures."""
    figures, backtest = material.figures, material.backtest
    decimals = sensible_decimals(figures["perfect_foresight_eur_per_day"])
    bounds = interval_in_words(figures["profit_eur_per_day_interval"], decimals)
    profit, share = figures["profit_eur_per_day"], figures["capture_fraction"]
    ceiling = f"of {number(figures['perfect_foresight_eur_per_day'], decimals)} EUR a day"
    yield Card("profit_eur_per_day", profit, "Profit", number(profit, decimals), "EUR a day", bounds)
    yield Card("capture_fraction", share, "Share of perfect foresight", percent(share), "", ceiling)
    if material.real_rivals:
        yield _lead_card(material, decimals)
    yield from _tail_cards(material, decimals)
    cap, cycles = backtest.battery.max_cycles_per_day, figures["cycles_per_day"]
    of_cap = "no cap" if cap is None else f"cap {cap:g} a day"
    yield Card("cycles_per_day", cycles, "Full cycles", number(cycles, 2), "a day", of_cap)
    yield from _soundness_cards(material)


def _lead_card(material: Material, decimals: int) -> Card:
    best = material.real_rivals[0]
    lead = material.leads[best]
    value, verdict = float(lead["lead_eur"]), str(lead["verdict"])
    found = Estimate(value, float(lead["lead_low_eur"]), float(lead["lead_high_eur"]))
    tone = {AHEAD: "good", BEHIND: "bad"}.get(verdict, "")
    remark = f"{verdict}; {interval_in_words(found.interval, decimals, signed=True)}"
    shown = number(value, decimals, signed=True)
    return Card("lead_eur_per_day", value, f"Over the next best, {best}", shown, "EUR a day", remark, tone)


def _tail_cards(material: Material, decimals: int) -> Iterator[Card]:
    figures = material.figures
    tail = percent(figures["tail_level"], 0)
    name = "conditional_value_at_risk_eur"
    remark = interval_in_words(figures[f"{name}_interval"], decimals)
    yield Card(name, figures[name], f"Mean of the worst {tail} of days", number(figures[name], decimals), "EUR", remark)
    daily = daily_profit_eur(material.backtest.ledger)
    worst = calendar_date(pd.DatetimeIndex(daily.nsmallest(1).index)[0])
    yield Card("worst_day_eur", daily.min(), "Worst day", number(figures["worst_day_eur"], decimals), "EUR", worst)


def _soundness_cards(material: Material) -> Iterator[Card]:
    figures = material.figures
    covered, fallback = figures["coverage_fraction"], figures["fallback_fraction"]
    unpriced = f"{counted(figures['unsettled_quarter_hours'], 'quarter-hour')} without a price"
    fell = "no fallback in this backtest" if fallback is None else f"fallbacks decided {percent(fallback)} of the time"
    yield Card("coverage_fraction", covered, "Coverage", percent(covered), "", f"{unpriced}; {fell}")
    rows, broken = f"in {counted(len(material.backtest.ledger), 'quarter-hour')}", figures["violations"]
    tone = "bad" if broken else "good"
    yield Card("violations", broken, "Rule violations", number(broken, 0), "", rows, tone)


def accounts(material: Material) -> list[AccountRow]:
    """The money before and after wear, and with what is left in store."""
    figures, days = material.figures, material.days
    battery = material.backtest.battery
    sold_mwh = float(material.backtest.ledger["discharge_mwh"].sum())
    cycles = figures["cycles_per_day"] * days
    sums = (
        ("Cash", "before wear", figures["cash_eur"]),
        ("Wear", "as a cost", -figures["wear_eur"]),
        ("Profit", "cash less wear", figures["profit_eur"]),
        ("Left in store", "at the day's mean price", figures["marked_eur"] - figures["profit_eur"]),
        ("Marked to market", "profit and store", figures["marked_eur"]),
    )
    per_day = (1.0, battery.power_mw, battery.capacity_mwh)
    rows = []
    for name, note, total in sums:
        values = [total, *(total / days / size for size in per_day)]
        values += [total / size if size > 0.0 else None for size in (sold_mwh, cycles)]
        rows.append(AccountRow(name, note, [number(value, sensible_decimals(value or 0.0)) for value in values]))
    return rows


def other_figures(material: Material) -> list[tuple[str, str]]:
    """What the summary holds beside cards and accounts: (name, number with unit)."""
    figures = material.figures
    euros = (
        ("Value at risk of a day", "value_at_risk_eur"),
        ("Best day", "best_day_eur"),
        ("Largest drawdown", "largest_drawdown_eur"),
    )
    rows = [(label, f"{number(figures[name], sensible_decimals(figures[name]))} EUR") for label, name in euros]
    rows += [
        ("Days that lost money", percent(figures["losing_days_fraction"])),
        ("Cycles by half throughput", f"{number(figures['half_throughput_cycles_per_day'], 2)} a day"),
        ("Cycles by rainflow", f"{number(figures['rainflow_cycles_per_day'], 2)} a day"),
        ("Mean depth of them", percent(figures["rainflow_mean_depth_fraction"])),
        ("Energy left at the end of a stretch", f"{number(figures['end_soc_mwh'], 2)} MWh"),
    ]
    if figures["shielded_fraction"] is not None:
        rows.append(("Time in which the battery law cut the power asked for", percent(figures["shielded_fraction"])))
    if figures["fallback_fraction"] is not None:
        rows.append(("Time in which a fallback decided", percent(figures["fallback_fraction"])))
    return rows
