"""Hours are distinguished from quarter-hours by the starts of the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from arbitrage.market.files.read import read_answer, read_table
from arbitrage.market.files.values.durations import durations_min
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE
from arbitrage.market.series import build_market
from arbitrage.quarter_hour import utc_timestamps
from tests.shared_data import shared_file

NOON = 28_927_440
HOURS, QUARTER_HOURS = [60 * hour for hour in range(6)], [360 + 15 * quarter for quarter in range(24)]
THEN_QUARTERS = HOURS + QUARTER_HOURS
THEN_HOURS = [start - 360 for start in QUARTER_HOURS] + [360 + start for start in HOURS]


def in_words(starts: Sequence[int]) -> list[int]:
    return durations_min(np.array(starts, dtype=np.int64)).tolist()


def gaps_of(starts: Sequence[int]) -> list[tuple[int, int]]:
    """Minutes from noon at which a file with these rows has gaps."""
    rows = [f"{stamp.isoformat()},1.0\n" for stamp in utc_timestamps([NOON + start for start in starts])]
    gaps = read_answer("file", ("datetime,dam_price_eur_mwh\n" + "".join(rows)).encode()).gaps()
    noon = utc_timestamps([NOON])[0]
    return [tuple(int((time - noon).total_seconds()) // 60 for time in gap) for gap in gaps]


@pytest.mark.parametrize("starts", [THEN_QUARTERS, THEN_HOURS, HOURS, QUARTER_HOURS])
def test_a_table_without_holes_has_no_gap_wherever_its_step_changes(starts: list[int]) -> None:
    assert gaps_of(starts) == []


@pytest.mark.parametrize("missing", THEN_QUARTERS[1:-1])
def test_any_one_missing_row_is_the_one_gap_on_both_sides_of_the_change(missing: int) -> None:
    end = missing + (60 if missing < 360 else 15)
    assert gaps_of([start for start in THEN_QUARTERS if start != missing]) == [(missing, end)]


@pytest.mark.parametrize(
    ("starts", "minutes"),
    [
        ([0], [60]),
        ([15], [15]),
        ([], []),
        ([0, 120, 240], [60, 60, 60]),
        # A row on the hour, alone between gaps, is what the rows around it are.
        ([0, 60, 180, 300, 360], [60, 60, 60, 60, 60]),
        ([0, 15, 120, 240, 255], [15, 15, 15, 15, 15]),
        # The three quarter-hours that an hour would have covered are missing here.
        ([0, 15, 30, 45, 60, 120, 135], [15, 15, 15, 15, 15, 15, 15]),
        ([15, 30, 60, 120, 135], [15, 15, 15, 15, 15]),
        # The last hour before the change, behind a gap.
        ([0, 60, 180, 240, 255], [60, 60, 60, 15, 15]),
    ],
)
def test_rows_beside_a_gap_are_what_their_neighbours_are(starts: list[int], minutes: list[int]) -> None:
    assert in_words(starts) == minutes


def test_files_and_markets_take_rows_to_cover_the_same_minutes() -> None:
    starts = [start for start in THEN_QUARTERS if start not in (120, 180, 375, 390, 405)]
    stamps = utc_timestamps([NOON + start for start in starts])
    rows = "".join(f"{stamp.isoformat()},1.0\n" for stamp in stamps)
    table = read_answer("file", f"datetime,dam_price_eur_mwh\n{rows}".encode()).frame
    prices = pd.DataFrame({PRICE: 0.0}, index=stamps[:1])
    by_rule = build_market(prices, day_ahead=table[[DAY_AHEAD]]).known_series[DAY_AHEAD]
    by_file = build_market(prices, day_ahead=table).known_series[DAY_AHEAD]
    np.testing.assert_array_equal(by_file.values, by_rule.values)


def test_the_genuine_file_that_changes_to_quarter_hours_has_no_gap() -> None:
    table = read_table(shared_file("day_ahead_2024-05_2025-12_hours_then_quarter_hours.parquet"))
    assert (len(table.frame), table.gaps()) == (20_958, [])
    assert table.frame["duration_min"].value_counts().to_dict() == {60.0: 12_118, 15.0: 8_840}


def test_a_genuine_hour_before_and_a_quarter_hour_after_the_change_are_gaps_when_missing() -> None:
    frame = read_table(shared_file("day_ahead_2024-05_2025-12_hours_then_quarter_hours.parquet")).frame
    lost = [pd.Timestamp("2025-09-14T09:00Z"), pd.Timestamp("2025-10-20T09:00Z")]
    rows = "".join(f"{stamp.isoformat()},1.0\n" for stamp in frame.index if stamp not in lost)
    gaps = read_answer("file", f"datetime,dam_price_eur_mwh\n{rows}".encode()).gaps()
    assert gaps == [(lost[0], lost[0] + pd.Timedelta(hours=1)), (lost[1], lost[1] + pd.Timedelta(minutes=15))]
