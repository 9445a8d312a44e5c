"""The batched twin: bit for bit what the single environment does, and a Gymnasium vector environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbitrage.battery import Battery
from arbitrage.env.batched import BatchedImbalanceEnv
from arbitrage.env.registration import ENVIRONMENT_ID, register
from arbitrage.env.single import BelgianImbalanceEnv
from arbitrage.market.series import MarketSeries
from tests.worlds import batteries, market_of, noisy_market

WORLD = noisy_market(seed=2, days=3, gaps=20)


@settings(max_examples=25, deadline=None)
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
    random, count = np.random.default_rng(seed), 3
    options = {"day": day, "soc_fraction": soc_fraction}
    setting: dict[str, Any] = {"actions": kind, "step_min": step_min, "episode_days": 2}
    twin = BatchedImbalanceEnv(count, WORLD, battery, **setting)
    singles = [BelgianImbalanceEnv(WORLD, battery, **setting) for _ in range(count)]
    observed, info = twin.reset(seed=0, options=options)
    for i, single in enumerate(singles):
        alone, alone_info = single.reset(seed=0, options=options)
        np.testing.assert_array_equal(observed[i], alone)
        assert info["soc_mwh"][i] == alone_info["soc_mwh"]
    # Two whole days in quarter-hours, midnight included; the first hours in finer steps.
    for _ in range(2 * 24 * 60 // step_min if step_min == 15 else 150):
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
