"""Settings and options: what is accepted in any type, what is refused with all that is wrong, and days."""

from __future__ import annotations

import datetime as dt
import math
from fractions import Fraction
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest

from arbitrage.battery import Battery
from arbitrage.env.batched import BatchedImbalanceEnv
from arbitrage.env.registration import ENVIRONMENT_ID, register
from arbitrage.env.settings import EpisodeConfig, UnknownSetting
from arbitrage.env.single import BelgianImbalanceEnv
from arbitrage.errors import BadInput
from arbitrage.market.splits import DaysOfMonth
from tests.worlds import MIDNIGHTS, market_of, noisy_market

CHARGE, IDLE, DISCHARGE = 0, 1, 2
MARKET = noisy_market(seed=1, days=6)
"""Six whole days from 1 July 2024 on."""
KINDS = pytest.mark.parametrize("kind", [BelgianImbalanceEnv, BatchedImbalanceEnv])
register()


def made(id_or_vector: str, **settings: Any) -> Any:
    """The environment as Gymnasium makes it: `single` or `vector`."""
    if id_or_vector == "single":
        return gymnasium.make(ENVIRONMENT_ID, **settings)
    return gymnasium.make_vec(ENVIRONMENT_ID, num_envs=2, vectorization_mode="vector_entry_point", **settings)


def start_of(information: dict[str, Any]) -> str:
    return str(information["quarter_hour"])


WAYS = pytest.mark.parametrize("way", ["single", "vector"])


@WAYS
@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_makes_it_with_and_without_a_render_mode(way: str, render_mode: str | None) -> None:
    env = made(way, market=MARKET, render_mode=render_mode)
    assert env.unwrapped.render_mode == render_mode
    env.reset(seed=0)
    assert (env.render() is None) == (render_mode is None)


def test_vector_environments_of_stable_baselines_are_made_of_it() -> None:
    env_util = pytest.importorskip("stable_baselines3.common.env_util", reason="of the extra `compare`")
    envs = env_util.make_vec_env(ENVIRONMENT_ID, n_envs=2, env_kwargs={"market": MARKET, "days": "1-3"})
    assert envs.reset().shape[0] == 2


@WAYS
@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("day", "days"), ("reward_scales", "reward_scale"), ("step", "step_min"), ("batery", "battery")],
)
def test_a_setting_that_does_not_exist_is_a_type_error_that_names_it_and_the_nearest(
    way: str, wrong: str, meant: str
) -> None:
    with pytest.raises(TypeError, match=f"{wrong}: is not a setting of the environment; did you mean {meant}?"):
        made(way, market=MARKET, **{wrong: 1})


def test_where_no_setting_is_near_all_are_named() -> None:
    with pytest.raises(TypeError, match="xyz: is not a setting of the environment; there are step_min, actions,"):
        BelgianImbalanceEnv(MARKET, xyz=1)


@KINDS
def test_unknown_settings_and_wrong_values_are_named_together(kind: type) -> None:
    with pytest.raises(UnknownSetting) as caught:
        kind(market="prices.csv", battery={"power_mw": 1}, render_mode="human", step_min=7, days=7, dayz=1)
    named = [fault.where for fault in caught.value.faults]
    assert sorted(named) == ["battery", "days", "dayz", "market", "render_mode", "step_min"]


NOT_NUMBERS = ["1", "", True, [1], 1j, math.nan, {}]


@KINDS
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("episode_days", [*NOT_NUMBERS, None, 1.5, 1.0, 0, -1, math.inf]),
        ("start_soc_fraction", [*NOT_NUMBERS, -0.1, 1.1, math.inf]),
        ("reward_scale", [*NOT_NUMBERS, None, 0, -1.0, math.inf, 10**400, 5e-324, 1e300]),
        ("partial_days", ["no", "", None, 1, 0.0, []]),
        ("actions", ["analog", None, 1, [], "Discrete", np.array(["discrete"] * 2), pd.NA]),
        ("days", ["x", "", 7, 1.5, True, [], [1], ["soon"], [None], "2024-07-01", object()]),
        ("market", ["", 0, False, [], pd.DataFrame()]),
        ("battery", ["", 0, False, {}]),
        ("render_mode", ["", "human", 0, [], np.zeros(2), pd.NA]),
        ("features", ["", "most", 1, [], np.array(["full"] * 2), pd.NA]),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_the_name_of_its_setting(
    kind: type, name: str, values: list[object]
) -> None:
    for value in values:
        with pytest.raises(BadInput) as caught:
            kind(**{"market": MARKET, name: value})
        assert {fault.where for fault in caught.value.faults} == {name}, value


@pytest.mark.parametrize("num_envs", ["2", 0, -1, 2.0, True, None])
def test_a_number_of_batteries_that_makes_no_sense_is_refused(num_envs: Any) -> None:
    with pytest.raises(BadInput, match="num_envs: must be a whole number, 1 or more"):
        BatchedImbalanceEnv(num_envs, MARKET)


