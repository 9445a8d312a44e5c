"""Networks that decide: they say what torch says, alone as in a batch, and what cannot decide is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Decision, Dispatcher
from arbitrage.errors import BadInput
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.learners.experience.market_path import STATE_FEATURES, MarketPath
from arbitrage.learners.neural.actors import CategoricalActor, GaussianActor
from arbitrage.learners.neural.critics import CategoricalForm
from arbitrage.learners.neural.learner import Learner, LearningProblem
from arbitrage.learners.neural.nets import Layout, Standard, forward
from arbitrage.learners.neural.registry import LEARNERS, make_learner
from arbitrage.market.series import MarketSeries
from arbitrage.policies.checkpoint.files import Tensors, read_tensors, write_policy_files
from arbitrage.policies.checkpoint.load import CARD_FILE, TENSORS_FILE, load_policy
from arbitrage.policies.checkpoint.network import save_network_policy
from arbitrage.policies.network_policy import Head, NetworkPolicy, PlainNetwork, _outcomes_of_shares, outputs_of
from arbitrage.risk import RiskMeasure, RiskPreference
from tests.examples import examples
from tests.minute_worlds import scramble_later, simulated_market
from tests.worlds import SUMMER_MIDNIGHT, market_of, noisy_market

BATTERY = Battery(max_cycles_per_day=1.1)
STATES = (BatteryState(0.0), BatteryState(0.9, 0.4), BatteryState(1.3, 1.1), BatteryState(2.0))
CVAR = RiskPreference(RiskMeasure.CVAR, 0.1, 1.0)
DISCRETE = [algorithm for algorithm in LEARNERS if LEARNERS[algorithm].discrete]
DISTRIBUTIONAL = [algorithm for algorithm in DISCRETE if "quantile" in algorithm or "categorical" in algorithm]
ABOUT = {
    "publication_delay_min": 0,
    "seed": 0,
    "split": {"train_days_of_month": "1-2"},
    "minute_source": None,
    "data_sha256": "0" * 64,
}


def standard_of(path: MarketPath) -> Standard:
    return _standard_of(torch.from_numpy(path.features))


def _standard_of(seen: torch.Tensor) -> Standard:
    """Market features standardised, the battery's three as they are, unusual ones cut."""
    std = torch.where(seen.std(0) > 1e-6, seen.std(0), 1.0)
    mean = torch.cat((seen.mean(0), torch.zeros(3)))
    return Standard(mean, torch.cat((std, torch.ones(3))), torch.tensor(2.0))


def policy_of(learner: Learner, market: MarketSeries, battery: Battery = BATTERY, **parts: Any) -> NetworkPolicy:
    """A learner as it is served, by the quarter-hour unless told otherwise."""
    shape = {"features": MarketFeatures(), "state_features": STATE_FEATURES, "step_min": 15, "reward_scale": 0.01}
    return NetworkPolicy(
        battery=battery,
        sources=tuple(sorted(market.known_series)),
        **shape | parts,
        **learner.served(),
    )


def learner_of(algorithm: str, seed: int = 0, **chosen: Any) -> Learner:
    """A learner that knows nothing, but standardises and clips."""
    market = noisy_market(8, 2)
    standard = _standard_of(torch.from_numpy(MarketFeatures().encode(market.known_at(market.quarter_hours))))
    problem = LearningProblem(
        inputs=len(standard.mean),
        actions=3 if LEARNERS[algorithm].discrete else 1,
        discrete=LEARNERS[algorithm].discrete,
    )
    made = {"hidden": (8, 8), **chosen}
    return make_learner(algorithm, problem, made, seed, standard=standard, compiled=False)


def opinionated(learner: Learner, features: np.ndarray) -> Learner:
    """The same with larger weights, and of no opinion on average over the market features [n, names]."""
    rows = torch.from_numpy(
        np.concatenate([features, np.tile(np.float32([0.5, 0.5, 0.0]), (len(features), 1))], axis=1)
    )
    layouts = {"critic.flat": critic_layout(learner)} if learner.problem.discrete else {}
    layouts |= {"actor.flat": learner.actor_layout} if isinstance(learner, CategoricalActor | GaussianActor) else {}
    for name, layout in layouts.items():
        flat = learner.tensors()[name]
        flat.mul_(3.0)
        flat[:, -layout.widths[-1] :] -= torch.from_numpy(said_by_torch(learner, layout, flat, rows)).mean(1)
    return learner


