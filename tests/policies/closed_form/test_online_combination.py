"""The combination of the learned forecast with the naive ones: who is followed, on what it rests, and its bits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from arbitrage.market.point_in_time import INDICATIVE, PRICE, PointInTimeSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.policies.closed_form.online_combination import (
    CombinationConfig,
    Opinions,
    combine,
    naive_forecasts,
    past_times,
)
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR

CONFIG = CombinationConfig(window_days=1, half_life_days=1.0, penalty=1.0, prior_share=0.5)
NOW = 15 * 2_000_000 + 6
TIMES = np.array([NOW])
SCALE = 50.0


def world(seed: int = 0) -> tuple[Opinions, np.ndarray, np.ndarray]:
    """Opinions at every time that is looked at, the prices that they are about, and those known before, [1, window]."""
    random = np.random.default_rng(seed)
    times = past_times(CONFIG, TIMES)
    price = random.normal(60.0, 80.0, len(times))
    learned = price + random.normal(0.0, 40.0, len(times))
    departures = random.normal(0.0, 1.0, (len(times), 3))
    opinions = Opinions(times, learned, np.full(len(times), SCALE), departures)
    return opinions, price, price[np.searchsorted(times, TIMES[:, None] - CONFIG.lags_min)]


def with_expert(opinions: Opinions, expert: int, forecast: np.ndarray) -> Opinions:
    departures = opinions.departures.copy()
    departures[:, expert] = (forecast - opinions.learned_eur_mwh) / SCALE
    return dataclasses.replace(opinions, departures=departures)


@pytest.mark.parametrize("expert", [0, 1, 2])
def test_an_expert_that_was_right_lately_is_followed(expert: int) -> None:
    opinions, price, settled = world()
    combined = combine(CONFIG, with_expert(opinions, expert, price), TIMES, settled)
    assert abs(combined[0] - price[-1]) < 0.1 * abs(opinions.learned_eur_mwh[-1] - price[-1])


def test_a_learned_forecast_that_was_right_lately_is_followed() -> None:
    opinions, price, settled = world()
    right = dataclasses.replace(opinions, learned_eur_mwh=price)
    assert abs(combine(CONFIG, right, TIMES, settled)[0] - price[-1]) < 0.1 * SCALE


def test_without_a_past_the_newest_record_and_the_learned_forecast_share_equally() -> None:
    opinions, _, settled = world()
    nothing = np.full_like(settled, np.nan)
    combined = combine(CONFIG, opinions, TIMES, nothing)
    half = opinions.learned_eur_mwh[-1] + SCALE * opinions.departures[-1, 0] / 2.0
    np.testing.assert_allclose(combined, [half])


def test_without_a_newest_record_the_last_price_has_its_prior_share() -> None:
    opinions, _, settled = world()
    opinions.departures[:, 0] = 0.0
    combined = combine(CONFIG, opinions, TIMES, np.full_like(settled, np.nan))
    half = opinions.learned_eur_mwh[-1] + SCALE * opinions.departures[-1, 1] / 2.0
    np.testing.assert_allclose(combined, [half])


def test_experts_that_agree_change_nothing() -> None:
    opinions, _, settled = world()
    agreeing = dataclasses.replace(opinions, departures=np.zeros_like(opinions.departures))
    np.testing.assert_array_equal(combine(CONFIG, agreeing, TIMES, settled), opinions.learned_eur_mwh[-1:])


def test_a_price_that_is_not_known_yet_teaches_nothing() -> None:
    opinions, _, settled = world()
    settled[0, :2] = np.nan
    wild = opinions.learned_eur_mwh.copy()
    wild[-3:-1] += 1_000.0
    without = combine(CONFIG, opinions, TIMES, settled)
    np.testing.assert_array_equal(
        combine(CONFIG, dataclasses.replace(opinions, learned_eur_mwh=wild), TIMES, settled), without
    )


def test_many_times_at_once_are_combined_as_each_alone_to_the_last_bit() -> None:
    random = np.random.default_rng(3)
    times = NOW + np.arange(0, 120, 7)
    looked_at = past_times(CONFIG, times)
    count = len(looked_at)
    every = Opinions(looked_at, random.normal(size=count), np.full(count, SCALE), random.normal(size=(count, 3)))
    settled = random.normal(size=(len(times), len(CONFIG.lags_min)))
    together = combine(CONFIG, every, times, settled)
    for number, time in enumerate(times):
        rows = np.searchsorted(looked_at, past_times(CONFIG, times[number : number + 1]))
        alone = combine(CONFIG, every.at(rows), np.array([time]), settled[number : number + 1])
        np.testing.assert_array_equal(alone, together[number : number + 1])


def test_the_last_price_is_the_settled_one_or_else_the_newest_record_of_that_quarter_hour() -> None:
    market = sample_market(with_minutes=True)
    start = int(market.quarter_hours[2_000])
    price, records = market.known_series[PRICE], market.known_series[INDICATIVE]
    minute = start - records.first_minute
    assert market.publication_delay_min == 1
    newest, last, base = naive_forecasts(market.known_at([start, start + 1, start + 4]), np.array([1.0, 2.0, 3.0])).T
    np.testing.assert_array_equal(base, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(newest, [np.nan, np.nan, records.values[minute + 2]])
    settled = price.values[(start - price.first_minute) // MINUTES_PER_QUARTER_HOUR - 1]
    np.testing.assert_array_equal(last, [records.values[minute - 2], settled, settled])


def test_without_minutes_the_last_price_is_the_newest_settled_one() -> None:
    market = sample_market()
    start, price = int(market.quarter_hours[2_000]), market.known_series[PRICE]
    row = (start - price.first_minute) // MINUTES_PER_QUARTER_HOUR
    late = PointInTimeSeries(price.first_minute, price.values, price.available_at + 10)
    known = dataclasses.replace(market, known_series={PRICE: late}).known_at([start])
    np.testing.assert_array_equal(naive_forecasts(known, np.zeros(1)), [[np.nan, price.values[row - 2], 0.0]])
