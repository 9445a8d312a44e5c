"""A market that feels an injection: cleared one quarter-hour at a time it is the market cleared whole, and by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.errors import BadInput
from arbitrage.market.point_in_time import DAY_AHEAD, INDICATIVE, PRICE, RESIDUAL, WIND_FORECAST
from arbitrage.market.simulation.merit_order import ClearedMinutes
from arbitrage.market.simulation.price_impact import MovedMarket
from arbitrage.market.simulation.simulator import clear, draw_scenario
from tests.examples import examples
from tests.impact_worlds import FEBRUARY, JULY, across_the_rules, by_hand


def first_minute_only(power_mw: float) -> np.ndarray:
    return np.concatenate([[power_mw], np.zeros(14)])


def cleared_by_hand(start: int, injection_mw: np.ndarray, imbalance_mw: float = -100.0) -> ClearedMinutes:
    return MovedMarket(by_hand(start, imbalance_mw), start).clear(injection_mw[None])


def last_price(start: int, injection_mw: np.ndarray, imbalance_mw: float = -100.0) -> float:
    return float(cleared_by_hand(start, injection_mw, imbalance_mw).imbalance_price_eur_mwh[0, -1])


@pytest.mark.parametrize("row", [0, 1, 29, 48, 95])
@examples(5)
@given(seed=st.integers(0, 2**32 - 1), size_mw=st.sampled_from([1e-6, 3.0, 400.0]))
def test_cleared_one_by_one_the_market_is_the_one_cleared_whole_to_the_last_bit(
    row: int, seed: int, size_mw: float
) -> None:
    scenario = across_the_rules(seed=seed % 5)
    random = np.random.default_rng(seed)
    injection_mw = np.zeros(scenario.end - scenario.start)
    injection_mw[15 * row :] = size_mw * random.standard_normal(len(injection_mw) - 15 * row)
    whole = clear(scenario, injection_mw).market(with_minutes=True)
    market = MovedMarket(scenario, scenario.start + 15 * row)
    for part in injection_mw[15 * row :].reshape(-1, 15):
        market.settle(part)
    assert market.series.known_series.keys() == whole.known_series.keys()
    for name, series in whole.known_series.items():
        np.testing.assert_array_equal(market.series.known_series[name].values, series.values, err_msg=name)
        np.testing.assert_array_equal(market.series.known_series[name].available_at, series.available_at)
    np.testing.assert_array_equal(market.series.price_eur_mwh, whole.price_eur_mwh)
    np.testing.assert_array_equal(market.series.frame[PRICE], whole.price_eur_mwh)


def test_many_injections_at_once_are_each_cleared_as_if_alone() -> None:
    scenario = across_the_rules()
    market = MovedMarket(scenario, scenario.start + 15 * 50)
    injections_mw = np.random.default_rng(0).normal(0.0, 150.0, (20, 15))
    together = market.clear(injections_mw)
    for number, injection_mw in enumerate(injections_mw):
        alone = market.clear(injection_mw[None])
        for both, single in zip(together, alone, strict=True):
            np.testing.assert_array_equal(both[number], single[0])


@pytest.mark.parametrize("start", [FEBRUARY, JULY])
def test_injection_lowers_the_price_of_a_shortage_by_hand(start: int) -> None:
    # 100 MW short: 200. With 50 MW the reserves bring 50: 175. Taking 50 calls 150: 225.
    assert last_price(start, np.zeros(15)) == 200.0
    assert last_price(start, np.full(15, 50.0)) == 175.0
    assert last_price(start, np.full(15, -50.0)) == 225.0


def test_a_single_minute_ratchets_an_extreme_and_shifts_an_average_by_hand() -> None:
    # Extremes: what was called in one minute stays; a minute of less changes nothing once the next calls more.
    assert last_price(FEBRUARY, first_minute_only(-50.0)) == 225.0
    records = cleared_by_hand(FEBRUARY, first_minute_only(50.0)).imbalance_price_eur_mwh[0]
    np.testing.assert_array_equal(records, [175.0, *[200.0] * 14])
    # Averages: (150 x 225 + 14 x 100 x 200) / 1550 and (50 x 175 + 14 x 100 x 200) / 1450.
    assert last_price(JULY, first_minute_only(-50.0)) == 202.419
    assert last_price(JULY, first_minute_only(50.0)) == 199.138


def test_an_injection_larger_than_the_shortage_settles_at_the_other_side_by_hand() -> None:
    # 20 MW short and 70 MW more: 50 MW long, downward 80 - 40 x 1.5. With 30 MW it is 10 MW long: 80 - 40 x 1.25 of the
    # first bid to 2024-05-21, and since then the avoided activation of the dead band.
    for start, within in ((FEBRUARY, 30.0), (JULY, 33.0)):
        assert last_price(start, np.full(15, 70.0), imbalance_mw=-20.0) == 20.0
        assert last_price(start, np.full(15, 30.0), imbalance_mw=-20.0) == within


def test_the_next_quarter_hour_is_affected_through_the_alpha_component_only_where_reserves_follow_at_once() -> None:
    # 500 MW short in both. 300 MW in the first halve what the second sees of it: x = (500 + 200) / 2 = 350.
    scenario = by_hand(FEBRUARY, imbalance_mw=-500.0)
    market = MovedMarket(scenario, FEBRUARY)
    market.settle(np.full(15, 300.0))
    second = market.clear(np.zeros((1, 15)))
    # Upward price 100 + 50 x 6 = 400, from which on there is no alpha; with a premium of 5 it is 130 and alpha full.
    assert second.imbalance_price_eur_mwh[0, -1] == 400.0
    cheap = scenario.bids._replace(upward_premium_eur_mwh=np.full(96, 5.0))
    cheaper = MovedMarket(dataclasses.replace(scenario, bids=cheap), FEBRUARY)
    cheaper.settle(np.full(15, 300.0))
    expected = round(200.0 / (1.0 + np.exp((450.0 - 350.0) / 65.0)), 2)
    assert cheaper.clear(np.zeros((1, 15))).alpha_component_eur_mwh[0, -1] == expected


@examples(60)
@given(row=st.integers(0, 47), power_mw=st.floats(0.0, 400.0))
def test_steady_injection_never_raises_the_price_of_its_quarter_hour_under_the_older_rules(
    row: int, power_mw: float
) -> None:
    scenario = across_the_rules(seed=2)
    market = MovedMarket(scenario, scenario.start + 15 * row)
    price = market.clear(np.array([np.zeros(15), np.full(15, power_mw)])).imbalance_price_eur_mwh[:, -1]
    assert price[1] <= price[0] + 0.0101


def test_a_record_is_absent_until_shown_and_known_when_it_always_was() -> None:
    scenario = across_the_rules()
    start = scenario.start + 15 * 40
    market = MovedMarket(scenario, start)
    unmoved = clear(scenario).market(with_minutes=True)
    later = market.series.known_at(scenario.end + 60)
    back = start - (scenario.end + 60)
    assert np.isnan(later.gather(INDICATIVE, np.arange(back, back + 60))).all()
    for name in (PRICE, RESIDUAL):
        assert np.isnan(later.gather(name, [back, back + 15])).all()
    for name in (DAY_AHEAD, WIND_FORECAST):
        np.testing.assert_array_equal(market.series.known_series[name].values, unmoved.known_series[name].values)
    np.testing.assert_array_equal(
        later.gather(INDICATIVE, np.arange(back - 600, back)),
        unmoved.known_at(scenario.end + 60).gather(INDICATIVE, np.arange(back - 600, back)),
    )
    market.show(market.clear(np.zeros((1, 15))))
    assert np.isnan(market.series.known_at(start + 1).gather(INDICATIVE, [-1])).all()
    assert not np.isnan(market.series.known_at(start + 2).gather(INDICATIVE, [-2])).any()
    assert np.isnan(later.gather(PRICE, [back])).all()


def test_what_was_shown_is_replaced_and_the_drawn_world_left_as_it_was() -> None:
    scenario = across_the_rules()
    before = scenario.minute_imbalance_mw.copy()
    response = scenario.bids.response_per_minute.copy()
    market = MovedMarket(scenario, scenario.start)
    both = market.clear(np.array([np.full(15, 300.0), np.zeros(15)]))
    for number in (0, 1):
        market.show(both, number)
        shown = market.series.known_series[INDICATIVE].values[:15]
        np.testing.assert_array_equal(shown, both.imbalance_price_eur_mwh[number])
    np.testing.assert_array_equal(scenario.minute_imbalance_mw, before)
    np.testing.assert_array_equal(scenario.bids.response_per_minute, response)


@pytest.mark.parametrize("offset", [-15, 7, 24 * 60])
def test_a_start_off_the_quarter_hour_or_outside_the_world_is_refused(offset: int) -> None:
    scenario = draw_scenario(FEBRUARY, FEBRUARY + 24 * 60, seed=0)
    with pytest.raises(BadInput, match="start"):
        MovedMarket(scenario, FEBRUARY + offset)