def critic_layout(learner: Learner) -> Layout:
    """Shape of a learner's critic."""
    layout: Layout = getattr(learner, "critic_layout", None) or learner.layout  # type: ignore[attr-defined]
    return layout


def network_of(outputs: list[float], inputs: int = len(MarketFeatures().names) + 3) -> PlainNetwork:
    """A network whose last layer says the same of everything."""
    bias = np.array(outputs, dtype=np.float32)
    shapes = ((inputs, 4), (4, 4), (4, len(bias)))
    weights = tuple(np.zeros(shape, dtype=np.float32) for shape in shapes)
    nothing = np.zeros(4, dtype=np.float32)
    return PlainNetwork(
        np.zeros(inputs, np.float32), np.ones(inputs, np.float32), 4.0, weights, (nothing, nothing, bias)
    )


def made_of(market: MarketSeries | None = None, **parts: Any) -> NetworkPolicy:
    """A policy by the quarter-hour of these networks."""
    sources = () if market is None else tuple(sorted(market.known_series))
    state = {"features": MarketFeatures(), "state_features": FeatureSet.REFERENCE, "step_min": 15}
    return NetworkPolicy(battery=BATTERY, sources=sources, **state | parts)


def dispatcher_of(policy: NetworkPolicy, market: MarketSeries | None = None) -> Dispatcher:
    market = market_of(np.arange(8.0)) if market is None else market
    return Dispatcher(policy, policy.battery, market, market.quarter_hours, policy.step_min)


Answer = tuple[Decision, bytes]


def answers(policy: NetworkPolicy, market: MarketSeries, times: np.ndarray) -> list[Answer]:
    dispatcher = Dispatcher(policy, policy.battery, market, times, policy.step_min)
    told = []
    for at in range(len(times)):
        for state in STATES:
            outcomes = dispatcher.outcomes_eur(at, state)
            told.append((dispatcher.decide(at, state), b"" if outcomes is None else outcomes.tobytes()))
    return told


def said_by_torch(learner: Learner, layout: Layout, flat: torch.Tensor, rows: torch.Tensor) -> np.ndarray:
    """Outputs of each stacked network, shape [K, rows, outputs]."""
    return forward(layout.unpack(flat), learner.standard(rows)).detach().numpy()


@pytest.mark.parametrize("algorithm", list(LEARNERS))
def test_what_is_served_says_what_torch_says(algorithm: str) -> None:
    learner = learner_of(algorithm)
    rows = 3.0 * torch.randn(50, learner.problem.inputs, generator=torch.Generator().manual_seed(1))
    served, state = learner.served(), learner.state
    compared = 0
    if isinstance(learner, CategoricalActor | GaussianActor):
        outputs = said_by_torch(learner, learner.actor_layout, learner.actor.flat, rows)
        assert [*np.stack([outputs_of(served["actor"], row) for row in rows.numpy()])] == [
            pytest.approx(row, abs=1e-5) for row in outputs[0]
        ]
        compared += 1
    if LEARNERS[algorithm].discrete:
        layout = critic_layout(learner)
        outputs = said_by_torch(learner, layout, state.critic.flat, rows)
        assert len(served["critics"]) == layout.stacked == (2 if "sac" in algorithm else 1)
        for own, critic in zip(outputs, served["critics"], strict=True):
            assert np.stack([outputs_of(critic, row) for row in rows.numpy()]) == pytest.approx(own, abs=1e-5)
        compared += 1
    assert compared == (2 if LEARNERS[algorithm].discrete and "sac" in algorithm else 1)
    assert served["continuous"] is not LEARNERS[algorithm].discrete


@pytest.mark.parametrize("algorithm", list(LEARNERS))
def test_what_is_served_decides_as_the_learner_does_at_its_best(algorithm: str) -> None:
    market = noisy_market(5, 2)
    features = MarketFeatures().encode(market.known_at(market.quarter_hours))
    learner = opinionated(learner_of(algorithm, seed=3), features)
    dispatcher = dispatcher_of(policy_of(learner, market), market)
    state = np.array([0.45, 0.4, 0.0], dtype=np.float32)
    seen = np.concatenate([features, np.tile(state, (len(features), 1))], axis=1)
    best = learner.act_greedily(torch.from_numpy(seen)).numpy()
    asked = np.array([dispatcher.decide(at, BatteryState(0.9, 0.4)).intent.power_mw for at in range(len(features))])
    assert asked == pytest.approx(best - 1.0 if LEARNERS[algorithm].discrete else best[:, 0], abs=1e-5)
    assert len(set(asked.tolist())) > 1


