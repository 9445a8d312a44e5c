"""The pictures of the report with their headings, captions and keys to colours.

Law: a caption says what the picture shows and the one number to take from it, computed from the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from arbitrage.backtest import drawing, figures
from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest
from arbitrage.backtest.metrics import daily_profit_eur
from arbitrage.backtest.report_text import ceiling_ledger, spread_in_words
from arbitrage.backtest.rounding import calendar_date, interval, number, percent, sensible_decimals
from arbitrage.backtest.statistics import TAIL_LEVEL

_USUAL_QUARTER_HOURS = 96


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture with its words."""

    name: str
    """Identifier in the page."""
    heading: str
    caption: str
    figure: go.Figure
    key: Sequence[tuple[str, str, str]] = ()
    """What the colours mean: (label, colour, `solid`, `dashed`, `dotted`, `block`, `diamond` or `scale`)."""

    @property
    def payload(self) -> Markup:
        """The picture as JSON that can stand inside a script element."""
        return htmlsafe_json_dumps(self.figure, dumps=lambda figure: str(figure.to_json()))


def draw_panels(
    backtest: Backtest, daily_eur: pd.DataFrame, day_ahead_eur_mwh: pd.Series[float] | None
) -> dict[str, Panel]:
    """All pictures by name; daily_eur has shape [days, strategies], `backtest` being the first strategy."""
    panels = (
        _cumulative(daily_eur),
        _distribution(daily_eur[backtest.strategy]),
        _month_and_hour(backtest),
        _power_by_price(backtest),
        _soc_fan(backtest),
        _cycles(backtest),
        _example_day(backtest, day_ahead_eur_mwh),
    )
    return {panel.name: panel for panel in panels}


def _cumulative(daily_eur: pd.DataFrame) -> Panel:
    strokes = drawing.strokes([str(name) for name in daily_eur.columns])
    key = [(name, stroke.colour, stroke.css_border) for name, stroke in strokes.items()]
    caption = "Daily profits added up, wear deducted. A day that was not tested leaves the lines flat."
    return Panel("cumulative", "Cumulative profit", caption, figures.cumulative_profit(daily_eur), key)


def _distribution(daily_eur: pd.Series[float]) -> Panel:
    lost = float((daily_eur < 0.0).mean())
    caption = (
        f"{percent(lost)} of days lost money; the median day earned {_euros(daily_eur.median())}. "
        f"VaR is the best of the worst {percent(TAIL_LEVEL, 0)} of days, CVaR their mean."
    )
    marks = figures.daily_marks_eur(daily_eur)
    decimals = sensible_decimals(max(abs(value) for value in marks.values()))
    key = [("VaR or worse", drawing.TAIL, "block"), ("better than VaR", drawing.OWN, "block")]
    key += [
        (f"{name} {number(value, decimals)} EUR", drawing.INK, drawing.css_border(figures.MARKS[name]))
        for name, value in marks.items()
    ]
    return Panel("distribution", "Profit of a day", caption, figures.profit_distribution(daily_eur), key)


def _month_and_hour(backtest: Backtest) -> Panel:
    caption = (
        "Mean over the days tested in each month. Energy is paid for in the hour it is bought, so an hour in the "
        "colour of loss may be one of buying well."
    )
    figure = figures.profit_by_month_and_hour(backtest.ledger)
    reach = float(figure.data[0].zmax)
    bounds = interval((-reach, reach), sensible_decimals(reach), signed=True)
    key = [(f"{bounds} EUR per day, in that hour", drawing.css_scale(), "scale")]
    return Panel("month-hour", "Profit by month and hour", caption, figure, key)


def _power_by_price(backtest: Backtest) -> Panel:
    key = [("charging", drawing.CHARGE, "block"), ("discharging", drawing.DISCHARGE, "block")]
    ceiling = None
    if backtest.strategy != PERFECT_FORESIGHT:
        ceiling = ceiling_ledger(backtest)
        key.append(("perfect foresight", drawing.BLACK, "diamond"))
    caption = f"{spread_in_words(backtest.ledger)} Each row holds a tenth of the quarter-hours."
    return Panel("power-price", "Power against price", caption, figures.power_by_price(backtest.ledger, ceiling), key)


def _soc_fan(backtest: Backtest) -> Panel:
    key = [
        ("median", drawing.OWN, "solid"),
        ("middle half of days", drawing.translucent(drawing.OWN, 0.48), "block"),
        ("middle 90 %", drawing.translucent(drawing.OWN, 0.18), "block"),
    ]
    caption = "Energy in store at each time of the day, over all days."
    return Panel(
        "soc-fan", "Energy in store over the day", caption, figures.soc_fan(backtest.ledger, backtest.battery), key
    )


def _cycles(backtest: Backtest) -> Panel:
    cap = backtest.battery.max_cycles_per_day
    cycles = figures.cycles_of_days(backtest.ledger)
    caption = "A full cycle is a discharge of the nominal capacity, counted on the storage side from Brussels midnight."
    if cap is not None:
        caption += f" The budget was used up, to 1 %, on {percent(float((cycles >= 0.99 * cap).mean()))} of days."
    key = [] if cap is None else [(f"cap: {cap:g} cycles a day", drawing.TAIL, "dashed")]
    return Panel("cycles", "Cycles a day", caption, figures.cycles_by_day(backtest.ledger, cap), key)


def _example_day(backtest: Backtest, day_ahead_eur_mwh: pd.Series[float] | None) -> Panel:
    day = median_day(backtest.ledger)
    rows = backtest.ledger[backtest.ledger["brussels_day"] == day]
    key = [("imbalance price", drawing.BLACK, "solid")]
    if day_ahead_eur_mwh is not None:
        key.append(("day-ahead price", drawing.PURPLE, "dashed"))
    key += [
        ("charging", drawing.CHARGE, "block"),
        ("discharging", drawing.DISCHARGE, "block"),
        ("energy in store", drawing.STORE, "solid"),
    ]
    caption = f"The day that earned closest to the median: {_euros(rows['profit_eur'].sum())}."
    heading = f"An ordinary day: {day:%A} {calendar_date(day)}"
    return Panel("example-day", heading, caption, figures.one_day(rows, backtest.battery, day_ahead_eur_mwh), key)


def median_day(ledger: pd.DataFrame) -> pd.Timestamp:
    """The Brussels day whose profit lies closest to the median, among complete days of 96 quarter-hours if any."""
    settled = ledger.groupby("brussels_day")["settled"].sum()
    daily = daily_profit_eur(ledger)
    complete = daily[settled == _USUAL_QUARTER_HOURS]
    candidates = complete if len(complete) else daily
    return pd.Timestamp(candidates.index[int(np.argmin(np.abs(candidates.to_numpy() - daily.median())))])


def _euros(value: float) -> str:
    """A sum on its own, rounded by its size."""
    return f"{number(value, sensible_decimals(value))} EUR"
