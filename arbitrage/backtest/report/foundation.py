"""What the figures rest on: the days tested, their prices, and the records that each strategy read.

Contract: what a reader has to know before the first figure is a warning at the top of the page; all else stands in the
section of that name. Clock times are Brussels ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.ledger import TOLERANCE
from arbitrage.backtest.report.figures.rounding import calendar_date, counted, number
from arbitrage.backtest.report.text import incomplete_days
from arbitrage.market.coverage import IN_WORDS, SourceCoverage
from arbitrage.quarter_hour import BRUSSELS, MINUTES_PER_QUARTER_HOUR

SOURCE_COLUMNS = ("Due", "Present", "Late", "Absent", "Filled in", "By")
"""Of the table of sources, after strategy and source."""
_DAYS_LISTED = 5
_WORTH_A_WARNING = 0.01
"""Share of the records due that are not there, from which a warning stands at the top."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A series that a strategy reads, with cells for SOURCE_COLUMNS."""

    strategy: str
    source: str
    cells: Sequence[str]


def warnings_at_the_top(backtest: Backtest, rivals: Sequence[Backtest]) -> Iterator[tuple[str, str]]:
    """Why the figures mean nothing, less, or more than they should: (in two words, sentence)."""
    ledger = backtest.ledger
    if not ledger["settled"].any():
        yield "Nothing was settled.", "No quarter-hour tested has a price, so every sum on this page is zero."
    elif backtest.foresight.profit_eur <= TOLERANCE:
        yield (
            "Nothing could be earned.",
            "At these prices even perfect foresight earns nothing with this battery, so there is no share of it.",
        )
    for each in (backtest, *rivals):
        if each.in_sample_days:
            yield "Days seen before.", _flattered(each.strategy, each.in_sample_days, ledger["brussels_day"].nunique())
        for covered in each.coverage:
            said = covered.warning()
            if said is not None and covered.missing >= _WORTH_A_WARNING * covered.intervals:
                yield "Records are missing.", f"For {each.strategy}, {said}."


def _flattered(strategy: str, seen: int, days: int) -> str:
    of_days = f"{seen:,} of the {counted(days, 'day')} tested"
    return f"{strategy} learned from, or was chosen on, {of_days}: its figures flatter it."


def tested(backtest: Backtest) -> Iterator[tuple[str, str]]:
    """The span, its days and prices: (name, words)."""
    ledger = backtest.ledger
    yield "Tested", _span_in_words(ledger)
    days, partial = ledger["brussels_day"].nunique(), incomplete_days(ledger)
    of_a_part = f", of {partial:,} of which only a part was tested" if partial else ""
    yield "Brussels days", f"{days:,}{of_a_part}"
    unpriced = int((~ledger["settled"]).sum())
    yield "Without a price", f"{unpriced:,} of {len(ledger):,} quarter-hours; nothing is settled in them"
    yield "Days without any price", _unsettled_days_in_words(ledger)
    yield "Days seen before", _seen_in_words(backtest.in_sample_days)


def source_rows(backtests: Sequence[Backtest]) -> list[SourceRow]:
    """Every series that a strategy reads, with the records that were due and what became of them."""
    return [
        SourceRow(each.strategy, IN_WORDS.get(covered.source, covered.source), _cells(covered))
        for each in backtests
        for covered in each.coverage
    ]


def _cells(covered: SourceCoverage) -> list[str]:
    counts = (covered.intervals, covered.present, covered.late, covered.absent, covered.filled)
    return [*(number(count, 0) for count in counts), (covered.stand_in or "nothing") if covered.filled else ""]


def _span_in_words(ledger: pd.DataFrame) -> str:
    first = pd.Timestamp(ledger.index[0]).tz_convert(BRUSSELS)
    last = pd.Timestamp(ledger.index[-1]) + pd.Timedelta(minutes=MINUTES_PER_QUARTER_HOUR)
    after = last.tz_convert(BRUSSELS)
    pieces = ledger["span"].nunique()
    cut = f", in {pieces:,} pieces" if pieces > 1 else ""
    return f"{calendar_date(first)} {first:%H:%M} to {calendar_date(after)} {after:%H:%M}{cut}"


def _unsettled_days_in_words(ledger: pd.DataFrame) -> str:
    settled = ledger.groupby("brussels_day")["settled"].any()
    days = pd.DatetimeIndex(settled.index[~settled])
    if not len(days):
        return "none"
    listed = ", ".join(calendar_date(day) for day in days[:_DAYS_LISTED])
    more = f" and {len(days) - _DAYS_LISTED:,} more" if len(days) > _DAYS_LISTED else ""
    return f"{len(days):,}: {listed}{more}; each counts as a day that earned nothing"


def _seen_in_words(in_sample_days: int | None) -> str:
    if in_sample_days is None:
        return "not known: the policy's card does not say"
    return f"{in_sample_days:,}" if in_sample_days else "none"