def test_a_learner_that_weighs_risk_is_served_with_its_preference() -> None:
    market, preference = noisy_market(5, 2), RiskPreference(RiskMeasure.CVAR, 0.2, 5.0)
    features = MarketFeatures().encode(market.known_at(market.quarter_hours))
    learner = opinionated(learner_of("quantile-dqn", seed=3, preference=preference), features)
    policy = policy_of(learner, market)
    assert policy.preference == preference
    neutral = policy.with_risk_preference(RiskPreference())
    asked, plain = (
        [dispatcher_of(served, market).decide(at, STATES[1]).intent.power_mw for at in range(192)]
        for served in (policy, neutral)
    )
    seen = np.concatenate([features, np.tile(np.float32([0.45, 0.4, 0.0]), (192, 1))], axis=1)
    assert asked == (learner.act_greedily(torch.from_numpy(seen)).numpy() - 1.0).tolist()
    assert asked != plain


@pytest.mark.parametrize("algorithm", list(LEARNERS))
def test_a_time_read_alone_is_decided_to_the_last_bit_as_in_a_batch(algorithm: str) -> None:
    market = noisy_market(6, 2)
    policy, times = policy_of(learner_of(algorithm), market), market.quarter_hours
    batch = answers(policy, market, times)
    for at in range(0, len(times), 31):
        assert answers(policy, market, times[at : at + 1]) == batch[at * len(STATES) : (at + 1) * len(STATES)]


@examples(8)
@given(minute=st.integers(0, 3 * 60), seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("feature_set", [FeatureSet.REFERENCE, FeatureSet.FULL])
def test_no_decision_by_the_minute_rests_on_what_is_published_later(
    feature_set: FeatureSet, minute: int, seed: int
) -> None:
    market, now = simulated_market(1), SUMMER_MIDNIGHT + minute
    inputs = len(MarketFeatures(feature_set).names) + 3
    problem = LearningProblem(inputs=inputs, actions=3, discrete=True)
    learner = make_learner("quantile-dqn", problem, {"hidden": (8, 8)}, 0, compiled=False)
    policy = policy_of(learner, market, features=MarketFeatures(feature_set), step_min=1)
    times = np.arange(SUMMER_MIDNIGHT, SUMMER_MIDNIGHT + 3 * 60 + 1)
    told = len(STATES) * (minute + 1)
    was, is_now = (answers(policy, of, times) for of in (market, scramble_later(market, now, 1, seed)))
    assert was[:told] == is_now[:told]
    assert minute > 150 or was != is_now


@pytest.mark.parametrize("algorithm", DISTRIBUTIONAL)
def test_outcomes_ascend_and_keep_the_mean_that_is_chosen_by(algorithm: str) -> None:
    form = {"form": CategoricalForm(lowest=-5.0, highest=7.0, outputs=13)} if "categorical" in algorithm else {}
    market, learner = noisy_market(7, 1), learner_of(algorithm, seed=2, **form)
    dispatcher = dispatcher_of(policy_of(learner, market), market)
    layout = critic_layout(learner)
    own = learner.config.form
    features = MarketFeatures().encode(market.known_at(market.quarter_hours))
    for at in range(0, 96, 19):
        outcomes = dispatcher.outcomes_eur(at, STATES[1])
        assert outcomes is not None
        assert (np.diff(outcomes, axis=1) >= 0.0).all()
        seen = np.concatenate([features[at], np.float32([0.45, 0.4, 0.0])])
        raw = torch.from_numpy(said_by_torch(learner, layout, learner.state.critic.flat, torch.from_numpy(seen)[None]))
        means = own.mean(raw.view(layout.stacked, 3, own.outputs)).mean(0).numpy() * 100.0
        assert outcomes.mean(axis=1) == pytest.approx(means, abs=1e-2)
        advantages = dispatcher.decide(at, STATES[1]).intent
        told = [advantages.charge_advantage_eur, advantages.discharge_advantage_eur]
        assert told == pytest.approx([means[0] - means[1], means[2] - means[1]], abs=2e-2)


def test_a_critic_of_means_knows_no_outcomes() -> None:
    assert dispatcher_of(made_of(critics=(network_of([0.0, 1.0, 2.0]),))).outcomes_eur(0, STATES[0]) is None
    assert dispatcher_of(made_of(actor=network_of([0.0, 1.0, 2.0]))).outcomes_eur(0, STATES[0]) is None


def test_two_atoms_are_told_exactly_where_the_mass_divides_evenly_and_by_their_mean_where_not() -> None:
    # Two fifths of -10 and three fifths of 30 in five outcomes; then three tenths of -10 in two halves: the lower half
    # is 0.6 x -10 + 0.4 x 30.
    five = _outcomes_of_shares(np.array([[0.4, 0.0, 0.0, 0.0, 0.6]]), (-10.0, 30.0))
    assert five[0] == pytest.approx([-10.0, -10.0, 30.0, 30.0, 30.0])
    two = _outcomes_of_shares(np.array([[0.3, 0.7]]), (-10.0, 30.0))
    assert two[0] == pytest.approx([6.0, 30.0])


@examples(50)
@given(
    shares=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=30).filter(lambda drawn: sum(drawn) > 0.1),
    lowest=st.floats(-50.0, 0.0),
    width=st.floats(0.1, 100.0),
)
def test_shares_told_as_outcomes_keep_their_mean_and_stay_on_the_support(
    shares: list[float], lowest: float, width: float
) -> None:
    own = np.array([shares]) / sum(shares)
    outcomes = _outcomes_of_shares(own, (lowest, lowest + width))[0]
    assert outcomes.mean() == pytest.approx((own[0] * np.linspace(lowest, lowest + width, len(shares))).sum(), abs=1e-9)
    assert (np.diff(outcomes) >= -1e-9).all()
    assert lowest - 1e-9 <= outcomes.min() <= outcomes.max() <= lowest + width + 1e-9


