"""Which days a backtest tests: those asked for, as far as the data reach, and of a policy's only what it has not seen.

Contract
- Days of the month that are asked for are tested as they are, seen or not. Where none are asked for, a policy is tested
  on the days that it neither learned from nor was chosen on; on all, if it has seen them all.
- Whatever is tested differently from what was asked for is said in `notes`, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from arbitrage.backtest.in_sample import days_seen
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth, SocReset, Span, default_reset, rows_of, select_rows, spans
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, DayNumbers, brussels_local, epoch_minute

Cards = Sequence[Mapping[str, Any]]
_QUARTER_HOURS_PER_DAY = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysAsked:
    """What a user asks to test on; None where nothing is said."""

    start: str | None = None
    """ISO 8601 with an offset."""
    end: str | None = None
    days_of_month: str | None = None
    """Such as 26-31."""
    soc_reset: SocReset | None = None


@dataclass(frozen=True, slots=True)
class DaysTested:
    """What is tested."""

    selection: tuple[Span, ...]
    soc_reset: SocReset
    quarter_hours_beyond_data: int
    """Asked for, but before the first or after the last quarter-hour of the data."""
    notes: tuple[str, ...]
    """What differs from what was asked for, in sentences."""


def days_to_test(market: MarketSeries, asked: DaysAsked, cards: Cards = ()) -> DaysTested:
    """The days to test the policies with these cards on, or rules where there are none.

    Raises BadInput for times or days that are none, and where nothing is left.
    """
    start, end = (None if text is None else epoch_minute(text) for text in (asked.start, asked.end))
    if start is not None and end is not None and end <= start:
        raise BadInput([Fault("end", f"{asked.end} is not after start {asked.start}")])
    days = None if asked.days_of_month is None else DaysOfMonth.parse(asked.days_of_month)
    chosen = select_rows(market, start=start, end=end, days=days)
    _refuse_nothing(market, chosen, asked)
    beyond, notes = beyond_data(market, start, end)
    reset = asked.soc_reset or default_reset(asked.days_of_month)
    unseen = chosen if days is not None else _unseen(market, chosen, cards)
    if not np.array_equal(unseen, chosen):
        reset = asked.soc_reset or SocReset(cards[0]["split"]["soc_reset"])
        notes.append(_unseen_note(market, unseen, chosen, reset))
    return DaysTested(spans(market, unseen, reset), reset, beyond, tuple(notes))


def strict_faults(market: MarketSeries, tested: DaysTested, cards: Cards) -> list[Fault]:
    """Why figures of these days would not be what was asked for, or would flatter a policy that has seen them."""
    faults = []
    if tested.quarter_hours_beyond_data:
        faults.append(Fault("span", tested.notes[0]))
    days = np.unique(market.day_numbers[rows_of(tested.selection)])
    for card in cards:
        seen = days_seen(card, days)
        sentences = seen.sentences() if seen else ["the policy's card does not say on which days it learned"]
        faults += [Fault("in_sample_days", sentence) for sentence in sentences]
    return faults


def _refuse_nothing(market: MarketSeries, chosen: npt.NDArray[np.bool_], asked: DaysAsked) -> None:
    """Raise BadInput, naming every option that was given and what the data cover, where nothing is left to test."""
    if chosen.any():
        return
    given = {"start": asked.start, "end": asked.end, "days_of_month": asked.days_of_month}
    covered = "the data cover " + " to ".join(_covered(market))
    refuse(Fault(name, f"{text} leaves nothing to test: {covered}") for name, text in given.items() if text is not None)


def _covered(market: MarketSeries) -> tuple[str, str]:
    first, after = int(market.quarter_hours[0]), int(market.quarter_hours[-1]) + MINUTES_PER_QUARTER_HOUR
    begin, end = brussels_local([first, after])
    return begin.isoformat(timespec="minutes"), end.isoformat(timespec="minutes")


def beyond_data(market: MarketSeries, start: int | None, end: int | None) -> tuple[int, list[str]]:
    """Quarter-hours of [start, end) epoch minutes before and after the data, and a sentence if there are any."""
    first, after = int(market.quarter_hours[0]), int(market.quarter_hours[-1]) + MINUTES_PER_QUARTER_HOUR
    before = 0 if start is None else max(0, first - start) // MINUTES_PER_QUARTER_HOUR
    behind = 0 if end is None else max(0, end - after) // MINUTES_PER_QUARTER_HOUR
    count = before + behind
    if not count:
        return 0, []
    begin, stop = _covered(market)
    days = count / _QUARTER_HOURS_PER_DAY
    reach = f"the span asked for reaches beyond the data, which cover {begin} to {stop}"
    return count, [f"{reach}: {count:,} quarter-hours ({days:,.1f} days) are left out"]


def _unseen(market: MarketSeries, chosen: npt.NDArray[np.bool_], cards: Cards) -> npt.NDArray[np.bool_]:
    """Of the chosen rows [n], those on days that no policy has seen; all of them where the policies have seen all."""
    days = np.unique(market.day_numbers[chosen])
    seen = [days_seen(card, days) for card in cards]
    known: list[DayNumbers] = [each.days for each in seen if each is not None]
    if not any(len(each) for each in known):
        return chosen
    left = chosen & ~np.isin(market.day_numbers, np.concatenate(known))
    return left if left.any() else chosen


def _unseen_note(
    market: MarketSeries, unseen: npt.NDArray[np.bool_], chosen: npt.NDArray[np.bool_], reset: SocReset
) -> str:
    left, asked = (len(np.unique(market.day_numbers[rows])) for rows in (unseen, chosen))
    return (
        f"tested on the {left} of {asked} days that no policy has learned from or was chosen on (soc-reset {reset}); "
        "--days-of-month chooses others"
    )
