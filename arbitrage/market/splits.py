"""Selecting the quarter-hours of a training, a validation or a backtest.

Contract
- A selection is a set of whole Brussels days or a time range, cut into spans.
- Within a span the battery keeps its state of charge; each span begins with an empty battery.
- The cycle count is reset at every Brussels midnight.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.series import MarketSeries
from arbitrage.numeric import is_named
from arbitrage.quarter_hour import brussels_day, calendar_day, day_number, epoch_minute
from arbitrage.quarter_hour import days_of_month as on_days_of_month


class SocReset(StrEnum):
    """When the battery in a test is reset to empty."""

    DAILY = "daily"
    """At every Brussels midnight; energy left then has no value. The protocol of the reference split."""
    NEVER = "never"
    """Only where the selected days are not adjacent; otherwise energy is carried over midnight."""


@dataclass(frozen=True, slots=True)
class Span:
    """Rows [first, last) of a market series through which a battery runs without a reset."""

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
    """Days `first` to `last` of every month, both included: "26-31" is the 26th to the end of the month."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: object, where: str = "days of month") -> DaysOfMonth:
        """Read "26-31" or "26". Raises BadInput, naming `where`."""
        first, dash, last = text.partition("-") if isinstance(text, str) else ("", "", "")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= 31):
            raise BadInput([Fault(where, f"{text!r} is not a range such as 26-31")])
        return cls(int(first), int(last))

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


ChosenDays = DaysOfMonth | tuple[dt.date, ...]
"""Days of every month, or a list of Brussels days."""
_FAULTS_NAMED = 5


def read_days(days: object, where: str = "days") -> ChosenDays:
    """Days of the month as text such as "1-20", or an iterable of days of any type that `brussels_day` reads.

    Raises BadInput, naming `where`, for other types and if there is no day.
    """
    if isinstance(days, DaysOfMonth):
        return days
    if isinstance(days, str):
        return DaysOfMonth.parse(days, where)
    if not isinstance(days, Iterable) or (isinstance(days, np.ndarray) and days.ndim == 0):
        raise BadInput([Fault(where, f"must be days of the month such as 1-20, or a list of days, not {days!r}")])
    found: set[dt.date] = set()
    faults: list[Fault] = []
    for day in days:
        try:
            found.add(brussels_day(day, where))
        except BadInput as refused:
            faults += refused.faults
    if len(faults) > _FAULTS_NAMED:
        faults[_FAULTS_NAMED:] = [Fault(where, f"and {len(faults) - _FAULTS_NAMED} more that are not days")]
    refuse(faults if found or faults else [Fault(where, "contains no day; give at least one")])
    return tuple(sorted(found))


def falls_on(day_numbers: npt.NDArray[np.int64], days: ChosenDays) -> npt.NDArray[np.bool_]:
    """Which Brussels days [n], counted from 1970-01-01, are among the chosen ones."""
    if isinstance(days, DaysOfMonth):
        return on_days_of_month(day_numbers, days.first, days.last)
    return np.isin(day_numbers, [day_number(day) for day in days])


def days_outside(day_numbers: npt.NDArray[np.int64], days: ChosenDays, where: str = "days") -> list[Fault]:
    """Which of the days named one by one are not among the Brussels days [n] of a market, and what these are."""
    missing = [] if isinstance(days, DaysOfMonth) else [day for day in days if day_number(day) not in day_numbers]
    if not missing:
        return []
    named = ", ".join(map(str, missing[:_FAULTS_NAMED])) + (" and others" if len(missing) > _FAULTS_NAMED else "")
    return [Fault(where, f"the market does not have {named}; it covers {covered_days(day_numbers)}")]


def covered_days(day_numbers: npt.NDArray[np.int64]) -> str:
    """The first and the last of ascending Brussels days [n], as text."""
    return (
        f"{calendar_day(int(day_numbers[0]))} to {calendar_day(int(day_numbers[-1]))}" if len(day_numbers) else "none"
    )


def select_rows(
    market: MarketSeries, *, start: int | None = None, end: int | None = None, days: ChosenDays | None = None
) -> npt.NDArray[np.bool_]:
    """Which rows [n] lie in [start, end) epoch minutes and on `days`; None: no limit."""
    chosen = np.ones(len(market), dtype=np.bool_)
    if start is not None:
        chosen &= market.quarter_hours >= start
    if end is not None:
        chosen &= market.quarter_hours < end
    if days is not None:
        chosen &= falls_on(market.day_numbers, days)
    return chosen


def select(
    market: MarketSeries,
    *,
    start: str | None = None,
    end: str | None = None,
    days_of_month: str | Iterable[object] | None = None,
    soc_reset: SocReset | str | None = None,
) -> tuple[Span, ...]:
    """Spans to test on: times as `epoch_minute` takes them, days as `read_days` takes them, such as "26-31".

    soc_reset: None: daily for days of the month, never for a time range.
    Raises BadInput with all faults, including days that the market lacks.
    """
    faults: list[Fault] = []
    begins, ends = (_minute(name, time, faults) for name, time in (("start", start), ("end", end)))
    if soc_reset is not None and not is_named(soc_reset, SocReset):
        faults.append(Fault("soc_reset", f"must be one of {[str(kind) for kind in SocReset]}, not {soc_reset!r}"))
    try:
        days = None if days_of_month is None else read_days(days_of_month, "days_of_month")
        faults += [] if days is None else days_outside(market.day_numbers, days, "days_of_month")
    except BadInput as refused:
        faults += refused.faults
    refuse(faults)
    chosen = select_rows(market, start=begins, end=ends, days=days)
    return spans(market, chosen, SocReset(soc_reset or default_reset(days_of_month)))


def _minute(name: str, time: str | None, faults: list[Fault]) -> int | None:
    """The time as an epoch minute; its faults are added to `faults` under the name of the option."""
    try:
        return None if time is None else epoch_minute(time)
    except BadInput as refused:
        faults += [Fault(name, f"{time!r}: {fault.message}") for fault in refused.faults]
        return None


def default_reset(days_of_month: object) -> SocReset:
    """Daily for days of the month, as in the reference split; never for a time range."""
    return SocReset.NEVER if days_of_month is None else SocReset.DAILY


def spans(market: MarketSeries, chosen: npt.NDArray[np.bool_], soc_reset: SocReset) -> tuple[Span, ...]:
    """Cut the chosen rows [n] into spans. Raises BadInput if nothing is chosen."""
    rows = np.flatnonzero(chosen)
    if not len(rows):
        raise BadInput([Fault("selection", "holds no quarter-hour of the market; choose days or times that it covers")])
    breaks = np.diff(rows) > 1
    if soc_reset is SocReset.DAILY:
        breaks |= np.diff(market.day_numbers[rows]) != 0
    edges = np.concatenate(([0], np.flatnonzero(breaks) + 1, [len(rows)]))
    return tuple(Span(int(rows[a]), int(rows[b - 1]) + 1) for a, b in itertools.pairwise(edges))


def rows_of(selection: Sequence[Span]) -> npt.NDArray[np.int64]:
    """All rows of the spans, in order, shape [n]."""
    return np.concatenate([span.rows for span in selection])


def new_day_flags(market: MarketSeries, span: Span) -> npt.NDArray[np.bool_]:
    """Which quarter-hours of a span begin a Brussels day, shape [len(span)]; the first one counts as such."""
    days = market.day_numbers[span.first : span.last]
    return np.concatenate(([True], days[1:] != days[:-1]))
