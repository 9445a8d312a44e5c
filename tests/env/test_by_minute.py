"""The environment by the minute: its sets of features, its contract in tables, known profit, parts of days."""

from __future__ import annotations

import inspect
import re
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery
from arbitrage.env.batched import BatchedImbalanceEnv
from arbitrage.env.registration import ENVIRONMENT_ID, register
from arbitrage.env.single import BelgianImbalanceEnv
from arbitrage.errors import BadInput
from arbitrage.features import minutes, names
from arbitrage.features.battery_state import BATTERY_FEATURES
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.market.point_in_time import INDICATIVE, PRICE
from arbitrage.market.series import MarketSeries
from arbitrage.quarter_hour import utc_timestamps
from tests.minute_worlds import GENUINE_START, genuine_market, market_of_minutes, minute_table, simulated_market
from tests.worlds import SUMMER_MIDNIGHT, Scripted, market_of, whole

CHARGE, IDLE, DISCHARGE = 0, 1, 2
LOSSLESS = Battery(charge_efficiency=1.0, discharge_efficiency=1.0, wear_cost_eur_mwh=8.0)
KINDS = (BelgianImbalanceEnv, BatchedImbalanceEnv)
START = {"soc_fraction": 0.5}
DAY = {"day": "2024-07-01", **START}


def seen(env: BelgianImbalanceEnv, row: np.ndarray) -> dict[str, float]:
    return dict(zip(env.observation_names, row.tolist(), strict=True))


def silent_days(prices: list[float], delay_min: int, days: int = 1) -> MarketSeries:
    """Days that begin with these final prices, then 0; the minute records all say 0."""
    final = np.concatenate([prices, np.zeros(96 * days - len(prices))])
    return market_of_minutes(minute_table(**{PRICE: np.zeros(1440 * days)}), final, delay_min)


@pytest.mark.parametrize("features", ["quarter_hour", "reference", "full"])
def test_the_observation_table_of_the_docstring_is_the_observation(features: str) -> None:
    table = (inspect.getdoc(BelgianImbalanceEnv) or "").split("| feature | sets | meaning |")[1].split("Names in")[0]
    expected: list[str] = []
    for group, name, sets in re.findall(r"^\| (?:`(\w+)`|(\w+)) \| ([\w, ]+) \| .+ \|$", table, re.MULTILINE):
        assert set(sets.split(", ")) <= set(FeatureSet)
        if features in sets.split(", "):
            named = getattr(names, group, None) or getattr(minutes, group) if group else (name,)
            expected += [part for item in named for part in ([item] if isinstance(item, str) else item)]
    for kind in KINDS:
        env = kind(market=simulated_market(1), features=features)
        assert env.observation_names == tuple(expected)