@pytest.mark.parametrize("percent", [50, 50.0, np.float32(50)])
def test_percent_are_refused_with_the_fraction_that_was_meant(percent: float) -> None:
    with pytest.raises(BadInput, match=r"start_soc_fraction: must be between 0 and 1, not 50.*; did you mean 0\.5\?"):
        BelgianImbalanceEnv(MARKET, start_soc_fraction=percent)
    with pytest.raises(BadInput, match=r"soc_fraction: must be between 0 and 1, not 50.*; did you mean 0\.5\?"):
        BelgianImbalanceEnv(MARKET).reset(options={"soc_fraction": percent})


def test_numbers_of_any_type_make_the_settings_that_python_numbers_make() -> None:
    own = EpisodeConfig(step_min=5, episode_days=2, start_soc_fraction=0.5, partial_days=True, reward_scale=2.0)
    other = EpisodeConfig(
        step_min=np.int64(5),
        episode_days=np.uint8(2),
        start_soc_fraction=Fraction(1, 2),
        partial_days=np.True_,
        reward_scale=np.float32(2),
        actions="discrete",
    )
    assert own == other
    assert {type(getattr(other, name)) for name in ("step_min", "episode_days")} == {int}


def test_an_empty_market_is_not_replaced_by_the_sample() -> None:
    empty = market_of(np.zeros(96))
    object.__setattr__(empty, "quarter_hours", empty.quarter_hours[:0])
    with pytest.raises((BadInput, IndexError)):
        BelgianImbalanceEnv(empty)


DAY = "2024-07-03"
BEGINS = "2024-07-02T22:00:00+00:00"


@KINDS
@pytest.mark.parametrize(
    "day",
    [
        DAY,
        dt.date(2024, 7, 3),
        dt.datetime(2024, 7, 3),
        dt.datetime(2024, 7, 2, 22, 30, tzinfo=dt.UTC),
        pd.Timestamp(DAY),
        pd.Timestamp(DAY, tz="Europe/Brussels"),
        np.datetime64(DAY),
        np.datetime64(DAY, "ns"),
    ],
)
def test_the_day_of_a_reset_may_be_of_any_date_type_and_is_never_a_day_off(kind: type, day: object) -> None:
    env = kind(market=MARKET)
    _, info = env.reset(options={"day": day})
    assert start_of(info if "quarter_hour" in info else first_quarter_hour(env)) == BEGINS


def first_quarter_hour(env: BatchedImbalanceEnv) -> dict[str, Any]:
    """The twin's info says no times: the episode's first minute, as the single environment says it."""
    minute = int(env._episode.times[0])
    return {"quarter_hour": dt.datetime.fromtimestamp(60 * minute, dt.UTC).isoformat()}


@pytest.mark.parametrize("day", sorted(MIDNIGHTS))
def test_the_night_of_the_change_of_clocks_is_the_brussels_day_that_numpy_names(day: str) -> None:
    midnight, count = MIDNIGHTS[day]
    env = BelgianImbalanceEnv(market_of(np.zeros(count), midnight))
    _, info = env.reset(options={"day": np.datetime64(day)})
    assert start_of(info) == dt.datetime.fromtimestamp(60 * midnight, dt.UTC).isoformat()


@KINDS
@pytest.mark.parametrize(
    "day", [20_000, 1.5, True, dt.datetime(2024, 7, 3, 12), np.datetime64("2024-07"), pd.NaT, b"x", []]
)
def test_what_is_not_a_day_is_refused_by_name(kind: type, day: object) -> None:
    with pytest.raises(BadInput, match=r"^day: "):
        kind(market=MARKET).reset(options={"day": day})


@KINDS
def test_a_day_that_the_market_does_not_have_is_refused_with_what_it_covers(kind: type) -> None:
    with pytest.raises(
        BadInput, match=r"no episode can begin on 2024-07-09 .* one can on 6 days, 2024-07-01 to 2024-07-06"
    ):
        kind(market=MARKET).reset(options={"day": "2024-07-09"})


@KINDS
def test_all_that_is_wrong_with_the_options_is_said_at_once(kind: type) -> None:
    env = kind(market=MARKET)
    with pytest.raises(BadInput) as caught:
        env.reset(options={"day": "soon", "soc_fraction": "half", "dya": 1})
    assert [fault.where for fault in caught.value.faults] == ["dya", "day", "soc_fraction"]
    assert "dya: is not an option of reset; did you mean day?" in str(caught.value)
    with pytest.raises(BadInput, match="options: must be a dict"):
        env.reset(options="2024-07-01")


@KINDS
@pytest.mark.parametrize("value", ["0.5", True, math.nan, [0.5], -0.1, 1.01, 1j])
def test_a_state_of_charge_that_is_no_fraction_is_refused(kind: type, value: object) -> None:
    with pytest.raises(BadInput, match="soc_fraction: must be between 0 and 1"):
        kind(market=MARKET).reset(options={"soc_fraction": value})


def days_drawn(env: Any, seeds: int = 60) -> set[str]:
    """Brussels days that resets draw."""
    found = set()
    for seed in range(seeds):
        env.reset(seed=seed)
        episode = env.unwrapped._episode
        found |= {
            str(pd.Timestamp(60 * int(at), unit="s", tz="UTC").tz_convert("Europe/Brussels").date())
            for at in episode.times
        }
    return found


