"""Walk-forward windows: what is learned from, and what is then tested, one after the other.

Contract
- A window is tested on quarter-hours that all lie after the last one that it was learned from, with an embargo of whole
  days between them. Tested windows follow each other without a break, so that one battery lives through them all.
- Windows begin at Brussels midnights: tested ones on the first of a month.
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
    """Epoch minutes, each range [start, end)."""

    train_start: int
    train_end: int
    test_start: int
    test_end: int

    @property
    def label(self) -> str:
        """The UTC date and hour from which it is tested, as folders and reports call it."""
        return f"{dt.datetime.fromtimestamp(self.test_start * 60, dt.UTC):%Y-%m-%dT%H%M}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPlan:
    """How a span of time is walked through; days of any type that `brussels_day` reads.

    Raises BadInput, naming all that makes no sense.
    """

    train_from: dt.date
    """First Brussels day that may be learned from."""
    test_from: dt.date
    """First Brussels day that is tested; the first of a month."""
    test_until: dt.date
    """First Brussels day that is tested no more."""
    retrain_months: int = 1
    """Calendar months between trainings."""
    rolling_days: int | None = None
    """Days that a window learns from at most; None: all from `train_from` on."""
    embargo_days: int = 0
    """Whole days between the last one learned from and the first one tested."""

    def __post_init__(self) -> None:
        for name in ("train_from", "test_from", "test_until"):
            object.__setattr__(self, name, brussels_day(getattr(self, name), name))
        learned = (self.test_from - self.train_from).days - self.embargo_days
        rules = {
            "test_from": (self.test_from.day == 1, f"must be the first of a month, not {self.test_from}"),
            "test_until": (self.test_until > self.test_from, f"must lie after {self.test_from}"),
            "retrain_months": (self.retrain_months >= 1, "must be 1 or more"),
            "embargo_days": (self.embargo_days >= 0, "must be 0 or more"),
            "train_from": (
                learned >= _FEWEST_TRAINING_DAYS,
                f"leaves {learned} days to learn from before the first test; {_FEWEST_TRAINING_DAYS} are the fewest",
            ),
            "rolling_days": (
                self.rolling_days is None or self.rolling_days >= _FEWEST_TRAINING_DAYS,
                f"must be {_FEWEST_TRAINING_DAYS} or more",
            ),
        }
        refuse(Fault(name, message) for name, (holds, message) in rules.items() if not holds)

    def windows(self) -> tuple[Window, ...]:
        """All windows in order; the last one ends at `test_until`, be it in the middle of a month."""
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
    """Raise BadInput where the market does not hold the first day learned from, or the last one tested."""
    first, after = int(market.quarter_hours[0]), int(market.quarter_hours[-1]) + MINUTES_PER_QUARTER_HOUR
    begins, ends = windows[0].train_start, windows[-1].test_end
    rules = {
        "train_from": (first <= begins, "lies before the first price"),
        "test_until": (ends <= after, "lies after the last price"),
    }
    refuse(Fault(name, message) for name, (holds, message) in rules.items() if not holds)


def _months_later(day: dt.date, months: int) -> dt.date:
    """The same day of the month so many months on; `day` is the first of one."""
    year, month = divmod(day.month - 1 + months, 12)
    return day.replace(year=day.year + year, month=month + 1)
