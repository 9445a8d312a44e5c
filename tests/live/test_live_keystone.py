"""The keystone with the live decider in it: a replay is the backtest, to the last bit and to the cent of a cent."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

import numpy as np
import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.features.names import FeatureSet
from arbitrage.live.decider import LiveDecider
from arbitrage.live.decision import Level, LiveDecision
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import Span
from arbitrage.policies.minute_rule import MinuteSpreadRule
from arbitrage.policies.protocol import Policy
from arbitrage.policies.rules import Idle, SpreadRule, ThresholdRule
from arbitrage.quarter_hour import energy_mwh
from tests.live.policies import BATTERY, IDENTITY, NIGHT, learned, replay

START = NIGHT - 60
"""An hour before the Brussels day on which clocks go forward."""
HOURS = {15: 25, 1: 2}
"""So long is replayed by steps of so many minutes."""

POLICIES = {
    "quarter-hours": lambda: learned(FeatureSet.QUARTER_HOUR),
    "minutes": lambda: learned(FeatureSet.FULL),
    "minutes, averse": lambda: dataclasses.replace(learned(FeatureSet.FULL), name="averse").with_risk_aversion(0.5),
    "idle": Idle,
    "threshold": ThresholdRule,
    "spread": SpreadRule,
    "minute-spread": MinuteSpreadRule,
}


def market_for(decider: LiveDecider) -> MarketSeries:
    return sample_market(with_minutes=decider.step_min == 1)


def euros(market: MarketSeries, decisions: list[LiveDecision]) -> float:
    """Settled by hand, quarter-hour by quarter-hour, from the decisions alone."""
    net = defaultdict(float)
    for decision in decisions:
        frame = decision.frame
        net[frame.valid_from // 15 * 15] += energy_mwh(decision.power_mw, frame.valid_until - frame.valid_from)
    series = market.known_series[PRICE]
    cash = sum(series.values[(start - series.first_minute) // 15] * energy for start, energy in net.items())
    return cash - sum(decision.wear_eur for decision in decisions)


@pytest.mark.parametrize("name", POLICIES)
def test_a_replay_through_the_live_decider_is_the_backtest(name: str) -> None:
    policy: Policy = POLICIES[name]()
    decider = LiveDecider(policy, BATTERY, IDENTITY)
    market = market_for(decider)
    end = START + HOURS[decider.step_min] * 60
    rows = market.rows(START, end)
    decisions = list(replay(decider, market, START, end))
    backtest = run_backtest(market, BATTERY, policy, (Span(rows.start, rows.stop),), step_min=decider.step_min)
    ledger = backtest.ledger
    steps = 15 // decider.step_min
    ends = [decision.after.soc_mwh for decision in decisions[steps - 1 :: steps]]
    assert ends == ledger["soc_end_mwh"].tolist()
    assert [decision.after.cycles_used for decision in decisions[steps - 1 :: steps]] == ledger["cycles_used"].tolist()
    asked = np.array([decision.shield.requested_mw for decision in decisions]).reshape(-1, steps).mean(axis=1)
    np.testing.assert_allclose(asked, ledger["asked_mw"], rtol=0, atol=1e-12)
    assert euros(market, decisions) == pytest.approx(ledger["profit_eur"].sum(), abs=1e-9, rel=0)
    assert {decision.frame.level for decision in decisions} == {Level.POLICY}
    assert name == "idle" or {decision.action for decision in decisions} >= {"charge", "idle"}