JULY = [f"2024-07-0{day}" for day in range(1, 7)]


@KINDS
@pytest.mark.parametrize(
    ("days", "drawn"),
    [
        ("1-2", JULY[:2]),
        (DaysOfMonth(6, 31), JULY[5:]),
        ([JULY[0], dt.date(2024, 7, 5)], [JULY[0], JULY[4]]),
        (pd.date_range(JULY[2], JULY[3], tz="Europe/Brussels"), JULY[2:4]),
        (np.array([JULY[1]], dtype="datetime64[D]"), JULY[1:2]),
        ({JULY[0]: 1, JULY[1]: 2}, JULY[:2]),
    ],
)
def test_resets_draw_from_the_days_given_and_no_others(kind: type, days: Any, drawn: list[str]) -> None:
    assert days_drawn(kind(market=MARKET, days=days)) == set(drawn)


@KINDS
def test_days_are_read_once_and_kept(kind: type) -> None:
    env = kind(market=MARKET, days=(day for day in JULY[:3]))
    assert days_drawn(env) == set(JULY[:3])
    assert env.config.days == tuple(map(dt.date.fromisoformat, JULY[:3]))


@KINDS
def test_no_episode_goes_through_a_day_that_is_not_given(kind: type) -> None:
    env = kind(market=MARKET, days=[*JULY[:3], JULY[4]], episode_days=2)
    assert days_drawn(env) == set(JULY[:3])
    parts = kind(market=MARKET, days=[JULY[0], JULY[4], JULY[5]], episode_days=2, partial_days=True)
    assert days_drawn(parts) == {JULY[4], JULY[5]}
    with pytest.raises(
        BadInput, match="days: have no room for one episode of 2 whole Brussels days, one after the other"
    ):
        kind(market=MARKET, days=[JULY[0], JULY[2]], episode_days=2)


@KINDS
def test_an_episode_longer_than_any_market_is_refused_or_ends_with_the_market(kind: type) -> None:
    with pytest.raises(BadInput, match="market: is shorter than one episode of 1000000000000 whole Brussels days"):
        kind(market=MARKET, episode_days=10**12)
    assert days_drawn(kind(market=MARKET, episode_days=10**12, partial_days=True)) == set(JULY)


@KINDS
def test_an_option_does_not_lead_to_a_day_that_is_not_given(kind: type) -> None:
    with pytest.raises(
        BadInput, match=r"no episode can begin on 2024-07-06 .* one can on 2 days, 2024-07-01 to 2024-07-02"
    ):
        kind(market=MARKET, days="1-2").reset(options={"day": "2024-07-06"})


@KINDS
def test_days_that_the_market_does_not_have_whole_are_refused_with_what_it_covers(kind: type) -> None:
    with pytest.raises(
        BadInput, match="days: the market does not have 2024-06-30, 2024-07-07; it covers 2024-07-01 to 2024-07-06"
    ):
        kind(market=MARKET, days=["2024-06-30", JULY[0], "2024-07-07"])
    with pytest.raises(BadInput, match="days: have no room for one episode of 1 whole"):
        kind(market=MARKET, days="15-20")
    short = market_of(np.zeros(96 + 40))
    with pytest.raises(BadInput, match="days: the market does not have 2024-07-02; it covers 2024-07-01 to 2024-07-01"):
        kind(market=short, days=JULY[:2])
    assert days_drawn(kind(market=short, days=JULY[1:2], partial_days=True)) == {JULY[1]}


@pytest.mark.parametrize("scale", [0.5, 25.0, 1000.0])
def test_a_reward_scale_divides_rewards_alone(scale: float) -> None:
    battery, options = Battery(wear_cost_eur_mwh=8.0), {"day": DAY, "soc_fraction": 0.5}
    plain, scaled = (BelgianImbalanceEnv(MARKET, battery, reward_scale=by) for by in (1.0, scale))
    twin = BatchedImbalanceEnv(2, MARKET, battery, reward_scale=scale)
    for env in (plain, scaled, twin):
        env.reset(options=options)
    random = np.random.default_rng(0)
    for _ in range(96):
        action = int(random.integers(3))
        seen, reward, _, _, info = plain.step(action)
        seen_scaled, smaller, _, _, same = scaled.step(action)
        seen_twin, rewards, _, _, infos = twin.step([action, action])
        assert smaller == reward / scale
        assert rewards.tolist() == [smaller] * 2
        np.testing.assert_array_equal(seen, seen_scaled)
        np.testing.assert_array_equal(seen, seen_twin[0])
        assert same["profit_eur"] == info["profit_eur"] == infos["profit_eur"][1]
    assert abs(info["profit_eur"]) > 1.0


@KINDS
def test_a_step_before_the_first_reset_is_refused(kind: type) -> None:
    with pytest.raises(gymnasium.error.ResetNeeded):
        kind(market=MARKET).step(IDLE)


def test_a_step_after_the_last_is_refused() -> None:
    env = BelgianImbalanceEnv(market_of(np.zeros(96)))
    env.reset(seed=0)
    for _ in range(96):
        env.step(IDLE)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(IDLE)
