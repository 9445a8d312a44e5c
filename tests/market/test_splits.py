"""Selections: days of the month, ranges, and where a battery starts anew."""

from __future__ import annotations

import numpy as np
import pytest

from arbitrage.errors import BadInput
from arbitrage.market.splits import DaysOfMonth, SocReset, Span, new_day_flags, rows_of, select_rows, spans
from tests.worlds import MIDNIGHTS, SUMMER_MIDNIGHT, market_of, whole


@pytest.mark.parametrize(("text", "first", "last"), [("26-31", 26, 31), ("7", 7, 7), ("1-1", 1, 1)])
def test_days_of_the_month_are_read_with_both_ends(text: str, first: int, last: int) -> None:
    assert DaysOfMonth.parse(text) == DaysOfMonth(first, last)


@pytest.mark.parametrize("text", ["", "26-", "-26", "0-5", "20-19", "1-32", "a-b", "1-2-3", "²", "1.5"])
def test_what_is_no_range_of_days_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not a range such as 26-31"):
        DaysOfMonth.parse(text)


def test_a_range_of_times_holds_its_start_and_not_its_end() -> None:
    market = market_of(np.zeros(10))
    chosen = select_rows(market, start=SUMMER_MIDNIGHT + 30, end=SUMMER_MIDNIGHT + 75)
    assert np.flatnonzero(chosen).tolist() == [2, 3, 4]


@pytest.mark.parametrize("day", sorted(MIDNIGHTS))
def test_days_on_their_own_are_spans_of_their_own_length(day: str) -> None:
    midnight, count = MIDNIGHTS[day]
    market = market_of(np.zeros(count + 96), midnight)
    assert whole(market, SocReset.DAILY) == (Span(0, count), Span(count, count + 96))
    assert whole(market) == (Span(0, count + 96),)
    assert np.flatnonzero(new_day_flags(market, Span(0, count + 96))).tolist() == [0, count]


def test_energy_is_carried_only_between_days_that_are_neighbours() -> None:
    # The 1st, 2nd and 4th of July.
    market = market_of(np.zeros(4 * 96))
    chosen = select_rows(market, days=DaysOfMonth(1, 2)) | select_rows(market, days=DaysOfMonth(4, 4))
    assert spans(market, chosen, SocReset.NEVER) == (Span(0, 192), Span(288, 384))
    assert rows_of(spans(market, chosen, SocReset.DAILY)).tolist() == [*range(192), *range(288, 384)]


def test_a_selection_of_nothing_is_refused() -> None:
    market = market_of(np.zeros(96))
    with pytest.raises(BadInput, match="holds no quarter-hour"):
        spans(market, select_rows(market, days=DaysOfMonth(15, 20)), SocReset.DAILY)
