"""The simulator: one seed one world, the settlement's rules on every row, and figures like the real ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.errors import BadInput
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, WIND_FORECAST
from arbitrage.market.settlement import alpha_component_eur_mwh, imbalance_price_eur_mwh
from arbitrage.market.simulation.merit_order import DEAD_BAND_MW, GRADUAL_FROM, bid_price_eur_mwh
from arbitrage.market.simulation.simulator import PRESETS, SimulatedMarket, clear, draw_scenario, simulate
from arbitrage.quarter_hour import epoch_minute, epoch_minutes, quarter_hours_in_day
from tests.examples import examples

INCREMENTAL = "marginal_incremental_price_eur_mwh"
DECREMENTAL = "marginal_decremental_price_eur_mwh"
IMBALANCE = "system_imbalance_mw"
ALPHA = "alpha_component_eur_mwh"

BEFORE = epoch_minute("2024-04-22T00:00+02:00")
AFTER = epoch_minute("2024-06-21T00:00+02:00")


@pytest.fixture(scope="module")
def across() -> SimulatedMarket:
    """A month before and a month after the change of rules of 2024-05-22."""
    return simulate(BEFORE, AFTER, seed=7, parameters="2024")


@pytest.fixture(scope="module")
def year() -> SimulatedMarket:
    """A year under the rules of 2022."""
    return simulate(epoch_minute("2022-01-01T00:00+01:00"), epoch_minute("2023-01-01T00:00+01:00"), seed=11)


def starts(table: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Starts of a table's rows as epoch minutes."""
    return epoch_minutes(pd.DatetimeIndex(table.index))


def autocorrelation(values: pd.Series[float], lag: int) -> float:
    """Pearson correlation of a series with itself `lag` rows later."""
    return float(np.corrcoef(values.to_numpy()[:-lag], values.to_numpy()[lag:])[0, 1])


def by_quarter_hour(minutes: pd.DataFrame, column: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """A column of the minute table, shape [quarter-hours, 15]."""
    return minutes[column].to_numpy(np.float64).reshape(-1, 15)


def test_one_seed_makes_one_world_and_another_seed_another() -> None:
    end = BEFORE + 2 * 1440
    first, again, other = (simulate(BEFORE, end, seed=seed) for seed in (3, 3, 4))
    for name in ("prices", "minutes", "day_ahead", "forecasts"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name), check_exact=True)
    assert not first.prices[PRICE].equals(other.prices[PRICE])


@examples(20)
@given(
    start=st.integers(0, 4 * 24 * 90).map(lambda quarter: BEFORE + 15 * quarter),
    length=st.integers(1, 4 * 60),
    more=st.integers(0, 4 * 60),
)
def test_a_longer_span_begins_with_the_same_world(start: int, length: int, more: int) -> None:
    short = simulate(start, start + 15 * length, seed=5, parameters="2024")
    long = simulate(start, start + 15 * (length + more), seed=5, parameters="2024")
    for name in ("prices", "minutes", "day_ahead", "forecasts"):
        table = getattr(short, name)
        pd.testing.assert_frame_equal(table, getattr(long, name).iloc[: len(table)], check_exact=True, check_freq=False)


@examples(20)
@given(start=st.integers(0, 4 * 24 * 300), length=st.integers(1, 4 * 60))
def test_any_span_comes_with_exactly_its_quarter_hours_and_minutes(start: int, length: int) -> None:
    first = BEFORE + 15 * start
    world = simulate(first, first + 15 * length, seed=1)
    assert starts(world.prices).tolist() == list(range(first, first + 15 * length, 15))
    assert starts(world.minutes).tolist() == list(range(first, first + 15 * length))
    assert starts(world.forecasts).tolist() == list(range(first, first + 15 * length, 15))
    hours = starts(world.day_ahead)
    assert hours[0] <= first < hours[0] + 60
    assert hours[-1] < first + 15 * length <= hours[-1] + 60


@pytest.mark.parametrize(("day", "quarter_hours"), [("2025-03-30", 92), ("2025-10-26", 100), ("2025-07-01", 96)])
def test_a_brussels_day_has_as_many_quarter_hours_as_its_clock_says(day: str, quarter_hours: int) -> None:
    first = pd.Timestamp(day, tz="Europe/Brussels")
    last = first + pd.DateOffset(days=1)
    world = simulate(epoch_minute(first), epoch_minute(last), seed=1)
    assert len(world.prices) == quarter_hours == quarter_hours_in_day(int(world.market().day_numbers[0]))
    assert len(world.day_ahead) == quarter_hours // 4


