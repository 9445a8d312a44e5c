"""Walk-forward windows: consecutive pairs of a training range and a test range.

Contract
- The test range of a window lies after its training range, with an embargo of whole days between them.
- Test ranges are consecutive, so that one battery runs through them all.
- Ranges begin at Brussels midnights; test ranges begin on the first of a month.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from arbitrage.errors import Fault, refuse
from arbitrage.market.series import MarketSeries
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, brussels_day, brussels_midnight, day_number

_FEWEST_TRAINING_DAYS = 14


@dataclass(frozen=True, slots=True)
class Window:
    """Training range and test range, each [start, end) in epoch minutes."""

    train_start: int
    train_end: int
    test_start: int
    test_end: int

    @property
    def label(self) -> str:
        """UTC date and time of `test_start`, as used in names of folders and in reports."""
        return f"{dt.datetime.fromtimestamp(self.test_start * 60, dt.UTC):%Y-%m-%dT%H%M}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPlan:
    """Dates and lengths of the windows; days of any type that `brussels_day` reads.

    Raises BadInput with all faults.
    """

    train_from: dt.date
    """First Brussels day of training data."""
    test_from: dt.date
    """First Brussels day of the first test range; the first of a month."""
    test_until: dt.date
    """First Brussels day after the last test range."""
    retrain_months: int = 1
    """Calendar months between trainings."""
    rolling_days: int | None = None
    """Most training days of a window; None: all from `train_from` on."""
    embargo_days: int = 0
    """Whole days between the last training day and the first test day."""

    def __post_init__(self) -> None:
        for name in ("train_from", "test_from", "test_until"):
            object.__setattr__(self, name, brussels_day(getattr(self, name), name))
        training_days = (self.test_from - self.train_from).days - self.embargo_days
        rules = {
            "test_from": (self.test_from.day == 1, f"must be the first of a month, not {self.test_from}"),
            "test_until": (self.test_until > self.test_from, f"must lie after {self.test_from}"),
            "retrain_months": (self.retrain_months >= 1, "must be 1 or more"),
            "embargo_days": (self.embargo_days >= 0, "must be 0 or more"),
            "train_from": (
                training_days >= _FEWEST_TRAINING_DAYS,
                f"leaves {training_days} training days before the first test; give at least {_FEWEST_TRAINING_DAYS}",
            ),
            "rolling_days": (
                self.rolling_days is None or self.rolling_days >= _FEWEST_TRAINING_DAYS,
                f"must be {_FEWEST_TRAINING_DAYS} or more",
            ),
        }
        refuse(Fault(name, message) for name, (holds, message) in rules.items() if not holds)

    def windows(self) -> tuple[Window, ...]:
        """All windows in order; the last one ends at `test_until`, possibly in the middle of a month."""
        return tuple(self._windows())

    def _windows(self) -> Iterator[Window]:
        first = self.test_from
        while first < self.test_until:
            after = min(_months_later(first, self.retrain_months), self.test_until)
            train_end = first - dt.timedelta(days=self.embargo_days)
            train_start = self.train_from
            if self.rolling_days is not None:
                train_start = max(train_start, train_end - dt.timedelta(days=self.rolling_days))
            yield Window(*(brussels_midnight(day_number(day)) for day in (train_start, train_end, first, after)))
            first = after


def refuse_windows_outside(market: MarketSeries, windows: tuple[Window, ...]) -> None:
    """Raise BadInput if the market does not cover the first training day or the last test day."""
    first, after = int(market.quarter_hours[0]), int(market.quarter_hours[-1]) + MINUTES_PER_QUARTER_HOUR
    begins, ends = windows[0].train_start, windows[-1].test_end
    rules = {
        "train_from": (first <= begins, "lies before the first price of the market"),
        "test_until": (ends <= after, "lies after the last price of the market"),
    }
    refuse(Fault(name, message) for name, (holds, message) in rules.items() if not holds)


def _months_later(day: dt.date, months: int) -> dt.date:
    """The day `months` later; `day` is the first of a month."""
    year, month = divmod(day.month - 1 + months, 12)
    return day.replace(year=day.year + year, month=month + 1)
