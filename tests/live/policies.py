"""Small policies that tests of the live service share, and a replay of a market through the live decider."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from arbitrage.agents.arbitrage_policy import ArbitragePolicy
from arbitrage.agents.checkpoint import load_policy
from arbitrage.agents.closed_form_config import ClosedFormConfig
from arbitrage.agents.lattice import LatticeSize
from arbitrage.agents.minute_fit import MinuteConfig
from arbitrage.agents.network_training import NetworkConfig
from arbitrage.agents.networks import Network
from arbitrage.agents.quantile_critic import QUANTILES
from arbitrage.agents.risk_head import AdvantageSize, RiskHead
from arbitrage.battery import Battery
from arbitrage.live.asset import LiveBattery
from arbitrage.live.decider import LiveDecider
from arbitrage.live.decision import LiveDecision, PolicyIdentity
from arbitrage.market.embedded import sample_market
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import DaysOfMonth
from arbitrage.market.tapes import PRICE
from arbitrage.observation import FeatureSet, MarketFeatures
from arbitrage.quarter_hour import epoch_minute
from arbitrage.training import TrainingPlan, train

BATTERY = Battery(max_cycles_per_day=1.1)
SIZE = LatticeSize(soc_nodes=5, cycle_nodes=4)
IDENTITY = PolicyIdentity("tried", "0" * 64)
NIGHT = epoch_minute("2025-03-30T00:00+01:00")
"""The Brussels day on which clocks go forward."""


@cache
def learned(feature_set: FeatureSet) -> ArbitragePolicy:
    """A small policy with a made-up critic and risk head, taught on the sample before `NIGHT`."""
    by_minute = feature_set is FeatureSet.FULL
    minutes = MinuteConfig(network=NetworkConfig(width=8, steps=150)) if by_minute else None
    plan = TrainingPlan(
        market=sample_market(with_minutes=by_minute),
        battery=BATTERY,
        train_days=DaysOfMonth(10, 25),
        validation_days=DaysOfMonth(26, 27),
        end=epoch_minute("2025-03-29T00:00+01:00"),
        config=ClosedFormConfig(cosines=12, passes=1, network=None, minutes=minutes, size=SIZE),
        features=MarketFeatures(feature_set),
        with_critic=False,
        with_risk_head=False,
    )
    with TemporaryDirectory() as directory:
        train(plan, Path(directory))
        policy = load_policy(directory)
    assert isinstance(policy, ArbitragePolicy)
    return dataclasses.replace(policy, critic=critic(policy.features), head=head(policy.features))


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
    tape = market.tapes[PRICE]
    for time in range(start, end, decider.step_min):
        for quarter_hour in sorted(asset.unsettled):
            row = (quarter_hour - tape.first_minute) // tape.step_min
            if tape.available_at[row] <= time and not np.isnan(tape.values[row]):
                asset.settle(quarter_hour, float(tape.values[row]), int(tape.available_at[row]))
        decision = decider.prepare(market, time).decide(asset.at(time))
        asset.follow(decision.frame.valid_from, decision.frame.valid_until, decision.power_mw)
        yield decision
