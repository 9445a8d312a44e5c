"""The words and numbers of the report: facts, cards, tables and limits, ready to be laid out.

Contract: figures come from `metrics.summary` and the ledger and are only rounded here. A unit stands with every number
or in its heading; days and clock times are Brussels ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest
from arbitrage.backtest.metrics import daily_profit_eur
from arbitrage.backtest.report.figures.drawing import Stroke
from arbitrage.backtest.report.figures.rounding import (
    NO_FIGURE,
    calendar_date,
    counted,
    interval,
    number,
    percent,
    sensible_decimals,
)
from arbitrage.backtest.report.figures.trading import cycles_of_days
from arbitrage.battery import Battery, wear_cost_eur
from arbitrage.quarter_hour import BRUSSELS, MINUTES_PER_QUARTER_HOUR, day_number, quarter_hours_in_day
from arbitrage.settling import settle_eur

WORST_DAYS = 10
GAPS_LISTED = 20
_QUARTER_HOUR = pd.Timedelta(minutes=MINUTES_PER_QUARTER_HOUR)


@dataclass(frozen=True, slots=True)
class Cell:
    """A number in a table, and what stands small below it."""

    text: str
    below: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A strategy in the comparison."""

    strategy: str
    role: str
    stroke: Stroke
    cells: Sequence[Cell]


def battery_in_words(battery: Battery) -> list[str]:
    """What the battery is, one property a sentence part."""
    law = battery.law
    charge, discharge = battery.charge_efficiency, battery.discharge_efficiency
    words = [
        f"{battery.power_mw:g} MW, {battery.capacity_mwh:g} MWh",
        f"efficiency {charge:.4g} charging, {discharge:.4g} discharging ({charge * discharge:.4g} round trip)",
        f"state of charge {law.min_soc_mwh:g} to {law.max_soc_mwh:g} MWh",
        "no cycle cap"
        if battery.max_cycles_per_day is None
        else f"at most {battery.max_cycles_per_day:g} full cycles a Brussels day",
        f"wear {battery.wear_cost_eur_mwh:g} EUR per MWh drawn from the store",
    ]
    limits = {"import": battery.import_limit_mw, "export": battery.export_limit_mw}
    return words + [f"grid {way} at most {limit:g} MW" for way, limit in limits.items() if limit is not None]


def period_in_words(ledger: pd.DataFrame) -> str:
    """First and last Brussels day, how many, and in how many stretches of adjacent days."""
    days = pd.DatetimeIndex(ledger["brussels_day"].unique())
    runs = 1 + int((np.diff(days) > pd.Timedelta(days=1)).sum())
    if len(days) == 1:
        return f"{calendar_date(days[0])}: 1 day"
    stretches = f" in {runs} stretches" if runs > 1 else ""
    return f"{calendar_date(days[0])} to {calendar_date(days[-1])}: {counted(len(days), 'day')}{stretches}"


def comparison_rows(table: Sequence[Mapping[str, Any]], strokes: Mapping[str, Stroke]) -> list[Row]:
    """The rows of `compare_table` from the highest profit to the lowest."""
    ordered = sorted(table, key=lambda row: -row["profit_eur_per_day"])
    decimals = sensible_decimals(ordered[0]["profit_eur_per_day"])
    return [_comparison_row(row, strokes[row["strategy"]], row is table[0], decimals) for row in ordered]


def _comparison_row(row: Mapping[str, Any], stroke: Stroke, own: bool, decimals: int) -> Row:
    role = {PERFECT_FORESIGHT: "ceiling", "idle": "floor"}.get(row["strategy"], "")
    cells = [
        Cell(number(row["profit_eur_per_day"], decimals), interval(row["profit_eur_per_day_interval"], decimals)),
        Cell(
            number(row["difference_eur_per_day"], decimals, signed=True),
            interval(row["difference_eur_per_day_interval"], decimals, signed=True),
        ),
        Cell(row["verdict"] or NO_FIGURE, _p_in_words(row["p_value_adjusted"])),
        Cell(percent(row["days_ahead_fraction"], 0)),
        Cell(percent(row["capture_fraction"])),
        Cell(number(row["cycles_per_day"], 2)),
        Cell(
            number(row["conditional_value_at_risk_eur"], decimals),
            interval(row["conditional_value_at_risk_eur_interval"], decimals),
        ),
        Cell(number(row["marked_eur_per_day"], decimals)),
        Cell(number(row["violations"], 0)),
    ]
    return Row(row["strategy"], "this report" if own else role, stroke, cells)


