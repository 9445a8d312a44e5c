"""Small policies that tests of the live service share, and a replay of a market through the live decider."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from arbitrage.battery import Battery
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.minute_fit import MinuteConfig
from arbitrage.learners.closed_form.network_training import NetworkConfig
from arbitrage.live.decider import LiveDecider
from arbitrage.live.decision import LiveDecision, PolicyIdentity
from arbitrage.live.live_battery import LiveBattery
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import DaysOfMonth
from arbitrage.policies.checkpoint.load import load_policy, save_policy
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.closed_form.quantile_critic import QUANTILES
from arbitrage.policies.closed_form.risk_head import AdvantageSize, RiskHead
from arbitrage.policies.networks import Network
from arbitrage.quarter_hour import epoch_minute
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit
from arbitrage.training.plan import TrainingPlan, train

BATTERY = Battery(max_cycles_per_day=1.1)
SIZE = LatticeSize(soc_nodes=5, cycle_nodes=4)
IDENTITY = PolicyIdentity("tried", "0" * 64)
NIGHT = epoch_minute("2025-03-30T00:00+01:00")
"""The Brussels day on which clocks go forward."""


@cache
def learned(feature_set: FeatureSet) -> ClosedFormPolicy:
    """A small policy with a made-up critic and risk head, taught on the sample before `NIGHT`."""
    by_minute = feature_set is FeatureSet.FULL
    minutes = MinuteConfig(network=NetworkConfig(width=8, steps=150)) if by_minute else None
    split = DataSplit(
        market=sample_market(with_minutes=by_minute),
        train_days=DaysOfMonth(10, 25),
        validation_days=DaysOfMonth(26, 27),
        end=epoch_minute("2025-03-29T00:00+01:00"),
    )
    trainer = ClosedFormTrainer(
        config=ClosedFormConfig(cosines=12, passes=1, network=None, minutes=minutes, size=SIZE),
        features=MarketFeatures(feature_set),
        with_critic=False,
        with_risk_head=False,
    )
    with TemporaryDirectory() as directory:
        train(TrainingPlan(trainer=trainer, split=split, battery=BATTERY), Path(directory))
        policy = load_policy(directory)
    assert isinstance(policy, ClosedFormPolicy)
    return dataclasses.replace(policy, critic=critic(policy.features), head=head(policy.features))


def learned_files(feature_set: FeatureSet, directory: Path) -> Path:
    """The same policy as files."""
    split = {"soc_reset": "never", "train_days_of_month": "10-25", "validation_days_of_month": "26-27"}
    about = {"publication_delay_min": 0, "seed": 0, "split": split, "minute_source": None}
    save_policy(directory, learned(feature_set), about)
    return directory


def head(features: MarketFeatures) -> RiskHead:
    """A made-up head that asks for a margin, minds the day's profit and pulls the battery to its middle."""
    inputs = len(features.quarter_names)
    zeros, ones = np.zeros(inputs, dtype=np.float32), np.ones(inputs, dtype=np.float32)
    size = AdvantageSize(zeros, ones, np.concatenate([[-2.0], zeros]).astype(np.float32))
    return RiskHead(size, np.array([[0.3, 0.3, 0.2, 0.5, 0.3, -0.2, 0.4]]))


def critic(features: MarketFeatures) -> Network:
    """A critic that knows nothing, but says something else of every state of the market."""
    random = np.random.default_rng(0)
    inputs, width, outputs = len(features.quarter_names) + 2, 8, 3 * QUANTILES
    shapes = ((inputs, width), width, (width, width), width, (width, outputs), outputs)
    weights = [random.normal(size=shape).astype(np.float32) for shape in shapes]
    return Network(np.zeros(inputs, dtype=np.float32), np.ones(inputs, dtype=np.float32), *weights)


def replay(decider: LiveDecider, market: MarketSeries, start: int, end: int) -> Iterator[LiveDecision]:
    """Decide every interval of [start, end) as if it were now; prices settle as they are published."""
    asset = LiveBattery(decider.battery)
    series = market.known_series[PRICE]
    for time in range(start, end, decider.step_min):
        for quarter_hour in sorted(asset.unsettled):
            row = (quarter_hour - series.first_minute) // series.step_min
            if series.available_at[row] <= time and not np.isnan(series.values[row]):
                asset.settle(quarter_hour, float(series.values[row]), int(series.available_at[row]))
        decision = decider.prepare(market, time).decide(asset.at(time))
        asset.follow(decision.frame.valid_from, decision.frame.valid_until, decision.power_mw)
        yield decision
