"""The words and numbers of the report: facts, cards, tables and limits, ready to be laid out.

Law: figures come from `metrics.summary` and the ledger and are only rounded here. A unit stands with every number or in
its heading; days and clock times are Brussels ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from arbitrage.backtest.drawing import Stroke
from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest
from arbitrage.backtest.figures import cycles_of_days
from arbitrage.backtest.metrics import daily_profit_eur
from arbitrage.backtest.rounding import calendar_date, interval, number, percent, sensible_decimals
from arbitrage.battery import Battery
from arbitrage.quarter_hour import BRUSSELS, MINUTES_PER_QUARTER_HOUR, day_number, quarter_hours_in_day

WORST_DAYS = 10
GAPS_LISTED = 20
_QUARTER_HOUR = pd.Timedelta(minutes=MINUTES_PER_QUARTER_HOUR)


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
    count = f"{len(days):,} days" if len(days) > 1 else "1 day"
    return f"{calendar_date(days[0])} to {calendar_date(days[-1])}: {count}" + (
        f" in {runs} stretches" if runs > 1 else ""
    )


def cards(backtest: Backtest, figures: Mapping[str, Any]) -> list[Card]:
    """The key figures; `figures` is the summary of the backtest."""
    return [*_result_cards(backtest, figures), *_risk_cards(backtest, figures)]


def _result_cards(backtest: Backtest, figures: Mapping[str, Any]) -> list[Card]:
    cap = backtest.battery.max_cycles_per_day
    ceiling = figures["perfect_foresight_eur_per_day"]
    decimals = sensible_decimals(ceiling)
    bounds = interval(figures["profit_eur_per_day_interval"], decimals)
    profit, share = figures["profit_eur_per_day"], figures["capture_fraction"]
    cycles, broken = figures["cycles_per_day"], figures["violations"]
    of_ceiling, of_cap = (
        f"of {number(ceiling, decimals)} EUR per day",
        "no cap" if cap is None else f"cap {cap:g} a day",
    )
    rows, tone = f"in {len(backtest.ledger):,} quarter-hours", "bad" if broken else "good"
    return [
        Card(
            "profit_eur_per_day", profit, "Profit", number(profit, decimals), "EUR per day", f"95 % interval {bounds}"
        ),
        Card("capture_fraction", share, "Share of perfect foresight", percent(share), "", of_ceiling),
        Card("cycles_per_day", cycles, "Cycles", number(cycles, 2), "a day", of_cap),
        Card("violations", broken, "Rule violations", number(broken, 0), "", rows, tone),
    ]


def _risk_cards(backtest: Backtest, figures: Mapping[str, Any]) -> list[Card]:
    ledger = backtest.ledger
    decimals = sensible_decimals(figures["perfect_foresight_eur_per_day"])
    tail = percent(figures["tail_level"], 0)
    worst = calendar_date(pd.DatetimeIndex(daily_profit_eur(ledger).nsmallest(1).index)[0])
    tails = (
        ("value_at_risk_eur", f"VaR {tail} of days", f"the worst {tail} of days earn this or less"),
        ("conditional_value_at_risk_eur", f"CVaR {tail} of days", f"mean of the worst {tail} of days"),
        ("worst_day_eur", "Worst day", worst),
    )
    covered = figures["coverage_fraction"]
    unpriced = f"{int((~ledger['settled']).sum()):,} quarter-hours without a price"
    return [
        *(
            Card(name, figures[name], label, number(figures[name], decimals), "EUR", note)
            for name, label, note in tails
        ),
        Card("coverage_fraction", covered, "Coverage", percent(covered), "", unpriced),
    ]


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
        Cell(percent(row["days_ahead_fraction"], 0)),
        Cell(percent(row["capture_fraction"])),
        Cell(number(row["cycles_per_day"], 2)),
        Cell(number(row["conditional_value_at_risk_eur"], decimals)),
        Cell(number(row["violations"], 0)),
    ]
    return Row(row["strategy"], "this report" if own else role, stroke, cells)


def ceiling_ledger(backtest: Backtest) -> pd.DataFrame:
    """The ledger's rows with the flows and the profit of perfect foresight in place of the strategy's."""
    ledger, foresight, battery = backtest.ledger, backtest.foresight, backtest.battery
    cash = ledger["imbalance_price_eur_mwh"].fillna(0.0) * (foresight.discharge_mwh - foresight.charge_mwh)
    wear = foresight.discharge_mwh / battery.discharge_efficiency * battery.wear_cost_eur_mwh
    return ledger.assign(charge_mwh=foresight.charge_mwh, discharge_mwh=foresight.discharge_mwh, profit_eur=cash - wear)


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


def other_figures(backtest: Backtest, figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the summary holds beside the cards: (name, number with unit)."""
    euros = (
        ("Profit, whole period", "profit_eur", "EUR"),
        ("of which cash", "cash_eur", "EUR"),
        ("of which wear, as a cost", "wear_eur", "EUR"),
        ("Profit per MW of rating", "profit_eur_per_mw_per_day", "EUR per MW per day"),
        ("Profit per MWh discharged", "profit_eur_per_mwh_discharged", "EUR/MWh"),
        ("Profit per full cycle", "profit_eur_per_cycle", "EUR"),
        ("Best day", "best_day_eur", "EUR"),
        ("Largest drawdown of daily totals", "largest_drawdown_eur", "EUR"),
    )
    values = [(label, figures[name], unit) for label, name, unit in euros]
    rows = [(label, f"{number(value, sensible_decimals(value or 0.0))} {unit}") for label, value, unit in values]
    rows.append(("Cycles by half throughput", f"{number(figures['half_throughput_cycles_per_day'], 2)} a day"))
    rows.append(("Energy left in store at the end, worth nothing", f"{number(figures['end_soc_mwh'], 2)} MWh"))
    if "shielded_fraction" in backtest.ledger:
        cut = float(backtest.ledger["shielded_fraction"].mean())
        rows.append(("Time in which the battery law cut the power asked for", percent(cut)))
    return rows


def spread_in_words(ledger: pd.DataFrame) -> str:
    """Mean prices of what was bought and sold, weighted by energy."""
    price = ledger["imbalance_price_eur_mwh"].fillna(0.0)
    bought, sold = ledger["charge_mwh"], ledger["discharge_mwh"]
    if not (bought.sum() > 0 and sold.sum() > 0):
        return "It did not both buy and sell, so there is no spread to speak of."
    paid, received = float((price * bought).sum() / bought.sum()), float((price * sold).sum() / sold.sum())
    return (
        f"It bought at {number(paid)} EUR/MWh and sold at {number(received)} EUR/MWh on average, "
        f"a captured spread of {number(received - paid)} EUR/MWh before losses."
    )


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
    return f"{calendar_date(first)} {first:%H:%M} to {until}: {count:,} quarter-hour{'s' if count > 1 else ''}"


def incomplete_days(ledger: pd.DataFrame) -> int:
    """Brussels days of which the ledger does not hold every quarter-hour."""
    rows = ledger.groupby("brussels_day").size()
    whole = [quarter_hours_in_day(day_number(day.date())) for day in pd.DatetimeIndex(rows.index)]
    return int((rows.to_numpy() < np.array(whole)).sum())
