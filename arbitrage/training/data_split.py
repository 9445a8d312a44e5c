"""What a training may learn from: a market, the days to learn from and those to choose on.

Contract
- Test days are in no split. Training and validation days do not overlap.
- Nothing of a battery, a seed or a method is in a split: every method learns from the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arbitrage.backtest.engine import selection_coverage
from arbitrage.errors import BadInput, Fault
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.market.coverage import Need, SourceCoverage, day_ahead_steps_min
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, Span, rows_of, select_rows, spans
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSplit:
    """Days to learn from and days to choose on. Raises BadInput where they overlap."""

    market: MarketSeries
    train_days: DaysOfMonth
    validation_days: DaysOfMonth
    start: int | None = None
    """Epoch minutes [start, end) within which the days lie; None: the whole series."""
    end: int | None = None
    soc_reset: SocReset = SocReset.DAILY

    def __post_init__(self) -> None:
        if self.train_days.first <= self.validation_days.last and self.validation_days.first <= self.train_days.last:
            raise BadInput(
                [Fault("validation days", f"{self.validation_days} overlap training days {self.train_days}")]
            )

    def fitted_days(self, *, refit: bool) -> tuple[DaysOfMonth, ...]:
        """The days that a policy has learned from in the end; `refit`: the validation days too."""
        return (self.train_days, self.validation_days) if refit else (self.train_days,)

    def selection(self, *days: DaysOfMonth) -> tuple[Span, ...]:
        """The spans of these days of the month."""
        chosen = [select_rows(self.market, start=self.start, end=self.end, days=some) for some in days]
        return spans(self.market, np.logical_or.reduce(chosen), self.soc_reset)

    def training_day_count(self) -> int:
        """Brussels days that are learned from before validation."""
        return len(np.unique(self.market.day_numbers[rows_of(self.selection(self.train_days))]))

    def day_ahead_steps_min(self, *days: DaysOfMonth) -> tuple[int, ...]:
        """Resolutions of the day-ahead prices on these days of the month; see `coverage.day_ahead_steps_min`."""
        return day_ahead_steps_min(self.market, self.market.quarter_hours[rows_of(self.selection(*days))])

    def facts(self) -> dict[str, Any]:
        """The split in words, for the card; the times bound what was looked at, as far as the market reaches."""
        first, after = int(self.market.quarter_hours[0]), int(self.market.quarter_hours[-1]) + MINUTES_PER_QUARTER_HOUR
        return {
            "train_days_of_month": str(self.train_days),
            "validation_days_of_month": str(self.validation_days),
            "start_epoch_minute": first if self.start is None else max(first, self.start),
            "end_epoch_minute": after if self.end is None else min(after, self.end),
            "soc_reset": self.soc_reset.value,
        }

    def coverage(self, needs: Sequence[Need], step_min: int) -> dict[str, tuple[SourceCoverage, ...]]:
        """How many records of each series are there on the days to learn from and to choose on, by purpose."""
        days = {"training": self.train_days, "validation": self.validation_days}
        return {
            purpose: selection_coverage(self.market, needs, self.selection(some), step_min)
            for purpose, some in days.items()
        }


def full_feature_set(market: MarketSeries) -> FeatureSet:
    """All features that the market can give."""
    return FeatureSet.QUARTER_HOUR if market.minute_source is None else FeatureSet.FULL


def missing_minutes(features: MarketFeatures, market: MarketSeries) -> Sequence[Fault]:
    """A fault where the features need minute records and the market has none."""
    if not features.running_names or market.minute_source is not None:
        return ()
    return (Fault("minutes", f"the feature set {features.feature_set} needs minute records"),)