def test_the_price_rule_holds_on_every_quarter_hour(across: SimulatedMarket) -> None:
    table, times = across.prices, starts(across.prices)
    imbalance = table[IMBALANCE].to_numpy()
    before = np.concatenate([[0.0], imbalance[:-1]])
    component = alpha_component_eur_mwh(times, imbalance, before, table[INCREMENTAL], table[DECREMENTAL])
    price = imbalance_price_eur_mwh(times, imbalance, table[INCREMENTAL], table[DECREMENTAL], table[ALPHA])
    half_a_digit = np.where(times >= GRADUAL_FROM, 0.0005, 0.005) + 1e-9
    assert (np.abs(table[ALPHA] - component) <= half_a_digit).all()
    np.testing.assert_allclose(table[PRICE], price, rtol=0, atol=1e-9)
    assert (table[ALPHA] > 0.0).mean() > 0.1


def test_the_price_rule_holds_on_every_minute_with_the_imbalance_before_left_out_of_the_first(
    across: SimulatedMarket,
) -> None:
    table = across.minutes
    times = epoch_minutes(pd.DatetimeIndex(table["quarter_hour"]))
    finals = across.prices[IMBALANCE].to_numpy()
    before = np.repeat(np.concatenate([[0.0], finals[:-1]]), 15)
    before[::15] = 0.0
    component = alpha_component_eur_mwh(times, table[IMBALANCE], before, table[INCREMENTAL], table[DECREMENTAL])
    price = imbalance_price_eur_mwh(times, table[IMBALANCE], table[INCREMENTAL], table[DECREMENTAL], table[ALPHA])
    assert (np.abs(table[ALPHA] - component) <= 0.005 + 1e-9).all()
    np.testing.assert_allclose(table[PRICE], price, rtol=0, atol=1e-9)


def test_the_last_minute_of_a_quarter_hour_is_what_settles(across: SimulatedMarket) -> None:
    for column in (PRICE, IMBALANCE, INCREMENTAL, DECREMENTAL, ALPHA):
        np.testing.assert_array_equal(by_quarter_hour(across.minutes, column)[:, -1], across.prices[column])


def test_a_minutes_imbalance_is_the_mean_since_the_quarter_hour_began(across: SimulatedMarket) -> None:
    own = across.scenario.minute_imbalance_mw.reshape(-1, 15)
    mean = np.cumsum(own, axis=1) / np.arange(1, 16)
    np.testing.assert_allclose(by_quarter_hour(across.minutes, IMBALANCE), mean, rtol=0, atol=0.0005001)


def test_marginal_prices_only_ratchet_outward_before_the_change_of_rules(across: SimulatedMarket) -> None:
    old = across.minutes[starts(across.minutes) < GRADUAL_FROM]
    assert (np.diff(by_quarter_hour(old, INCREMENTAL), axis=1) >= 0.0).all()
    assert (np.diff(by_quarter_hour(old, DECREMENTAL), axis=1) <= 0.0).all()


def test_marginal_prices_move_both_ways_after_the_change_of_rules(across: SimulatedMarket) -> None:
    new = across.minutes[starts(across.minutes) >= GRADUAL_FROM]
    change = np.diff(by_quarter_hour(new, INCREMENTAL), axis=1)
    assert (change > 0.0).mean() > 0.1
    assert (change < 0.0).mean() > 0.1


def test_within_the_dead_band_one_price_settles_the_whole_quarter_hour(across: SimulatedMarket) -> None:
    new = across.minutes[starts(across.minutes) >= GRADUAL_FROM]
    small = new[new[IMBALANCE].abs() < DEAD_BAND_MW]
    assert len(small) > 1_000
    by_quarter = small.groupby("quarter_hour")[PRICE]
    assert (by_quarter.max() == by_quarter.min()).all()


def test_each_regime_publishes_its_own_measure_of_regulation(across: SimulatedMarket) -> None:
    old = across.prices[starts(across.prices) < GRADUAL_FROM]
    new = across.prices[starts(across.prices) >= GRADUAL_FROM]
    assert old["net_regulation_volume_mw"].notna().all()
    assert old["area_control_error_mw"].isna().all()
    assert new["area_control_error_mw"].notna().all()
    assert new["net_regulation_volume_mw"].isna().all()
    assert old["net_regulation_volume_mw"].corr(old[IMBALANCE]) < -0.9


