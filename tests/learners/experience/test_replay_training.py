"""Training by replay: that it learns, is taken up again bit for bit, tells how it goes, and stops when it runs away."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import Tensor

from arbitrage.errors import BadInput
from arbitrage.learners.experience.collector import CollectionConfig
from arbitrage.learners.experience.replay_buffer import ReplayConfig
from arbitrage.learners.experience.replay_training import OnlineConfig, OnlineTrainer, mean_return
from arbitrage.learners.neural.learner import Learner, LearningProblem
from arbitrage.learners.neural.monitoring import Diverged, refuse_collapse, refuse_divergence, tensorboard_sink
from arbitrage.learners.neural.registry import LEARNERS, make_learner
from arbitrage.progress import Progress

CALM = {"loss": 1.0, "value_mean": 2.0, "value_largest": 5.0, "entropy": 0.0, "temperature": 0.0}


def world(name: str = "CartPole-v1", copies: int = 1) -> SyncVectorEnv:
    """Of what can be pickled, as a training that is kept needs it."""
    return SyncVectorEnv([partial(gymnasium.make, name)] * copies, autoreset_mode=AutoresetMode.NEXT_STEP)


def maker(algorithm: str, seed: int, **settings: Any) -> Callable[[LearningProblem], Learner]:
    return lambda problem: make_learner(algorithm, problem, settings, seed, compiled=False)


def training(
    algorithm: str = "dqn",
    steps: int = 120,
    copies: int = 1,
    seed: int = 0,
    exponent: float = 0.0,
    largest_value: float = 1e5,
) -> OnlineTrainer:
    """A short one, on CartPole or Pendulum by the kind of action."""
    config = OnlineConfig(
        steps=steps,
        warm_up=40,
        updates_per_step=0.375,
        report_every=20,
        largest_value=largest_value,
        replay=ReplayConfig(size=60, batch=8, priority_exponent=exponent),
        collection=CollectionConfig(steps=2),
    )
    env = world("CartPole-v1" if LEARNERS[algorithm].discrete else "Pendulum-v1", copies)
    return OnlineTrainer(env, maker(algorithm, seed, hidden=(8,)), config, seed)


def numbers_of(run: OnlineTrainer) -> dict[str, Tensor]:
    """Weights and memory."""
    learner = {f"learner.{name}": tensor.clone() for name, tensor in run.learner.tensors().items()}
    return learner | {f"replay.{name}": tensor.clone() for name, tensor in run.replay.tensors().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_few_thousand_steps_balance_a_pole_far_longer_than_chance() -> None:
    # A random agent falls after about 20 steps.
    config = OnlineConfig(steps=3_000, warm_up=500, replay=ReplayConfig(size=3_000, batch=128))
    settings = {"hidden": (64,), "learning_rate": 4e-3, "polyak_rate": 0.05}
    run = OnlineTrainer(world(), maker("dqn", 0, **settings), config, 0)
    before = mean_return(run.learner, world(copies=4), 8, seed=1)
    run.run()
    assert before < 40.0
    assert mean_return(run.learner, world(copies=4), 8, seed=1) > 60.0


@pytest.mark.parametrize("exponent", [0.0, 0.6], ids=["uniform", "prioritised"])
@pytest.mark.parametrize("algorithm", ["dqn", "quantile-discrete-sac", "sac"])
def test_a_training_taken_up_again_is_the_undisturbed_one_to_the_last_bit(
    algorithm: str, exponent: float, tmp_path: Path
) -> None:
    undisturbed, broken, again = (training(algorithm, copies=2, exponent=exponent) for _ in range(3))
    undisturbed.run()
    broken.run(until=70)
    broken.save(tmp_path / "kept")
    # What goes on after the file was written does not reach into it.
    broken.run()
    again.resume(tmp_path / "kept")
    assert again.steps == 70
    again.run()
    assert same(numbers_of(again), numbers_of(undisturbed))
    assert same(numbers_of(broken), numbers_of(undisturbed))


@pytest.mark.parametrize(("spanned", "copies", "fewest"), [(1, 3, 0), (2, 1, 1), (5, 3, 12)])
def test_a_warm_up_is_long_enough_for_something_to_be_remembered(spanned: int, copies: int, fewest: int) -> None:
    def lived(warm_up: int) -> OnlineTrainer:
        collection = CollectionConfig(steps=spanned)
        config = OnlineConfig(steps=30, warm_up=warm_up, replay=ReplayConfig(size=60, batch=4), collection=collection)
        return OnlineTrainer(world(copies=copies), maker("dqn", 0, hidden=(4,)), config, 0)

    lived(fewest).run()
    if fewest:
        with pytest.raises(BadInput, match=f"must be {fewest} or more"):
            lived(fewest - 1)


def test_a_world_that_cannot_be_pickled_is_not_kept(tmp_path: Path) -> None:
    env = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")])
    run = OnlineTrainer(env, maker("dqn", 0), OnlineConfig(steps=1), 0)
    with pytest.raises(BadInput, match="environment: cannot be pickled"):
        run.save(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_another_seed_lives_another_life() -> None:
    first, other = training(seed=0), training(seed=1)
    for run in (first, other):
        run.run()
    assert not same(numbers_of(first), numbers_of(other))


@pytest.mark.parametrize("copies", [1, 4])
def test_steps_and_updates_are_counted_over_all_copies(copies: int) -> None:
    run = training(copies=copies)
    run.run()
    # 120 steps, of which 40 are random; three updates for eight of the others.
    assert run.steps == 120
    assert run.learner.tensors()["critic.steps"].item() == 30.0


def test_figures_are_told_from_the_first_update_on_and_returns_of_the_episodes_between() -> None:
    reports: list[Progress] = []
    run = training()
    run.run(progress=reports.append)
    assert [report.completed for report in reports] == [60, 80, 100, 120]
    names = {"loss", "value_mean", "value_largest", "entropy", "temperature"}
    for report in reports:
        assert names <= set(report.figures) <= {*names, "episode_return"}
    # Every step of a balanced pole pays 1: the returns of whole episodes are at least 8.
    returns = [report.figures["episode_return"] for report in reports if "episode_return" in report.figures]
    assert returns
    assert min(returns) >= 8.0


@pytest.mark.parametrize("algorithm", list(LEARNERS))
def test_a_number_that_is_none_stops_the_training_with_a_message(algorithm: str) -> None:
    run = training(algorithm)
    run.run(until=50)
    run.learner.tensors()["critic.flat"].fill_(math.nan)
    with pytest.raises(Diverged, match=r"diverged at step 60: .*value_mean is nan"):
        run.run()


def test_a_value_beyond_the_bound_stops_the_training() -> None:
    run = training(largest_value=1e-6)
    with pytest.raises(Diverged, match=r"diverged at step 60: a value is .*, beyond 1e-06"):
        run.run()


def test_the_figures_of_a_diverged_training_are_told_before_it_stops() -> None:
    reports: list[Progress] = []
    run = training(largest_value=1e-6)
    with pytest.raises(Diverged):
        run.run(progress=reports.append)
    assert [report.completed for report in reports] == [60]


def test_everything_that_went_wrong_is_named() -> None:
    refuse_divergence(3, CALM, 5.0)
    broken = CALM | {"loss": math.inf, "value_largest": 6.0}
    with pytest.raises(Diverged, match="at step 3: loss is inf; a value is 6, beyond 5"):
        refuse_divergence(3, broken, 5.0)


def test_earnings_that_fall_to_next_to_nothing_for_long_count_as_collapse() -> None:
    # Less than a tenth of the best, 100, eight looks in a row; one look of 10 among them is enough to go on.
    refuse_collapse(9, [])
    refuse_collapse(9, [100.0, *[9.0] * 7])
    refuse_collapse(9, [100.0, *[9.0] * 7, 10.0])
    refuse_collapse(9, [*[9.0] * 8, 100.0])
    with pytest.raises(Diverged, match=r"collapsed at step 9: from 100\.0 to at most 9\.0"):
        refuse_collapse(9, [50.0, 100.0, *[9.0] * 8])


class Short(gymnasium.Env[Tensor, int]):
    """Copy k: episodes of a fixed number of steps, the first one paying 1 a step, the second 2, and so on."""

    def __init__(self, length: int) -> None:
        self.observation_space, self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,)), gymnasium.spaces.Discrete(2)
        self.length, self.episode, self.at = length, 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.at = self.episode + 1, 0
        return self.observation_space.low, {}

    def step(self, action: int):
        self.at += 1
        return self.observation_space.low, float(self.episode), self.at == self.length, False, {}


def test_the_mean_return_takes_as_many_episodes_of_each_copy() -> None:
    env = SyncVectorEnv([lambda: Short(2), lambda: Short(10)], autoreset_mode=AutoresetMode.NEXT_STEP)
    learner = make_learner("dqn", LearningProblem(inputs=1, actions=2), {"hidden": (4,)}, 0, compiled=False)
    # Two each: 2 and 4 on the first copy, 10 and 20 on the second. The first copy's further episodes do not count.
    assert mean_return(learner, env, 3, seed=0) == 9.0


def test_figures_are_written_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sink = tensorboard_sink(tmp_path)
    sink(20, CALM)
    sink(40, CALM | {"loss": 0.5})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(20, 1.0), (40, 0.5)]
