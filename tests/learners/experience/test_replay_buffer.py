"""Replay: what is forgotten, what is drawn how often, and that it can be taken up again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from arbitrage.learners.experience.replay_buffer import Replay, ReplayConfig
from arbitrage.learners.neural.actors import EpsilonGreedy, EpsilonSchedule
from arbitrage.learners.neural.batch import Batch
from arbitrage.learners.neural.learner import LearningProblem, UpdateReport
from arbitrage.learners.neural.nets import Trained, trained

PROBLEM = LearningProblem(inputs=1, actions=2)


class Recorder(EpsilonGreedy):
    """Learns nothing: keeps what it was given, and calls the size of a reward its error."""

    state: Trained
    exploration = EpsilonSchedule()

    def begin(self, generator: torch.Generator) -> Trained:
        self.rewards: list[Tensor] = []
        self.weights: list[Tensor] = []
        return trained(torch.zeros(1, 1))

    def worth_of(self, observations: Tensor) -> Tensor:
        return torch.zeros(len(observations), 2)

    def learn(self, batch: Batch, weight: Tensor, noise: Tensor) -> UpdateReport:
        self.rewards.append(batch.reward)
        self.weights.append(weight)
        nothing = torch.zeros(())
        return UpdateReport(nothing, nothing, nothing, nothing, nothing, batch.reward.abs())


def a_recorder(seed: int = 0) -> Recorder:
    return Recorder(PROBLEM, seed, compiled=False)


def transitions(*rewards: float) -> Batch:
    """One of each reward; every other number tells the reward too."""
    reward = torch.tensor(rewards)
    return Batch(reward[:, None], reward.long() % 2, reward, reward[:, None] + 0.5, reward / 10.0, reward / 100.0)


def replay_of(size: int, batch: int = 4096, exponent: float = 0.0, correction: float = 0.4) -> Replay:
    return Replay(
        PROBLEM, ReplayConfig(size=size, batch=batch, priority_exponent=exponent, correction=correction), "cpu"
    )


def counted(recorder: Recorder, calls: slice = slice(None)) -> dict[float, float]:
    """How often each reward was drawn, as a share of all draws."""
    drawn = torch.cat(recorder.rewards[calls])
    values, counts = drawn.unique(return_counts=True)
    return dict(zip(values.tolist(), (counts / len(drawn)).tolist(), strict=True))


def test_the_oldest_is_overwritten_once_room_is_full() -> None:
    replay = replay_of(3)
    replay.add(transitions(1.0, 2.0))
    assert len(replay) == 2
    replay.add(transitions(3.0, 4.0))
    assert len(replay) == 3
    assert replay.written == 4
    # 4 stands in the place of 1, with all that belongs to it.
    for kept, expected in zip(replay.storage, transitions(4.0, 2.0, 3.0), strict=True):
        assert torch.equal(kept, expected)


def test_nothing_added_changes_nothing() -> None:
    replay = replay_of(3)
    replay.add(transitions(1.0))
    replay.add(Batch(*(part[:0] for part in transitions(1.0))))
    assert len(replay) == 1


def test_room_for_continuous_actions_has_a_column_for_each() -> None:
    replay = Replay(LearningProblem(inputs=1, actions=3, discrete=False), ReplayConfig(size=2), "cpu")
    assert replay.storage.action.shape == (2, 3)
    assert replay.storage.action.dtype == torch.float32


def test_only_what_was_lived_is_drawn_and_all_of_it_alike_without_priorities() -> None:
    replay, recorder = replay_of(100), a_recorder()
    replay.add(transitions(1.0, 2.0, 3.0, 4.0))
    replay.update(recorder)
    assert counted(recorder) == {value: pytest.approx(0.25, abs=0.03) for value in (1.0, 2.0, 3.0, 4.0)}
    assert (recorder.weights[0] == 1.0).all()


@pytest.mark.parametrize("exponent", [1.0, 0.5])
def test_transitions_are_drawn_in_proportion_to_their_priorities(exponent: float) -> None:
    replay, recorder = replay_of(100, exponent=exponent), a_recorder()
    rewards = (1.0, 4.0, 9.0)
    replay.add(transitions(*rewards))
    for _ in range(4):
        replay.update(recorder)
    # At first all alike; their errors are then their rewards, raised to the exponent.
    assert counted(recorder, slice(0, 1)) == {value: pytest.approx(1.0 / 3.0, abs=0.03) for value in rewards}
    total = sum(value**exponent for value in rewards)
    expected = {value: pytest.approx(value**exponent / total, abs=0.02) for value in rewards}
    assert counted(recorder, slice(1, None)) == expected


def test_what_is_new_has_the_largest_priority_so_far() -> None:
    replay, recorder = replay_of(100, exponent=1.0), a_recorder()
    replay.add(transitions(1.0, 9.0))
    replay.update(recorder)
    replay.add(transitions(2.0))
    replay.update(recorder)
    # 1, 9 and the new one as 9.
    assert counted(recorder, slice(1, 2)) == {
        value: pytest.approx(share, abs=0.03) for value, share in ((1.0, 1 / 19), (9.0, 9 / 19), (2.0, 9 / 19))
    }


def test_weights_undo_the_bias_of_priorities_wholly_at_a_correction_of_one() -> None:
    replay, recorder = replay_of(100, batch=20_000, exponent=1.0, correction=1.0), a_recorder()
    replay.add(transitions(1.0, 4.0, 9.0))
    for _ in range(2):
        replay.update(recorder)
    reward, weight = recorder.rewards[1], recorder.weights[1]
    # The likeliest three are drawn 9 times as often as the least likely, and count a ninth; the largest weight is 1.
    assert weight.max().item() == 1.0
    assert weight[reward == 9.0].max().item() == pytest.approx(1.0 / 9.0, rel=1e-3)
    mean = (weight * reward).sum() / weight.sum()
    assert mean.item() == pytest.approx((1.0 + 4.0 + 9.0) / 3.0, rel=0.03)


def test_weights_undo_half_the_bias_at_a_correction_of_one_half_and_none_at_none() -> None:
    for correction, expected in ((0.5, 1.0 / 3.0), (0.0, 1.0)):
        replay, recorder = replay_of(100, exponent=1.0, correction=correction), a_recorder()
        replay.add(transitions(1.0, 9.0))
        for _ in range(2):
            replay.update(recorder)
        heavy = recorder.weights[1][recorder.rewards[1] == 9.0]
        assert heavy[0].item() == pytest.approx(expected, rel=1e-3)


def test_a_transition_of_no_error_is_still_drawn_now_and_then() -> None:
    replay, recorder = replay_of(10, batch=200_000, exponent=1.0), a_recorder()
    replay.add(transitions(0.0, 1.0))
    for _ in range(2):
        replay.update(recorder)
    # Its priority is the least error, a thousandth.
    assert counted(recorder, slice(1, 2))[0.0] == pytest.approx(0.001, rel=0.3)


@pytest.mark.parametrize("exponent", [0.0, 0.7])
def test_what_was_kept_and_taken_up_again_is_drawn_from_as_before(exponent: float) -> None:
    replay, recorder = replay_of(5, batch=16, exponent=exponent), a_recorder()
    replay.add(transitions(1.0, 4.0, 9.0))
    replay.update(recorder)
    kept = {name: tensor.clone() for name, tensor in replay.tensors().items()}
    again, other = replay_of(5, batch=16, exponent=exponent), a_recorder()
    again.load(kept)
    other.generator.set_state(recorder.generator.get_state())
    assert len(again) == 3
    for memory, learner in ((replay, recorder), (again, other)):
        memory.add(transitions(2.0, 3.0, 5.0))
        memory.update(learner)
        memory.update(learner)
    assert torch.equal(torch.cat(recorder.rewards[1:]), torch.cat(other.rewards))
    assert torch.equal(torch.cat(recorder.weights[1:]), torch.cat(other.weights))
