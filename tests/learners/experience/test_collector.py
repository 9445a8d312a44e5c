"""Collection from a scripted environment: every number of a transition worked by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from arbitrage.errors import BadInput
from arbitrage.learners.experience.collector import CollectionConfig, Collector, problem_of
from arbitrage.learners.neural.batch import Batch
from arbitrage.learners.neural.learner import Learner, LearningProblem, UpdateReport
from arbitrage.learners.neural.nets import Trained, trained
from tests.examples import examples

TWO = spaces.Discrete(2)
HALF = CollectionConfig(discount=0.5)
EDGES = st.floats(-10.0, 10.0, width=32)


class Scripted(gymnasium.Env[Any, Any]):
    """Episodes of given lengths, in turn; the observation is [episode, step]; step n of an episode pays n + 1."""

    def __init__(
        self,
        lengths: tuple[int, ...] = (3,),
        truncates: tuple[bool, ...] = (False,),
        action_space: spaces.Space[Any] = TWO,
        observation_space: spaces.Space[Any] | None = None,
    ) -> None:
        self.lengths, self.truncates, self.action_space = lengths, truncates, action_space
        self.observation_space = observation_space or spaces.Box(-100.0, 100.0, (2,))
        self.episode, self.at = -1, 0
        self.seen: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode, self.at = self.episode + 1, 0
        return np.array([self.episode, 0], dtype=np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.seen.append(np.array(action))
        self.at += 1
        turn = self.episode % len(self.lengths)
        over = self.at == self.lengths[turn]
        cut = over and self.truncates[turn]
        return np.array([self.episode, self.at], dtype=np.float32), float(self.at), over and not cut, cut, {}


class Doer(Learner):
    """Does the same always, and says that its policy has an entropy of 0.3."""

    state: Trained

    def __init__(self, problem: LearningProblem, action: Tensor) -> None:
        self.action = action
        super().__init__(problem, 0, compiled=False)

    def begin(self, generator: torch.Generator) -> Trained:
        return trained(torch.zeros(1, 1))

    def learn(self, batch: Batch, weight: Tensor, noise: Tensor) -> UpdateReport:
        raise NotImplementedError

    def served(self) -> dict[str, Any]:
        raise NotImplementedError

    def act(self, observations: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        return self.act_greedily(observations), torch.full((len(observations),), 0.3)

    def act_greedily(self, observations: Tensor) -> Tensor:
        return self.action.expand(len(observations), *self.action.shape)


def world(*scripts: Scripted, mode: AutoresetMode = AutoresetMode.NEXT_STEP) -> SyncVectorEnv:
    """Copies side by side, one of each script."""
    return SyncVectorEnv([partial(lambda script: script, script) for script in scripts], autoreset_mode=mode)


def lived(
    *scripts: Scripted, steps: int, config: CollectionConfig = HALF, action: Tensor | None = None
) -> tuple[Collector, list[list[float]]]:
    """So many steps; transitions as [episode, step, reward, next episode, next step, discount]."""
    collector = Collector(world(*scripts), config, 0)
    doer = Doer(collector.problem, torch.tensor(1) if action is None else action)
    rows: list[list[float]] = []
    for _ in range(steps):
        batch = collector.step(doer, 0.0)
        if batch is not None:
            columns = (batch.observation, batch.reward[:, None], batch.next_observation, batch.discount[:, None])
            rows += torch.cat(columns, 1).tolist()
    return collector, rows


def test_a_step_is_written_down_as_it_happened_and_an_end_counts_nothing_after_it() -> None:
    # Episodes of two steps, paying 1 and 2; the step between them only resets.
    _, rows = lived(Scripted((2,)), steps=5)
    assert rows == [
        [0, 0, 1, 0, 1, 0.5],
        [0, 1, 2, 0, 2, 0.0],
        [1, 0, 1, 1, 1, 0.5],
        [1, 1, 2, 1, 2, 0.0],
    ]


def test_a_cut_is_no_end_and_the_value_after_it_counts() -> None:
    _, rows = lived(Scripted((2,), (True,)), steps=2)
    assert rows[1] == [0, 1, 2, 0, 2, 0.5]


def test_several_steps_are_summed_with_the_discount_and_cut_short_by_an_end() -> None:
    # Paying 1, 2, 3 and ended. Of three steps: 1 + 2/2 + 3/4; then 2 + 3/2 and 3, which only see the end.
    _, rows = lived(Scripted((3,)), steps=5, config=CollectionConfig(discount=0.5, steps=3))
    assert rows == [[0, 0, 2.75, 0, 3, 0.0], [0, 1, 3.5, 0, 3, 0.0], [0, 2, 3.0, 0, 3, 0.0]]


def test_several_steps_cut_short_by_truncation_count_the_value_after_as_many_steps_as_they_span() -> None:
    _, rows = lived(Scripted((3,), (True,)), steps=5, config=CollectionConfig(discount=0.5, steps=3))
    assert rows == [[0, 0, 2.75, 0, 3, 0.125], [0, 1, 3.5, 0, 3, 0.25], [0, 2, 3.0, 0, 3, 0.5]]


def test_several_steps_within_an_episode_are_of_full_length() -> None:
    # 1 + 2/2, then 2 + 3/2.
    _, rows = lived(Scripted((9,)), steps=3, config=CollectionConfig(discount=0.5, steps=2))
    assert rows == [[0, 0, 2.0, 0, 2, 0.25], [0, 1, 3.5, 0, 3, 0.25]]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=3),
    st.integers(1, 4),
)
@examples(30)
def test_copies_side_by_side_live_as_each_would_alone(
    first: list[tuple[int, bool]], second: list[tuple[int, bool]], steps: int
) -> None:
    config = CollectionConfig(discount=0.5, steps=steps)

    def scripts() -> tuple[Scripted, Scripted]:
        a, b = (Scripted(*(tuple(column) for column in zip(*script, strict=True))) for script in (first, second))
        return a, b

    together = lived(*scripts(), steps=12, config=config)[1]
    alone = [row for script in scripts() for row in lived(script, steps=12, config=config)[1]]
    assert sorted(together) == sorted(alone)


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=3), st.integers(1, 4))
@examples(30)
def test_a_transition_of_several_steps_is_the_chain_of_its_single_ones(
    script: list[tuple[int, bool]], steps: int
) -> None:
    lengths, truncates = (tuple(column) for column in zip(*script, strict=True))
    single = lived(Scripted(lengths, truncates), steps=20)[1]
    several = lived(Scripted(lengths, truncates), steps=20, config=CollectionConfig(discount=0.5, steps=steps))[1]
    assert len(several) > 0
    following = {tuple(row[:2]): row for row in single}
    for episode, at, reward, *rest in several:
        total, factor, place, discount = 0.0, 1.0, (episode, at), 1.0
        for _ in range(steps):
            if place not in following:
                break
            row = following[place]
            total, factor, place, discount = total + factor * row[2], factor * 0.5, tuple(row[3:5]), row[5]
        assert reward == pytest.approx(total)
        assert rest == [*place, factor if discount > 0.0 else 0.0]


def test_rewards_are_scaled_for_the_learner_and_not_in_the_returns_of_episodes() -> None:
    # 1 + 2 + 3 a whole episode, of which there are two in seven steps.
    collector, rows = lived(Scripted((3,)), steps=7, config=CollectionConfig(reward_scale=0.1))
    assert [row[2] for row in rows] == pytest.approx([0.1, 0.2, 0.3, 0.1, 0.2, 0.3])
    assert collector.finished == [6.0, 6.0]


def test_a_transition_tells_the_action_and_entropy_of_its_first_step() -> None:
    collector = Collector(world(Scripted()), CollectionConfig(steps=2), 0)
    doer = Doer(collector.problem, torch.tensor(1))
    collector.step(doer, 0.0)
    doer.action = torch.tensor(0)
    batch = collector.step(doer, 0.0)
    assert batch is not None
    assert batch.action.tolist() == [1]
    assert batch.entropy.tolist() == pytest.approx([0.3])
    assert batch.observation.dtype == batch.reward.dtype == batch.discount.dtype == torch.float32


def test_continuous_actions_are_stretched_to_the_bounds_of_the_box() -> None:
    box = spaces.Box(np.array([0.0, -3.0], dtype=np.float32), np.array([4.0, 1.0], dtype=np.float32))
    script = Scripted(action_space=box)
    # Halfway from -1 to 1 is halfway from 0 to 4; -1 is the low bound.
    lived(script, steps=1, action=torch.tensor([0.0, -1.0]))
    assert script.seen[0].tolist() == [2.0, -3.0]
    assert script.seen[0].dtype == np.float32


def test_actions_of_a_box_of_several_dimensions_keep_its_shape() -> None:
    script = Scripted(action_space=spaces.Box(-2.0, 2.0, (2, 2)))
    collector, _ = lived(script, steps=1, action=torch.tensor([0.0, 0.5, 1.0, -1.0]))
    assert collector.problem.actions == 4
    assert script.seen[0].tolist() == [[0.0, 1.0], [2.0, -2.0]]


@given(st.tuples(EDGES, EDGES).map(sorted).filter(lambda edges: edges[0] < edges[1]), st.sampled_from([-1.0, 0.3, 1.0]))
@example([-4.005762, 1.6875694], 1.0)
@examples(60)
def test_stretched_actions_lie_in_the_box_to_the_last_bit(edges: list[float], action: float) -> None:
    box = spaces.Box(np.float32(edges[0]), np.float32(edges[1]), (1,), dtype=np.float32)
    script = Scripted(action_space=box)
    lived(script, steps=1, action=torch.tensor([action]))
    assert box.contains(script.seen[0])


def test_discrete_actions_begin_where_their_space_begins() -> None:
    script = Scripted(action_space=spaces.Discrete(3, start=-1))
    lived(script, steps=1, action=torch.tensor(2))
    assert script.seen == [1]


def test_random_steps_draw_from_all_actions_and_tell_the_entropy_of_a_uniform_policy() -> None:
    collector = Collector(world(*(Scripted((99,), action_space=spaces.Discrete(3)) for _ in range(200))), HALF, 0)
    batch = collector.step_randomly(torch.Generator().manual_seed(0))
    assert batch is not None
    assert batch.action.bincount().min().item() > 40
    assert batch.entropy.unique().item() == pytest.approx(np.log(3.0))


def test_random_continuous_steps_fill_the_box() -> None:
    box = spaces.Box(-1.0, 3.0, (1,))
    scripts = [Scripted((99,), action_space=box) for _ in range(200)]
    collector = Collector(world(*scripts), HALF, 0)
    batch = collector.step_randomly(torch.Generator().manual_seed(0))
    assert batch is not None
    assert batch.action.min().item() < -0.9
    assert batch.action.max().item() > 0.9
    taken = np.array([script.seen[0][0] for script in scripts])
    np.testing.assert_allclose(taken, 1.0 + 2.0 * batch.action[:, 0], atol=1e-6)


def test_greedy_steps_tell_which_copies_ended_and_their_returns() -> None:
    collector = Collector(world(Scripted((2,)), Scripted((3,)), Scripted((2,))), HALF, 0)
    doer = Doer(collector.problem, torch.tensor(0))
    ended = [collector.step_greedily(doer) for _ in range(4)]
    # 1 + 2 after two steps, 1 + 2 + 3 after three; the fourth is the first of the new episodes.
    assert ended == [[], [(0, 3.0), (2, 3.0)], [(1, 6.0)], []]


def test_an_observation_handed_out_is_not_changed_by_a_world_that_reuses_its_arrays() -> None:
    env = SyncVectorEnv([lambda: Scripted((9,))], copy=False)
    collector = Collector(env, HALF, 0)
    batches = [collector.step(Doer(collector.problem, torch.tensor(0)), 0.0) for _ in range(2)]
    assert [batch.observation.tolist() for batch in batches if batch] == [[[0.0, 0.0]], [[0.0, 1.0]]]
    assert [batch.next_observation.tolist() for batch in batches if batch] == [[[0.0, 1.0]], [[0.0, 2.0]]]


def test_sizes_are_read_from_the_spaces() -> None:
    assert problem_of(world(Scripted())) == LearningProblem(inputs=2, actions=2)
    box = spaces.Box(-1.0, 1.0, (3,))
    assert problem_of(world(Scripted(action_space=box))) == LearningProblem(inputs=2, actions=3, discrete=False)


def test_spaces_that_no_learner_takes_are_refused_all_at_once() -> None:
    script = Scripted(action_space=spaces.MultiDiscrete([2, 2]), observation_space=spaces.Discrete(5))
    with pytest.raises(BadInput) as refused:
        problem_of(world(script, mode=AutoresetMode.DISABLED))
    assert [fault.where for fault in refused.value.faults] == ["observation space", "action space", "environment"]


def test_a_box_of_actions_without_bounds_is_refused() -> None:
    with pytest.raises(BadInput, match="must have bounds"):
        problem_of(world(Scripted(action_space=spaces.Box(-np.inf, 1.0, (1,)))))
