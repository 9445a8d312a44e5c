"""Which quarter-hours a training, a validation or a backtest covers.

Law: a selection is a set of whole Brussels days or a time range, cut into spans. Inside a span the battery carries
its energy on; each span begins anew. The cycle count starts anew at every Brussels midnight in any case.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from arbitrage.errors import BadInput, Fault
from arbitrage.market.series import MarketSeries
from arbitrage.quarter_hour import days_of_month as on_days_of_month
from arbitrage.quarter_hour import epoch_minute


class SocReset(StrEnum):
    """When a battery in a test starts anew from empty."""

    DAILY = "daily"
    """Each Brussels day on its own; energy left at midnight is worth nothing. The protocol of the reference split."""
    NEVER = "never"
    """Only where the selected days are not adjacent; energy is carried over midnight."""


@dataclass(frozen=True, slots=True)
class Span:
    """Rows [first, last) of a market series through which one battery lives without a restart."""

    first: int
    last: int

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """The rows, shape [last - first]."""
        return np.arange(self.first, self.last, dtype=np.int64)

    def __len__(self) -> int:
        return self.last - self.first


@dataclass(frozen=True, slots=True)
class DaysOfMonth:
    """Days `first` to `last` of every month, both included: "26-31" is the 26th to the month's end."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> DaysOfMonth:
        """Read "26-31" or "26". Raises BadInput."""
        first, dash, last = text.partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= 31):
            raise BadInput([Fault("days of month", f"{text!r} is not a range such as 26-31")])
        return cls(int(first), int(last))

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def select_rows(
    market: MarketSeries, *, start: int | None = None, end: int | None = None, days: DaysOfMonth | None = None
) -> npt.NDArray[np.bool_]:
    """Which rows [n] lie in [start, end) epoch minutes and on those days of the month."""
    chosen = np.ones(len(market), dtype=np.bool_)
    if start is not None:
        chosen &= market.quarter_hours >= start
    if end is not None:
        chosen &= market.quarter_hours < end
    if days is not None:
        chosen &= on_days_of_month(market.day_numbers, days.first, days.last)
    return chosen


def select(
    market: MarketSeries,
    *,
    start: str | None = None,
    end: str | None = None,
    days_of_month: str | None = None,
    soc_reset: SocReset | str | None = None,
) -> tuple[Span, ...]:
    """Spans to test on: times in ISO 8601 with an offset, days such as "26-31". Raises BadInput.

    Unless said otherwise, days of the month stand each on their own and everything else is carried over midnight.
    """
    chosen = select_rows(
        market,
        start=None if start is None else epoch_minute(start),
        end=None if end is None else epoch_minute(end),
        days=None if days_of_month is None else DaysOfMonth.parse(days_of_month),
    )
    return spans(market, chosen, SocReset(soc_reset or default_reset(days_of_month)))


def default_reset(days_of_month: str | None) -> SocReset:
    """Days of the month stand each on their own, as in the reference split; a time range is lived through."""
    return SocReset.NEVER if days_of_month is None else SocReset.DAILY


def spans(market: MarketSeries, chosen: npt.NDArray[np.bool_], soc_reset: SocReset) -> tuple[Span, ...]:
    """Cut the chosen rows [n] into spans. Raises BadInput if nothing is chosen."""
    rows = np.flatnonzero(chosen)
    if not len(rows):
        raise BadInput([Fault("selection", "holds no quarter-hour of the prices given")])
    breaks = np.diff(rows) > 1
    if soc_reset is SocReset.DAILY:
        breaks |= np.diff(market.day_numbers[rows]) != 0
    edges = np.concatenate(([0], np.flatnonzero(breaks) + 1, [len(rows)]))
    return tuple(Span(int(rows[a]), int(rows[b - 1]) + 1) for a, b in itertools.pairwise(edges))


def rows_of(selection: Sequence[Span]) -> npt.NDArray[np.int64]:
    """All rows of the spans, in order, shape [n]."""
    return np.concatenate([span.rows for span in selection])


def new_day_flags(market: MarketSeries, span: Span) -> npt.NDArray[np.bool_]:
    """Which quarter-hours of a span begin a Brussels day (its first one counts as such), shape [len(span)]."""
    days = market.day_numbers[span.first : span.last]
    return np.concatenate(([True], days[1:] != days[:-1]))