def test_the_reference_is_exactly_the_six_features_of_the_paper() -> None:
    env = BelgianImbalanceEnv(simulated_market(1), features="reference", step_min=1)
    assert env.observation_space.shape == (6,)
    row, _ = env.reset(seed=0, options=DAY)
    for minute in range(40):
        now = seen(env, row)
        newest = simulated_market(1).known_series[INDICATIVE].values[24 * 60 + minute - 2]
        assert now["newest_indicative"] == pytest.approx(newest / 100, rel=1e-6)
        assert now["minute_fraction"] == pytest.approx(minute % 15 / 15)
        assert now["quarter_hour_of_day"] == pytest.approx(minute // 15 / 96)
        assert now["month"] == pytest.approx(7 / 12)
        row, _, _, _, info = env.step(DISCHARGE)
        after = seen(env, row)
        assert after["soc_fraction"] == pytest.approx(info["soc_mwh"] / 2.0, abs=1e-6)
        assert after["cycles_used"] == pytest.approx(info["cycles_used"], abs=1e-6)
    assert info["cycles_used"] > 0.3


def test_features_are_chosen_by_name_or_as_they_are_and_by_default_as_full_as_market_and_step_allow() -> None:
    register()
    minutes, none = simulated_market(1), market_of(np.zeros(96))
    cases: list[tuple[MarketSeries, dict[str, Any], FeatureSet]] = [
        (minutes, {"step_min": 1}, FeatureSet.FULL),
        (minutes, {"step_min": 5}, FeatureSet.FULL),
        (minutes, {"step_min": 15}, FeatureSet.QUARTER_HOUR),
        (none, {"step_min": 1}, FeatureSet.QUARTER_HOUR),
        (minutes, {"features": "full"}, FeatureSet.FULL),
        (minutes, {"step_min": 1, "features": "quarter_hour"}, FeatureSet.QUARTER_HOUR),
        (minutes, {"features": FeatureSet.REFERENCE}, FeatureSet.REFERENCE),
        (minutes, {"features": MarketFeatures(FeatureSet.REFERENCE)}, FeatureSet.REFERENCE),
    ]
    for market, setting, expected in cases:
        names = MarketFeatures(expected).names + BATTERY_FEATURES[expected]
        single = gymnasium.make(ENVIRONMENT_ID, market=market, **setting).unwrapped
        twin = gymnasium.make_vec(
            ENVIRONMENT_ID, num_envs=2, vectorization_mode="vector_entry_point", market=market, **setting
        ).unwrapped
        assert isinstance(single, BelgianImbalanceEnv)
        assert isinstance(twin, BatchedImbalanceEnv)
        assert single.observation_names == twin.observation_names == names
        assert single.reset(seed=0)[0].shape == twin.reset(seed=0)[0].shape[1:] == (len(names),)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("features", "fault"),
    [
        ("everything", "features: must be one of .*quarter_hour.*, not 'everything'"),
        (3, "features: must be one of .*, not 3"),
        ("full", "features: full needs minute records"),
        ("reference", "features: reference needs minute records"),
        (MarketFeatures(FeatureSet.FULL), "features: full needs minute records"),
    ],
)
def test_features_that_there_are_not_or_that_the_market_cannot_feed_are_refused(
    kind: type, features: object, fault: str
) -> None:
    with pytest.raises(BadInput, match=fault):
        kind(market=market_of(np.zeros(96)), features=features, step_min=1)


