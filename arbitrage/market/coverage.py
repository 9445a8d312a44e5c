"""Data coverage: the records that a strategy reads, and how many were available when it decided.

Contract
- A `Need` names one series that a strategy reads, and the substitute for a missing record.
- At each decision one record of a series is due: for a day-ahead series the one that covers the interval decided, for
  prices and minutes the newest one that the publication delay allows. It is present, late (it exists, but was not known
  yet) or absent.
- `unfamiliar` counts the quarter-hours whose day-ahead price is known and differs within its hour, where the strategy
  learned on prices by the hour only and does not read them as hour means.
- `filled` counts the decisions at which a substitute was used: for the record itself, or for a part of the rest of the
  delivery day where the strategy reads the day's curve.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from arbitrage.arrays import Flags
from arbitrage.market.point_in_time import (
    ALPHA_COMPONENT,
    CUMULATIVE_IMBALANCE,
    DAY_AHEAD,
    DECREMENTAL,
    INCREMENTAL,
    INDICATIVE,
    PRICE,
    SOLAR_FORECAST,
    WIND_FORECAST,
    vary_within_hour,
)
from arbitrage.market.series import MINUTE_COLUMNS, MarketSeries
from arbitrage.quarter_hour import (
    MINUTES_PER_HOUR,
    MINUTES_PER_QUARTER_HOUR,
    EpochMinutes,
    brussels_day_numbers,
    brussels_midnight,
    quarter_hour_starts,
)

DAY_AHEAD_SERIES = (DAY_AHEAD, WIND_FORECAST, SOLAR_FORECAST)
"""Published on the day before delivery."""
IN_WORDS = {
    PRICE: "imbalance prices",
    DAY_AHEAD: "day-ahead prices",
    WIND_FORECAST: "wind forecasts",
    SOLAR_FORECAST: "solar forecasts",
    INDICATIVE: "minute records of the price",
    CUMULATIVE_IMBALANCE: "minute records of the system imbalance",
    INCREMENTAL: "minute records of the incremental price",
    DECREMENTAL: "minute records of the decremental price",
    ALPHA_COMPONENT: "minute records of alpha",
}
"""Names of the series in messages."""
_LONGEST_DAY = 100


@dataclass(frozen=True, slots=True)
class Need:
    """A series that a strategy reads."""

    series: str
    stand_in: str | None = None
    """The substitute for a missing record, in words; None: there is none, the strategy idles."""
    rest_of_day: bool = False
    """Whether the strategy also reads the rest of the delivery day."""
    hourly_only: bool = False
    """Whether values that differ within an hour are unlike all that the strategy learned from; see `MarketFeatures`."""


@dataclass(frozen=True, slots=True)
class SourceCoverage:
    """Numbers of records of one series by availability; present + late + absent = intervals."""

    source: str
    intervals: int
    """Number of records that were due: one a quarter-hour, or one a decision for a series by the minute."""
    present: int
    late: int
    absent: int
    filled: int
    """Decisions at which a substitute was used; at most `intervals`."""
    stand_in: str | None
    unfamiliar: int = 0
    """Quarter-hours whose value is finer than all that the strategy learned from."""

    @property
    def missing(self) -> int:
        """Records that were not available when they were due."""
        return self.late + self.absent

    @property
    def complete(self) -> bool:
        """Whether every record was available."""
        return self.missing == 0 and self.filled == 0

    def figures(self) -> dict[str, Any]:
        """For JSON, without the name; the substitute is named if it was used."""
        counts = {name: value for name, value in asdict(self).items() if name != "source"}
        return {**counts, "stand_in": self.stand_in if self.filled else None}

    def warning(self) -> str | None:
        """A warning; None if every record was available and of a resolution that the strategy learned from."""
        return "; ".join(filter(None, (self._incomplete_in_words(), self._unfamiliar_in_words()))) or None

    @property
    def _name(self) -> str:
        return IN_WORDS.get(self.source, self.source)

    def _unfamiliar_in_words(self) -> str | None:
        if not self.unfamiliar:
            return None
        return (
            f"{self._name} differ within the hour in {self.unfamiliar:,} of {self.intervals:,} quarter-hours, which is "
            "unlike the training days, whose prices were by the hour; train the policy again"
        )

    def _incomplete_in_words(self) -> str | None:
        if self.complete:
            return None
        name, unit = self._name, _unit(self.source)
        instead = f"; {self.stand_in} stands in" if self.stand_in else "; the strategy idles there"
        if not self.missing:
            return f"{name} do not reach the end of the day for {self.filled:,} of {self.intervals:,} {unit}{instead}"
        late = f" ({self.late:,} of them late)" if self.late else ""
        return f"{name} are missing for {self.missing:,} of {self.intervals:,} {unit}{late}{instead}"


def source_coverage(market: MarketSeries, needs: Iterable[Need], times: EpochMinutes) -> tuple[SourceCoverage, ...]:
    """Count the available records of each needed series over the decisions at `times`, epoch minutes [T].

    A series by the quarter-hour counts once for each quarter-hour, as known when it begins; a series by the minute
    counts at each decision.
    """
    starts = np.unique(quarter_hour_starts(times))
    return tuple(_covered(market, need, times if need.series in MINUTE_COLUMNS else starts) for need in needs)


def due_records(market: MarketSeries, series: str, times: EpochMinutes) -> EpochMinutes:
    """Start of the record of a series that is due at each time [T], epoch minutes."""
    if series in DAY_AHEAD_SERIES:
        return quarter_hour_starts(times)
    delay_min = market.publication_delay_min + market.decision_latency_min
    if series in MINUTE_COLUMNS:
        return times - 1 - delay_min
    return quarter_hour_starts(times - delay_min) - MINUTES_PER_QUARTER_HOUR


def record_state(market: MarketSeries, series: str, times: EpochMinutes) -> tuple[Flags, Flags]:
    """Whether the record due at each time [T] exists, and whether it is known by then."""
    recorded = market.known_series.get(series)
    if recorded is None or not len(recorded.values):
        nothing = np.zeros(len(times), dtype=np.bool_)
        return nothing, nothing
    rows = (due_records(market, series, times) - recorded.first_minute) // recorded.step_min
    inside = (rows >= 0) & (rows < len(recorded.values))
    at = np.where(inside, rows, 0)
    exists = inside & ~np.isnan(recorded.values[at])
    return exists, exists & (recorded.available_at[at] <= times)


def unknown_rest_of_day(market: MarketSeries, series: str, times: EpochMinutes) -> EpochMinutes:
    """Number of quarter-hours from each time [T] to the end of its Brussels day whose record is not known then."""
    starts = quarter_hour_starts(times)
    days, inverse = np.unique(brussels_day_numbers(starts), return_inverse=True)
    ends = np.array([brussels_midnight(int(day) + 1) for day in days], dtype=np.int64)[inverse]
    offsets = MINUTES_PER_QUARTER_HOUR * np.arange(_LONGEST_DAY)
    curve = market.known_at(times, starts).gather(series, offsets)
    left = (ends - starts) // MINUTES_PER_QUARTER_HOUR
    within = np.arange(_LONGEST_DAY) < left[:, None]
    return np.asarray((np.isnan(curve) & within).sum(axis=1), dtype=np.int64)


def day_ahead_steps_min(market: MarketSeries, starts: EpochMinutes) -> tuple[int, ...]:
    """Resolutions of the day-ahead prices, of 15 and 60 minutes those that occur among the days of quarter-hours [n].

    A Brussels day counts as 15 where the prices of one of its hours differ. Empty without day-ahead prices.
    """
    exists, _ = record_state(market, DAY_AHEAD, starts)
    days = brussels_day_numbers(starts[exists])
    finer = np.isin(days, days[_differ_within_hour(market, DAY_AHEAD, starts[exists])])
    steps = np.where(finer, MINUTES_PER_QUARTER_HOUR, MINUTES_PER_HOUR)
    return tuple(np.unique(steps).tolist())


def _differ_within_hour(market: MarketSeries, series: str, starts: EpochMinutes) -> Flags:
    """Whether the hour of each recorded quarter-hour [n] of a series has different values."""
    recorded = market.known_series.get(series)
    if recorded is None or not len(recorded.values):
        return np.zeros(len(starts), dtype=np.bool_)
    rows = np.clip((starts - recorded.first_minute) // recorded.step_min, 0, len(recorded.values) - 1)
    return np.asarray(vary_within_hour(recorded)[rows])


def _covered(market: MarketSeries, need: Need, times: EpochMinutes) -> SourceCoverage:
    exists, known = record_state(market, need.series, times)
    filled = ~known if need.stand_in else np.zeros(len(times), dtype=np.bool_)
    if need.stand_in and need.rest_of_day:
        filled = filled | (unknown_rest_of_day(market, need.series, times) > 0)
    return SourceCoverage(
        source=need.series,
        intervals=len(times),
        present=int(known.sum()),
        late=int((exists & ~known).sum()),
        absent=int((~exists).sum()),
        filled=int(filled.sum()),
        stand_in=need.stand_in,
        unfamiliar=int((known & _differ_within_hour(market, need.series, times)).sum()) if need.hourly_only else 0,
    )


def _unit(series: str) -> str:
    return "decisions" if series in MINUTE_COLUMNS else "quarter-hours"
