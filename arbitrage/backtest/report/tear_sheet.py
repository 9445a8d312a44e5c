"""The tear sheet: one HTML file that says what a strategy would have earned, and how far to believe it.

Contract: the file stands alone. Plotly is inlined once, nothing is loaded from anywhere, and a content security policy
in the page forbids it. The same backtest gives the same file. Names from outside are escaped. What the numbers do not
say stands in the report itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.report import foundation, text
from arbitrage.backtest.report.export import write_pdf, write_png
from arbitrage.backtest.report.figures.drawing import strokes
from arbitrage.backtest.report.figures.rounding import counted, number, percent
from arbitrage.backtest.report.key_figures import ACCOUNT_COLUMNS, accounts, cards, other_figures
from arbitrage.backtest.report.material import gather
from arbitrage.backtest.report.result_panels import result_panels
from arbitrage.backtest.report.trading_panels import trading_panels
from arbitrage.backtest.statistics import FEWEST_DAYS_FOR_A_VERDICT, TAIL_LEVEL
from arbitrage.code_revision import code_revision
from arbitrage.market.files.schemas import RecordQuality
from arbitrage.market.point_in_time import DAY_AHEAD
from arbitrage.market.series import RECONSTRUCTED, MarketSeries, MinuteSource
from arbitrage.market.splits import SocReset


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
    SocReset.NEVER: "energy is carried over midnight; each stretch of adjacent days starts from an empty battery",
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
    minute_source: MinuteSource | None = None
    """Where minute records come from, if there are any."""
    notes: tuple[str, ...] = ()
    """Sentences for the section on limits: sources, tuning, remarks of the reader of the data."""
    day_ahead_eur_mwh: pd.Series[float] | None = None
    """Indexed by UTC start, hourly or quarter-hourly; drawn in the example day."""


def price_stage(frame: pd.DataFrame) -> PriceStage:
    """How final the prices of a market are, by the statuses its files give."""
    stages = set(frame["quality"].dropna())
    if stages == {RecordQuality.VALIDATED}:
        return PriceStage.VALIDATED
    if not stages or RecordQuality.UNKNOWN in stages:
        return PriceStage.UNKNOWN
    return PriceStage.MIXED if RecordQuality.VALIDATED in stages else PriceStage.NOT_VALIDATED


def context_of(market: MarketSeries, soc_reset: SocReset, title: str, **more: Any) -> ReportContext:
    """What a report has to say about backtests on a market; `more` are further fields."""
    frame, recorded = market.frame, market.known_series.get(DAY_AHEAD)
    return ReportContext(
        title=title,
        data_hash=market.data_hash,
        price_stage=price_stage(frame) if "quality" in frame else PriceStage.UNKNOWN,
        soc_reset=soc_reset,
        publication_delay_min=market.publication_delay_min,
        code_revision=code_revision(),
        minute_source=market.minute_source,
        day_ahead_eur_mwh=None if recorded is None else recorded.series().rename(DAY_AHEAD),
        **more,
    )


def write_report(path: Path | str, backtest: Backtest, *, rivals: Sequence[Backtest], context: ReportContext) -> None:
    """Write the tear sheet of a backtest beside its rivals: floors, rules, the ceiling.

    A path that ends in .pdf or .png is printed to by Chromium or Chrome, and RuntimeError says what is missing for it.
    Rivals that differ from the backtest only by the seed in their names are shown as other seeds of it. Raises
    BadInput if a rival bears the same name as another strategy or was not run on the same quarter-hours.
    """
    path, page = Path(path), render_report(backtest, rivals=rivals, context=context)
    path.parent.mkdir(parents=True, exist_ok=True)
    printers: dict[str, Callable[[Path, Path], None]] = {".pdf": write_pdf, ".png": write_png}
    printed = printers.get(path.suffix.lower())
    if printed is None:
        path.write_text(page, encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as folder:
        unprinted = Path(folder) / "report.html"
        unprinted.write_text(page, encoding="utf-8")
        printed(unprinted, path)


def render_report(backtest: Backtest, *, rivals: Sequence[Backtest], context: ReportContext) -> str:
    """The page itself; see `write_report`."""
    material = gather(backtest, rivals)
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = resources.files("arbitrage.backtest.report").joinpath("report.html.j2").read_text(encoding="utf-8")
    panels = (*result_panels(material), *trading_panels(material, context.day_ahead_eur_mwh))
    return page.from_string(template).render(
        context=context,
        strategy=backtest.strategy,
        warnings=list(foundation.warnings_at_the_top(backtest, rivals)),
        facts=list(_facts(backtest, context)),
        cards=list(cards(material)),
        tail=percent(TAIL_LEVEL, 0),
        days=material.days,
        block_days=material.figures["interval_block_days"],
        comparison=text.comparison_rows(material.table, strokes([str(name) for name in material.daily_eur])),
        account_columns=ACCOUNT_COLUMNS,
        accounts=accounts(material),
        worst_days=text.worst_days(backtest),
        other_figures=other_figures(material),
        violations=text.violations_by_rule(backtest.violations),
        limits=list(_limits(backtest, context, material.figures["interval_block_days"])),
        tested=list(foundation.tested(backtest)),
        source_columns=foundation.SOURCE_COLUMNS,
        sources=foundation.source_rows([backtest, *rivals]),
        gaps=text.gaps(backtest.ledger),
        panels={panel.name: panel for panel in panels},
        numbers=htmlsafe_json_dumps(material.as_json()),
        plotly_js=Markup(get_plotlyjs()),
    )


def _facts(backtest: Backtest, context: ReportContext) -> Iterator[tuple[str, str]]:
    """What was run on what: (name, words)."""
    yield "Strategy", backtest.strategy
    yield "Period", text.period_in_words(backtest.ledger)
    yield "Battery", "; ".join(text.battery_in_words(backtest.battery))
    yield "State of charge", _RESET_REMARK[context.soc_reset]
    yield "Prices", "simulated" if context.simulated else f"Belgian imbalance price, {context.price_stage}"
    yield "Price known", f"{context.publication_delay_min} min after the end of its quarter-hour"
    if context.minute_source is not None:
        yield "Minutes", context.minute_source
    yield "Data", context.data_hash[:12]
    if context.seeds:
        yield "Seeds", ", ".join(str(seed) for seed in context.seeds)
    if context.code_revision:
        yield "Code", context.code_revision


def _limits(backtest: Backtest, context: ReportContext, block_days: int) -> Iterator[str]:
    """What the numbers do not say."""
    if context.simulated:
        yield "The market is simulated. These sums could not have been earned."
    yield (
        "The battery moves no price. Imbalance prices climb a ladder of bids, so the more MW act on the same signal, "
        "the less each of them earns."
    )
    yield (
        f"A price is taken as known {context.publication_delay_min} min after its quarter-hour ends. Published prices "
        "of a quarter-hour just ended are estimates, and publication can be late."
    )
    if context.minute_source in RECONSTRUCTED:
        yield (
            f"The minute records are not real: they are {context.minute_source}, drawn around the final prices. No one "
            "saw them. Read results as a range over the grades easy, matched and harsh, never as one figure."
        )
    if not context.simulated:
        yield _STAGE_REMARK[context.price_stage]
    yield from _limits_of_figures(backtest, block_days)
    yield from context.notes


def _limits_of_figures(backtest: Backtest, block_days: int) -> Iterator[str]:
    circulated_mwh = backtest.foresight.circulated_mwh
    bought_mwh = float(backtest.foresight.charge_mwh.sum())
    share = circulated_mwh / bought_mwh if bought_mwh > 0.0 else 0.0
    yield (
        "Perfect foresight is a ceiling that cannot be reached. It is a relaxation: the store may take in and give off "
        f"energy in the same quarter-hour, here {number(circulated_mwh)} MWh or {percent(share)} of what it buys."
    )
    yield from _limits_of_intervals(backtest.ledger["brussels_day"].nunique(), block_days)
    yield "Grid tariffs, taxes, fees of the balance responsible party, auxiliary power and investment are not counted."
    yield "A quarter-hour without a price is held: no energy moves, nothing is settled, and its profit is zero."
    partial = text.incomplete_days(backtest.ledger)
    if partial:
        yield f"Of {counted(partial, 'day')} only a part was tested; each counts as a whole day."


def _limits_of_intervals(days: int, block_days: int) -> Iterator[str]:
    if days == 1:
        yield "One day does not say how days differ: there are no intervals, and no lead can be separated from chance."
        return
    blocks = "single days" if block_days == 1 else f"blocks of {block_days} days"
    yield (
        f"Intervals resample {blocks} and are widened for how few there are. Where bad days come in longer runs they "
        "cover less than they say, and they know nothing of a change of market rules."
    )
    if days < FEWEST_DAYS_FOR_A_VERDICT:
        yield (
            f"{days} days distinguish no lead from chance: that all of them lie on one side happens by chance with a "
            f"probability of {percent(2.0 ** (1 - days))}."
        )
