"""Several seeds at once: each as if trained alone, none harmed by another, and taken up again after an interruption."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from arbitrage.errors import BadInput
from arbitrage.experiments.seeds import parse_seeds, seed_directory, train_seeds
from arbitrage.policies.checkpoint.load import TENSORS_FILE
from arbitrage.progress import Progress
from arbitrage.training.plan import TrainingPlan, train
from tests.training.test_closed_form_training import plan as plan_of_two
from tests.training.test_closed_form_training import with_trainer
from tests.training.test_neural_training import seconds_plan as neural_plan

KILLED, UNWRITABLE = 2, 3


def plan(seed: int = 0) -> TrainingPlan:
    return replace(with_trainer(plan_of_two(), members=1, with_critic=False), seed=seed)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The tensors of seed 1, trained without any other."""
    directory = tmp_path_factory.mktemp("alone")
    train(plan(1), directory)
    return (directory / TENSORS_FILE).read_bytes()


def tensors(folder: Path, seed: int) -> bytes:
    return (seed_directory(folder, seed) / TENSORS_FILE).read_bytes()


def test_seeds_are_read_from_ranges_and_lists() -> None:
    assert parse_seeds("0-4") == (0, 1, 2, 3, 4)
    assert parse_seeds("7") == (7,)
    assert parse_seeds("0-1, 5") == (0, 1, 5)


@pytest.mark.parametrize("text", ["", "4-0", "a", "0-", "-1", "1,,2", "0-3,2"])
def test_what_names_no_seeds_or_one_twice_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="seeds"):
        parse_seeds(text)


def test_each_seed_is_as_if_trained_alone_whatever_becomes_of_the_others(tmp_path: Path, alone: bytes) -> None:
    seed_directory(tmp_path, UNWRITABLE).write_text("a file where the directory should be")
    reports: list[Progress] = []

    def kill_one(progress: Progress) -> None:
        reports.append(progress)
        if progress.task == f"seed {KILLED}" and progress.doing.startswith("encoding"):
            next(child for child in multiprocessing.active_children() if child.name == f"seed-{KILLED}").kill()

    results = train_seeds(plan(), (UNWRITABLE, 0, 1, KILLED), tmp_path, workers=2, progress=kill_one)
    assert set(results.cards) == {0, 1}
    assert "exit code -9" in results.failures[KILLED]
    assert str(seed_directory(tmp_path, UNWRITABLE)) in results.failures[UNWRITABLE]
    assert tensors(tmp_path, 1) == alone
    assert tensors(tmp_path, 0) != alone
    assert results.cards[1]["seed"] == 1
    assert {report.task for report in reports if report.doing.startswith("validating")} == {"seed 0", "seed 1"}


def test_the_seeds_of_a_neural_agent_are_trained_as_those_of_a_closed_form(tmp_path: Path) -> None:
    made = neural_plan(updates=2, judge_every=2)
    results = train_seeds(made, (0, 1), tmp_path, workers=1)
    assert results.failures == {}
    assert [results.cards[seed]["seed"] for seed in (0, 1)] == [0, 1]
    train(replace(made, seed=1), tmp_path / "alone")
    assert tensors(tmp_path, 1) == (tmp_path / "alone" / TENSORS_FILE).read_bytes() != tensors(tmp_path, 0)


def test_an_interruption_ends_all_processes_and_is_taken_up_again(tmp_path: Path, alone: bytes) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.doing.startswith("validating"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_seeds(plan(), (1, 0), tmp_path, workers=1, progress=interrupt)
    assert multiprocessing.active_children() == []
    kept = list(seed_directory(tmp_path, 1).rglob("*.safetensors"))
    assert len(kept) == 1
    results = train_seeds(plan(), (1,), tmp_path, workers=1)
    assert results.failures == {}
    assert tensors(tmp_path, 1) == alone


def test_a_seed_is_trained_again_only_if_the_plan_differs_or_its_tensors_are_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*_: object) -> None:
        raise Begun

    monkeypatch.setattr("arbitrage.experiments.seeds._SeedWorker", begin)
    card = train(plan(1), seed_directory(tmp_path, 1))
    reports: list[Progress] = []
    results = train_seeds(plan(), (1,), tmp_path, workers=1, progress=reports.append)
    assert results.cards == {1: card}
    assert [report.doing for report in reports] == ["already trained"]
    with pytest.raises(Begun):
        train_seeds(with_trainer(plan(), members=2), (1,), tmp_path, workers=1)
    (seed_directory(tmp_path, 1) / TENSORS_FILE).write_bytes(b"damaged")
    with pytest.raises(Begun):
        train_seeds(plan(), (1,), tmp_path, workers=1)


class Begun(Exception):
    """A training would begin."""
