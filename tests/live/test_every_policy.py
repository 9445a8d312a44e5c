"""Every kind of policy does everything: backtest, live decisions, the service, its risk set and its data missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from api.background.backtest_job import run_backtest_job
from api.policies import Policies
from api.schemas.backtests import BacktestIn
from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import BatteryState
from arbitrage.errors import BadInput
from arbitrage.features.names import FeatureSet
from arbitrage.learners.mpc.forecast_fit import ForecastConfig
from arbitrage.live.decider import LiveDecider
from arbitrage.live.decision import AssetState, Level
from arbitrage.live.fallback_rule import DayAheadRule
from arbitrage.market.point_in_time import DAY_AHEAD, INDICATIVE
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import DaysOfMonth, Span
from arbitrage.policies.checkpoint.card_schema import Kind
from arbitrage.policies.checkpoint.load import load_policy, read_card
from arbitrage.policies.mpc.policy import Form
from arbitrage.policies.own_code import own_strategy
from arbitrage.policies.protocol import Policy, RiskChoice
from arbitrage.policies.registry import POLICY_FILES, RULES
from arbitrage.quarter_hour import utc_timestamps
from arbitrage.risk import RiskPreference
from arbitrage.training.data_split import DataSplit
from arbitrage.training.mpc import MpcTrainer
from arbitrage.training.rules import RuleTrainer
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed, market_in
from tests.api.told_policy import save_told_policy
from tests.live.policies import BATTERY, IDENTITY, NIGHT, learned, learned_files, replay
from tests.own_strategies import OWN as OWN_TEXT
from tests.own_strategies import PRICES_ALONE, written

pytest.importorskip("sklearn", reason="fitting needs scikit-learn (extra compare)")

WEIGHING = ("mpc-scenarios", "told", "closed-form")
"""Policies of the service that weigh a risk preference."""
PREFERENCE = RiskChoice(None, RiskPreference.parse("cvar:0.1:0.3"))
OUTCOMES = {"charge": (-30.0, 5.0), "idle": (-10.0, 8.0), "discharge": (-5.0, 9.0)}
CARDS = ("mpc", "mpc-scenarios", "told", "closed-form", "tuned-rule")
OWN = {"own": (OWN_TEXT, "BelowAndAbove"), "own-prices-alone": (PRICES_ALONE, "AroundTheMean")}
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
    if kind == "closed-form":
        return learned_files(FeatureSet.QUARTER_HOUR, where)
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
    if kind == "tuned-rule":
        RuleTrainer(RULES["spread"]).fit(split, BATTERY, 0, where)
        return where
    replace(MpcTrainer.of(split, Form(kind)), forecast=small).fit(split, BATTERY, 0, where)
    return where


@cache
def reference(kind: str) -> str:
    """Where the code of an own strategy is."""
    text, name = OWN[kind]
    return f"{written(Path(folder().name), text, f'{kind}.py')}:{name}"


KINDS = {
    **{name: spec.make for name, spec in RULES.items()},
    "day-ahead": DayAheadRule,
    **{kind: lambda kind=kind: own_strategy(reference(kind)).make() for kind in OWN},
    "closed form": lambda: learned(FeatureSet.QUARTER_HOUR),
    "closed form by the minute": lambda: learned(FeatureSet.FULL),
    **{kind: lambda kind=kind: load_policy(directory(kind)) for kind in CARDS},
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def test_every_kind_of_policy_file_and_every_rule_is_among_the_kinds() -> None:
    assert {Kind(read_card(directory(kind))["kind"]) for kind in CARDS} == set(POLICY_FILES) == set(Kind)
    assert RULES.keys() <= KINDS.keys()


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
    for choice, has_it in ((RiskChoice(0.5), policy.takes_risk_aversion), (PREFERENCE, weighs_outcomes(kind, policy))):
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
    return policy.gives_outcomes or kind == "mpc-scenarios"


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
    yield from served(tmp_path_factory.mktemp("service"), sample_market())


@pytest.fixture(scope="module")
def poor_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClient]:
    yield from served(tmp_path_factory.mktemp("poor"), without_day_ahead(sample_market()))


def served(folder: Path, market: MarketSeries) -> Iterator[LocalClient]:
    """The service with every policy that it can have, on this market."""
    policies = {kind: directory(kind) for kind in CARDS} | {kind: reference(kind) for kind in OWN}
    settings = open_settings(folder, policies=policies)
    clock = StandingClock()
    clock.set_minute(NIGHT, -20.0)
    with LocalClient(settings, clock, PlayedFeed(market, clock)) as client:
        yield client


def ask(client: LocalClient, kind: str, **more: Any) -> dict[str, Any]:
    asset = {"battery": {"max_cycles_per_day": 1.1}, "policy_id": kind, "state": {"soc_fraction": 0.5}}
    assert client.put(f"/v1/assets/{kind}", asset).status_code == 200
    answer = client.post("/v1/decisions", {"asset_id": kind, **more})
    return {"status": answer.status_code, **answer.json()}


def test_the_service_lists_every_policy_with_what_can_be_asked_of_it(client: LocalClient) -> None:
    listed = {each["id"]: each for each in client.get("/v1/policies").json()["policies"]}
    assert set(listed) == {*RULES, *CARDS, *OWN}
    assert {listed[kind]["kind"] for kind in RULES} == {"rule"}
    assert {listed[kind]["kind"] for kind in OWN} == {"own_strategy"}
    for kind in CARDS:
        policy = load_policy(directory(kind))
        assert listed[kind]["has_risk_head"] is policy.takes_risk_aversion
        assert listed[kind]["has_quantile_critic"] is policy.gives_outcomes
        assert listed[kind]["battery"]["max_cycles_per_day"] == 1.1
    for kind in OWN:
        assert listed[kind]["sha256"] == own_strategy(reference(kind)).code_sha256
        assert (listed[kind]["has_risk_head"], listed[kind]["battery"]) == (False, None)


@pytest.mark.parametrize("kind", [*RULES, *CARDS, *OWN])
def test_every_policy_of_the_service_decides_over_http(client: LocalClient, kind: str) -> None:
    answer = ask(client, kind)
    assert answer["status"] == 200, answer
    assert answer["policy"]["id"] == kind
    needs = {need.series for need in KINDS[kind]().needs}
    assert answer["fallback"]["level"] == (2 if INDICATIVE in needs else 0)


@pytest.mark.parametrize("kind", [*RULES, *CARDS, *OWN])
def test_a_feed_of_the_service_without_day_ahead_prices_leads_to_a_labelled_fallback(
    poor_client: LocalClient, kind: str
) -> None:
    answer = ask(poor_client, kind)
    assert answer["status"] == 200, answer
    policy = KINDS[kind]()
    found = [(finding["code"], finding["params"].get("sources", "")) for finding in answer["data_quality"]["findings"]]
    if not {*policy.sources, *(need.series for need in policy.needs)} & {DAY_AHEAD, INDICATIVE}:
        assert (answer["fallback"]["level"], found) == (0, [])
        return
    assert answer["fallback"] == {"level": 3, "name": "hold", "reason": "absent_and_no_day_ahead_price"}
    assert any(code == "missing_source" and DAY_AHEAD in sources for code, sources in found)


def test_a_backtest_of_an_own_strategy_is_had_over_http(client: LocalClient, tmp_path: Path) -> None:
    day = {"start": "2025-04-03T00:00:00+02:00", "end": "2025-04-04T00:00:00+02:00", "with_report": False}
    queued = client.post("/v1/backtests", {"strategy": "own", **day})
    assert queued.status_code == 202, queued.text
    settings = open_settings(tmp_path, policies={"own": reference("own")})
    asked = BacktestIn.model_validate_json(json.dumps({"strategy": "own", **day}))
    figures, _ = run_backtest_job(settings, asked, "j", print)
    assert figures["cycles_per_day"] > 0.0


@pytest.mark.parametrize("name", ["tests.own_strategies:OWN", "a/b.py:C", "os:system", "../own", "installed"])
def test_a_request_never_leads_to_code(client: LocalClient, name: str, tmp_path: Path) -> None:
    assert client.post("/v1/backtests", {"strategy": name}).status_code == 422
    assert client.post("/v1/decisions", {"policy_id": name, "state": {"soc_fraction": 0.5}}).status_code == 422
    asked = BacktestIn.model_construct(strategy=name, with_report=False)
    with pytest.raises(BadInput, match="neither a policy of the service nor a rule"):
        run_backtest_job(open_settings(tmp_path), asked, "j", print)


def test_an_own_strategy_that_fails_gives_way_to_the_day_ahead_rule_with_the_reason(tmp_path: Path) -> None:
    text = OWN_TEXT.replace("gap_eur_mwh = ", "gap_eur_mwh = 1 / 0 + ")
    policy = own_strategy(f"{written(tmp_path, text)}:BelowAndAbove").make()
    market = sample_market()
    decision = LiveDecider(policy, BATTERY, IDENTITY).prepare(market, NIGHT).decide(AssetState(BatteryState(1.0)))
    rule = LiveDecider(DayAheadRule(), BATTERY, IDENTITY).prepare(market, NIGHT).decide(AssetState(BatteryState(1.0)))
    document = decision.contract()
    assert document["fallback"] == {"level": 2, "name": "rule", "reason": "policy_failed"}
    assert decision.power_mw == rule.power_mw
    warned = [warning["params"]["message"] for warning in document["warnings"] if warning["code"] == "policy_failed"]
    assert "ZeroDivisionError" in warned[0]


def test_settings_name_all_that_is_wrong_with_an_own_strategy(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"policies.mine: .* nor module:Class"):
        open_settings(tmp_path, policies={"mine": "nowhere"})
    broken = written(tmp_path, "class A:\n    name = 'a'\n    step_min = 7")
    settings = open_settings(tmp_path, policies={"mine": f"{broken}:A", "other": "no_such_module_here:B"})
    with pytest.raises(BadInput) as refused:
        Policies(settings.policies, None)
    said = str(refused.value)
    assert [words for words in ("policies.mine", "lacks bind", "step_min", "policies.other") if words not in said] == []
    own = reference("own")
    digest = own_strategy(own).code_sha256
    assert Policies({"mine": own}, "mine", {"mine": digest}).default.sha256 == digest
    with pytest.raises(BadInput, match=r"pinned_policies.mine"):
        Policies({"mine": own}, None, {"mine": "0" * 64})


@pytest.mark.parametrize("kind", [*RULES, *CARDS, *OWN])
def test_a_risk_preference_is_taken_with_a_request_or_refused(client: LocalClient, kind: str) -> None:
    neutral = ask(client, kind)
    assert neutral["status"] == 200
    asked = ask(client, kind, risk={"measure": "cvar", "level": 0.1, "weight": 0.3})
    if kind not in WEIGHING:
        assert asked["status"] == 422
        assert asked["faults"]
    else:
        assert asked["status"] == 200
        assert asked["risk"]["weight"] == 0.3
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
