"""Walk-forward windows: what is tested lies after what is learned from, and nothing is left out."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.errors import BadInput
from arbitrage.market.windows import WindowPlan, refuse_windows_outside
from arbitrage.quarter_hour import epoch_minute
from tests.worlds import noisy_market

PLAN = WindowPlan(train_from=dt.date(2021, 4, 24), test_from=dt.date(2022, 1, 1), test_until=dt.date(2023, 1, 1))


def test_a_year_month_by_month_is_twelve_windows_that_learn_from_more_and_more() -> None:
    windows = PLAN.windows()
    assert len(windows) == 12
    assert {window.train_start for window in windows} == {epoch_minute("2021-04-24T00:00+02:00")}
    assert windows[0].test_start == windows[0].train_end == epoch_minute("2022-01-01T00:00+01:00")
    assert windows[3].test_start == epoch_minute("2022-04-01T00:00+02:00")
    assert windows[-1].test_end == epoch_minute("2023-01-01T00:00+01:00")


@pytest.mark.parametrize(
    "day", ["2022-01-01", dt.datetime(2021, 12, 31, 23, tzinfo=dt.UTC), np.datetime64("2022-01-01")]
)
def test_days_of_any_type_are_the_brussels_days(day: Any) -> None:
    assert replace(PLAN, test_from=day) == PLAN


def test_what_is_not_a_day_is_refused_by_the_name_of_the_option() -> None:
    with pytest.raises(BadInput, match=r"test_from: .* is a time without a zone"):
        replace(PLAN, test_from=dt.datetime(2022, 1, 1, 12))  # type: ignore[arg-type]


def test_a_rolling_window_drops_old_days_and_an_embargo_keeps_its_distance() -> None:
    window = replace(PLAN, rolling_days=90, embargo_days=2).windows()[0]
    assert window.train_end == epoch_minute("2021-12-30T00:00+01:00")
    assert window.train_start == epoch_minute("2021-10-01T00:00+02:00")


def test_a_last_window_may_end_in_the_middle_of_a_month() -> None:
    windows = replace(PLAN, test_until=dt.date(2022, 2, 10), retrain_months=3).windows()
    assert [window.test_end for window in windows] == [epoch_minute("2022-02-10T00:00+01:00")]


@given(
    months=st.integers(1, 14),
    embargo=st.integers(0, 40),
    rolling=st.none() | st.integers(14, 800),
    until=st.dates(dt.date(2022, 1, 2), dt.date(2023, 12, 31)),
)
def test_windows_are_tested_without_a_break_and_never_on_what_they_learned(
    months: int, embargo: int, rolling: int | None, until: dt.date
) -> None:
    plan = replace(PLAN, retrain_months=months, embargo_days=embargo, rolling_days=rolling, test_until=until)
    windows = plan.windows()
    assert windows[0].test_start == epoch_minute("2022-01-01T00:00+01:00")
    assert windows[-1].test_end == epoch_minute(f"{until}T00:00+0{2 if _summer(until) else 1}:00")
    for before, after in itertools.pairwise(windows):
        assert before.test_end == after.test_start
    for window in windows:
        assert window.train_start < window.train_end <= window.test_start < window.test_end
        assert window.test_start - window.train_end >= embargo * 1380


def test_all_invalid_options_are_reported_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        replace(PLAN, test_from=dt.date(2022, 1, 2), test_until=dt.date(2021, 1, 1), retrain_months=0, embargo_days=-1)
    assert {fault.where for fault in refused.value.faults} == {
        "test_from",
        "test_until",
        "retrain_months",
        "embargo_days",
    }


def test_windows_outside_the_market_are_refused() -> None:
    with pytest.raises(BadInput, match="before the first price"):
        refuse_windows_outside(noisy_market(0, 40), PLAN.windows())


def _summer(day: dt.date) -> bool:
    """Whether clocks in Brussels were forward at the midnight that begins the day."""
    return _last_sunday(day.year, 3) < day <= _last_sunday(day.year, 10)


def _last_sunday(year: int, month: int) -> dt.date:
    last = dt.date(year, month, 31)
    return last - dt.timedelta(days=(last.weekday() + 1) % 7)
