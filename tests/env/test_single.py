"""The environment: Gymnasium's own check, its contract in tables, and its money by hand."""

from __future__ import annotations

import datetime as dt
import inspect
import math
import re
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from arbitrage.battery import Battery
from arbitrage.env.batched import BatchedImbalanceEnv
from arbitrage.env.episode import EpisodeConfig
from arbitrage.env.registration import ENVIRONMENT_ID, register
from arbitrage.env.single import BelgianImbalanceEnv
from arbitrage.errors import BadInput
from arbitrage.market.series import MarketSeries
from tests.worlds import MIDNIGHTS, SUMMER_MIDNIGHT, market_of, noisy_market

CHARGE, IDLE, DISCHARGE = 0, 1, 2
LOSSLESS = Battery(charge_efficiency=1.0, discharge_efficiency=1.0)


@pytest.fixture(autouse=True)
def _registered() -> None:
    register()


@pytest.fixture(scope="module")
def market() -> MarketSeries:
    """Four whole days in which nothing is missing."""
    return noisy_market(seed=1, days=4)


def one_day(first_prices: list[float]) -> MarketSeries:
    """A summer day that begins with these prices; the rest is 0."""
    return market_of(first_prices + [0.0] * (96 - len(first_prices)))


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
@pytest.mark.parametrize("step_min", [5, 15])
def test_the_environment_passes_the_check_of_gymnasium(market: MarketSeries, actions: str, step_min: int) -> None:
    made = gymnasium.make(ENVIRONMENT_ID, market=market, actions=actions, step_min=step_min)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # What it warns of on purpose: prices have no bounds, and there is nothing to render.
        warnings.filterwarnings("ignore", message=".*Box observation space m..imum value is .*infinity")
        check_env(made.unwrapped, skip_render_check=True)


def test_by_default_it_trades_the_embedded_sample() -> None:
    made = gymnasium.make(ENVIRONMENT_ID)
    observation, info = made.reset(seed=3)
    assert made.observation_space.contains(observation)
    assert info["quarter_hour"].startswith("2025-")


def test_the_settings_table_of_the_docstring_is_the_signature() -> None:
    rows = re.findall(r"^ *\| (\w+) \| (.+?) \| .+ \|$", inspect.getdoc(BelgianImbalanceEnv) or "", re.MULTILINE)
    documented = dict(rows[rows.index(("setting", "default")) + 1 :])
    real = {name: str(field.default) for name, field in EpisodeConfig.__dataclass_fields__.items()}
    arguments = set(inspect.signature(BelgianImbalanceEnv).parameters) - {"settings"}
    assert set(documented) == {*real, *arguments}
    for name, default in real.items():
        assert documented[name].split(" (")[0] == default, name


def test_the_default_battery_is_the_one_of_the_docstring() -> None:
    assert Battery() == Battery(power_mw=1.0, capacity_mwh=2.0, charge_efficiency=0.9, discharge_efficiency=0.9)
    assert BelgianImbalanceEnv(market=one_day([])).battery == Battery()


def test_the_info_of_the_docstring_is_the_real_one(market: MarketSeries) -> None:
    env = BelgianImbalanceEnv(market=market)
    text = inspect.getdoc(BelgianImbalanceEnv) or ""
    env.reset(seed=0)
    info = env.step(IDLE)[4]
    assert set(re.findall(r"(\w+)(?: \([^)]*\))?(?:,|\.)", text.split("Info: ")[1])) == set(info)


def test_the_reward_is_price_times_energy_settled_at_the_end_of_each_quarter_hour() -> None:
    # Charge at 40: -0.25 MWh x 40 = -10. Discharge at 100: 0.25 x 100 = 25, wear 0.25 x 8 = 2. Then empty: nothing.
    env = BelgianImbalanceEnv(
        one_day([40.0, 100.0, 100.0]), Battery(charge_efficiency=1.0, discharge_efficiency=1.0, wear_cost_eur_mwh=8.0)
    )
    env.reset(seed=0, options={"soc_fraction": 0.0})
    rewards, socs = [], []
    for action in (CHARGE, DISCHARGE, DISCHARGE):
        _, reward, terminated, truncated, info = env.step(action)
        rewards.append(reward)
        socs.append(info["soc_mwh"])
        assert not terminated
        assert not truncated
    assert rewards == [-10.0, 23.0, 0.0]
    assert socs == [0.25, 0.0, 0.0]
    assert info["profit_eur"] == 13.0
    assert info["cycles_used"] == 0.125


