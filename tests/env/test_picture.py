"""The picture of the day so far: its shape, and that what it shows is what happened."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from arbitrage.battery import Battery
from arbitrage.env.batched import BatchedImbalanceEnv
from arbitrage.env.picture import HEIGHT, WIDTH
from arbitrage.env.registration import ENVIRONMENT_ID, register
from arbitrage.env.single import BelgianImbalanceEnv
from tests.worlds import MIDNIGHTS, market_of, noisy_market

CHARGE, IDLE, DISCHARGE = 0, 1, 2
LEFT, RIGHT = 8, WIDTH - 8
STORE, GIVEN, TAKEN = (46, 134, 122), (222, 122, 34), (45, 105, 196)
MARKET = noisy_market(seed=3, days=2, gaps=9)


def drawn(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Share of the day, from its start, in which the colour is drawn: first and last column."""
    columns = np.flatnonzero((picture == colour).all(axis=2).any(axis=0))
    return (columns[[0, -1]] - LEFT) / (RIGHT - LEFT) if len(columns) else columns


def rgb(market: object = MARKET, **settings: object) -> BelgianImbalanceEnv:
    env = BelgianImbalanceEnv(market, render_mode="rgb_array", **settings)
    env.reset(seed=0, options={"soc_fraction": 0.5})
    return env


@pytest.mark.filterwarnings("ignore:.*Box observation space m..imum value is .*infinity")
def test_it_passes_the_render_check_of_gymnasium() -> None:
    register()
    made = gymnasium.make(ENVIRONMENT_ID, market=MARKET, render_mode="rgb_array")
    check_env(made.unwrapped)
    assert made.metadata["render_modes"] == ["rgb_array"]
    made.reset(seed=0)
    picture = made.render()
    assert (picture.shape, picture.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)


def test_power_is_drawn_when_and_in_which_direction_it_flowed() -> None:
    env = rgb(market_of(np.full(96, 50.0)))
    assert len(drawn(env.render(), GIVEN)) == len(drawn(env.render(), TAKEN)) == 0
    for action in [CHARGE] * 4 + [IDLE] * 20 + [DISCHARGE] * 4:
        env.step(action)
    np.testing.assert_allclose(drawn(env.render(), TAKEN), [0.0, 4 / 96], atol=0.006)
    np.testing.assert_allclose(drawn(env.render(), GIVEN), [24 / 96, 28 / 96], atol=0.006)


def test_what_is_to_come_is_left_empty() -> None:
    env = rgb()
    for _ in range(48):
        env.step(IDLE)
    picture = env.render()
    np.testing.assert_allclose(drawn(picture, STORE), [0.0, 0.5], atol=0.006)
    middle = LEFT + (RIGHT - LEFT) // 2
    later = picture[:, middle + 2 : RIGHT]
    assert (
        len(np.unique(later.reshape(-1, 3), axis=0)) == 4
    )  # Paper, panels, rules, and the ink of zero lines and letters.


def test_a_full_and_an_empty_store_are_told_apart() -> None:
    heights = []
    for fraction in (0.0, 0.5, 1.0):
        env = rgb()
        env.reset(options={"soc_fraction": fraction})
        for _ in range(96):
            env.step(IDLE)
        heights.append(int((env.render() == STORE).all(axis=2).any(axis=1).sum()))
    assert heights[0] == 0
    assert heights[2] == pytest.approx(2 * heights[1], abs=3)


def test_the_next_day_begins_a_picture_of_its_own() -> None:
    env = rgb(market_of(np.full(192, 50.0)), episode_days=2)
    env.reset(options={"day": "2024-07-01", "soc_fraction": 0.5})
    for at in range(97):
        env.step(DISCHARGE if at == 0 else IDLE)
        if at == 95:
            assert len(drawn(env.render(), GIVEN)) == 2
    assert len(drawn(env.render(), GIVEN)) == 0
    assert drawn(env.render(), STORE)[1] < 0.02


@pytest.mark.parametrize("day", sorted(MIDNIGHTS))
@pytest.mark.parametrize("step_min", [1, 15])
def test_days_of_every_length_and_step_are_drawn_to_their_end(day: str, step_min: int) -> None:
    midnight, count = MIDNIGHTS[day]
    env = rgb(market_of(np.linspace(-500.0, 4000.0, count), midnight), step_min=step_min)
    for _ in range(count * 15 // step_min):
        env.step(IDLE)
    np.testing.assert_allclose(drawn(env.render(), STORE), [0.0, 1.0], atol=0.006)


def test_a_day_without_prices_and_one_of_zeros_are_drawn() -> None:
    market = market_of(np.repeat([np.nan, 0.0], 96))
    for day in ("2024-07-01", "2024-07-02"):
        env = rgb(market)
        env.reset(options={"day": day})
        env.step(CHARGE)
        assert env.render().shape == (HEIGHT, WIDTH, 3)


def test_the_twin_draws_for_each_battery_what_the_single_environment_draws() -> None:
    options = {"day": "2024-07-02", "soc_fraction": 0.5}
    twin = BatchedImbalanceEnv(3, MARKET, Battery(), render_mode="rgb_array")
    singles = [BelgianImbalanceEnv(MARKET, Battery(), render_mode="rgb_array") for _ in range(3)]
    for env in (twin, *singles):
        env.reset(options=options)
    for shift in range(40):
        actions = np.roll([CHARGE, IDLE, DISCHARGE], shift // 5)
        twin.step(actions)
        for env, action in zip(singles, actions, strict=True):
            env.step(action)
    pictures = twin.render()
    assert len(pictures) == 3
    for picture, env in zip(pictures, singles, strict=True):
        np.testing.assert_array_equal(picture, env.render())


@pytest.mark.parametrize("kind", [BelgianImbalanceEnv, BatchedImbalanceEnv])
def test_there_is_nothing_to_draw_before_the_first_reset_or_without_a_mode(kind: type) -> None:
    assert kind(market=MARKET).render() is None
    with pytest.raises(gymnasium.error.ResetNeeded):
        kind(market=MARKET, render_mode="rgb_array").render()