SAFE_OR_DARING = network_of([-9.0, -9.0, 1.0, 1.0, -4.0, 10.0])
"""Two quantiles each: charging loses, idling makes 1 for sure, discharging -4 or 10, 3 on average."""


def test_a_risk_preference_changes_the_choice_and_what_it_is_thought_to_be_worth() -> None:
    # In units of 0.01 an EUR the outcomes are 100 times as large. Mean + 1 x CVaR 10 %: idle 100 + 100 = 200,
    # discharge 300 - 400 = -100, charge -900 - 900.
    policy = made_of(critics=(SAFE_OR_DARING,), head=Head.QUANTILE, reward_scale=0.01)
    neutral = dispatcher_of(policy).decide(0, BatteryState(1.0)).intent
    assert (neutral.power_mw, neutral.reason) == (1.0, "best_outcomes")
    assert (neutral.charge_advantage_eur, neutral.discharge_advantage_eur) == pytest.approx((-1000.0, 200.0))
    careful = dispatcher_of(policy.with_risk_preference(CVAR)).decide(0, BatteryState(1.0)).intent
    assert careful.power_mw == 0.0
    assert (careful.charge_advantage_eur, careful.discharge_advantage_eur) == pytest.approx((-2000.0, -300.0))


def test_a_preference_overrules_an_actor_and_weight_0_gives_it_back() -> None:
    actor = network_of([5.0, 0.0, 0.0])
    policy = made_of(critics=(SAFE_OR_DARING,), head=Head.QUANTILE, actor=actor)
    asked = [
        dispatcher_of(served).decide(0, BatteryState(1.0)).intent
        for served in (policy, policy.with_risk_preference(CVAR), policy.with_risk_preference(RiskPreference()))
    ]
    assert [intent.power_mw for intent in asked] == [-1.0, 0.0, -1.0]
    assert [intent.reason for intent in asked] == ["actor_chooses", "best_outcomes", "actor_chooses"]


def test_twins_count_alike() -> None:
    # Each twin prefers another action; together, 2 x 1 against 3 - 2 and 1 + 0.
    twins = (network_of([3.0, 1.0, 1.0]), network_of([-2.0, 1.0, 0.0]))
    assert dispatcher_of(made_of(critics=twins)).decide(0, BatteryState(1.0)).intent.power_mw == 0.0
    told = dispatcher_of(made_of(critics=twins, head=Head.QUANTILE)).outcomes_eur(0, BatteryState(1.0))
    assert told is not None
    assert told.tolist() == [[-2.0, 3.0], [1.0, 1.0], [0.0, 1.0]]


@pytest.mark.parametrize("algorithm", DISTRIBUTIONAL)
@pytest.mark.parametrize("measure", [RiskMeasure.CVAR, RiskMeasure.ENTROPIC])
def test_weight_0_is_risk_neutral_to_the_last_bit(algorithm: str, measure: RiskMeasure) -> None:
    market = noisy_market(6, 1)
    policy = policy_of(learner_of(algorithm), market)
    dialled = policy.with_risk_preference(RiskPreference(measure, 0.3, 0.0))
    assert answers(policy, market, market.quarter_hours) == answers(dialled, market, market.quarter_hours)