def ladder(world: SimulatedMarket, volumes_mw: range) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Price of the last bid called at each volume, shape [every 100th quarter-hour, volumes]."""
    bids = world.scenario.bids
    rows = range(0, len(bids.upward_start_eur_mwh), 100)
    return np.array([[bid_price_eur_mwh(bids, row, float(volume)) for volume in volumes_mw] for row in rows])


def test_bids_rise_upward_and_fall_downward_and_leave_a_gap_between(across: SimulatedMarket) -> None:
    up, down = ladder(across, range(25, 1_001, 25)), ladder(across, range(-25, -1_001, -25))
    assert (np.diff(up, axis=1) >= 0.0).all()
    assert (np.diff(down, axis=1) <= 0.0).all()
    assert (up[:, -1] > up[:, 0]).all()
    assert (down[:, -1] < down[:, 0]).all()
    assert (up[:, 0] > down[:, 0]).all()


def test_ordinary_bids_are_convex_on_both_sides(across: SimulatedMarket) -> None:
    bids = across.scenario.bids
    endless = np.full_like(bids.bid_mw, np.inf)
    ordinary = bids._replace(upward_jump_from_mw=endless, downward_jump_from_mw=endless, extreme_from_mw=endless)
    for row in (0, 1_000, 5_000):
        volumes = bids.bid_mw[row] * np.arange(1, 20)
        up = np.array([bid_price_eur_mwh(ordinary, row, volume) for volume in volumes[volumes < 1_000.0]])
        down = np.array([bid_price_eur_mwh(ordinary, row, -volume) for volume in volumes[volumes < 1_000.0]])
        assert (np.diff(up, 2) > 0.0).all()
        assert (np.diff(down, 2) < 0.0).all()


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_price_jumps_where_ordinary_bids_end_and_other_reserves_begin(across: SimulatedMarket, side: float) -> None:
    bids = across.scenario.bids
    up = side > 0.0
    jump_from = bids.upward_jump_from_mw if up else bids.downward_jump_from_mw
    jump = bids.upward_jump_eur_mwh if up else bids.downward_jump_eur_mwh
    rows = [row for row in range(0, len(jump_from), 50) if jump_from[row] < 500.0]
    assert len(rows) > 20
    for row in rows:
        flat = bids._replace(upward_jump_eur_mwh=0.0 * jump, downward_jump_eur_mwh=0.0 * jump)
        last = bids.bid_mw[row] * np.floor(jump_from[row] / bids.bid_mw[row])
        beyond = last + bids.bid_mw[row]
        assert bid_price_eur_mwh(bids, row, side * last) == bid_price_eur_mwh(flat, row, side * last)
        rise = bid_price_eur_mwh(bids, row, side * beyond) - bid_price_eur_mwh(flat, row, side * beyond)
        assert rise == pytest.approx(side * jump[row])
    assert np.std(np.log(jump_from[: 20 * 96])) > 0.2


def test_the_preset_2019_has_the_ladder_of_2018_and_2019() -> None:
    start = epoch_minute("2022-01-01T00:00+01:00")
    world = simulate(start, start + 365 * 1440, seed=3, parameters="2019")
    prices = ladder(world, range(-600, 601, 100))
    middle = (prices[:, 5] + prices[:, 7]) / 2.0
    distance = np.median(np.abs(prices - middle[:, None]), axis=0)
    assert distance[[0, 8, 10, 12]] / distance[7] == pytest.approx([10.5, 1.77, 2.79, 5.76], rel=0.3)
    assert distance[[1, 2, 3]] / distance[7] == pytest.approx([1.57, 1.52, 1.40], rel=0.3)


def test_the_marginal_price_rises_with_the_shortage_as_in_2024() -> None:
    world = simulate(epoch_minute("2024-01-01T00:00Z"), epoch_minute("2024-04-14T04:00Z"), seed=2, parameters="2024")
    table = world.prices
    hourly = world.day_ahead[DAY_AHEAD].reindex(pd.DatetimeIndex(table.index).floor("h")).to_numpy()
    distance = table[INCREMENTAL] - hourly
    small = distance[table[IMBALANCE].between(-75.0, -25.0)].median()
    great = distance[table[IMBALANCE].between(-300.0, -200.0)].median()
    greatest = distance[table[IMBALANCE].between(-700.0, -400.0)].median()
    assert small == pytest.approx(73.0, rel=0.25)
    assert great == pytest.approx(109.0, rel=0.25)
    assert greatest > great + 50.0


def test_day_ahead_prices_and_forecasts_become_known_the_day_before() -> None:
    start = epoch_minute("2025-03-29T00:00+01:00")
    market = simulate(start, start + 3 * 1440 - 60, seed=2).market()
    noon, one, six = (epoch_minute(f"2025-03-29T{hour}:00+01:00") for hour in (12, 13, 18))
    tomorrow_noon = epoch_minute("2025-03-30T12:00+02:00")
    assert np.isnan(market.known_at(noon).gather(DAY_AHEAD, [tomorrow_noon - noon])).all()
    assert not np.isnan(market.known_at(one).gather(DAY_AHEAD, [tomorrow_noon - one])).any()
    assert np.isnan(market.known_at(one).gather(WIND_FORECAST, [tomorrow_noon - one])).all()
    assert not np.isnan(market.known_at(six).gather(WIND_FORECAST, [tomorrow_noon - six])).any()


def test_an_injection_lengthens_the_system_and_never_raises_a_price_before_alpha() -> None:
    end = AFTER + 5 * 1440
    scenario = draw_scenario(AFTER, end, seed=9, parameters="2024")
    alone, joined = clear(scenario), clear(scenario, np.full(end - AFTER, 50.0))
    np.testing.assert_allclose(joined.minutes[IMBALANCE] - alone.minutes[IMBALANCE], 50.0, atol=0.0011)
    assert joined.prices[PRICE].mean() < alone.prices[PRICE].mean()
    pd.testing.assert_frame_equal(clear(scenario, np.zeros(end - AFTER)).prices, alone.prices, check_exact=True)


def test_an_injection_ends_where_it_ends() -> None:
    scenario = draw_scenario(AFTER, AFTER + 1440, seed=9)
    injection = np.zeros(1440)
    injection[600:615] = 100.0
    alone, joined = clear(scenario), clear(scenario, injection)
    changed = np.flatnonzero((alone.prices[IMBALANCE] != joined.prices[IMBALANCE]).to_numpy())
    assert changed.tolist() == [40]


@pytest.mark.parametrize(
    ("start", "end", "seed", "preset", "place"),
    [
        (AFTER + 1, AFTER + 60, 0, "2022", "start"),
        (AFTER, AFTER + 61, 0, "2022", "end"),
        (AFTER, AFTER, 0, "2022", "end"),
        (AFTER, AFTER + 60, -1, "2022", "seed"),
        (AFTER, AFTER + 60, 0, "1999", "parameters"),
        (epoch_minute("2019-12-31T00:00Z"), AFTER, 0, "2022", "start"),
    ],
)
def test_an_invalid_span_seed_or_preset_is_refused(start: int, end: int, seed: int, preset: str, place: str) -> None:
    with pytest.raises(BadInput) as refused:
        simulate(start, end, seed=seed, parameters=preset)
    assert [fault.where for fault in refused.value.faults] == [place]


def test_parameters_may_be_given_instead_of_a_preset() -> None:
    preset = PRESETS["2024"]
    still = dataclasses.replace(preset.system_imbalance, slow_std_mw=1.0, fast_std_mw=1.0)
    usual = simulate(BEFORE, BEFORE + 10 * 1440, seed=1, parameters=preset)
    calm = simulate(BEFORE, BEFORE + 10 * 1440, seed=1, parameters=dataclasses.replace(preset, system_imbalance=still))
    assert calm.prices[IMBALANCE].std() < 0.6 * usual.prices[IMBALANCE].std()
    pd.testing.assert_frame_equal(calm.day_ahead, usual.day_ahead, check_exact=True)


def test_a_year_of_2022_has_the_level_the_memory_and_the_range_of_2022(year: SimulatedMarket) -> None:
    price = year.prices[PRICE]
    hourly = year.day_ahead[DAY_AHEAD].reindex(pd.DatetimeIndex(price.index).floor("h")).to_numpy()
    days = price.groupby(year.market().day_numbers)
    assert price.mean() == pytest.approx(234.0, rel=0.25)
    assert price.std() == pytest.approx(222.0, rel=0.20)
    assert (price < 0.0).mean() == pytest.approx(0.129, abs=0.05)
    assert autocorrelation(price, 1) == pytest.approx(0.71, abs=0.07)
    assert autocorrelation(price, 4) == pytest.approx(0.57, abs=0.10)
    assert (days.max() - days.min()).median() == pytest.approx(693.0, rel=0.15)
    assert np.corrcoef(price, hourly)[0, 1] == pytest.approx(0.57, abs=0.10)


def test_a_first_quarter_of_2024_has_the_imbalance_of_that_quarter() -> None:
    world = simulate(epoch_minute("2024-01-01T00:00Z"), epoch_minute("2024-04-14T04:00Z"), seed=2, parameters="2024")
    imbalance = world.prices[IMBALANCE]
    assert imbalance.mean() == pytest.approx(-27.0, abs=15.0)
    assert imbalance.std() == pytest.approx(173.0, rel=0.15)
    assert autocorrelation(imbalance, 1) == pytest.approx(0.74, abs=0.06)
    assert (world.prices[ALPHA] > 0.0).mean() == pytest.approx(0.22, abs=0.05)


def by_minute_of_hour(world: SimulatedMarket, hours: range) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Own imbalance of each minute in the Brussels hours named, shape [hours found, 60]."""
    scenario = world.scenario
    first = int(scenario.fundamentals.quarter_hours[0])
    own = scenario.minute_imbalance_mw[scenario.start - first : scenario.end - first].reshape(-1, 60)
    clock = pd.DatetimeIndex(world.minutes.index[::60]).tz_convert("Europe/Brussels").hour
    return own[np.isin(clock, list(hours))]


