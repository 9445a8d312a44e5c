"""The tear sheet: one HTML file that says what a strategy would have earned, and how far to believe it.

Law: the file stands alone. Plotly is inlined once, nothing is loaded from anywhere, and a content security policy in the
page forbids it. The same backtest gives the same file. Names from outside are escaped. What the numbers do not say stands
in the report itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import plotly.graph_objects as go
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from arbitrage.backtest import figures, report_text
from arbitrage.backtest.comparison import compare_table, daily_profits_eur
from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest
from arbitrage.backtest.metrics import TAIL_LEVEL, daily_profit_eur, summary
from arbitrage.backtest.rounding import calendar_date, number, percent
from arbitrage.market.splits import SocReset

_USUAL_QUARTER_HOURS = 96
_LINE_STYLES = {"solid": "solid", "dash": "dashed", "dot": "dotted", "dashdot": "dashed"}
"""Dashes of plotly in the words of CSS."""


class PriceStage(StrEnum):
    """How final the prices were."""

    VALIDATED = "validated"
    NOT_VALIDATED = "not validated"
    MIXED = "partly validated"
    UNKNOWN = "not stated by the source"


_STAGE_REMARK = {
    PriceStage.VALIDATED: (
        "The prices are validated ones: a backtest on validated data sees revised history. Live decisions rest on "
        "first publications, a small part of which is corrected later."
    ),
    PriceStage.NOT_VALIDATED: "The prices are not validated yet: settlement may differ from what is booked here.",
    PriceStage.MIXED: (
        "Part of the prices are validated, part are not: the first see revised history, the others may still change."
    ),
    PriceStage.UNKNOWN: "The source does not say whether the prices are validated; they may see revised history.",
}
_RESET_REMARK = {
    SocReset.DAILY: "every Brussels day starts from an empty battery; energy left at midnight is worth nothing",
    SocReset.NEVER: "energy is carried over midnight; each run of adjacent days starts from an empty battery",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContext:
    """What the report has to say about a backtest and cannot read from it."""

    title: str
    data_hash: str
    """See `MarketSeries.data_hash`; the report shows its beginning."""
    price_stage: PriceStage
    soc_reset: SocReset
    publication_delay_min: int
    seeds: tuple[int, ...] = ()
    """Of the training, if the strategy was trained."""
    code_revision: str | None = None
    simulated: bool = False
    """Whether the prices come from the simulator."""
    notes: tuple[str, ...] = ()
    """Sentences for the section on limits: sources, tuning, remarks of the reader of the data."""
    day_ahead_eur_mwh: pd.Series[float] | None = None
    """Indexed by UTC start, hourly or quarter-hourly; drawn in the example day."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture with its words."""

    name: str
    """Identifier in the page."""
    heading: str
    caption: str
    figure: go.Figure
    key: Sequence[tuple[str, str, str]] = ()
    """What the colours mean: (label, colour, CSS border style or `block`)."""

    @property
    def payload(self) -> Markup:
        """The picture as JSON that can stand inside a script element."""
        return htmlsafe_json_dumps(self.figure, dumps=lambda figure: str(figure.to_json()))


def write_report(path: Path | str, backtest: Backtest, *, rivals: Sequence[Backtest], context: ReportContext) -> None:
    """Write the tear sheet of a backtest beside its rivals: floors, rules, the ceiling.

    Raises BadInput if a rival bears the same name as another strategy or was not run on the same quarter-hours.
    """
    Path(path).write_text(render_report(backtest, rivals=rivals, context=context), encoding="utf-8")


def render_report(backtest: Backtest, *, rivals: Sequence[Backtest], context: ReportContext) -> str:
    """The page itself; see `write_report`."""
    contenders = [backtest, *rivals]
    names = [contender.strategy for contender in contenders]
    table = compare_table(contenders)
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = resources.files("arbitrage.backtest").joinpath("report.html.j2").read_text(encoding="utf-8")
    key_figures = summary(backtest)
    return page.from_string(template).render(
        context=context,
        strategy=backtest.strategy,
        facts=list(_facts(backtest, context)),
        cards=report_text.cards(backtest, key_figures),
        tail=percent(TAIL_LEVEL, 0),
        line_styles=_LINE_STYLES,
        comparison=report_text.comparison_rows(table, figures.strokes(names)),
        worst_days=report_text.worst_days(backtest),
        other_figures=report_text.other_figures(backtest, key_figures),
        violations=report_text.violations_by_rule(backtest.violations),
        limits=list(_limits(backtest, context)),
        gaps=report_text.gaps(backtest.ledger),
        panels=_panels(backtest, daily_profits_eur(contenders), context),
        plotly_js=Markup(get_plotlyjs()),
    )


def _facts(backtest: Backtest, context: ReportContext) -> Iterator[tuple[str, str]]:
    """What was run on what: (name, words)."""
    yield "Strategy", backtest.strategy
    yield "Period", report_text.period_in_words(backtest.ledger)
    yield "Battery", "; ".join(report_text.battery_in_words(backtest.battery))
    yield "State of charge", _RESET_REMARK[context.soc_reset]
    yield "Prices", "simulated" if context.simulated else f"Belgian imbalance price, {context.price_stage}"
    yield "Price known", f"{context.publication_delay_min} min after the end of its quarter-hour"
    yield "Data", context.data_hash[:12]
    if context.seeds:
        yield "Seeds", ", ".join(str(seed) for seed in context.seeds)
    if context.code_revision:
        yield "Code", context.code_revision


def _panels(backtest: Backtest, daily_eur: pd.DataFrame, context: ReportContext) -> dict[str, Panel]:
    """All pictures by name."""
    panels = (
        _cumulative(daily_eur),
        _distribution(daily_eur[backtest.strategy]),
        _month_and_hour(backtest),
        _power_by_price(backtest),
        _soc_fan(backtest),
        _cycles(backtest),
        _example_day(backtest, context.day_ahead_eur_mwh),
    )
    return {panel.name: panel for panel in panels}