def test_a_continuous_share_is_of_what_the_connection_allows_in_that_direction() -> None:
    battery = Battery(power_mw=1.0, import_limit_mw=0.4, export_limit_mw=0.2)
    for raw, allowed in ((-1.0, 0.4), (0.5, 0.2)):
        policy = dataclasses.replace(made_of(actor=network_of([raw, 9.0]), continuous=True), battery=battery)
        intent = dispatcher_of(policy).decide(0, BatteryState(1.0)).intent
        assert intent.power_mw == pytest.approx(allowed * np.tanh(raw), rel=1e-6)
        assert intent.reason == "actor_chooses"


CRITIC, ACTOR = network_of([0.0, 1.0, 2.0]), network_of([0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({}, "neither a critic nor an actor"),
        ({"continuous": True, "critics": (CRITIC,)}, "continuous actions are not served"),
        ({"critics": (CRITIC,), "state_features": FeatureSet.FULL}, "need what a policy does not know"),
        (
            {"critics": (CRITIC,), "state_features": FeatureSet.QUARTER_HOUR, "step_min": 1},
            "need what a policy does not know",
        ),
        ({"critics": (CRITIC,), "preference": CVAR}, "knows no outcomes"),
        ({"actor": ACTOR, "preference": CVAR}, "knows no outcomes"),
        ({"critics": (network_of([0.0, 1.0, 2.0], inputs=7),)}, "7 inputs"),
        ({"actor": network_of([0.0, 1.0, 2.0], inputs=61)}, "61 inputs"),
        ({"critics": (network_of([0.0, 1.0, 2.0, 3.0]),), "head": Head.QUANTILE}, "4 outputs"),
        ({"critics": (network_of([0.0] * 6),)}, "6 outputs"),
        ({"actor": network_of([0.0, 1.0])}, "2 outputs"),
    ],
)
def test_what_cannot_decide_is_refused_with_the_reason(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        made_of(**parts)


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        made_of(state_features=FeatureSet.FULL)
    assert len(refused.value.faults) == 2


@pytest.mark.parametrize("parts", [{"critics": (CRITIC,)}, {"actor": ACTOR}])
def test_a_preference_is_refused_where_there_are_no_outcomes_to_weigh(parts: dict[str, Any]) -> None:
    policy = made_of(**parts)
    with pytest.raises(BadInput, match="knows no outcomes"):
        policy.with_risk_preference(CVAR)
    assert policy.with_risk_preference(RiskPreference()) == policy


def test_another_battery_and_a_market_without_what_was_trained_on_are_refused() -> None:
    market = noisy_market(0, 1)
    policy = made_of(market, critics=(CRITIC,))
    with pytest.raises(BadInput, match=r"trained for 2\.0, not 4\.0"):
        Dispatcher(policy, Battery(capacity_mwh=4.0, max_cycles_per_day=1.1), market, market.quarter_hours, 15)
    with pytest.raises(BadInput, match="day_ahead_price_eur_mwh: the policy reads it"):
        dispatcher_of(policy, market_of(np.arange(8.0)))


def test_only_what_was_trained_on_is_read() -> None:
    market = noisy_market(2, 2)
    bare = market_of(market.price_eur_mwh)
    policy = policy_of(learner_of("dqn"), bare)
    assert answers(policy, bare, bare.quarter_hours) == answers(policy, market, bare.quarter_hours)


@pytest.mark.parametrize("algorithm", list(LEARNERS))
def test_a_policy_read_back_is_the_one_written(algorithm: str, tmp_path: Path) -> None:
    market = noisy_market(6, 1)
    policy = dataclasses.replace(policy_of(learner_of(algorithm), market), name=algorithm)
    if algorithm in DISTRIBUTIONAL:
        policy = policy.with_risk_preference(RiskPreference(RiskMeasure.WANG, 0.75, 0.5))
    card = save_network_policy(tmp_path, policy, ABOUT)
    back = load_policy(tmp_path)
    assert isinstance(back, NetworkPolicy)
    for name in NetworkPolicy.__dataclass_fields__:
        if name not in ("critics", "actor"):
            assert getattr(back, name) == getattr(policy, name)
    assert answers(back, market, market.quarter_hours) == answers(policy, market, market.quarter_hours)
    again = save_network_policy(tmp_path / "again", back, ABOUT)
    assert again["tensors_sha256"] == card["tensors_sha256"]


def test_the_card_says_what_is_seen_and_in_which_units(tmp_path: Path) -> None:
    save_network_policy(tmp_path, policy_of(learner_of("dqn"), noisy_market(0, 1)), ABOUT)
    card = json.loads((tmp_path / CARD_FILE).read_text())
    assert card["kind"] == "network"
    assert card["features"] == list(MarketFeatures().names)
    assert set(card["feature_units"]) == set(card["features"])
    assert card["state_features"] == ["soc_fraction", "cycles_used", "minute_fraction"]
    assert "every 15 min" in card["description"]
    assert "at most 1.1 cycles a day" in card["description"]


def _without(name: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {own: value for own, value in tensors.items() if own != name}


def _changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, name: np.ascontiguousarray(change(tensors[name]))}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_without("critic0.weight1"), "other tensors"),
        (_without("critic0.bias2"), "other tensors"),
        (_without("critic0.mean"), "other tensors"),
        (_without("critic0.limit"), "other tensors"),
        (lambda _: {"foreign": np.zeros(3)}, "other tensors"),
        (_changed("critic0.limit", lambda limit: limit[:0]), "critic0.limit"),
        (_changed("critic0.weight1", lambda weight: weight[:-1]), "critic0.weight1 has the shape"),
        (_changed("critic0.weight0", np.transpose), "critic0.weight0 has the shape"),
        (_changed("critic0.bias1", lambda bias: bias[:-1]), "critic0.weight1 has the shape"),
        (_changed("critic0.mean", lambda mean: mean[:-1]), "critic0.mean has the shape"),
        (_changed("critic0.std", lambda std: std[:1]), "critic0.std has the shape"),
    ],
)
def test_layers_that_are_missing_or_do_not_fit_are_refused(
    change: Callable[[Tensors], Tensors], says: str, tmp_path: Path
) -> None:
    card = save_network_policy(tmp_path, policy_of(learner_of("quantile-dqn"), noisy_market(0, 1)), ABOUT)
    tensors = change(read_tensors(tmp_path, card))
    del card["tensors_sha256"]
    write_policy_files(tmp_path, tensors, card)
    with pytest.raises(BadInput, match=says):
        load_policy(tmp_path)


