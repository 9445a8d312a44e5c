"""How agents act: how often at random, drawn from what, and what they say of their entropy."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from arbitrage.learners.neural.actors import CategoricalActor, EpsilonGreedy, EpsilonSchedule, GaussianActor
from arbitrage.learners.neural.learner import Learner, LearningProblem
from arbitrage.learners.neural.nets import Standard
from arbitrage.learners.neural.registry import LEARNERS, make_learner

MANY = torch.zeros(4000, 2)


def a_learner(algorithm: str, actions: int = 3, **settings: object) -> Learner:
    problem = LearningProblem(inputs=2, actions=actions, discrete=LEARNERS[algorithm].discrete)
    return make_learner(algorithm, problem, {"hidden": (8,)} | settings, 0, compiled=False)


def say(learner: CategoricalActor | GaussianActor, *outputs: float) -> None:
    """Make the policy's network say this whatever it sees."""
    learner.actor.flat.zero_()
    learner.actor_layout.unpack(learner.actor.flat)[-1].copy_(torch.tensor(outputs))


def test_exploration_falls_in_a_straight_line() -> None:
    # From 1 to 0.2 within the first half of the training.
    schedule = EpsilonSchedule(first=1.0, last=0.2, over_fraction=0.5)
    assert [schedule.at(progress) for progress in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    assert EpsilonSchedule(last=0.1, over_fraction=0.0).at(0.0) == pytest.approx(0.1)


@pytest.mark.parametrize("algorithm", ["dqn", "quantile-dqn"])
def test_a_greedy_agent_takes_a_random_action_as_often_as_exploration_says(algorithm: str) -> None:
    exploration = EpsilonSchedule(first=0.6, last=0.0, over_fraction=1.0)
    learner = a_learner(algorithm, exploration=exploration)
    assert isinstance(learner, EpsilonGreedy)
    best = learner.act_greedily(MANY)
    assert len(best.unique()) == 1
    # Six in ten are drawn, and two of three of those are others.
    actions, entropies = learner.act(MANY, 0.0)
    assert (actions != best).float().mean().item() == pytest.approx(0.4, abs=0.03)
    assert len(actions.unique()) == 3
    assert (entropies == 0.0).all()
    assert torch.equal(learner.act(MANY, 1.0)[0], best)


def test_a_categorical_policy_draws_by_its_probabilities_and_tells_its_entropy() -> None:
    learner = a_learner("discrete-sac")
    assert isinstance(learner, CategoricalActor)
    shares = (0.2, 0.7, 0.1)
    say(learner, *(math.log(share) for share in shares))
    actions, entropies = learner.act(MANY, 0.0)
    assert (actions.bincount() / len(MANY)).tolist() == pytest.approx(shares, abs=0.03)
    assert entropies.unique().tolist() == pytest.approx([-sum(share * math.log(share) for share in shares)])
    assert (learner.act_greedily(MANY) == 1).all()


@pytest.mark.parametrize("algorithm", ["sac", "dsac", "dsac-t"])
def test_a_gaussian_policy_draws_around_its_centre_through_tanh(algorithm: str) -> None:
    learner = a_learner(algorithm, actions=2)
    assert isinstance(learner, GaussianActor)
    say(learner, 0.5, -1.0, math.log(0.2), math.log(0.1))
    actions, surprise = learner.act(MANY, 0.0)
    raw = torch.atanh(actions)
    torch.testing.assert_close(raw.mean(0), torch.tensor([0.5, -1.0]), rtol=0.0, atol=0.02)
    torch.testing.assert_close(raw.std(0), torch.tensor([0.2, 0.1]), rtol=0.05, atol=0.0)
    torch.testing.assert_close(learner.act_greedily(MANY)[0], torch.tanh(torch.tensor([0.5, -1.0])))
    # A Gaussian's entropy, log(std) + log(2 pi e) / 2 each, and the mean logarithm of the slope of tanh.
    gaussian = math.log(0.2 * 0.1) + math.log(2.0 * math.pi * math.e)
    slope = torch.log(1.0 - actions.square()).sum(-1).mean().item()
    assert surprise.mean().item() == pytest.approx(gaussian + slope, abs=0.05)


@pytest.mark.parametrize("algorithm", list(LEARNERS))
def test_agents_act_on_standardised_observations(algorithm: str) -> None:
    # (x - 1) / 2 in powers of two is exact.
    standard = Standard(torch.ones(2), torch.full((2,), 2.0), torch.tensor(8.0))
    problem = LearningProblem(inputs=2, actions=2, discrete=LEARNERS[algorithm].discrete)
    plain, scaled = (
        make_learner(algorithm, problem, {"hidden": (8,)}, 0, compiled=False, standard=own) for own in (None, standard)
    )
    seen: Tensor = torch.randint(-8, 9, (50, 2), generator=torch.Generator().manual_seed(1)) / 4.0
    assert torch.equal(plain.act_greedily(seen), scaled.act_greedily(2.0 * seen + 1.0))
    assert torch.equal(plain.act(seen, 0.5)[0], scaled.act(2.0 * seen + 1.0, 0.5)[0])