@pytest.mark.parametrize("features", ["reference", "full"])
def test_by_the_minute_the_environment_passes_the_check_of_gymnasium(features: str) -> None:
    register()
    made = gymnasium.make(ENVIRONMENT_ID, market=simulated_market(1), features=features, step_min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # What it warns of on purpose: prices have no bounds, and there is nothing to render.
        warnings.filterwarnings("ignore", message=".*Box observation space m..imum value is .*infinity")
        check_env(made.unwrapped, skip_render_check=True)


@pytest.mark.parametrize("delay_min", [0, 1, 2, 7, 20])
def test_profit_today_counts_wear_at_once_and_a_settlement_when_its_price_is_published(delay_min: int) -> None:
    # 15 minutes of discharging 1 MW at 40 EUR/MWh: 10 EUR at minute 15 + delay; wear 8 EUR/MWh from the first minute.
    env = BelgianImbalanceEnv(silent_days([40.0], delay_min), LOSSLESS, step_min=1)
    row, _ = env.reset(seed=0, options=START)
    for minute in range(60):
        expected_eur = (10.0 if minute >= 15 + delay_min else 0.0) - 8.0 * min(minute, 15) / 60
        assert seen(env, row)["profit_today"] == pytest.approx(expected_eur / (2.0 * 100.0), abs=1e-6)
        row, *_ = env.step(DISCHARGE if minute < 15 else IDLE)


@pytest.mark.parametrize("delay_min", [0, 1, 20])
def test_profit_begins_anew_at_midnight_and_what_is_published_later_of_the_day_before_counts_no_more(
    delay_min: int,
) -> None:
    prices = [0.0] * 94 + [100.0, 100.0]  # 25 EUR each, the last of them settled at midnight.
    env = BelgianImbalanceEnv(silent_days(prices, delay_min, days=2), LOSSLESS, step_min=5, episode_days=2)
    row, _ = env.reset(seed=0, options={"soc_fraction": 1.0})
    for step in range(3 * 96 + 12):
        if step >= 3 * 96:
            assert seen(env, row)["profit_today"] == 0.0
        row, *_ = env.step(DISCHARGE if 3 * 94 <= step < 3 * 96 else IDLE)
        if step == 3 * 96 - 2:
            # Five minutes before midnight: 25 minutes of wear, and the first 25 EUR if published by then.
            earned_eur = 25.0 if delay_min <= 10 else 0.0
            assert seen(env, row)["profit_today"] == pytest.approx((earned_eur - 8 * 25 / 60) / 200, abs=1e-6)


def test_a_new_episode_knows_nothing_of_what_the_last_one_earned_or_was_owed() -> None:
    market = silent_days([40.0], delay_min=20)
    single, twin = (
        BelgianImbalanceEnv(market, LOSSLESS, step_min=1),
        BatchedImbalanceEnv(1, market, LOSSLESS, step_min=1),
    )
    for _ in range(2):
        row, _ = single.reset(seed=0, options=START)
        rows, _ = twin.reset(seed=0, options=START)
        assert seen(single, row)["profit_today"] == seen(single, rows[0])["profit_today"] == 0.0
        for _ in range(18):  # The 10 EUR of the first quarter-hour are settled, and due at minute 35.
            single.step(DISCHARGE)
            twin.step(np.array([DISCHARGE]))
    single.reset(seed=0, options=START)
    twin.reset(seed=0, options=START)
    for _ in range(60):
        row, *_ = single.step(IDLE)
        rows, *_ = twin.step(np.array([IDLE]))
        assert seen(single, row)["profit_today"] == seen(single, rows[0])["profit_today"] == 0.0


@pytest.mark.parametrize(("step_min", "delay_min"), [(1, 0), (1, 1), (1, 2), (5, 1), (5, 33), (15, 0), (15, 1)])
def test_profit_today_is_what_the_published_prices_and_the_moved_energy_make_of_it(
    step_min: int, delay_min: int
) -> None:
    market = simulated_market(delay_min)
    env = BelgianImbalanceEnv(market, LOSSLESS, features="full", step_min=step_min, episode_days=2)
    row, _ = env.reset(seed=0, options={"day": "2024-06-30", "soc_fraction": 0.5})
    random, rows, energies_mwh = np.random.default_rng(0), [row], []
    times = np.arange(market.quarter_hours[0], market.quarter_hours[0] + 2 * 24 * 60, step_min)
    for _ in times:
        row, _, _, _, info = env.step(int(random.integers(0, 3)))
        rows.append(row)
        energies_mwh.append(info["power_mw"] * step_min / 60)
    starts, moved_mwh = times - times % 15, np.array(energies_mwh)
    settled_eur = market.price_eur_mwh[(starts - times[0]) // 15] * moved_mwh
    for step in range(0, len(times), 7 if step_min == 1 else 1):
        now = times[step]
        today = (times >= now - (now - times[0]) % (24 * 60)) & (times < now)
        published = today & (starts + 15 + delay_min <= now)
        expected_eur = settled_eur[published].sum() - 8.0 * np.maximum(moved_mwh[today], 0.0).sum()
        assert seen(env, rows[step])["profit_today"] == pytest.approx(expected_eur / 200.0, rel=1e-5, abs=1e-4)


def test_an_episode_may_be_the_part_of_a_day_that_the_series_has_where_it_is_allowed() -> None:
    # From 18:00 on 1 July to 06:00 on 2 July: 24 quarter-hours of each day.
    market = market_of(np.ones(48), SUMMER_MIDNIGHT + 18 * 60)
    for kind in KINDS:
        with pytest.raises(BadInput, match="shorter than one episode"):
            kind(market=market)
    battery = Battery(charge_efficiency=1.0, discharge_efficiency=1.0, max_cycles_per_day=0.125)
    for days, day, begins, quarter_hours in (
        (1, "2024-07-01", "2024-07-01T16:00", 24),
        (1, "2024-07-02", "2024-07-01T22:00", 24),
        (2, "2024-07-01", "2024-07-01T16:00", 48),
        (2, "2024-07-02", "2024-07-01T22:00", 24),
    ):
        setting: dict[str, Any] = {"partial_days": True, "episode_days": days}
        env, twin = BelgianImbalanceEnv(market, battery, **setting), BatchedImbalanceEnv(1, market, battery, **setting)
        options = {"day": day, "soc_fraction": 1.0}
        _, info = env.reset(seed=0, options=options)
        twin.reset(seed=0, options=options)
        assert info["quarter_hour"].startswith(begins)
        ends, socs = [], []
        for _ in range(quarter_hours):
            _, _, terminated, truncated, info = env.step(DISCHARGE)
            assert (terminated, truncated) == (False, twin.step(np.array([DISCHARGE]))[3][0])
            ends.append(truncated)
            socs.append(info["soc_mwh"])
        assert ends == [False] * (quarter_hours - 1) + [True]
        # A budget of 0.25 MWh a day: one quarter-hour of the first day, and one after midnight.
        assert socs[:2] == [1.75, 1.75]
        assert socs[-1] == (1.5 if quarter_hours == 48 else 1.75)


def test_parts_of_days_are_drawn_too_where_they_are_allowed_and_only_there() -> None:
    market = market_of(np.ones(96 + 24), SUMMER_MIDNIGHT)
    for partial, days in ((False, {"2024-06-30"}), (True, {"2024-06-30", "2024-07-01"})):
        env = BelgianImbalanceEnv(market, partial_days=partial)
        assert {env.reset(seed=seed)[1]["quarter_hour"][:10] for seed in range(12)} == days
    with pytest.raises(BadInput, match="no episode can begin on 2024-07-02"):
        BelgianImbalanceEnv(market).reset(options={"day": "2024-07-02"})


@pytest.mark.parametrize("delay_min", [0, 1, 2])
def test_the_genuine_minutes_are_replayed_and_settle_at_their_own_final_prices(delay_min: int) -> None:
    market = genuine_market(delay_min)
    setting: dict[str, Any] = {"features": "reference", "step_min": 1, "partial_days": True}
    env, twin = BelgianImbalanceEnv(market, **setting), BatchedImbalanceEnv(2, market, **setting)
    row, _ = env.reset(seed=0, options={"day": "2024-09-06", "soc_fraction": 0.0})
    rows, _ = twin.reset(seed=0, options={"day": "2024-09-06", "soc_fraction": 0.0})
    records = market.known_series[INDICATIVE].values
    script, rewards, energies, truncated = {}, [], [], False
    while not truncated:
        minute = len(rewards)
        newest = seen(env, row)["newest_indicative"]
        expected = records[minute - 1 - delay_min] if minute > delay_min else 0.0
        assert newest == pytest.approx(expected / 100, rel=1e-6)
        # Buy below 50 EUR/MWh, sell above 150: by what was published, not by what will settle.
        action = CHARGE if newest < 0.5 else DISCHARGE if newest > 1.5 else IDLE
        script[GENUINE_START + minute] = float(action - 1)
        row, reward, _, truncated, info = env.step(action)
        rows, both, *_ = twin.step(np.array([action, IDLE]))
        np.testing.assert_array_equal(rows[0], row)
        assert both.tolist() == [reward, 0.0]
        rewards.append(reward)
        energies.append(info["power_mw"] / 60)
    assert len(rewards) == 75 * 15
    settled = market.price_eur_mwh * np.reshape(energies, (75, 15)).sum(axis=1)
    assert sum(rewards) == pytest.approx(settled.sum(), abs=1e-9)
    assert info["profit_eur"] > 100.0
    backtest = run_backtest(market, Battery(), Scripted(script), whole(market), step_min=1)
    assert backtest.ledger["profit_eur"].sum() == pytest.approx(sum(rewards), abs=1e-9, rel=0)
    assert backtest.foresight.profit_eur > sum(rewards)


def test_by_default_a_genuine_day_is_too_short_for_an_episode() -> None:
    with pytest.raises(BadInput, match="shorter than one episode of 1 whole Brussels days"):
        BelgianImbalanceEnv(genuine_market(), step_min=1)
    assert genuine_market().frame.index[-1] == utc_timestamps([GENUINE_START + 74 * 15])[0]
