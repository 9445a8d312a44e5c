"""Every kind of policy does everything: backtest, live decisions, the service, its risk set and its data missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.errors import BadInput
from arbitrage.features.names import FeatureSet
from arbitrage.learners.mpc.forecast_fit import ForecastConfig
from arbitrage.live.decider import LiveDecider
from arbitrage.live.decision import Level
from arbitrage.live.fallback_rule import DayAheadRule
from arbitrage.market.point_in_time import DAY_AHEAD, INDICATIVE
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import DaysOfMonth, Span
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.minute_rule import MinuteSpreadRule
from arbitrage.policies.mpc.policy import Form
from arbitrage.policies.protocol import Policy, RiskChoice
from arbitrage.policies.rules import Idle, SpreadRule, ThresholdRule
from arbitrage.quarter_hour import utc_timestamps
from arbitrage.risk import RiskPreference
from arbitrage.training.data_split import DataSplit
from arbitrage.training.mpc import MpcTrainer
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed, market_in
from tests.api.told_policy import save_told_policy
from tests.live.policies import BATTERY, IDENTITY, NIGHT, learned, replay

pytest.importorskip("sklearn", reason="fitting needs scikit-learn (extra compare)")

PREFERENCE = RiskChoice(None, RiskPreference.parse("cvar:0.1:0.3"))
OUTCOMES = {"charge": (-30.0, 5.0), "idle": (-10.0, 8.0), "discharge": (-5.0, 9.0)}
CARDS = ("mpc", "mpc-scenarios", "told")
QUARTER_HOURS = 8


@cache
def folder() -> TemporaryDirectory[str]:
    """Where policies are kept as files while the tests run."""
    return TemporaryDirectory()


@cache
def directory(kind: str) -> Path:
    """The files of a small policy of a kind that is served from files."""
    where = Path(folder().name) / kind
    if kind == "told":
        return save_told_policy(where, OUTCOMES)
    split = DataSplit(market=sample_market(), train_days=DaysOfMonth(1, 12), validation_days=DaysOfMonth(21, 21))
    small = ForecastConfig(
        near_quarter_hours=2,
        far_quarter_hours=1,
        fractions=(0.1, 0.5, 0.9),
        trees=6,
        leaf_rows=100,
        plans_for_paths=60,
        paths=4,
    )
    replace(MpcTrainer.of(split, Form(kind)), forecast=small).fit(split, BATTERY, 0, where)
    return where


KINDS = {
    "idle": Idle,
    "threshold": ThresholdRule,
    "spread": SpreadRule,
    "minute-spread": MinuteSpreadRule,
    "day-ahead": DayAheadRule,
    "closed form": lambda: learned(FeatureSet.QUARTER_HOUR),
    "closed form by the minute": lambda: learned(FeatureSet.FULL),
    **{kind: lambda kind=kind: load_policy(directory(kind)) for kind in CARDS},
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def market_for(policy: Policy) -> MarketSeries:
    return sample_market(with_minutes=INDICATIVE in {need.series for need in policy.needs})


def without_day_ahead(market: MarketSeries) -> MarketSeries:
    return replace(
        market, known_series={name: recorded for name, recorded in market.known_series.items() if name != DAY_AHEAD}
    )


@EVERY_KIND
def test_live_decisions_are_those_of_the_backtest(kind: str) -> None:
    policy = KINDS[kind]()
    market = market_for(policy)
    row = int(np.searchsorted(market.quarter_hours, NIGHT))
    span, end = Span(row, row + QUARTER_HOURS), NIGHT + 15 * QUARTER_HOURS
    tried = run_backtest(market, BATTERY, policy, [span], step_min=policy.step_min)
    decided = list(replay(LiveDecider(policy, BATTERY, IDENTITY), market, NIGHT, end))
    assert {decision.frame.level for decision in decided} == {Level.POLICY}
    assert len(decided) == 15 * QUARTER_HOURS // policy.step_min
    assert decided[-1].after.soc_mwh == tried.ledger["soc_end_mwh"].iloc[-1]
    assert {each.source for each in tried.coverage} == {need.series for need in policy.needs}


@EVERY_KIND
def test_its_risk_is_set_for_one_decision_or_refused_with_the_remedy(kind: str) -> None:
    policy = KINDS[kind]()
    decider, market = LiveDecider(policy, BATTERY, IDENTITY), market_for(policy)
    for choice, has_it in ((RiskChoice(0.5), policy.has_dial), (PREFERENCE, weighs_outcomes(kind, policy))):
        if has_it:
            told = decider.prepare(market, NIGHT, risk=choice).contract["risk"]
            assert told["aversion"] == (choice.risk_aversion or 0.0)
            assert told["weight"] == (0.0 if choice.preference is None else 0.3)
        else:
            with pytest.raises(BadInput, match="risk_"):
                decider.prepare(market, NIGHT, risk=choice)
    assert decider.prepare(market, NIGHT).contract["risk"]["weight"] == 0.0


def weighs_outcomes(kind: str, policy: Policy) -> bool:
    """Plans over several paths weigh these, although they tell no outcomes of the day."""
    return policy.tells_outcomes or kind == "mpc-scenarios"


@EVERY_KIND
def test_a_feed_without_day_ahead_prices_leads_to_a_labelled_fallback(kind: str) -> None:
    policy = KINDS[kind]()
    decider, market = LiveDecider(policy, BATTERY, IDENTITY), without_day_ahead(market_for(policy))
    if DAY_AHEAD not in {*policy.sources, *(need.series for need in policy.needs)}:
        assert decider.prepare(market, NIGHT, of_feed=True).frame.level is Level.POLICY
        return
    frame = decider.prepare(market, NIGHT, of_feed=True).frame
    assert (frame.level, frame.fallback_reason) == (Level.HOLD, "absent_and_no_day_ahead_price")
    assert ("missing_source", DAY_AHEAD) in [
        (finding.code, finding.params.get("sources")) for finding in frame.judgement.findings
    ]
    with pytest.raises(BadInput, match=DAY_AHEAD):
        decider.prepare(market, NIGHT)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClient]:
    settings = open_settings(tmp_path_factory.mktemp("service"), policies={kind: directory(kind) for kind in CARDS})
    clock = StandingClock()
    clock.set_minute(NIGHT, -20.0)
    with LocalClient(settings, clock, PlayedFeed(sample_market(), clock)) as client:
        yield client


def ask(client: LocalClient, kind: str, **more: Any) -> dict[str, Any]:
    asset = {"battery": {"max_cycles_per_day": 1.1}, "policy_id": kind, "state": {"soc_fraction": 0.5}}
    assert client.put(f"/v1/assets/{kind}", asset).status_code == 200
    answer = client.post("/v1/decisions", {"asset_id": kind, **more})
    return {"status": answer.status_code, **answer.json()}


def test_the_service_lists_every_policy_with_what_can_be_asked_of_it(client: LocalClient) -> None:
    listed = {each["id"]: each for each in client.get("/v1/policies").json()["policies"]}
    assert set(listed) == {"idle", "threshold", "spread", "minute-spread", *CARDS}
    for kind in CARDS:
        policy = load_policy(directory(kind))
        assert listed[kind]["has_risk_head"] is policy.has_dial
        assert listed[kind]["has_quantile_critic"] is policy.tells_outcomes
        assert listed[kind]["battery"]["max_cycles_per_day"] == 1.1


@pytest.mark.parametrize(("kind", "weight"), [("mpc-scenarios", 0.3), ("told", 0.3), ("mpc", None), ("spread", None)])
def test_a_risk_preference_is_taken_with_a_request_or_refused(
    client: LocalClient, kind: str, weight: float | None
) -> None:
    neutral = ask(client, kind)
    assert neutral["status"] == 200
    assert neutral["fallback"]["level"] == 0
    asked = ask(client, kind, risk={"measure": "cvar", "level": 0.1, "weight": 0.3})
    if weight is None:
        assert asked["status"] == 422
        assert asked["faults"]
    else:
        assert asked["status"] == 200
        assert asked["risk"]["weight"] == weight
        assert asked["valid_from"] == utc_timestamps([NIGHT])[0].strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("hours", "level", "code"), [(72, 0, None), (2, 1, "incomplete_day"), (0, 3, "missing_record")]
)
def test_a_request_with_few_hours_of_day_ahead_prices_is_answered_with_a_finding(
    client: LocalClient, hours: int, level: int, code: str | None
) -> None:
    records = market_in(sample_market(), NIGHT - 20 * 24 * 60, NIGHT)
    series = records[DAY_AHEAD]
    known = 20 * 96 + 4 * hours
    series["values"] = series["values"][:known]
    body = {"policy_id": "mpc", "at": utc_timestamps([NIGHT])[0].isoformat(), "market": records}
    asked = client.post("/v1/decisions", {**body, "state": {"soc_fraction": 0.5, "cycles_used_today": 0.0}})
    assert asked.status_code == 200, asked.text
    answer = asked.json()
    assert answer["fallback"]["level"] == level
    found = [finding["code"] for finding in answer["data_quality"]["findings"]]
    assert (code in found) if code else not {"incomplete_day", "missing_record"} & set(found)
