"""The whole loop against the simulator: what it makes is what a backtest makes, and faults cost but never confuse."""

from __future__ import annotations

import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.errors import BadInput
from arbitrage.features.names import FeatureSet
from arbitrage.live.challenger import Contender, deciding
from arbitrage.live.decider import LiveDecider
from arbitrage.live.live_battery import LiveBattery
from arbitrage.live.reconciliation import accounts, reconcile
from arbitrage.live.simulated_source import FaultKind, FeedFault
from arbitrage.live.simulation import Scene, Simulation
from arbitrage.market.splits import Span
from arbitrage.policies.protocol import Policy
from arbitrage.policies.rules import SpreadRule, ThresholdRule
from tests.live.policies import BATTERY, IDENTITY, learned
from tests.live.worlds import DELAY_MIN, FROM, world


def contender(policy: Policy) -> Contender:
    decider = LiveDecider(policy, BATTERY, IDENTITY)
    return Contender(policy.name, deciding(decider), LiveBattery(BATTERY))


def lived(policy: Policy, hours: float, *, challenger: Policy | None = None, **changes: object) -> list[Contender]:
    decider = LiveDecider(policy, BATTERY, IDENTITY)
    end = FROM + int(hours * 60)
    scene = Scene(world(), FROM, end, DELAY_MIN, with_minutes=decider.step_min == 1, **changes)
    contenders = [contender(policy)] + ([] if challenger is None else [contender(challenger)])
    for _ in Simulation(scene, contenders, decider.step_min).run():
        pass
    return contenders


def backtested_eur(policy: Policy, hours: float) -> float:
    step_min = LiveDecider(policy, BATTERY, IDENTITY).step_min
    market = world().market(with_minutes=step_min == 1, publication_delay_min=DELAY_MIN)
    rows = market.rows(FROM, FROM + int(hours * 60))
    result = run_backtest(market, BATTERY, policy, (Span(rows.start, rows.stop),), step_min=step_min)
    return float(result.ledger["profit_eur"].sum())


@pytest.mark.parametrize(
    ("feature_set", "aversion", "hours"),
    [(FeatureSet.QUARTER_HOUR, 0.5, 27), (FeatureSet.FULL, 0.5, 1.5)],
)
def test_a_day_that_is_lived_makes_what_a_backtest_of_it_makes(
    feature_set: FeatureSet, aversion: float, hours: float
) -> None:
    policy = learned(feature_set).with_risk_aversion(aversion)
    (acting,) = lived(policy, hours)
    assert acting.profit_eur == pytest.approx(backtested_eur(policy, hours), abs=1e-9, rel=0)
    assert any(flow.energy_mwh < 0 for flow in acting.flows)
    assert not acting.asset.unsettled


def test_a_challenger_in_the_shadow_is_scored_as_if_it_had_acted_and_changes_nothing() -> None:
    acting, shadow = lived(SpreadRule(), 27, challenger=ThresholdRule())
    (alone,) = lived(SpreadRule(), 27)
    assert acting.profit_eur == alone.profit_eur
    assert acting.profit_eur == pytest.approx(backtested_eur(SpreadRule(), 27), abs=1e-9, rel=0)
    assert shadow.profit_eur == pytest.approx(backtested_eur(ThresholdRule(), 27), abs=1e-9, rel=0)
    assert shadow.profit_eur != acting.profit_eur


def test_the_sums_of_a_reconciliation_are_those_of_the_battery() -> None:
    (acting,) = lived(SpreadRule(), 27)
    market = world().market(publication_delay_min=DELAY_MIN)
    final = dict(zip(market.quarter_hours.tolist(), market.price_eur_mwh.tolist(), strict=True))
    total = reconcile(accounts(acting.flows, final, {}))
    assert total.near_real_time.cash_eur == pytest.approx(acting.settled_eur, abs=1e-9, rel=0)
    assert total.near_real_time.unknown == 0
    assert (total.validated.known, total.validated.unknown) == (0, 27 * 4)


def test_silence_is_lived_through_by_the_rule_and_every_quarter_hour_is_settled_in_the_end() -> None:
    faults = [FeedFault(FaultKind.SILENCE, FROM + 60, FROM + 4 * 60)]
    policy = SpreadRule()
    decider = LiveDecider(policy, BATTERY, IDENTITY)
    scene = Scene(world(), FROM, FROM + 6 * 60, DELAY_MIN, with_minutes=False, faults=faults)
    acting = contender(policy)
    told = [moment.setpoints[0] for moment in Simulation(scene, [acting], decider.step_min).run()]
    levels = [each.fallback_level for each in told if each is not None]
    assert levels == [0] * 5 + [1] * 2 + [2] * 9 + [0] * 8
    assert not acting.asset.unsettled


@pytest.mark.parametrize(("start", "end"), [(FROM + 7, FROM + 60), (FROM, FROM), (0, 60)])
def test_a_scene_that_makes_no_sense_is_refused(start: int, end: int) -> None:
    with pytest.raises(BadInput):
        Scene(world(), start, end, DELAY_MIN, with_minutes=False)