def _edit(directory: Path, **changes: object) -> None:
    """As whoever changes a card and takes its seal off."""
    card = json.loads((directory / CARD_FILE).read_text()) | changes
    del card["card_sha256"]
    (directory / CARD_FILE).write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda d: (d / TENSORS_FILE).write_bytes((d / TENSORS_FILE).read_bytes()[:-1]), "altered or cut short"),
        (lambda d: (d / TENSORS_FILE).write_bytes(save({"foreign": np.zeros(3)})), "altered or cut short"),
        (lambda d: (d / TENSORS_FILE).unlink(), "cannot be read"),
        (lambda d: (d / CARD_FILE).write_text("{"), "is not JSON"),
        (lambda d: _edit(d, kind="oracle"), "a kind that is not served here: 'oracle'"),
        (lambda d: _edit(d, critics=2), "other tensors"),
        (lambda d: _edit(d, head="crystal"), "head: 'crystal' is not one of"),
        (lambda d: _edit(d, head="expected"), "96 outputs"),
        (lambda d: _edit(d, support=[]), "support"),
        (lambda d: _edit(d, preference=None), "preference: None"),
        (lambda d: _edit(d, preference={"measure": "luck", "level": 0.1, "weight": 1.0}), "preference.measure"),
        (lambda d: _edit(d, preference={"measure": "cvar", "level": 7.0, "weight": 1.0}), "level"),
        (lambda d: _edit(d, state_feature_set="quarter_hour"), "state_features"),
        (lambda d: _edit(d, features=["tomorrow"]), "train it again"),
        (lambda d: _edit(d, battery={"power_mw": -1}), "power_mw"),
    ],
)
def test_a_damaged_or_foreign_policy_is_refused_with_the_reason(
    damage: Callable[[Path], None], says: str, tmp_path: Path
) -> None:
    save_network_policy(tmp_path, policy_of(learner_of("quantile-dqn"), noisy_market(0, 1)), ABOUT)
    damage(tmp_path)
    with pytest.raises(BadInput, match=says):
        load_policy(tmp_path)
