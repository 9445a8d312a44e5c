"""The batched twin: bit for bit what the single environment does, and a Gymnasium vector environment."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.battery import Battery
from arbitrage.env.batched import BatchedImbalanceEnv
from arbitrage.env.registration import ENVIRONMENT_ID, register
from arbitrage.env.single import BelgianImbalanceEnv
from arbitrage.features.names import FeatureSet
from arbitrage.market.point_in_time import PRICE, PointInTimeSeries
from arbitrage.market.series import MarketSeries, build_market
from tests.examples import examples
from tests.minute_worlds import simulated_days
from tests.worlds import batteries, market_of, noisy_market

WORLD = noisy_market(seed=2, days=3, gaps=20)


def minute_world(delay_min: int) -> MarketSeries:
    """The simulated days with minute records, and with a gap in the first quarter-hours of 2 July."""
    world = simulated_days()
    prices = world.prices.copy()
    prices.iloc[[193, 195], 0] = np.nan
    tables = {"day_ahead": world.day_ahead, "forecasts": world.forecasts, "minutes": world.minutes}
    return build_market(prices, **tables, publication_delay_min=delay_min)


MINUTE_WORLDS = {delay_min: minute_world(delay_min) for delay_min in (0, 1, 2, 20)}


@examples(25)
@given(
    battery=batteries(),
    kind=st.sampled_from(["discrete", "continuous"]),
    step_min=st.sampled_from([1, 3, 5, 15]),
    day=st.sampled_from(["2024-07-01", "2024-07-02"]),
    soc_fraction=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_battery_of_the_twin_does_to_the_last_bit_what_the_single_environment_does(
    battery: Battery, kind: str, step_min: int, day: str, soc_fraction: float, seed: int
) -> None:
    # Two whole days in quarter-hours, midnight included; the first hours in finer steps.
    steps = 2 * 96 if step_min == 15 else 150
    options = {"day": day, "soc_fraction": soc_fraction}
    compare_with_twin(WORLD, battery, steps, seed, options, actions=kind, step_min=step_min, episode_days=2)


@examples(25)
@given(
    battery=batteries(),
    kind=st.sampled_from(["discrete", "continuous"]),
    features=st.sampled_from(list(FeatureSet)),
    step_min=st.sampled_from([1, 5]),
    delay_min=st.sampled_from(sorted(MINUTE_WORLDS)),
    soc_fraction=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_so_it_does_by_the_minute_with_every_set_of_features_across_midnight_and_a_gap(
    battery: Battery, kind: str, features: str, step_min: int, delay_min: int, soc_fraction: float, seed: int
) -> None:
    # The series begins two hours before midnight, so that few steps reach the next day and its gap.
    market = cut(MINUTE_WORLDS[delay_min], first=184)
    setting = {"actions": kind, "step_min": step_min, "features": features, "partial_days": True, "episode_days": 2}
    options = {"day": "2024-07-01", "soc_fraction": soc_fraction}
    compare_with_twin(market, battery, 210 // step_min, seed, options, **setting)


def cut(market: MarketSeries, first: int) -> MarketSeries:
    """The market whose series begins at row `first`; what was published before stays known."""
    price = market.known_series[PRICE]
    later = PointInTimeSeries(price.first_minute + 15 * first, price.values[first:], price.available_at[first:])
    return dataclasses.replace(
        market,
        frame=market.frame.iloc[first:],
        quarter_hours=market.quarter_hours[first:],
        price_eur_mwh=later.values,
        day_numbers=market.day_numbers[first:],
        known_series={**market.known_series, PRICE: later},
    )


def compare_with_twin(
    market: MarketSeries, battery: Battery, steps: int, seed: int, options: dict[str, Any], **setting: Any
) -> None:
    random, count, kind = np.random.default_rng(seed), 3, setting["actions"]
    twin = BatchedImbalanceEnv(count, market, battery, **setting)
    singles = [BelgianImbalanceEnv(market, battery, **setting) for _ in range(count)]
    assert twin.observation_names == singles[0].observation_names
    observed, info = twin.reset(seed=0, options=options)
    for i, single in enumerate(singles):
        alone, alone_info = single.reset(seed=0, options=options)
        np.testing.assert_array_equal(observed[i], alone)
        assert info["soc_mwh"][i] == alone_info["soc_mwh"]
    for _ in range(steps):
        shape = (count,) if kind == "discrete" else (count, 1)
        actions = random.integers(0, 3, shape) if kind == "discrete" else random.uniform(-1.2, 1.2, shape)
        observed, rewards, terminated, truncated, info = twin.step(actions)
        for i, single in enumerate(singles):
            alone, reward, ended, cut, alone_info = single.step(actions[i])
            np.testing.assert_array_equal(observed[i], alone)
            assert (rewards[i], terminated[i], truncated[i]) == (reward, ended, cut)
            for name in ("power_mw", "soc_mwh", "cycles_used"):
                assert info[name][i] == alone_info[name]


def test_it_is_made_by_gymnasium_and_its_spaces_hold_what_it_returns() -> None:
    register()
    made = gymnasium.make_vec(ENVIRONMENT_ID, num_envs=5, vectorization_mode="vector_entry_point", market=WORLD)
    assert isinstance(made.unwrapped, BatchedImbalanceEnv)
    observed, _ = made.reset(seed=0)
    assert made.observation_space.contains(observed)
    observed, rewards, terminated, truncated, info = made.step(made.action_space.sample())
    assert made.observation_space.contains(observed)
    for flags in (terminated, truncated):
        assert (flags.shape, flags.dtype, flags.any()) == ((5,), np.bool_, False)
    assert (rewards.shape, rewards.dtype) == ((5,), np.float64)
    assert {name: values.shape for name, values in info.items()} == dict.fromkeys(info, (5,))


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_after_truncation_the_next_step_begins_anew_and_moves_nothing(actions: str) -> None:
    twin = BatchedImbalanceEnv(2, market_of(np.full(96, 10.0)), actions=actions)
    twin.reset(seed=0)
    act = twin.action_space.sample()
    for at in range(96):
        _, _, terminated, truncated, _ = twin.step(act)
        assert truncated.tolist() == [at == 95] * 2
        assert not terminated.any()
    observed, rewards, _, truncated, info = twin.step(act)
    assert rewards.tolist() == [0.0, 0.0]
    assert not truncated.any()
    assert info["power_mw"].tolist() == [0.0, 0.0]
    assert info["cycles_used"].tolist() == [0.0, 0.0]
    assert twin.observation_space.contains(observed)


def test_what_was_returned_is_not_changed_by_the_next_step() -> None:
    twin = BatchedImbalanceEnv(3, WORLD)
    observed, info = twin.reset(seed=0)
    kept = observed.copy(), {name: values.copy() for name, values in info.items()}
    first = twin.step(np.array([0, 1, 2]))
    first_kept = first[1].copy(), first[4]["soc_mwh"].copy(), first[4]["power_mw"].copy()
    twin.step(np.array([2, 0, 0]))
    np.testing.assert_array_equal(observed, kept[0])
    for name, values in info.items():
        np.testing.assert_array_equal(values, kept[1][name])
    for now, then in zip((first[1], first[4]["soc_mwh"], first[4]["power_mw"]), first_kept, strict=True):
        np.testing.assert_array_equal(now, then)


def test_batteries_start_at_states_of_their_own() -> None:
    _, info = BatchedImbalanceEnv(50, WORLD).reset(seed=0)
    assert len(set(info["soc_mwh"].tolist())) == 50


@pytest.mark.parametrize("action", [-1, 3])
def test_an_action_that_there_is_not_is_refused(action: int) -> None:
    twin = BatchedImbalanceEnv(2, WORLD)
    twin.reset(seed=0)
    with pytest.raises((ValueError, IndexError)):
        twin.step(np.array([1, action]))


def test_a_gap_holds_every_battery() -> None:
    market: MarketSeries = market_of([np.nan, *[50.0] * 95])
    twin = BatchedImbalanceEnv(2, market, start_soc_fraction=0.5)
    twin.reset(seed=0)
    _, rewards, _, _, info = twin.step(np.array([0, 2]))
    assert rewards.tolist() == [0.0, 0.0]
    assert info["soc_mwh"].tolist() == [1.0, 1.0]