def test_schedules_are_flat_within_the_hour_so_that_ramps_leave_a_sawtooth(year: SimulatedMarket) -> None:
    rising, falling = by_minute_of_hour(year, range(16, 18)), by_minute_of_hour(year, range(21, 23))
    for hours, sign in ((rising, 1.0), (falling, -1.0)):
        first, last = hours[:, :15].mean(), hours[:, 45:].mean()
        assert sign * (first - last) > 25.0
    imbalance = year.prices[IMBALANCE].to_numpy().reshape(-1, 4)
    into_the_hour = np.sqrt(np.mean((imbalance[1:, 0] - imbalance[:-1, 3]) ** 2))
    within_the_hour = np.sqrt(np.mean(np.diff(imbalance, axis=1) ** 2))
    assert into_the_hour > 1.1 * within_the_hour


def test_sunny_hours_are_the_most_volatile(year: SimulatedMarket) -> None:
    noon, night = by_minute_of_hour(year, range(11, 15)), by_minute_of_hour(year, range(4))
    assert noon.mean(axis=1).std() > 1.3 * night.mean(axis=1).std()


def test_calm_and_volatile_times_alternate_in_the_imbalance_of_hours_and_of_minutes(year: SimulatedMarket) -> None:
    imbalance = year.prices[IMBALANCE].to_numpy().reshape(-1, 4)
    standardised = (imbalance - imbalance.mean()) / imbalance.std()
    assert np.mean(standardised**4) > 4.5
    level = pd.Series(np.abs(imbalance - np.median(imbalance)).mean(axis=1))
    own = year.scenario.minute_imbalance_mw[: 15 * imbalance.size].reshape(-1, 60)
    roughness = pd.Series(np.abs(np.diff(own, axis=1)).mean(axis=1))
    assert level.rank().corr(roughness.rank()) > 0.25
    assert autocorrelation(roughness, 3) > 0.4


def test_load_is_low_in_the_night_and_highest_in_the_evening(year: SimulatedMarket) -> None:
    fundamentals = year.scenario.fundamentals
    load = pd.Series(fundamentals.load_mw[:-1], index=year.prices.index)
    hourly = load.groupby(load.index.tz_convert("Europe/Brussels").hour).mean()
    assert hourly.idxmin() in (2, 3, 4)
    assert hourly.idxmax() in (17, 18, 19)
    assert hourly.max() - hourly.min() == pytest.approx(3_000.0, rel=0.25)


def test_the_indicative_price_comes_to_rest_within_the_quarter_hour(across: SimulatedMarket) -> None:
    new = across.minutes[starts(across.minutes) >= GRADUAL_FROM]
    price = by_quarter_hour(new, PRICE)
    median = np.median(np.abs(price - price[:, -1:]), axis=0)
    assert (np.diff(median) < 0.0).all()
    assert 40.0 < median[0] < 120.0
    assert median[13] < 2.0
    imbalance = by_quarter_hour(new, IMBALANCE)
    agrees = (np.sign(imbalance) == np.sign(imbalance[:, -1:])).mean(axis=0)
    assert agrees[0] == pytest.approx(0.78, abs=0.06)
    assert agrees[13] > 0.95
