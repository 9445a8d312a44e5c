"""A policy that looks at minutes: it decides on what was published by then, alone as in a batch, and honestly."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Decision, Dispatcher
from arbitrage.env.single import BelgianImbalanceEnv
from arbitrage.errors import BadInput
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.minute_fit import MinuteConfig
from arbitrage.learners.closed_form.network_training import NetworkConfig
from arbitrage.market.point_in_time import PointInTimeSeries
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import DaysOfMonth, SocReset, select
from arbitrage.policies.checkpoint.load import CARD_FILE, load_policy
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.online_combination import CombinationConfig
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.quarter_hour import brussels_midnight, epoch_minute
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit
from arbitrage.training.plan import TrainingPlan, train
from tests.examples import examples
from tests.properties.test_no_leak import scramble

BATTERY = Battery(max_cycles_per_day=1.1)
STATES = (BatteryState(0.0), BatteryState(0.9, 0.4), BatteryState(2.0))
CONFIG = ClosedFormConfig(
    cosines=12,
    passes=1,
    network=None,
    minutes=MinuteConfig(network=NetworkConfig(width=8, steps=150)),
    size=LatticeSize(5, 4),
    combination=CombinationConfig(),
    scale_days=4,
    hour_means=True,
    half_life_days=5.0,
)
NIGHT = epoch_minute("2025-03-30T00:00+01:00")
"""The Brussels day on which clocks go forward."""


def plan(feature_set: FeatureSet) -> TrainingPlan:
    split = DataSplit(
        market=sample_market(with_minutes=True),
        train_days=DaysOfMonth(17, 25),
        validation_days=DaysOfMonth(26, 27),
        end=epoch_minute("2025-03-29T00:00+01:00"),
    )
    trainer = ClosedFormTrainer(
        config=CONFIG, features=MarketFeatures(feature_set), with_critic=feature_set is FeatureSet.FULL
    )
    return TrainingPlan(trainer=trainer, split=split, battery=BATTERY)


@pytest.fixture(scope="module", params=[FeatureSet.FULL, FeatureSet.REFERENCE], ids=str)
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("policy")
    train(plan(request.param), where)
    return where


@pytest.fixture(scope="module")
def policy(directory: Path) -> ClosedFormPolicy:
    return load_policy(directory)


@pytest.fixture(scope="module")
def market() -> MarketSeries:
    return sample_market(with_minutes=True)


def decisions(policy: ClosedFormPolicy, market: MarketSeries, now: int) -> list[Decision]:
    """Every minute of a quarter-day up to `now`, in several states, all being read at once."""
    times = np.arange(NIGHT, NIGHT + 6 * 60)
    dispatcher = Dispatcher(policy, BATTERY, market, times, 1)
    return [dispatcher.decide(at, state) for at in range(int((times <= now).sum())) for state in STATES]


def test_the_card_says_what_is_seen_and_where_the_minutes_come_from(directory: Path, policy: ClosedFormPolicy) -> None:
    card = json.loads((directory / CARD_FILE).read_text())
    assert card["feature_set"] == policy.features.feature_set
    assert card["minute_source"] == "simulated"
    assert card["publication_delay_min"] == 1
    assert card["step_min"] == policy.step_min == 1
    assert (policy.combination == CombinationConfig()) == (policy.features.feature_set is FeatureSet.FULL)
    assert policy.features.scale.fading
    assert policy.features.hour_means
    assert (policy.critic is not None) == (policy.features.feature_set is FeatureSet.FULL)


@examples(8)
@given(minute=st.integers(0, 6 * 60 - 1), seed=st.integers(0, 2**32 - 1))
def test_no_decision_rests_on_what_is_published_later(
    policy: ClosedFormPolicy, market: MarketSeries, minute: int, seed: int
) -> None:
    now = NIGHT + minute
    assert decisions(policy, market, now) == decisions(policy, scramble(market, now, seed), now)


def test_minutes_are_what_moves_it_within_a_quarter_hour(policy: ClosedFormPolicy, market: MarketSeries) -> None:
    seen = decisions(policy, market, NIGHT + 6 * 60)
    assert {decision.action for decision in seen} == {"charge", "idle", "discharge"}
    actions = np.array([decision.action for decision in seen]).reshape(-1, 15, len(STATES))
    assert (actions != actions[:, :1]).any()
    blind = dataclasses.replace(market, known_series={n: t for n, t in market.known_series.items() if t.step_min != 1})
    with pytest.raises(BadInput, match="the policy reads it"):
        decisions(policy, blind, NIGHT + 15)


def test_where_records_fail_to_come_the_quarter_hours_own_forecast_stands(
    policy: ClosedFormPolicy, market: MarketSeries
) -> None:
    # A combination goes on learning from the quarter-hours before, so the learned forecast is looked at alone.
    policy = dataclasses.replace(policy, combination=None)

    # Two hours of silence: from the second minute on, when a record should be there, nothing new can be said before the
    # next quarter-hour begins. The first two minutes are the networks'.
    def silent(series: PointInTimeSeries) -> PointInTimeSeries:
        starts = series.first_minute + np.arange(len(series.values))
        quiet = (series.step_min == 1) & (starts >= NIGHT + 60) & (starts < NIGHT + 180)
        return dataclasses.replace(series, values=np.where(quiet, np.nan, series.values))

    mute = dataclasses.replace(
        market, known_series={name: silent(series) for name, series in market.known_series.items()}
    )
    view = policy.bind(mute.known_at(np.arange(NIGHT + 60, NIGHT + 180)), BATTERY)
    forecast = view.members[0].forecast_eur_mwh.reshape(-1, 15)
    assert (forecast[:, 2:] == forecast[:, 2:3]).all()
    assert (forecast[:, 0] != forecast[:, 2]).any()
    heard = policy.bind(market.known_at(np.arange(NIGHT + 60, NIGHT + 180)), BATTERY)
    assert (heard.members[0].forecast_eur_mwh.reshape(-1, 15)[:, 2:] != forecast[:, 2:]).mean() > 0.9


def test_a_minute_read_alone_is_decided_to_the_last_bit_as_in_a_batch(
    policy: ClosedFormPolicy, market: MarketSeries
) -> None:
    batch = decisions(policy, market, NIGHT + 6 * 60)
    for at in range(0, 6 * 60, 29):
        alone = Dispatcher(policy, BATTERY, market, NIGHT + at, 1)
        for number, state in enumerate(STATES):
            assert alone.decide(0, state) == batch[at * len(STATES) + number]


def test_the_environment_pays_what_the_ledger_books(policy: ClosedFormPolicy, market: MarketSeries) -> None:
    day = int(market.day_numbers[np.searchsorted(market.quarter_hours, NIGHT)])
    env = BelgianImbalanceEnv(market, BATTERY, step_min=1)
    _, info = env.reset(options={"day": "2025-03-30", "soc_fraction": 0.0})
    times = np.arange(brussels_midnight(day), brussels_midnight(day + 1))
    dispatcher = Dispatcher(policy, BATTERY, market, times, 1)
    state, rewards = BATTERY.empty, 0.0
    for at in range(len(times)):
        decision = dispatcher.decide(at, state)
        state = decision.flow.after
        _, reward, _, _, info = env.step(["charge", "idle", "discharge"].index(decision.action))
        rewards += reward
        assert info["soc_mwh"] == state.soc_mwh
    selection = select(market, start="2025-03-30T00:00+01:00", end="2025-03-31T00:00+02:00", soc_reset=SocReset.NEVER)
    backtest = run_backtest(market, BATTERY, policy, selection, step_min=1)
    assert backtest.ledger["profit_eur"].sum() == pytest.approx(rewards, abs=1e-9, rel=0)
    assert len(backtest.ledger) == 92
    assert backtest.violations.empty


def test_minutes_that_the_market_does_not_have_are_asked_for_before_training() -> None:
    made = plan(FeatureSet.FULL)
    with pytest.raises(BadInput, match="needs minute records"):
        dataclasses.replace(made, split=dataclasses.replace(made.split, market=sample_market()))


def test_a_plan_sees_all_that_its_market_has_unless_told_otherwise() -> None:
    with_minutes, without = (
        DataSplit(market=market, train_days=DaysOfMonth(1, 2), validation_days=DaysOfMonth(3, 4))
        for market in (sample_market(with_minutes=True), sample_market())
    )
    assert ClosedFormTrainer.of(with_minutes).features.feature_set is FeatureSet.FULL
    assert ClosedFormTrainer.of(without).features.feature_set is FeatureSet.QUARTER_HOUR
    told = ClosedFormTrainer.of(with_minutes, FeatureSet.QUARTER_HOUR)
    assert told.config == dataclasses.replace(ClosedFormConfig(), network=None), "six days are too few for a network"
    assert told.config != ClosedFormConfig.by_minute()
