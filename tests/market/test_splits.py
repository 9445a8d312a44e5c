"""Selections: days of the month, ranges, and where a battery starts anew."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from arbitrage.errors import BadInput
from arbitrage.market.splits import (
    DaysOfMonth,
    SocReset,
    Span,
    new_day_flags,
    read_days,
    rows_of,
    select,
    select_rows,
    spans,
)
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


JULY = [dt.date(2024, 7, day) for day in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    "days",
    [
        JULY[1:3],
        tuple(JULY[1:3]),
        set(JULY[1:3]),
        iter(JULY[1:3]),
        ["2024-07-03", "2024-07-02", "2024-07-02"],
        np.array(["2024-07-02", "2024-07-03"], dtype="datetime64[D]"),
        pd.date_range("2024-07-02", "2024-07-03"),
        pd.date_range("2024-07-02", "2024-07-03", tz="Europe/Brussels"),
        pd.Series(pd.date_range("2024-07-01T22:00Z", "2024-07-02T22:00Z")),
        [JULY[1], pd.Timestamp("2024-07-03")],
    ],
)
def test_days_of_any_type_choose_these_brussels_days(days: Any) -> None:
    market = market_of(np.zeros(4 * 96))
    assert select(market, days_of_month=days) == (Span(96, 192), Span(192, 288))


def test_days_of_the_month_are_read_as_text() -> None:
    assert read_days("1-20") == read_days(DaysOfMonth(1, 20)) == DaysOfMonth(1, 20)


@pytest.mark.parametrize(
    ("days", "fault"),
    [
        (20, "days: must be days of the month such as 1-20, or a list of days, not 20"),
        (JULY[0], r"days: must be days of the month such as 1-20, or a list of days, not datetime.date"),
        (np.array("2024-07-01", dtype="datetime64[D]"), "days: must be days of the month such as 1-20"),
        ("2024-07-01", "days: '2024-07-01' is not a range such as 26-31"),
        ([], "days: contains no day"),
        ([JULY[0], 7, "soon", np.datetime64("NaT")], "days: 7 is not .*\ndays: 'soon' is not .*\ndays: .*NaT.* is not"),
        (range(20), "days: 4 is not an ISO 8601 day.*\ndays: and 15 more that are not days"),
    ],
)
def test_invalid_days_are_refused_with_all_faults(days: Any, fault: str) -> None:
    with pytest.raises(BadInput, match=fault):
        read_days(days)


def test_days_that_the_market_does_not_have_are_refused_with_what_it_covers() -> None:
    market = market_of(np.zeros(4 * 96))
    fault = "days_of_month: the market does not have 2024-06-30, 2024-07-05; it covers 2024-07-01 to 2024-07-04"
    with pytest.raises(BadInput, match=fault):
        select(market, days_of_month=["2024-06-30", "2024-07-04", "2024-07-05"])


def test_a_selection_names_each_option_that_is_wrong() -> None:
    with pytest.raises(BadInput) as caught:
        select(market_of(np.zeros(96)), start="2024-07-01T00:00", end="soon", days_of_month="x", soc_reset="weekly")
    assert [fault.where for fault in caught.value.faults] == ["start", "end", "soc_reset", "days_of_month"]


@pytest.mark.parametrize("soc_reset", ["weekly", "", 1, [], np.array(["daily"] * 2), pd.NA])
def test_what_is_no_reset_is_refused_by_name(soc_reset: Any) -> None:
    with pytest.raises(BadInput, match="soc_reset: must be one of"):
        select(market_of(np.zeros(96)), soc_reset=soc_reset)