def _cumulative(daily_eur: pd.DataFrame) -> Panel:
    strokes = figures.strokes([str(name) for name in daily_eur.columns])
    key = [(name, stroke.colour, _LINE_STYLES[stroke.dash]) for name, stroke in strokes.items()]
    caption = "Daily profits added up, wear deducted. Days that were not tested leave the lines flat."
    return Panel("cumulative", "Cumulative profit", caption, figures.cumulative_profit(daily_eur), key)


def _distribution(daily_eur: pd.Series[float]) -> Panel:
    lost = float((daily_eur < 0.0).mean())
    caption = (
        f"{percent(lost)} of days lost money; the median day earned {number(float(daily_eur.median()))} EUR. VaR is the "
        f"best of the worst {percent(TAIL_LEVEL, 0)} of days, CVaR their mean."
    )
    key = [("VaR or worse", figures.TAIL, "block"), ("better than VaR", figures.OWN, "block")]
    return Panel("distribution", "Profit of a day", caption, figures.profit_distribution(daily_eur), key)


def _month_and_hour(backtest: Backtest) -> Panel:
    caption = (
        "Mean over the days tested in each month. Energy is paid for in the hour it is bought, so an hour in the colour of "
        "loss may be one of buying well."
    )
    return Panel("month-hour", "Profit by month and hour", caption, figures.profit_by_month_and_hour(backtest.ledger))


def _power_by_price(backtest: Backtest) -> Panel:
    key = [("charging", figures.CHARGE, "block"), ("discharging", figures.DISCHARGE, "block")]
    ceiling = None
    if backtest.strategy != PERFECT_FORESIGHT:
        ceiling = report_text.ceiling_ledger(backtest)
        key.append(("perfect foresight", figures.BLACK, "diamond"))
    caption = f"{report_text.spread_in_words(backtest.ledger)} Each row holds a tenth of the quarter-hours."
    return Panel("power-price", "Power against price", caption, figures.power_by_price(backtest.ledger, ceiling), key)


def _soc_fan(backtest: Backtest) -> Panel:
    key = [
        ("median", figures.OWN, "solid"),
        ("middle half of days", "rgba(0, 114, 178, 0.48)", "block"),
        ("middle 90 %", "rgba(0, 114, 178, 0.18)", "block"),
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
    return Panel("cycles", "Cycles a day", caption, figures.cycles_by_day(backtest.ledger, cap))


def _example_day(backtest: Backtest, day_ahead_eur_mwh: pd.Series[float] | None) -> Panel:
    day = median_day(backtest.ledger)
    rows = backtest.ledger[backtest.ledger["brussels_day"] == day]
    key = [("imbalance price", figures.BLACK, "solid")]
    if day_ahead_eur_mwh is not None:
        key.append(("day-ahead price", figures.PURPLE, "dashed"))
    key += [
        ("charging", figures.CHARGE, "block"),
        ("discharging", figures.DISCHARGE, "block"),
        ("energy in store", figures.GREEN, "solid"),
    ]
    caption = f"The day that earned closest to the median: {number(float(rows['profit_eur'].sum()))} EUR."
    heading = f"An ordinary day: {day:%A} {calendar_date(day)}"
    return Panel("example-day", heading, caption, figures.one_day(rows, backtest.battery, day_ahead_eur_mwh), key)


def median_day(ledger: pd.DataFrame) -> pd.Timestamp:
    """The Brussels day whose profit lies closest to the median, among complete days of 96 quarter-hours if any."""
    settled = ledger.groupby("brussels_day")["settled"].sum()
    daily = daily_profit_eur(ledger)
    complete = daily[settled == _USUAL_QUARTER_HOURS]
    candidates = complete if len(complete) else daily
    return pd.Timestamp((candidates - daily.median()).abs().idxmin())


def _limits(backtest: Backtest, context: ReportContext) -> Iterator[str]:
    """What the numbers do not say."""
    if context.simulated:
        yield "The market is simulated. Nobody could have earned these sums."
    yield (
        "The battery moves no price. Imbalance prices climb a ladder of bids, so the more MW act on the same signal, the "
        "less each of them earns."
    )
    yield (
        f"A price is taken as known {context.publication_delay_min} min after its quarter-hour ends. Published prices of "
        "a quarter-hour just ended are estimates, and publication can be late."
    )
    if not context.simulated:
        yield _STAGE_REMARK[context.price_stage]
    yield from _limits_of_figures(backtest)
    yield from context.notes


def _limits_of_figures(backtest: Backtest) -> Iterator[str]:
    foresight = backtest.foresight
    bought_mwh = float(foresight.charge_mwh.sum())
    share = foresight.circulated_mwh / bought_mwh if bought_mwh > 0 else 0.0
    yield (
        "Perfect foresight is a ceiling that nobody reaches. It is a relaxation: the store may take in and give off energy "
        f"in the same quarter-hour, which it does with {number(foresight.circulated_mwh)} MWh ({percent(share)} of what it buys)."
    )
    yield (
        "Intervals resample days as if they were independent. Good and bad days come in runs, so the true intervals are "
        "wider, and they do not cover a change of market rules."
    )
    yield "Grid tariffs, taxes, fees of the balance responsible party, auxiliary power and investment are not counted."
    yield "A quarter-hour without a price is held: no energy moves, nothing is settled, and its profit is zero."
    partial = report_text.incomplete_days(backtest.ledger)
    if partial:
        yield f"Of {partial:,} Brussels day{'s' if partial > 1 else ''} only a part was tested; each counts as a whole day."
