"""Options of days and times: those to test, those to learn from, and the moment to decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import typer

from arbitrage.backtest.tested_days import Cards, DaysAsked, DaysTested, days_to_test, strict_faults
from arbitrage.cli.options.panels import DAYS
from arbitrage.cli.output import warn
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.point_in_time import INDICATIVE
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, epoch_minute, utc_timestamps

StartTime = Annotated[
    str | None, typer.Option(help="First time: a Brussels day, or ISO 8601 with an offset.", rich_help_panel=DAYS)
]
StopTime = Annotated[str | None, typer.Option(help="Time after the last: the midnight that begins a day, or likewise.")]
Reset = Annotated[
    SocReset | None,
    typer.Option(
        help="daily: each day on its own from an empty battery, the default with days of the month and for training; "
        "never: energy is carried over midnight, the default otherwise."
    ),
]


@dataclass(frozen=True, slots=True)
class TestDayOptions:
    """The days to test."""

    PANEL: ClassVar[str] = DAYS

    start: StartTime = None
    end: StopTime = None
    days_of_month: Annotated[str | None, typer.Option(help="Brussels days of every month to test, such as 26-31.")] = (
        None
    )
    soc_reset: Reset = None
    tune_days: Annotated[
        str, typer.Option(help="Days of the month on which rules are tuned; tested days are left out.")
    ] = "21-25"
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Refuse days that a policy has seen, and spans that reach beyond the data, instead of warning.",
        ),
    ] = False

    def tested(self, market: MarketSeries, cards: Cards) -> DaysTested:
        """The days of the market, with a warning of each difference from what was asked for. Raises BadInput."""
        asked = DaysAsked(start=self.start, end=self.end, days_of_month=self.days_of_month, soc_reset=self.soc_reset)
        tested = days_to_test(market, asked, cards)
        if self.strict:
            refuse(strict_faults(market, tested, cards))
        for note in tested.notes:
            warn(note)
        return tested

    @property
    def tuning_days(self) -> DaysOfMonth:
        """Raises BadInput."""
        return DaysOfMonth.parse(self.tune_days, "tune_days")


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """The days to learn from, and those to choose on."""

    PANEL: ClassVar[str] = DAYS

    start: StartTime = None
    end: StopTime = None
    train_days: Annotated[str, typer.Option(help="Days of the month to learn from.")] = "1-20"
    validation_days: Annotated[str, typer.Option(help="Days of the month to choose on.")] = "21-25"
    soc_reset: Reset = None

    def settings(self) -> dict[str, Any]:
        """What a split of a market takes, times as epoch minutes. Raises BadInput."""
        return {
            "train_days": DaysOfMonth.parse(self.train_days, "train_days"),
            "validation_days": DaysOfMonth.parse(self.validation_days, "validation_days"),
            "soc_reset": self.soc_reset or SocReset.DAILY,
            **time_range(self.start, self.end),
        }


def time_range(start: str | None, end: str | None) -> dict[str, Any]:
    """`start` and `end` as far as they were given, as epoch minutes. Raises BadInput."""
    times = {name: epoch_minute(text, name) for name, text in (("start", start), ("end", end)) if text is not None}
    if len(times) == 2 and times["end"] <= times["start"]:
        raise BadInput([Fault("end", f"{end} is not after start {start}")])
    return times


def time_to_decide(market: MarketSeries, at: str | None, step_min: int) -> int:
    """The time to decide: the one named, or when the newest record is out. Raises BadInput outside the market."""
    first, after = int(market.quarter_hours[0]), int(market.quarter_hours[-1]) + MINUTES_PER_QUARTER_HOUR
    if step_min == 1 and INDICATIVE in market.known_series:
        after = max(after, int(market.known_series[INDICATIVE].available_at[-1]))
    time = after if at is None else epoch_minute(at, "at")
    if time % step_min:
        raise BadInput([Fault("at", f"{at} is not the beginning of a quarter-hour")])
    if not first < time <= after:
        span = " to ".join(stamp.isoformat() for stamp in utc_timestamps([first, after]))
        raise BadInput([Fault("at", f"{at} lies outside the prices given, {span}")])
    return time