def _p_in_words(p_value: float | None) -> str:
    if p_value is None:
        return ""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def ceiling_ledger(backtest: Backtest) -> pd.DataFrame:
    """The ledger's rows with the flows, cash and profit of perfect foresight in place of the strategy's."""
    ledger, foresight, law = backtest.ledger, backtest.foresight, backtest.battery.law
    price = ledger["imbalance_price_eur_mwh"].fillna(0.0)
    cash = settle_eur(price, foresight.discharge_mwh - foresight.charge_mwh)
    wear = wear_cost_eur(law, foresight.discharge_mwh / law.discharge_efficiency)
    flows = {"charge_mwh": foresight.charge_mwh, "discharge_mwh": foresight.discharge_mwh}
    return ledger.assign(**flows, cash_eur=cash, profit_eur=cash - wear)


def worst_days(backtest: Backtest) -> list[list[str]]:
    """Day, profit, ceiling (EUR), lowest and highest price (EUR/MWh), bought and sold (MWh), cycles; worst first."""
    by_day = backtest.ledger.groupby("brussels_day")
    days = pd.DataFrame(
        {
            "profit_eur": by_day["profit_eur"].sum(),
            "ceiling_eur": daily_profit_eur(ceiling_ledger(backtest)),
            "lowest_eur_mwh": by_day["imbalance_price_eur_mwh"].min(),
            "highest_eur_mwh": by_day["imbalance_price_eur_mwh"].max(),
            "bought_mwh": by_day["charge_mwh"].sum(),
            "sold_mwh": by_day["discharge_mwh"].sum(),
            "cycles": cycles_of_days(backtest.ledger),
        }
    )
    euros = sensible_decimals(float(days["ceiling_eur"].mean()))
    energy = max(2, sensible_decimals(backtest.battery.capacity_mwh))
    decimals = (euros, euros, 1, 1, energy, energy, 2)
    worst = days.nsmallest(WORST_DAYS, "profit_eur")
    return [
        [
            f"{day:%a} {calendar_date(day)}",
            *(number(value, places) for value, places in zip(row, decimals, strict=True)),
        ]
        for day, row in zip(pd.DatetimeIndex(worst.index), worst.to_numpy(np.float64), strict=True)
    ]


def mean_prices_eur_mwh(ledger: pd.DataFrame) -> tuple[float | None, float | None]:
    """Mean prices of what was bought and of what was sold, weighted by energy; None where there was none."""
    price = ledger["imbalance_price_eur_mwh"].fillna(0.0)
    flows = (ledger[name] for name in ("charge_mwh", "discharge_mwh"))
    paid, received = (float(settle_eur(price, flow).sum() / flow.sum()) if flow.sum() > 0 else None for flow in flows)
    return paid, received


def spread_in_words(ledger: pd.DataFrame) -> str:
    """The captured spread."""
    paid, received = mean_prices_eur_mwh(ledger)
    if paid is None or received is None:
        return "It did not both buy and sell, so there is no spread to speak of."
    return f"It captured a spread of {number(received - paid)} EUR/MWh before losses."


def violations_by_rule(violations: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Rule, rows that break it, and the largest excess (MWh, cycles or EUR)."""
    found = violations.groupby("rule")["excess"].agg(["count", "max"])
    return [(str(rule), number(row["count"], 0), f"{row['max']:.3g}") for rule, row in found.iterrows()]


def gaps(ledger: pd.DataFrame) -> list[str]:
    """Runs of quarter-hours without a price, the first `GAPS_LISTED` of them in words."""
    starts = pd.DatetimeIndex(ledger.index[~ledger["settled"]])
    breaks = np.flatnonzero(np.diff(starts) > _QUARTER_HOUR) + 1
    runs = [run for run in np.split(np.arange(len(starts)), breaks) if len(run)]
    words = [_gap_in_words(starts[run[0]], starts[run[-1]] + _QUARTER_HOUR, len(run)) for run in runs[:GAPS_LISTED]]
    more = len(runs) - GAPS_LISTED
    return words + ([f"and {more:,} more"] if more > 0 else [])


def _gap_in_words(start: pd.Timestamp, end: pd.Timestamp, count: int) -> str:
    first, last = start.tz_convert(BRUSSELS), end.tz_convert(BRUSSELS)
    until = f"{last:%H:%M}" if last.date() == first.date() else f"{calendar_date(last)} {last:%H:%M}"
    return f"{calendar_date(first)} {first:%H:%M} to {until}: {counted(count, 'quarter-hour')}"


def incomplete_days(ledger: pd.DataFrame) -> int:
    """Brussels days of which the ledger does not hold every quarter-hour."""
    rows = ledger.groupby("brussels_day").size()
    whole = [quarter_hours_in_day(day_number(day.date())) for day in pd.DatetimeIndex(rows.index)]
    return int((rows.to_numpy() < np.array(whole)).sum())
