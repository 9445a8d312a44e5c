"""A policy whose numbers are not finite decides nothing, and outcomes that are not finite are not served."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import ClassVar

import jsonschema
import numpy as np
import pytest

from api.http.openapi import CONTRACTS
from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Dispatcher
from arbitrage.errors import BadInput
from arbitrage.features.names import FeatureSet
from arbitrage.live.decider import LiveDecider
from arbitrage.live.decision import FOLLOW, AssetState, Level, LiveDecision, Orders, Override
from arbitrage.live.fallback_rule import DayAheadRule
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, KnownMarket
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.policies.closed_form.risk_head import AdvantageSize, RiskHead
from arbitrage.policies.protocol import NEUTRAL, Intent, PlainView, RiskChoice, Untrained
from tests.live.policies import BATTERY, IDENTITY, NIGHT, learned

HALF = AssetState(BatteryState(1.0))
NOT_FINITE = [
    Intent(math.nan, "made_up"),
    Intent(math.inf, "made_up"),
    Intent(-math.inf, "made_up"),
    Intent(0.0, "idling_is_best", math.nan, math.nan),
    Intent(1.0, "made_up", -1.0, math.inf),
    Intent(0.0, "idling_is_best", math.nan, -math.inf),
]


@dataclass(frozen=True, slots=True)
class Saying(PlainView, Untrained):
    """A policy that says the same of everything."""

    intent_: Intent
    outcomes: np.ndarray | None = None
    name: str = "saying"
    needs: ClassVar[tuple[Need, ...]] = (Need(PRICE),)

    def bind(self, known: KnownMarket, battery: Battery) -> Saying:
        return self

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        return self.intent_

    def outcomes_eur(self, at: int, state: BatteryState) -> np.ndarray | None:
        return self.outcomes


def without_day_ahead(market: MarketSeries) -> MarketSeries:
    return replace(
        market, known_series={name: series for name, series in market.known_series.items() if name != DAY_AHEAD}
    )


def decided(policy: Saying, market: MarketSeries, time: int = NIGHT, orders: Orders = FOLLOW) -> LiveDecision:
    return LiveDecider(policy, BATTERY, IDENTITY).prepare(market, time).decide(HALF, orders)


def document_of(decision: LiveDecision) -> dict:
    """What the service says, which fits the contract's schema."""
    head = {"decision_id": "d", "asset_id": None, "generated_at": "2025-03-29T23:00:00Z"}
    document = json.loads(json.dumps(decision.contract() | head, allow_nan=False))
    jsonschema.validate(document, json.loads((CONTRACTS / "decision.schema.json").read_text()))
    return document


@pytest.mark.parametrize("intent", NOT_FINITE)
def test_a_policy_whose_numbers_are_not_finite_gives_way_to_the_day_ahead_rule(intent: Intent) -> None:
    market = sample_market()
    powers = set()
    for time in range(NIGHT, NIGHT + 24 * 60, 60):
        decision = decided(Saying(intent), market, time)
        assert (decision.frame.level, decision.frame.fallback_reason) == (Level.RULE, "policy_not_finite")
        rule = Dispatcher(DayAheadRule(), BATTERY, market, time, 15).decide(0, HALF.battery)
        assert decision.power_mw == rule.power_mw
        assert decision.reasons[0].code == rule.intent.reason
        powers.add(decision.power_mw)
    assert len(powers) == 3
    document = document_of(decision)
    assert document["fallback"] == {"level": 2, "name": "rule", "reason": "policy_not_finite"}


@pytest.mark.parametrize("intent", NOT_FINITE)
def test_without_day_ahead_prices_it_is_to_hold(intent: Intent) -> None:
    decision = decided(Saying(intent), without_day_ahead(sample_market()))
    assert decision.power_mw == 0.0
    reason = "policy_not_finite_and_no_day_ahead_price"
    assert document_of(decision)["fallback"] == {"level": 3, "name": "hold", "reason": reason}


def test_an_override_holds_whatever_the_policy_says() -> None:
    orders = Orders(Override(-0.5, NIGHT + 60))
    decision = decided(Saying(NOT_FINITE[0]), sample_market(), orders=orders)
    assert decision.power_mw == -0.5
    assert decision.frame.level is Level.RULE


def test_the_next_decision_with_finite_numbers_is_the_policys_again() -> None:
    decision = decided(Saying(Intent(0.5, "made_up", -1.0, 2.0)), sample_market())
    assert (decision.frame.level, decision.frame.fallback_reason, decision.power_mw) == (Level.POLICY, None, 0.5)
    idle = decided(Saying(Intent(0.0, "idling_is_best", -math.inf, -math.inf)), sample_market())
    assert idle.frame.level is Level.POLICY


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_outcomes_that_are_not_finite_are_left_out_and_said(value: float) -> None:
    outcomes = np.tile(np.array([[-10.0], [0.0], [20.0]]), (1, 8))
    policy = Saying(Intent(0.5, "made_up", -1.0, 2.0), outcomes)
    told = document_of(decided(policy, sample_market()))
    assert told["expected"]["profit_eur"] == {"mean": 20.0, "p05": 20.0, "p50": 20.0, "p95": 20.0}
    assert told["warnings"] == []
    damaged = outcomes.copy()
    damaged[1, 3:] = value
    document = document_of(decided(replace(policy, outcomes=damaged), sample_market()))
    assert document["setpoint"] == told["setpoint"]
    assert document["fallback"]["level"] == 0
    assert document["expected"]["profit_eur"] is None
    assert document["alternatives"] == []
    assert [warning["code"] for warning in document["warnings"]] == ["outcomes_not_finite"]


@pytest.mark.parametrize("margin", [0.3, -0.3])
def test_a_learned_policy_whose_risk_head_overflows_neither_acts_nor_is_said_to_idle(margin: float) -> None:
    policy = learned(FeatureSet.QUARTER_HOUR)
    assert policy.head is not None
    inputs = len(policy.features.quarter_names)
    zeros, ones = np.zeros(inputs, dtype=np.float32), np.ones(inputs, dtype=np.float32)
    huge = AdvantageSize(zeros, ones, np.concatenate([[1e4], zeros]).astype(np.float32))
    broken = replace(policy, head=RiskHead(huge, np.array([[margin, margin, 0.0, 0.0, 0.0, 0.0, 0.0]])))
    decider = LiveDecider(broken, BATTERY, IDENTITY)
    with np.errstate(over="ignore"):
        neutral, averse = (decider.prepare(sample_market(), NIGHT, risk=each) for each in (NEUTRAL, RiskChoice(0.5)))
    assert [each.decide(HALF).frame.level for each in (neutral, averse)] == [Level.POLICY, Level.RULE]


def test_a_backtest_refuses_a_policy_whose_numbers_are_not_finite() -> None:
    dispatcher = Dispatcher(Saying(NOT_FINITE[3]), BATTERY, sample_market(), NIGHT, 15)
    with pytest.raises(BadInput, match=r"saying: asked for 0\.0 MW on advantages of nan and nan EUR"):
        dispatcher.decide(0, HALF.battery)
