"""Which days a backtest tests, and what it says where these are not the ones asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from arbitrage.backtest.tested_days import DaysAsked, DaysTested, days_to_test, strict_faults
from arbitrage.errors import BadInput
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import SocReset, rows_of
from arbitrage.quarter_hour import calendar_day
from tests.worlds import noisy_market

MARKET = noisy_market(1, 31)
"""July 2024."""


def card(train: str = "1-20", validation: str = "21-25", soc_reset: str = "daily", **times: int) -> dict[str, Any]:
    """The card of a policy that learned on these days of the month."""
    split = {"train_days_of_month": train, "validation_days_of_month": validation, "soc_reset": soc_reset}
    return {"split": {**split, **times}}


def days(tested: DaysTested, market: MarketSeries = MARKET) -> list[int]:
    return [calendar_day(int(day)).day for day in np.unique(market.day_numbers[rows_of(tested.selection)])]


def test_a_policy_is_tested_on_what_it_has_not_seen_unless_days_are_named() -> None:
    tested = days_to_test(MARKET, DaysAsked(), [card()])
    assert days(tested) == [26, 27, 28, 29, 30, 31]
    assert tested.soc_reset is SocReset.DAILY
    assert "6 of 31 days" in tested.notes[0]
    assert days(days_to_test(MARKET, DaysAsked(days_of_month="1-31"), [card()])) == list(range(1, 32))


def test_several_policies_are_tested_on_what_none_of_them_has_seen() -> None:
    cards = [card("1-5", "6-6"), card("11-20", "21-28", "never")]
    assert days(days_to_test(MARKET, DaysAsked(), cards)) == [7, 8, 9, 10, 29, 30, 31]


def test_rules_and_policies_of_other_months_are_tested_on_everything() -> None:
    june = card(start_epoch_minute=0, end_epoch_minute=int(MARKET.quarter_hours[0]))
    for cards in ([], [june]):
        tested = days_to_test(MARKET, DaysAsked(), cards)
        assert len(days(tested)) == 31
        assert tested.notes == ()
        assert tested.soc_reset is SocReset.NEVER


def test_where_a_policy_has_seen_everything_it_is_tested_on_it_and_strict_refuses() -> None:
    cards = [card("1-20", "21-31")]
    tested = days_to_test(MARKET, DaysAsked(), cards)
    assert len(days(tested)) == 31
    messages = [fault.message for fault in strict_faults(MARKET, tested, cards)]
    assert messages == [
        "20 of the days tested are training days, 2024-07-01 first",
        "11 of the days tested are validation days, 2024-07-21 first",
    ]


def test_a_span_beyond_the_data_is_counted_and_strict_refuses_it() -> None:
    asked = DaysAsked(start="2024-06-30T00:00+02:00", end="2024-08-11T00:00+02:00")
    tested = days_to_test(MARKET, asked)
    assert tested.quarter_hours_beyond_data == 11 * 96
    assert "1,056 quarter-hours (11.0 days) are left out" in tested.notes[0]
    assert [fault.where for fault in strict_faults(MARKET, tested, [])] == ["span"]
    inside = days_to_test(MARKET, DaysAsked(start="2024-07-01T00:00+02:00", end="2024-08-01T00:00+02:00"))
    assert (inside.quarter_hours_beyond_data, inside.notes) == (0, ())


def test_a_card_that_does_not_say_what_it_learned_from_is_refused_when_strict() -> None:
    tested = days_to_test(MARKET, DaysAsked(), [{}])
    assert len(days(tested)) == 31
    assert "does not say" in strict_faults(MARKET, tested, [{}])[0].message


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (DaysAsked(start="2025-01-01T00:00Z"), r"start: 2025-01-01T00:00Z leaves nothing .* 2024-07-01T00:00\+02:00"),
        (DaysAsked(end="2023-01-01T00:00Z"), r"end: 2023-01-01T00:00Z leaves nothing to test"),
        (DaysAsked(start="2024-07-03T00:00Z", end="2024-07-02T00:00Z"), "end: .* is not after start"),
        (DaysAsked(start="2024-07-01T00:00Z", end="2024-07-02T00:00Z", days_of_month="5"), "days_of_month: 5 leaves"),
    ],
)
def test_what_leaves_nothing_is_named_with_what_the_data_cover(asked: DaysAsked, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        days_to_test(MARKET, asked)
