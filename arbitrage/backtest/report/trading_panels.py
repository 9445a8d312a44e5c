"""The pictures of how it traded, with their words: hours, prices, store, cycles, a day."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from arbitrage.backtest.engine import PERFECT_FORESIGHT
from arbitrage.backtest.metrics import daily_profit_eur
from arbitrage.backtest.report import missing_panels as lacks
from arbitrage.backtest.report.figures import drawing
from arbitrage.backtest.report.figures import trading as trading_figures
from arbitrage.backtest.report.figures.day import one_day
from arbitrage.backtest.report.figures.rounding import calendar_date, interval, number, percent, sensible_decimals
from arbitrage.backtest.report.material import Material
from arbitrage.backtest.report.panel import Panel, euros, panel_or_reason
from arbitrage.backtest.report.text import mean_prices_eur_mwh, spread_in_words
from arbitrage.backtest.valuation import DEEP_FRACTION

_USUAL_QUARTER_HOURS = 96
_ROUNDING = 1e-6
"""Of the capacity, and in cycles."""


def trading_panels(material: Material, day_ahead_eur_mwh: pd.Series[float] | None) -> Iterator[Panel]:
    """All of them; one without anything to show says why."""
    ledger, ceiling = material.backtest.ledger, _ceiling(material)
    unsettled = lacks.no_settlement(ledger)

    def panel(name: str, subject: str, why_not: str | None, draw: Callable[[Material], Panel]) -> Panel:
        return panel_or_reason(name, subject, unsettled or why_not, lambda: draw(material))

    by_price = lacks.no_price_groups(ledger, ceiling)
    no_energy = lacks.no_energy(ledger, material.backtest.battery)
    yield panel("month-hour", "Profit by month and hour", lacks.no_profit_by_hour(ledger), _month_and_hour)
    yield panel("power-price", "Power against price", by_price, _power_by_price)
    yield panel("cash-price", "Cash against price", by_price, _cash_by_price)
    yield panel("soc-fan", "Energy in store through the day", no_energy, _soc_fan)
    yield panel("cycles", "Full cycles by day", lacks.no_cycles(ledger), _cycles)
    yield panel("depths", "Depth of cycles", lacks.no_turns(material), _depths)
    yield panel("example-day", "An ordinary day", None, lambda shown: _example_day(shown, day_ahead_eur_mwh))


def _month_and_hour(material: Material) -> Panel:
    ledger = material.backtest.ledger
    figure = trading_figures.profit_by_month_and_hour(ledger)
    by_hour = np.nansum(np.asarray(figure.data[0].z, dtype=np.float64), axis=0)
    best, worst = int(np.argmax(by_hour)), int(np.argmin(by_hour))
    heading = f"It earns most at {best}:00 to {best}:59 and pays most at {worst}:00 to {worst}:59"
    if by_hour.max() <= 0.0 or by_hour.min() >= 0.0:
        heading = "Profit by month and hour"
    caption = (
        "Mean over the days tested in each month. Energy is paid for in the hour it is bought, so an hour in the "
        "colour of loss may be one of buying well."
    )
    reach = float(figure.data[0].zmax)
    bounds = interval((-reach, reach), sensible_decimals(reach), signed=True)
    key = [(f"{bounds} EUR per day, in that hour", drawing.css_scale(), "scale")]
    return Panel("month-hour", heading, caption, figure, key)


def _ceiling(material: Material) -> pd.DataFrame | None:
    """The ledger of the ceiling, unless the report is about it."""
    return None if material.backtest.strategy == PERFECT_FORESIGHT else material.ceiling


def _flow_key(material: Material, charging: str, discharging: str) -> list[tuple[str, str, str]]:
    key = [(charging, drawing.CHARGE, "block"), (discharging, drawing.DISCHARGE, "block")]
    return key if _ceiling(material) is None else [*key, ("perfect foresight", drawing.BLACK, "diamond")]


def _power_by_price(material: Material) -> Panel:
    ledger = material.backtest.ledger
    figure = trading_figures.power_by_price(ledger, _ceiling(material))
    groups = len(figure.data[0].y)
    rows = "Each row holds a tenth of the quarter-hours."
    if groups < trading_figures.PRICE_GROUPS:
        rows = f"Few prices differ, so there are {groups} rows, which may hold unequal numbers of quarter-hours."
    caption = f"{spread_in_words(ledger)} {rows if groups > 1 else 'Nearly all prices are equal, so there is one row.'}"
    paid, received = mean_prices_eur_mwh(ledger)
    heading = "Power against price"
    if paid is not None and received is not None:
        heading = f"Bought at {number(paid, 0)}, sold at {number(received, 0)} EUR/MWh on average"
    return Panel("power-price", heading, caption, figure, _flow_key(material, "charging", "discharging"))


def _cash_by_price(material: Material) -> Panel:
    ledger = material.backtest.ledger
    figure = trading_figures.cash_by_price(ledger, _ceiling(material))
    top = float(np.asarray(figure.data[0].x, dtype=np.float64)[-1])
    groups = len(figure.data[0].y)
    rows = "tenth" if groups == trading_figures.PRICE_GROUPS else "group"
    heading = f"The dearest {rows} of prices brought {euros(top)} a day"
    caption = (
        f"Cash in each {rows} of the prices: the spread is what the dear ones bring less what the cheap ones cost."
    )
    return Panel("cash-price", heading, caption, figure, _flow_key(material, "paid", "received"))


def _soc_fan(material: Material) -> Panel:
    ledger, battery = material.backtest.ledger, material.backtest.battery
    key = [
        ("median", drawing.OWN, "solid"),
        ("middle half of days", drawing.translucent(drawing.OWN, 0.48), "block"),
        ("middle 90 %", drawing.translucent(drawing.OWN, 0.18), "block"),
    ]
    law, rounding_mwh = battery.law, _ROUNDING * battery.capacity_mwh
    bounds = {"empty": ledger["soc_end_mwh"] <= law.min_soc_mwh + rounding_mwh}
    bounds["full"] = ledger["soc_end_mwh"] >= law.max_soc_mwh - rounding_mwh
    shares = {name: percent(float(at.mean()), 0) for name, at in bounds.items()}
    heading = f"Empty {shares['empty']} of the time, full {shares['full']}"
    caption = "Energy in store at each time of the Brussels day, over all days."
    return Panel("soc-fan", heading, caption, trading_figures.soc_fan(ledger, battery), key)


def _cycles(material: Material) -> Panel:
    cap = material.backtest.battery.max_cycles_per_day
    cycles = trading_figures.cycles_of_days(material.backtest.ledger)
    heading = f"{number(material.figures['cycles_per_day'], 2)} full cycles a day, no cap"
    if cap is not None:
        used_up = percent(float((cycles >= 0.99 * cap).mean()), 0)
        heading = f"The budget of {cap:g} cycles was used up on {used_up} of days, never exceeded"
        if float(cycles.max()) > cap + _ROUNDING:
            heading = f"The budget of {cap:g} cycles was exceeded"
    caption = "A full cycle is a discharge of the nominal capacity, counted on the storage side from Brussels midnight."
    key = [] if cap is None else [(f"cap: {cap:g} cycles a day", drawing.TAIL, "dashed")]
    return Panel("cycles", heading, caption, trading_figures.cycles_by_day(material.backtest.ledger, cap), key)


def _depths(material: Material) -> Panel:
    figures = material.figures
    count, deep = figures["rainflow_cycles_per_day"], figures["rainflow_deep_cycles_per_day"]
    full = figures["cycles_per_day"]
    heading = f"{number(count, 1)} rainflow cycles a day, {number(deep, 2)} of them deep"
    caption = (
        f"Rainflow (ASTM E1049-85) finds {number(count, 2)} cycles a day in the state of charge, where full-cycle "
        f"counting finds {number(full, 2)}; deep is {percent(DEEP_FRACTION, 0)} of the capacity or more."
    )
    return Panel("depths", heading, caption, trading_figures.cycle_depths(material.cycles, material.days))


def _example_day(material: Material, day_ahead_eur_mwh: pd.Series[float] | None) -> Panel:
    ledger = material.backtest.ledger
    day = median_day(ledger)
    rows = ledger[ledger["brussels_day"] == day]
    key = [("imbalance price", drawing.BLACK, "solid")]
    if day_ahead_eur_mwh is not None:
        key.append(("day-ahead price", drawing.PURPLE, "dashed"))
    key += [
        ("charging", drawing.CHARGE, "block"),
        ("discharging", drawing.DISCHARGE, "block"),
        ("energy in store", drawing.STORE, "solid"),
    ]
    caption = f"The day that earned closest to the median: {euros(rows['profit_eur'].sum())}."
    heading = f"An ordinary day: {day:%A} {calendar_date(day)}"
    return Panel("example-day", heading, caption, one_day(rows, material.backtest.battery, day_ahead_eur_mwh), key)


def median_day(ledger: pd.DataFrame) -> pd.Timestamp:
    """The Brussels day whose profit lies closest to the median.

    Among complete days of 96 quarter-hours if there are any, else among days with a price. There must be one.
    """
    settled = ledger.groupby("brussels_day")["settled"].sum()
    daily = daily_profit_eur(ledger)
    complete = daily[settled == _USUAL_QUARTER_HOURS]
    candidates = complete if len(complete) else daily[settled > 0]
    return pd.Timestamp(candidates.index[int(np.argmin(np.abs(candidates.to_numpy() - daily.median())))])
