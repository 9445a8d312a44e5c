"""Every algorithm by name, on problems so small that their answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from arbitrage.errors import BadInput
from arbitrage.learners.neural.batch import Batch
from arbitrage.learners.neural.critics import CategoricalForm, QuantileForm
from arbitrage.learners.neural.discrete_sac import DiscreteSAC
from arbitrage.learners.neural.distributional_discrete_sac import DistributionalDiscreteSAC
from arbitrage.learners.neural.distributional_dqn import DistributionalDQN
from arbitrage.learners.neural.dqn import DQN
from arbitrage.learners.neural.dsac import DSAC
from arbitrage.learners.neural.dsac_t import DSACT
from arbitrage.learners.neural.learner import Learner, LearningProblem
from arbitrage.learners.neural.nets import Standard, forward
from arbitrage.learners.neural.registry import LEARNERS, make_learner
from arbitrage.learners.neural.sac import SAC
from arbitrage.risk import RiskMeasure, RiskPreference

ALL = list(LEARNERS)
DISCRETE = [algorithm for algorithm in ALL if LEARNERS[algorithm].discrete]
CONTINUOUS = [algorithm for algorithm in ALL if not LEARNERS[algorithm].discrete]
DISTRIBUTIONAL = [
    "categorical-dqn",
    "quantile-dqn",
    "categorical-discrete-sac",
    "quantile-discrete-sac",
]
SOFT = ["discrete-sac", "categorical-discrete-sac", "quantile-discrete-sac"]


def quick(algorithm: str, **more: Any) -> dict[str, Any]:
    """Settings with which a tiny problem is learned in a few hundred updates."""
    settings: dict[str, Any] = {"hidden": (16,), "polyak_rate": 0.1}
    rates = ("critic_learning_rate", "actor_learning_rate", "temperature_learning_rate")
    settings |= dict.fromkeys(rates, 0.02) if algorithm in SOFT else {"learning_rate": 0.01}
    if algorithm in SOFT:
        settings["entropy_target_fraction"] = 0.1
    if algorithm in ("categorical-dqn", "categorical-discrete-sac"):
        settings["form"] = CategoricalForm(lowest=-1.0, highest=3.0, outputs=21)
    elif algorithm in DISTRIBUTIONAL:
        settings["form"] = QuantileForm(outputs=8)
    return settings | more


def a_learner(algorithm: str, seed: int = 0, inputs: int = 2, **more: Any) -> Learner:
    problem = LearningProblem(
        inputs=inputs, actions=2 if LEARNERS[algorithm].discrete else 1, discrete=LEARNERS[algorithm].discrete
    )
    return make_learner(algorithm, problem, quick(algorithm, **more), seed, compiled=False)


def transitions(*rows: tuple[Any, float, float, Any, float], repeat: int = 1) -> Batch:
    """From (observation, action, reward, next observation, discount)."""
    observation, action, reward, after, discount = zip(*(rows * repeat), strict=True)
    continuous = isinstance(action[0], float)
    taken = torch.tensor(action)[:, None] if continuous else torch.tensor(action)
    numbers = [torch.tensor(column, dtype=torch.float32) for column in (observation, reward, after, discount)]
    return Batch(numbers[0], taken, *numbers[1:], torch.full((len(action),), 0.2))


def some(algorithm: str, count: int = 16) -> Batch:
    """Transitions of no meaning."""
    generator = torch.Generator().manual_seed(3)
    action = torch.rand(count, 1, generator=generator) * 1.8 - 0.9
    return Batch(
        torch.randn(count, 2, generator=generator),
        (action[:, 0] > 0.0).long() if LEARNERS[algorithm].discrete else action,
        torch.randn(count, generator=generator) * 3.0,
        torch.randn(count, 2, generator=generator),
        torch.full((count,), 0.9),
        torch.rand(count, generator=generator) * 0.5,
    )


def taught(learner: Learner, batch: Batch, updates: int, weight: Tensor | None = None) -> Learner:
    """The learner after so many updates on the whole batch."""
    for _ in range(updates):
        learner.update(batch, torch.arange(len(batch.reward)), weight)
    return learner


def numbers_of(learner: Learner) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in learner.tensors().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def values_of(learner: Learner, observations: Tensor) -> Tensor:
    """Mean value of each action, the mean of twins, shape [batch, actions]."""
    if isinstance(learner, DQN):
        return learner.values(learner.state.critic.flat, observations)
    if isinstance(learner, DistributionalDQN):
        parts = learner.layout.unpack(learner.state.critic.flat)
        return learner.config.form.mean(learner.raw(parts, observations))
    assert isinstance(learner, DiscreteSAC | DistributionalDiscreteSAC)
    parts = learner.critic_layout.unpack(learner.state.critic.flat)
    if isinstance(learner, DistributionalDiscreteSAC):
        return learner.config.form.mean(learner.raw(parts, observations)).mean(0)
    return forward(parts, observations).mean(0)


FIRST, SECOND, OVER = [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]
CHAIN = transitions(
    (FIRST, 0, 1.0, OVER, 0.0),
    (FIRST, 1, 0.0, SECOND, 0.9),
    (SECOND, 0, 0.0, OVER, 0.0),
    (SECOND, 1, 2.0, OVER, 0.0),
)
"""Take 1 and end, or go on to a state where the second action is worth 2 and the first nothing."""
STATES = torch.tensor([FIRST, SECOND])


@pytest.mark.parametrize("algorithm", DISCRETE)
def test_a_chain_of_two_states_is_valued_as_it_is_and_its_best_path_taken(algorithm: str) -> None:
    learner = taught(a_learner(algorithm), CHAIN, 250)
    assert learner.act_greedily(STATES).tolist() == [1, 1]
    found, after = values_of(learner, STATES), 2.0
    if isinstance(learner, DiscreteSAC | DistributionalDiscreteSAC):
        # What goes on is worth 0.9 x what the policy itself makes of it.
        after = 2.0 * learner.current_log(STATES)[1, 1].exp().item()
        assert after > 1.8
    expected = torch.tensor([[1.0, 0.9 * after], [0.0, 2.0]])
    torch.testing.assert_close(found, expected, rtol=0.0, atol=0.1)


def one_step(reward_of: Callable[[float], float]) -> Batch:
    """Continuous actions from -0.95 to 0.95 in one state, and then the end."""
    grid = [step / 20.0 for step in range(-19, 20)]
    return transitions(*((OVER, action, reward_of(action), OVER, 0.0) for action in grid))


@pytest.mark.parametrize("algorithm", CONTINUOUS)
def test_the_best_of_continuous_actions_is_found(algorithm: str) -> None:
    learner = a_learner(algorithm, first_temperature=0.1, learning_rate=0.02)
    taught(learner, one_step(lambda action: -2.0 * abs(action - 0.5)), 300)
    assert learner.act_greedily(torch.zeros(1, 2)).item() == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("algorithm", ["dsac", "dsac-t"])
def test_a_gaussian_critic_learns_mean_and_spread_of_the_return(algorithm: str) -> None:
    # 0.5 plus or minus 1.5 with even chances, whatever one does.
    batch = transitions(
        *((OVER, action, reward, OVER, 0.0) for action in (-0.5, 0.5) for reward in (-1.0, 2.0)), repeat=4
    )
    learner = taught(a_learner(algorithm), batch, 300)
    assert isinstance(learner, DSAC | DSACT)
    parts = learner.critic_layout.unpack(learner.state.critic.flat)
    mean, std = learner.returns(parts, batch.observation, batch.action)
    torch.testing.assert_close(mean, torch.full_like(mean, 0.5), rtol=0.0, atol=0.1)
    torch.testing.assert_close(std, torch.full_like(std, 1.5), rtol=0.0, atol=0.1)


def test_only_the_spread_of_the_refined_critic_sees_a_sampled_return() -> None:
    batch = some("dsac")
    errors = {}
    for algorithm in ("dsac", "dsac-t"):
        for sample in (-1.0, 2.0):
            noise = torch.zeros(3, 16, 1)
            noise[2] = sample
            errors[algorithm, sample] = a_learner(algorithm).learn(batch, torch.ones(16), noise).error
    assert torch.equal(errors["dsac-t", -1.0], errors["dsac-t", 2.0])
    assert not torch.equal(errors["dsac", -1.0], errors["dsac", 2.0])


@pytest.mark.parametrize("smaller", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("algorithm", ["sac", "dsac-t"])
def test_of_continuous_twins_the_one_of_the_smaller_next_mean_counts(algorithm: str, smaller: int) -> None:
    # Networks that say 0, and targets that say 1 and 3 whatever they see; entropy is free, nothing is discounted.
    learner = a_learner(algorithm, first_temperature=1e-20)
    assert isinstance(learner, SAC | DSACT)
    learner.state.critic.flat.zero_()
    learner.state.target.zero_()
    last_bias = learner.critic_layout.unpack(learner.state.target)[-1]
    last_bias[smaller, 0, 0], last_bias[1 - smaller, 0, 0] = 1.0, 3.0
    batch = some(algorithm)._replace(reward=torch.zeros(16), discount=torch.ones(16))
    torch.testing.assert_close(learner.update(batch, torch.arange(16)).error, torch.ones(16))


ARMS = transitions((OVER, 0, 1.0, OVER, 0.0), (OVER, 1, 0.0, OVER, 0.0), (OVER, 1, 2.5, OVER, 0.0))._replace(
    entropy=torch.zeros(3)
)
"""Surely 1, or 0 and 2.5 with even chances."""
WEIGHT = torch.tensor([2.0, 1.0, 1.0])


@pytest.mark.parametrize("algorithm", DISTRIBUTIONAL)
def test_a_risk_preference_changes_the_choice_between_a_safe_and_a_risky_arm(algorithm: str) -> None:
    # Means 1 and 1.25; with the mean of the worse half, weight 1: 1 + 1 = 2 against 1.25 + 0.
    chosen = [
        taught(a_learner(algorithm, preference=preference), ARMS, 150, WEIGHT).act_greedily(torch.zeros(1, 2)).item()
        for preference in (None, RiskPreference(RiskMeasure.CVAR, 0.5, 1.0))
    ]
    assert chosen == [1, 0]


AHEAD = transitions(
    *((FIRST, action, 0.0, SECOND, 1.0) for action in (0, 1)),
    *((SECOND, action, reward, OVER, 0.0) for action, reward in ((0, 1.0), (0, 1.0), (1, 0.0), (1, 2.5))),
)
"""The same two arms, a step later."""


@pytest.mark.parametrize("algorithm", DISTRIBUTIONAL)
def test_a_risk_averse_agent_values_what_it_will_itself_choose(algorithm: str) -> None:
    # It will take the safe 1 and not the risky 1.25.
    for preference, expected in ((None, 1.25), (RiskPreference(RiskMeasure.CVAR, 0.5, 1.0), 1.0)):
        learner = taught(a_learner(algorithm, preference=preference), AHEAD, 250)
        before = values_of(learner, STATES)[0]
        torch.testing.assert_close(before, torch.full((2,), expected), rtol=0.0, atol=0.1)


@pytest.mark.parametrize("algorithm", DISTRIBUTIONAL)
def test_a_measure_that_weights_cannot_tell_is_refused(algorithm: str) -> None:
    with pytest.raises(BadInput, match="mean_variance is no weighting"):
        a_learner(algorithm, preference=RiskPreference(RiskMeasure.MEAN_VARIANCE, 1.0, 0.5))


@pytest.mark.parametrize("algorithm", ALL)
def test_settings_that_there_are_not_are_refused_all_by_name(algorithm: str) -> None:
    with pytest.raises(BadInput) as refused:
        a_learner(algorithm, horizon=3, colour="red")
    assert [fault.where for fault in refused.value.faults] == ["colour", "horizon"]


@pytest.mark.parametrize("algorithm", ALL)
def test_the_wrong_kind_of_action_is_refused(algorithm: str) -> None:
    problem = LearningProblem(inputs=2, actions=2, discrete=not LEARNERS[algorithm].discrete)
    with pytest.raises(BadInput, match=f"{algorithm} needs (discrete|continuous) actions"):
        make_learner(algorithm, problem, {}, 0, compiled=False)


@pytest.mark.parametrize("algorithm", ALL)
def test_defaults_make_a_learner(algorithm: str) -> None:
    problem = LearningProblem(inputs=2, actions=2, discrete=LEARNERS[algorithm].discrete)
    learner = make_learner(algorithm, problem, {}, 0, compiled=False)
    assert learner.act_greedily(torch.zeros(3, 2)).shape == ((3,) if LEARNERS[algorithm].discrete else (3, 2))


@pytest.mark.parametrize("algorithm", ALL)
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(algorithm: str) -> None:
    batch = some(algorithm)
    first, again, other = (numbers_of(taught(a_learner(algorithm, seed), batch, 3)) for seed in (1, 1, 2))
    assert same(first, again)
    assert not torch.equal(first["critic.flat"], other["critic.flat"])


@pytest.mark.parametrize("algorithm", ALL)
def test_a_learner_taken_up_again_goes_on_to_the_last_bit(algorithm: str) -> None:
    batch = some(algorithm)
    learner, other = taught(a_learner(algorithm), batch, 3), taught(a_learner(algorithm, 7), batch, 1)
    other.load(numbers_of(learner))
    drawn = [who.act(batch.observation, 0.1)[0] for who in (learner, other)]
    assert torch.equal(drawn[0], drawn[1])
    assert same(numbers_of(taught(learner, batch, 3)), numbers_of(taught(other, batch, 3)))


@pytest.mark.parametrize("algorithm", ALL)
def test_an_update_moves_every_part_of_the_state(algorithm: str) -> None:
    learner = a_learner(algorithm)
    before = numbers_of(learner)
    after = numbers_of(taught(learner, some(algorithm), 1))
    still = {name for name in before if torch.equal(before[name], after[name])}
    # Only what needs noise moves the generator.
    assert still == (set() if learner.noise_draws else {"generator"})


@pytest.mark.parametrize("algorithm", ALL)
def test_transitions_of_no_weight_do_not_move_the_critic(algorithm: str) -> None:
    learner = a_learner(algorithm)
    before = numbers_of(learner)["critic.flat"]
    taught(learner, some(algorithm), 1, torch.zeros(16))
    assert torch.equal(learner.tensors()["critic.flat"], before)


@pytest.mark.parametrize("algorithm", ALL)
def test_updates_see_standardised_observations(algorithm: str) -> None:
    # Powers of two, so that undoing them is exact.
    batch = some(algorithm)
    batch = batch._replace(
        observation=(batch.observation * 4.0).round() / 4.0, next_observation=(batch.next_observation * 4.0).round()
    )
    problem = LearningProblem(
        inputs=2, actions=2 if LEARNERS[algorithm].discrete else 1, discrete=LEARNERS[algorithm].discrete
    )
    standard = Standard(torch.ones(2), torch.full((2,), 2.0), torch.tensor(100.0))
    scaled = make_learner(algorithm, problem, quick(algorithm), 0, compiled=False, standard=standard)
    moved = batch._replace(
        observation=2.0 * batch.observation + 1.0, next_observation=2.0 * batch.next_observation + 1.0
    )
    assert same(numbers_of(taught(scaled, moved, 2)), numbers_of(taught(a_learner(algorithm), batch, 2)))


@pytest.mark.parametrize("algorithm", ALL)
def test_a_report_tells_the_error_of_each_transition_and_figures_that_are_numbers(algorithm: str) -> None:
    report = a_learner(algorithm).update(some(algorithm), torch.arange(5))
    assert report.error.shape == (5,)
    assert (report.error > 0.0).all()
    for name, figure in report._asdict().items():
        assert torch.isfinite(figure).all(), name
        assert name == "error" or figure.shape == ()
    assert report.value_largest >= report.value_mean.abs()


@pytest.mark.parametrize("algorithm", SOFT + CONTINUOUS)
def test_the_price_of_entropy_rises_where_there_is_too_little_and_falls_where_there_is_too_much(
    algorithm: str,
) -> None:
    rates = {"actor_learning_rate": 0.0} if algorithm in SOFT else {}
    for target, direction in ((9.0, 1.0), (-9.0, -1.0)):
        learner = a_learner(algorithm, **rates)
        learner.entropy_target = target  # type: ignore[attr-defined]
        before = learner.tensors()["log_temperature.flat"].item()
        taught(learner, some(algorithm), 1)
        assert (learner.tensors()["log_temperature.flat"].item() - before) * direction > 0.0


@pytest.mark.parametrize("algorithm", ["dqn", "categorical-dqn", "quantile-dqn"])
def test_double_selection_changes_the_target_once_target_and_critic_differ(algorithm: str) -> None:
    batch = some(algorithm)
    single, double = (numbers_of(taught(a_learner(algorithm, double=double), batch, 10)) for double in (False, True))
    assert not torch.equal(single["critic.flat"], double["critic.flat"])


@pytest.mark.parametrize("algorithm", SOFT)
def test_entropy_in_the_target_makes_values_larger(algorithm: str) -> None:
    # At a price of 1 the entropy of a policy that is nearly uniform is worth log 2, and 0.9 of it the step before.
    settings = {"first_temperature": 1.0, "actor_learning_rate": 1e-5, "temperature_learning_rate": 0.0}
    without, within = (
        values_of(taught(a_learner(algorithm, entropy_in_target=entropy, **settings), CHAIN, 200), STATES)
        for entropy in (False, True)
    )
    assert (within - without)[0, 1].item() == pytest.approx(0.9 * math.log(2.0), abs=0.12)
    assert (within - without)[1, 1].item() == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("algorithm", SOFT)
def test_the_smaller_twin_makes_values_smaller(algorithm: str) -> None:
    batch = some(algorithm)
    mean, smaller = (
        values_of(taught(a_learner(algorithm, smaller_twin=twin), batch, 60), batch.observation).mean().item()
        for twin in (False, True)
    )
    assert smaller < mean - 1e-3


@pytest.mark.parametrize("algorithm", SOFT)
def test_the_penalty_on_entropy_holds_the_policy_to_that_of_who_acted(algorithm: str) -> None:
    # Whoever acted was uniform; unpenalised the policy settles on the better action.
    batch = CHAIN._replace(entropy=torch.full((4,), math.log(2.0)))
    free, held = (
        taught(a_learner(algorithm, entropy_penalty=penalty, temperature_learning_rate=0.0), batch, 100)
        for penalty in (0.0, 50.0)
    )
    entropies = [learner.act(STATES, 1.0)[1].mean().item() for learner in (free, held)]
    assert entropies[0] < 0.2
    assert entropies[1] > 0.6


def test_the_clip_slows_a_critic_that_runs_ahead_of_its_target() -> None:
    # Rewards of some units against a reach of a hundredth.
    batch = some("discrete-sac")
    free, held = (
        taught(a_learner("discrete-sac", clip_reach=reach, polyak_rate=0.001), batch, 30) for reach in (None, 0.01)
    )
    begin = values_of(a_learner("discrete-sac"), batch.observation)
    moved = [(values_of(learner, batch.observation) - begin).abs().mean().item() for learner in (free, held)]
    assert moved[1] < 0.5 * moved[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler uses what torch deprecates
def test_a_compiled_update_is_the_eager_one() -> None:
    algorithm = "quantile-discrete-sac"
    problem = LearningProblem(inputs=2, actions=2)
    eager, compiled = (
        make_learner(algorithm, problem, quick(algorithm), 0, compiled=compiled) for compiled in (False, True)
    )
    begin = {name: tensor.clone() for name, tensor in eager.tensors().items()}
    for batch in (some(algorithm), some(algorithm, count=24)):  # what is compiled for one size must not serve another
        found, expected = numbers_of(taught(compiled, batch, 3)), numbers_of(taught(eager, batch, 3))
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-5, msg=name)
    for learner in (eager, compiled):
        learner.load(begin)
    found, expected = (numbers_of(taught(learner, some(algorithm), 1)) for learner in (compiled, eager))
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-5, msg=name)


def test_a_sac_critic_is_a_pair() -> None:
    learner = a_learner("sac")
    assert isinstance(learner, SAC)
    values = learner.values(
        learner.critic_layout.unpack(learner.state.critic.flat), torch.zeros(4, 2), torch.ones(4, 1)
    )
    assert values.shape == (2, 4)
    assert not torch.equal(values[0], values[1])
