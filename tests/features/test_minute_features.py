"""What the minute records of a quarter-hour say, worked out by hand."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from arbitrage.features import minutes as minute_features
from arbitrage.features.minutes import (
    PREVIOUS,
    RUNNING,
    last_record_of,
    newest_indicative,
    previous_features,
    records_known,
    running_features,
)
from arbitrage.market.point_in_time import ALPHA_COMPONENT, DECREMENTAL, INCREMENTAL, PRICE, KnownMarket
from tests.minute_worlds import market_of_minutes, minute_table, simulated_market
from tests.worlds import SUMMER_MIDNIGHT

NAN = float("nan")
IMBALANCE = "system_imbalance_mw"
GENUINE = {
    PRICE: [80.0, -145.57, -193.467, -222.726, -225.686, -222.74, -215.894, -214.599, 80.0, 80.0],
    IMBALANCE: [22.205, 53.497, 66.332, 77.501, 68.843, 61.413, 55.115, 30.463, -0.614, -23.602],
}
"""The first ten minutes of 2024-09-06 as Elia published them."""


def knowledge_at(minute: int, table: pd.DataFrame, delay_min: int = 0) -> KnownMarket:
    return market_of_minutes(table, np.zeros(4), delay_min).known_at(SUMMER_MIDNIGHT + minute)


def running_at(
    minute: int, delay_min: int = 0, base: float = 0.0, scale: float = 1.0, **columns: npt.ArrayLike
) -> dict[str, float]:
    """Features of the first quarter-hour at one of its minutes."""
    known = knowledge_at(minute, minute_table(**columns), delay_min)
    row = running_features(known, np.array([SUMMER_MIDNIGHT]), np.array([base]), np.array([scale]))[0]
    return dict(zip(RUNNING, row.tolist(), strict=True))


def previous_at(minute: int, table: pd.DataFrame, delay_min: int, base: float, scale: float) -> dict[str, float]:
    """Features of the quarter-hour before the second one, at a minute from the beginning of the table."""
    start = np.array([SUMMER_MIDNIGHT + 15])
    row = previous_features(knowledge_at(minute, table, delay_min), start, np.array([base]), np.array([scale]))[0]
    return dict(zip(PREVIOUS, row.tolist(), strict=True))


def test_prices_are_differences_to_the_base_in_units_of_the_scale() -> None:
    seen = running_at(4, base=50.0, scale=10.0, **{PRICE: [100.0, 140.0, 70.0, 80.0, 999.0]})
    # Four records: newest 80, mean 97.5, highest 140, lowest 70, one minute before 70, three minutes before 100.
    expected = {
        "records_fraction": 4 / 15,
        "indicative": 3.0,
        "indicative_mean": 4.75,
        "indicative_max": 9.0,
        "indicative_min": 2.0,
        "indicative_change_1": 1.0,
        "indicative_change_3": -2.0,
    }
    for name, value in expected.items():
        assert seen[name] == pytest.approx(value), name


def test_a_missing_record_is_skipped_and_the_newest_known_one_counts() -> None:
    prices = {PRICE: [100.0, 140.0, NAN, 80.0]}
    three = running_at(3, base=50.0, scale=10.0, **prices)
    assert three["records_fraction"] == pytest.approx(2 / 15)
    assert (three["indicative"], three["indicative_change_1"], three["indicative_change_3"]) == (9.0, 4.0, 0.0)
    four = running_at(4, base=50.0, scale=10.0, **prices)
    assert four["records_fraction"] == pytest.approx(4 / 15)
    assert four["indicative_mean"] == pytest.approx((320 / 3 - 50) / 10)
    assert (four["indicative"], four["indicative_max"], four["indicative_min"]) == (3.0, 9.0, 3.0)
    # The record of the minute before is missing, that of three minutes before is not: 80 - 100.
    assert (four["indicative_change_1"], four["indicative_change_3"]) == (0.0, -2.0)


def test_the_imbalance_of_single_minutes_is_recovered_from_means_since_the_quarter_hour_began() -> None:
    # Minutes of 60, -60, 0 and 120 MW have the running means 60, 0, 0, 30.
    means = {PRICE: np.zeros(4), IMBALANCE: [60.0, 0.0, 0.0, 30.0]}
    last = [running_at(minute, **means)["imbalance_last_minute"] for minute in (1, 2, 3, 4)]
    assert last == pytest.approx([0.6, -0.6, 0.0, 1.2])
    four = running_at(4, **means)
    assert four["imbalance"] == pytest.approx(0.3)
    assert four["imbalance_last_3_minutes"] == pytest.approx(0.2)  # (-60 + 0 + 120) / 3
    # 4 of 15 minutes at a mean of 30, the other 11 taken at 20: 8 + 14.667 MW.
    assert four["imbalance_projected"] == pytest.approx((4 * 30 + 11 * 20) / 15 / 100)
    # Spread of what is left: 55 x (11/15 + 0.02) = 41.433 MW; 22.667 / 41.433 = 0.547; 0.708 of a normal lies below.
    assert four["long_share"] == pytest.approx(0.708, abs=5e-4)
    assert four["long_share"] == pytest.approx(NormalDist(0.0, 55 * (11 / 15 + 0.02)).cdf(340 / 15))


def test_fewer_than_three_minutes_are_all_of_them() -> None:
    means = {PRICE: np.zeros(2), IMBALANCE: [60.0, 20.0]}
    assert running_at(1, **means)["imbalance_last_3_minutes"] == pytest.approx(0.6)
    assert running_at(2, **means)["imbalance_last_3_minutes"] == pytest.approx(0.2)


def test_any_path_of_minutes_is_recovered_from_its_means() -> None:
    minutes = np.random.default_rng(0).normal(0.0, 200.0, 15)
    means = np.cumsum(minutes) / np.arange(1, 16)
    for known in range(1, 16):
        seen = running_at(known, **{PRICE: np.zeros(15), IMBALANCE: means})
        assert seen["imbalance_last_minute"] == pytest.approx(minutes[known - 1] / 100)
        assert seen["imbalance_last_3_minutes"] == pytest.approx(minutes[max(0, known - 3) : known].mean() / 100)
        left = (15 - known) / 15
        projected = (1 - left) * means[known - 1] + left * minutes[max(0, known - 3) : known].mean()
        assert seen["imbalance_projected"] == pytest.approx(projected / 100)


def test_where_the_mean_before_is_missing_the_mean_since_the_beginning_replaces_it() -> None:
    seen = running_at(4, **{PRICE: np.zeros(4), IMBALANCE: [60.0, 0.0, NAN, 30.0]})
    assert seen["imbalance_last_minute"] == pytest.approx(0.3)
    assert seen["imbalance_last_3_minutes"] == pytest.approx(0.2)  # The mean after one minute is known.


@pytest.mark.parametrize(
    ("means", "changes", "on_side"),
    [
        ([10.0, 20.0, 5.0], 0, 3),
        ([10.0, -5.0, -5.0, 20.0, 20.0], 2, 2),
        ([-1.0, 1.0], 1, 1),
        ([10.0, NAN, -5.0], 1, 1),  # It changed somewhere in the gap.
        ([10.0, NAN, 5.0], 0, 3),
        ([10.0, 0.0, -5.0], 1, 1),
        ([10.0, 0.0, 5.0], 0, 3),
        ([0.0, 0.0, -5.0], 0, 3),
    ],
)
def test_changes_of_sign_and_minutes_since_the_last_are_counted(means: list[float], changes: int, on_side: int) -> None:
    seen = running_at(len(means), **{PRICE: np.zeros(len(means)), IMBALANCE: means})
    assert seen["sign_changes_fraction"] == pytest.approx(changes / 15)
    assert seen["minutes_on_side_fraction"] == pytest.approx(on_side / 15)


@pytest.mark.parametrize(("mean", "sign"), [(30.0, -1.0), (-30.0, 1.0)])
def test_the_expected_side_weighs_both_marginal_prices_and_alpha_widens_the_side_of_the_moment(
    mean: float, sign: float
) -> None:
    # One record: 14 minutes are left, taken at the same mean. Long: decremental - alpha; short: incremental + alpha.
    columns = {PRICE: [1.0], IMBALANCE: [mean], INCREMENTAL: [300.0], DECREMENTAL: [-100.0], ALPHA_COMPONENT: [20.0]}
    seen = running_at(1, base=50.0, scale=10.0, **columns)
    share = NormalDist(0.0, 55 * (14 / 15 + 0.02)).cdf(mean)
    assert seen["long_share"] == pytest.approx(share)
    assert (seen["incremental"], seen["decremental"], seen["alpha"]) == (25.0, -15.0, 2.0)
    assert seen["expected_sides"] == pytest.approx(share * -15.0 + (1 - share) * 25.0 + sign * 2.0)


def test_a_marginal_price_that_equals_the_base_counts_as_any_other() -> None:
    columns = {PRICE: [1.0], IMBALANCE: [-1000.0], INCREMENTAL: [50.0], DECREMENTAL: [-100.0]}
    # Surely short: the incremental price, which is the base.
    assert running_at(1, base=50.0, scale=10.0, **columns)["expected_sides"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("absent", [IMBALANCE, INCREMENTAL, DECREMENTAL])
def test_without_imbalance_or_either_marginal_price_the_indicative_price_is_what_is_expected(absent: str) -> None:
    columns = {PRICE: [70.0], IMBALANCE: [30.0], INCREMENTAL: [300.0], DECREMENTAL: [-100.0], ALPHA_COMPONENT: [20.0]}
    seen = running_at(1, base=50.0, scale=10.0, **(columns | {absent: [NAN]}))
    assert seen["expected_sides"] == seen["indicative"] == 2.0


def test_without_a_known_record_every_feature_is_0() -> None:
    columns = {PRICE: [80.0], IMBALANCE: [30.0], INCREMENTAL: [300.0], DECREMENTAL: [-100.0], ALPHA_COMPONENT: [20.0]}
    for minute, delay_min in ((0, 0), (1, 1), (2, 2)):
        assert set(running_at(minute, delay_min, base=50.0, **columns).values()) == {0.0}
    assert running_at(2, 1, base=50.0, **columns)["indicative"] == 30.0
    assert set(previous_at(15, minute_table(SUMMER_MIDNIGHT + 15, **columns), 0, 50.0, 1.0).values()) == {0.0}


def test_the_genuine_first_minutes_of_a_day_read_as_worked_out() -> None:
    # At minute 10 with delay 1, nine records are known; the newest says 80 EUR/MWh at a mean of -0.614 MW.
    seen = running_at(10, 1, base=100.0, scale=100.0, **GENUINE)
    assert seen["records_fraction"] == pytest.approx(9 / 15)
    assert seen["indicative"] == pytest.approx(-0.2)
    assert seen["indicative_change_1"] == pytest.approx(2.94599)  # 80 + 214.599
    assert seen["imbalance_last_minute"] == pytest.approx((9 * -0.614 - 8 * 30.463) / 100)  # -249.2 MW
    assert seen["imbalance_last_3_minutes"] == pytest.approx((9 * -0.614 - 6 * 61.413) / 3 / 100)  # -124.7 MW
    assert seen["sign_changes_fraction"] == pytest.approx(1 / 15)
    assert seen["minutes_on_side_fraction"] == pytest.approx(1 / 15)


def test_the_quarter_hour_before_is_encoded_from_the_records_known_when_this_one_begins() -> None:
    means = np.arange(15.0) * 10.0
    columns = {PRICE: 80.0 + np.arange(15), INCREMENTAL: 300.0 + np.arange(15), ALPHA_COMPONENT: np.arange(15)}
    table = minute_table(**{IMBALANCE: means, DECREMENTAL: -100.0 - np.arange(15)}, **columns)
    # Delay 1: the newest is record 13, of means 130 after 14 minutes, 120 after 13, 80 after 9.
    seen = previous_at(15, table, 1, base=50.0, scale=10.0)
    assert seen["previous_imbalance"] == pytest.approx(1.3)
    assert seen["previous_last_minute"] == pytest.approx((14 * 130 - 13 * 120) / 100)
    assert seen["previous_last_5_minutes"] == pytest.approx((14 * 130 - 9 * 80) / 5 / 100)
    assert seen["previous_incremental"] == pytest.approx((313 - 50) / 10)
    assert seen["previous_decremental"] == pytest.approx((-113 - 50) / 10)
    assert seen["previous_alpha"] == pytest.approx(1.3)
    # Without a delay the last record is known too.
    assert previous_at(15, table, 0, base=50.0, scale=10.0)["previous_imbalance"] == pytest.approx(1.4)


def test_the_newest_indicative_price_is_of_this_quarter_hour_or_else_of_the_one_before_or_else_0() -> None:
    table = minute_table(**{PRICE: 100.0 + np.arange(17)})
    expected = {1: 0.0, 2: 100.0, 14: 112.0, 15: 113.0, 16: 114.0, 17: 115.0, 31: 116.0, 46: 0.0}
    for minute, price in expected.items():
        start = np.array([SUMMER_MIDNIGHT + minute - minute % 15])
        assert newest_indicative(knowledge_at(minute, table, 1), start)[0] == price, minute


def test_records_are_counted_up_to_the_newest_known_one() -> None:
    start, table = np.array([SUMMER_MIDNIGHT]), minute_table(**{PRICE: [1.0, NAN, 3.0, NAN]})
    assert [records_known(knowledge_at(minute, table), start)[0] for minute in range(5)] == [0, 1, 1, 3, 3]
    newest = [last_record_of(knowledge_at(minute, table), start)[0] for minute in range(5)]
    np.testing.assert_array_equal(newest, [NAN, 1.0, 1.0, 3.0, 3.0])


def test_each_row_is_worked_out_on_its_own_whatever_stands_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    market, times = simulated_market(1), SUMMER_MIDNIGHT + np.arange(0, 1400, 7)
    starts, base, scale = times - times % 15, np.full(len(times), 90.0), np.full(len(times), 110.0)
    whole = running_features(market.known_at(times), starts, base, scale)
    assert np.isfinite(whole).all()
    assert (np.abs(whole).max(axis=0) > 0).all()
    monkeypatch.setattr(minute_features, "_ROWS_AT_ONCE", 7)
    np.testing.assert_array_equal(running_features(market.known_at(times), starts, base, scale), whole)
    for row in (0, 1, 50, 199):
        one = slice(row, row + 1)
        alone = running_features(market.known_at(times[one]), starts[one], base[one], scale[one])
        np.testing.assert_array_equal(alone[0], whole[row])