@pytest.mark.parametrize("step_min", [1, 3, 5, 15])
def test_a_quarter_hour_of_any_step_moves_the_same_energy_and_settles_once(step_min: int) -> None:
    # Whatever the step, charging through the quarter-hour at 40 costs 10, paid in its last step.
    env = BelgianImbalanceEnv(one_day([40.0]), LOSSLESS, step_min=step_min)
    observation, _ = env.reset(seed=0, options={"soc_fraction": 0.0})
    steps = 15 // step_min
    for at in range(steps):
        named = dict(zip(env.observation_names, observation.tolist(), strict=True))
        assert named["minute_fraction"] == pytest.approx(at / steps, abs=1e-7)
        assert named["committed_fraction"] == pytest.approx(-at / steps, abs=1e-6)
        observation, reward, _, _, info = env.step(CHARGE)
        last = at == steps - 1
        assert reward == pytest.approx(-10.0 if last else 0.0, abs=1e-12)
        assert info.get("price_eur_mwh") == (40.0 if last else None)
        assert info["quarter_hour"] == ("2024-06-30T22:15:00+00:00" if last else "2024-06-30T22:00:00+00:00")
    assert info["soc_mwh"] == pytest.approx(0.25, abs=1e-12)


def test_charging_and_discharging_within_a_quarter_hour_is_settled_net() -> None:
    # 5 minutes of charging and 5 of discharging 1 MW, without losses: nothing net, at whatever price.
    env = BelgianImbalanceEnv(one_day([4000.0]), LOSSLESS, step_min=5)
    env.reset(seed=0, options={"soc_fraction": 0.5})
    rewards = [env.step(action)[1] for action in (CHARGE, DISCHARGE, IDLE)]
    assert sum(rewards) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("step_min", [1, 15])
