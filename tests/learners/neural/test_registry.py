"""The registry of learners: each stands in its own file, and a new one is that file and one line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
import torch
from torch import Tensor

import arbitrage.learners.neural
from arbitrage.battery import Battery
from arbitrage.errors import BadInput
from arbitrage.experiments.sweep.plan import SweepPlan, SweepWindow
from arbitrage.learners.neural.dqn import DQN, DQNConfig
from arbitrage.learners.neural.learner import LearningProblem
from arbitrage.learners.neural.registry import LEARNERS, make_learner, named_learner
from arbitrage.learners.neural.spec import LearnerSpec
from arbitrage.market.splits import DaysOfMonth
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.training.data_split import DataSplit
from arbitrage.training.methods import TrainingSettings, method_names, trainer_named
from tests.worlds import noisy_market

ROOT = Path(arbitrage.learners.neural.__file__).parents[3]


class Contrary(DQN):
    """A new learner: it takes the action of the least value."""

    def worth_of(self, observations: Tensor) -> Tensor:
        return -super().worth_of(observations)


CONTRARY = LearnerSpec(name="contrary", make=Contrary, config=DQNConfig, defaults={"hidden": (8,)})


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> LearnerSpec:
    """As the one line of the registry does it."""
    monkeypatch.setitem(LEARNERS, CONTRARY.name, CONTRARY)
    return CONTRARY


def test_a_new_learner_is_made_with_its_own_defaults(registered: LearnerSpec) -> None:
    problem = LearningProblem(inputs=2, actions=2)
    learner = make_learner(registered.name, problem, {}, 0, compiled=False)
    assert isinstance(learner, Contrary)
    assert learner.layout.widths == (2, 8, 2)
    plain = make_learner("dqn", problem, {"hidden": (8,)}, 0, compiled=False)
    observations = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    assert (learner.act_greedily(observations) == 1 - plain.act_greedily(observations)).all()


def test_a_new_learner_is_trained_served_and_swept_by_its_name(registered: LearnerSpec, tmp_path: Path) -> None:
    days = {"train_days": DaysOfMonth(1, 8), "validation_days": DaysOfMonth(9, 10)}
    split = DataSplit(market=noisy_market(seed=8, days=12), **days)  # type: ignore[arg-type]
    settings = TrainingSettings(updates=2, judge_every=2, compiled=False)
    trainer_named(registered.name, split, settings).fit(split, Battery(), 0, tmp_path)
    assert load_policy(tmp_path).name == registered.name
    assert registered.name in method_names()
    window = SweepWindow(name="window", test_days=DaysOfMonth(11, 12), **days)  # type: ignore[arg-type]
    (task,) = SweepPlan(strategies=(registered.name,), windows=(window,), training=settings).tasks()
    assert task.contender == "contrary, seed 0"


def test_a_name_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"algorithm: must be one of dqn, .*dsac-t, not 'contrary'"):
        named_learner("contrary")


def test_the_registry_has_the_learners_of_every_file_that_states_some() -> None:
    package = arbitrage.learners.neural
    modules = [import_module(f"{package.__name__}.{found.name}") for found in iter_modules(package.__path__)]
    files = [module for module in modules if module.__name__.rpartition(".")[2] != "registry"]
    stated = {spec.name for module in files for spec in getattr(module, "LEARNERS", ())}
    assert stated == set(LEARNERS)


def named_in(path: Path) -> Iterator[str]:
    """Names of learners that a source file spells out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and node.value in LEARNERS:
            yield str(node.value)


def test_no_name_of_a_learner_is_written_outside_its_own_file() -> None:
    sources = [path for package in ("arbitrage", "api") for path in (ROOT / package).rglob("*.py")]
    found = [(name, path.name) for path in sources for name in named_in(path)]
    assert sorted(name for name, _ in found) == sorted(LEARNERS), found
