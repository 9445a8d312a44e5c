"""The encoder by the minute: what each set of features holds, from when, and that a row stands on its own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from arbitrage.battery import Battery
from arbitrage.features.battery_state import BATTERY_FEATURES, encode_battery
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.minutes import PREVIOUS, RUNNING
from arbitrage.features.names import PLAN_GROUPS, RECENT_GROUPS, FeatureSet
from arbitrage.market.point_in_time import DAY_AHEAD, INDICATIVE, PRICE
from arbitrage.market.series import MarketSeries, build_market
from arbitrage.quarter_hour import utc_timestamps
from tests.minute_worlds import market_of_minutes, minute_table, simulated_days, simulated_market
from tests.worlds import SUMMER_MIDNIGHT

QUARTER_HOUR, REFERENCE, FULL = (MarketFeatures(feature_set) for feature_set in FeatureSet)
TIMES = SUMMER_MIDNIGHT + np.arange(0, 24 * 60 + 1)


def named(features: MarketFeatures, market: MarketSeries, time: int) -> dict[str, float]:
    row = features.encode(market.known_at(time))[0]
    assert row.dtype == np.float32
    return dict(zip(features.names, row.tolist(), strict=True))


def test_each_set_holds_the_groups_it_says() -> None:
    plan_and_recent = tuple(name for group in (*PLAN_GROUPS, *RECENT_GROUPS) for name in group)
    assert QUARTER_HOUR.names == plan_and_recent
    assert FULL.names == (*plan_and_recent, *PREVIOUS, *RUNNING)
    assert REFERENCE.names == ("quarter_hour_of_day", "month", "newest_indicative")
    for features in (QUARTER_HOUR, REFERENCE, FULL):
        names = features.names + BATTERY_FEATURES[features.feature_set]
        assert len(set(names)) == len(names)
        encoded = features.encode(simulated_market(1).known_at(TIMES[:50]))
        assert (encoded.shape, encoded.dtype) == ((50, len(features.names)), np.float32)
        assert np.isfinite(encoded).all()


def test_the_reference_sees_clock_month_and_the_newest_price() -> None:
    # 18:45 and 10 minutes on 1 July in Brussels, delay 1: the record of 18:53 is the newest.
    minute = 18 * 60 + 55
    market = market_of_minutes(minute_table(**{PRICE: np.arange(1440.0)}), np.zeros(96))
    seen = named(REFERENCE, market, SUMMER_MIDNIGHT + minute)
    assert seen["quarter_hour_of_day"] == pytest.approx(75 / 96)
    assert seen["month"] == pytest.approx(7 / 12)
    assert seen["newest_indicative"] == pytest.approx((minute - 2) / 100)
    # In the first minute of a quarter-hour the newest record belongs to the one before.
    assert named(REFERENCE, market, SUMMER_MIDNIGHT + 45)["newest_indicative"] == pytest.approx(0.43)


@pytest.mark.parametrize("delay_min", [0, 1, 2, 16])
def test_at_minute_k_the_newest_record_that_is_encoded_is_that_of_k_less_1_less_the_delay(delay_min: int) -> None:
    market = market_of_minutes(minute_table(**{PRICE: np.arange(1440.0)}), np.zeros(96), delay_min)
    for minute in range(30, 60):
        newest = minute - 1 - delay_min
        in_running = newest >= minute - minute % 15
        full = named(FULL, market, SUMMER_MIDNIGHT + minute)
        assert full["records_fraction"] == pytest.approx((newest % 15 + 1) / 15 if in_running else 0.0)
        reference = named(REFERENCE, market, SUMMER_MIDNIGHT + minute)["newest_indicative"]
        before = newest >= minute - minute % 15 - 15
        assert reference == pytest.approx(newest / 100 if before else 0.0)


def test_a_quarter_hour_is_described_as_it_was_known_when_it_began() -> None:
    market, quarters = simulated_market(1), len(FULL.quarter_names)
    encoded = FULL.encode(market.known_at(TIMES))
    for start in range(0, 24 * 60, 15):
        alone = FULL.encode(market.known_at(TIMES[start]))[0]
        np.testing.assert_array_equal(encoded[start : start + 15, :quarters], np.tile(alone[:quarters], (15, 1)))
    assert (encoded[14::15, quarters:] != encoded[13::15, quarters:]).any(axis=1).all()


def test_prices_of_the_running_quarter_hour_are_differences_to_its_day_ahead_price() -> None:
    # A day-ahead price of 60, a scale of 120 before there is a history, and a first record of 300: 240 / 120.
    index = utc_timestamps(SUMMER_MIDNIGHT + 15 * np.arange(96))
    prices = minute_table(**{PRICE: np.zeros(96)}).set_index(index)
    day_ahead = minute_table(**{DAY_AHEAD: np.full(24, 60.0)}).set_index(index[::4])
    market = build_market(prices, day_ahead=day_ahead, minutes=minute_table(**{PRICE: [300.0]}))
    seen = named(FULL, market, SUMMER_MIDNIGHT + 2)
    assert seen["indicative"] == pytest.approx(2.0)
    assert seen["day_ahead"] == pytest.approx(0.5)


def test_the_price_just_ended_is_its_newest_indicative_one_until_it_is_published() -> None:
    # The price of the first quarter-hour, 200, is published at minute 16; at minute 15 its record 13 says 113.
    table = minute_table(**{PRICE: 100.0 + np.arange(30)})
    for delay_min, expected in ((0, 200.0), (1, 113.0)):
        market = market_of_minutes(table, [200.0, 0.0], delay_min)
        seen = named(FULL, market, SUMMER_MIDNIGHT + 15)
        # Without day-ahead prices the base is the mean of what is known: 200, or nothing yet.
        encoded = FULL.encode_quarters(market.known_at(SUMMER_MIDNIGHT + 15))
        assert encoded.base_eur_mwh[0] == (200.0 if delay_min == 0 else 0.0)
        past = seen["past_1"] * encoded.scale_eur_mwh[0] + encoded.base_eur_mwh[0]
        assert past == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("features", [QUARTER_HOUR, REFERENCE, FULL], ids=lambda features: features.feature_set)
def test_a_time_encoded_alone_has_the_bits_of_a_day_encoded_at_once(features: MarketFeatures) -> None:
    market = simulated_market(1)
    day = features.encode(market.known_at(TIMES))
    for row in range(0, len(TIMES), 37):
        np.testing.assert_array_equal(features.encode(market.known_at(TIMES[row]))[0], day[row])
    some = np.random.default_rng(0).permutation(len(TIMES))[:101]
    np.testing.assert_array_equal(features.encode(market.known_at(TIMES[some])), day[some])


def test_the_quarter_hour_set_does_not_look_at_the_minutes_of_the_running_quarter_hour() -> None:
    market = simulated_days().market(with_minutes=True, publication_delay_min=0)
    series = market.known_series[INDICATIVE]
    time = SUMMER_MIDNIGHT + 10
    starts = series.first_minute + np.arange(len(series.values))
    other = np.where(starts >= SUMMER_MIDNIGHT, series.values + 500.0, series.values)
    changed = dataclasses.replace(
        market, known_series={**market.known_series, INDICATIVE: dataclasses.replace(series, values=other)}
    )
    np.testing.assert_array_equal(
        QUARTER_HOUR.encode(market.known_at(time)), QUARTER_HOUR.encode(changed.known_at(time))
    )
    assert (FULL.encode(market.known_at(time)) != FULL.encode(changed.known_at(time))).any()


@pytest.mark.parametrize(
    ("feature_set", "expected"),
    [
        # 0.5 of 2 MWh; 0.33 of 1.1 cycles used; 0.125 of the 0.25 MWh of 15 minutes; 50 EUR on 2 MWh: 0.25 x 100 EUR.
        (FeatureSet.QUARTER_HOUR, [0.25, 0.7, 0.4, 0.5]),
        (FeatureSet.REFERENCE, [0.25, 0.33, 0.4]),
        (FeatureSet.FULL, [0.25, 0.7, 0.4, 0.5, 0.25]),
    ],
)
def test_a_battery_is_encoded_as_worked_out(feature_set: FeatureSet, expected: list[float]) -> None:
    names = BATTERY_FEATURES[feature_set]
    out = np.full((1, len(names)), np.nan, dtype=np.float32)
    state = [np.array([value]) for value in (0.5, 0.33, 0.125, 50.0)]
    encode_battery(feature_set, Battery(max_cycles_per_day=1.1), *state, 0.4, out)
    np.testing.assert_allclose(out[0], expected, rtol=1e-6)


@pytest.mark.parametrize(("budget", "left"), [(None, 1.0), (0.0, 0.0)])
def test_the_budget_left_is_whole_without_a_budget_and_nothing_with_a_budget_of_nothing(
    budget: float | None, left: float
) -> None:
    out = np.full((2, 4), np.nan, dtype=np.float32)
    nothing = np.zeros(2)
    battery = Battery(max_cycles_per_day=budget)
    encode_battery(FeatureSet.QUARTER_HOUR, battery, nothing, nothing, nothing, nothing, 0.0, out)
    assert out[:, 1].tolist() == [left, left]