def test_in_a_quarter_hour_without_a_price_the_battery_is_held_and_nothing_is_settled(step_min: int) -> None:
    env = BelgianImbalanceEnv(one_day([40.0, math.nan, 100.0]), LOSSLESS, step_min=step_min)
    env.reset(seed=0, options={"soc_fraction": 0.5})
    rewards, socs = np.zeros(3), np.zeros(3)
    for at in range(3 * 15 // step_min):
        _, reward, _, _, info = env.step(DISCHARGE)
        rewards[at * step_min // 15] += reward
        socs[at * step_min // 15] = info["soc_mwh"]
    np.testing.assert_allclose(rewards, [10.0, 0.0, 25.0], atol=1e-12)
    np.testing.assert_allclose(socs, [0.75, 0.75, 0.5], atol=1e-12)


@pytest.mark.parametrize("day", sorted(MIDNIGHTS))
@pytest.mark.parametrize(("step_min", "days"), [(15, 1), (5, 1), (15, 2)])
def test_an_episode_is_its_brussels_days_and_ends_by_truncation(day: str, step_min: int, days: int) -> None:
    midnight, count = MIDNIGHTS[day]
    count += 96 * (days - 1)
    env = BelgianImbalanceEnv(market_of(np.zeros(count), midnight), step_min=step_min, episode_days=days)
    env.reset(seed=0, options={"day": day})
    ends = [env.step(IDLE)[2:4] for _ in range(count * 15 // step_min)]
    assert ends == [(False, False)] * (len(ends) - 1) + [(False, True)]


def test_the_cycle_budget_is_whole_again_at_brussels_midnight_but_the_energy_stays() -> None:
    battery = Battery(charge_efficiency=1.0, discharge_efficiency=1.0, max_cycles_per_day=0.25)
    env = BelgianImbalanceEnv(market_of(np.ones(192)), battery, episode_days=2)
    env.reset(seed=0, options={"soc_fraction": 1.0, "day": "2024-07-01"})
    socs = [env.step(DISCHARGE)[4]["soc_mwh"] for _ in range(192)]
    # 0.25 cycles x 2 MWh = 0.5 MWh a day: two quarter-hours of 0.25 MWh.
    assert socs[:4] == [1.75, 1.5, 1.5, 1.5]
    assert socs[95:99] == [1.5, 1.25, 1.0, 1.0]
    _, info = env.reset(options={"soc_fraction": 1.0})
    assert info["cycles_used"] == 0.0


def test_continuous_actions_are_shares_of_each_directions_limit_and_are_clipped() -> None:
    battery = Battery(power_mw=2.0, capacity_mwh=20.0, import_limit_mw=0.8, export_limit_mw=1.6)
    env = BelgianImbalanceEnv(one_day([]), battery, actions="continuous")
    env.reset(seed=0, options={"soc_fraction": 0.5})
    asked = (-1.0, -0.5, 0.0, 0.5, 1.0, 7.0, -7.0)
    powers = [env.step(np.array([share], dtype=np.float32))[4]["power_mw"] for share in asked]
    assert powers == [-0.8, -0.4, 0.0, 0.8, 1.6, 1.6, -0.8]


def test_the_mask_says_which_actions_move_energy() -> None:
    battery = Battery(max_cycles_per_day=0.25, charge_efficiency=1.0, discharge_efficiency=1.0)
    env = BelgianImbalanceEnv(one_day([]), battery)
    _, info = env.reset(seed=0, options={"soc_fraction": 0.0})
    assert info["action_mask"].tolist() == [1, 1, 0]
    assert info["action_mask"].dtype == np.int8
    _, info = env.reset(options={"soc_fraction": 1.0})
    assert info["action_mask"].tolist() == [0, 1, 1]
    masks = [env.step(DISCHARGE)[4]["action_mask"].tolist() for _ in range(2)]
    assert masks == [[1, 1, 1], [1, 1, 0]]  # After 0.5 MWh the budget is spent.


def test_a_discrete_action_that_there_is_not_is_refused(market: MarketSeries) -> None:
    env = BelgianImbalanceEnv(market)
    env.reset(seed=0)
    for action in (-1, 3):
        with pytest.raises(ValueError, match="is not a valid Action"):
            env.step(action)


def test_the_day_and_the_state_of_charge_can_be_chosen_at_reset(market: MarketSeries) -> None:
    env = BelgianImbalanceEnv(market, Battery(min_soc_fraction=0.2, max_soc_fraction=0.8))
    for day in ("2024-07-03", dt.date(2024, 7, 3)):
        _, info = env.reset(options={"day": day, "soc_fraction": 0.5})
        assert info["quarter_hour"] == "2024-07-02T22:00:00+00:00"
        assert info["soc_mwh"] == pytest.approx(1.0, abs=1e-12)  # 0.4 + 0.5 x 1.2 MWh.


def test_without_options_days_and_states_are_drawn_from_the_seed(market: MarketSeries) -> None:
    env = BelgianImbalanceEnv(market)
    draws = [env.reset(seed=seed)[1] for seed in (*range(30), 7)]
    assert {draw["quarter_hour"][:10] for draw in draws} == {"2024-06-30", "2024-07-01", "2024-07-02", "2024-07-03"}
    assert len({draw["soc_mwh"] for draw in draws}) == 30
    assert (draws[7]["quarter_hour"], draws[7]["soc_mwh"]) == (draws[30]["quarter_hour"], draws[30]["soc_mwh"])


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"day": "2024-07-09"}, "no episode can begin on 2024-07-09"),
        ({"day": "soon"}, "'soon' is not an ISO 8601 day"),
        ({"soc_fraction": 1.5}, "must be between 0 and 1, not 1.5"),
        ({"dya": "2024-07-01"}, "dya: is not an option of reset"),
    ],
)
def test_reset_options_that_make_no_sense_are_refused(
    market: MarketSeries, options: dict[str, object], fault: str
) -> None:
    for env in (BelgianImbalanceEnv(market), BatchedImbalanceEnv(2, market)):
        with pytest.raises(BadInput, match=fault):
            env.reset(options=options)


@pytest.mark.parametrize("kind", [BelgianImbalanceEnv, BatchedImbalanceEnv])
@pytest.mark.parametrize(
    ("settings", "faults"),
    [
        ({"step_minutes": 15, "seed": 1}, ["step_minutes: is not a setting", "seed: is not a setting"]),
        ({"actions": "analog"}, ["actions: must be one of"]),
        ({"step_min": 4, "episode_days": 0, "start_soc_fraction": 2.0}, ["step_min", "episode_days", "start_soc_fra"]),
    ],
)
def test_settings_that_there_are_not_or_that_make_no_sense_are_refused_all_at_once(
    market: MarketSeries, kind: type, settings: dict[str, object], faults: list[str]
) -> None:
    with pytest.raises(BadInput) as caught:
        kind(market=market, **settings)
    for fault in faults:
        assert fault in str(caught.value)


def test_a_market_without_a_whole_day_is_refused() -> None:
    with pytest.raises(BadInput, match="shorter than one episode"):
        BelgianImbalanceEnv(market_of(np.zeros(95)))
    with pytest.raises(BadInput, match="shorter than one episode"):
        BelgianImbalanceEnv(market_of(np.zeros(96), SUMMER_MIDNIGHT + 15))


def test_a_fixed_start_is_where_every_episode_begins(market: MarketSeries) -> None:
    env = BelgianImbalanceEnv(market, start_soc_fraction=0.25)
    assert {env.reset(seed=seed)[1]["soc_mwh"] for seed in range(5)} == {0.5}
