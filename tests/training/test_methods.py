"""Every method of learning by its name: from the same split to a policy directory, with its own settings only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.metrics import summary
from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Dispatcher
from arbitrage.errors import BadInput
from arbitrage.learners.closed_form.config import Preset
from arbitrage.learners.mpc.forecast_fit import ForecastConfig
from arbitrage.market.splits import DaysOfMonth
from arbitrage.policies.checkpoint.card_schema import Kind
from arbitrage.policies.checkpoint.load import CARD_FILE, TENSORS_FILE, load_policy
from arbitrage.policies.checkpoint.rule import rule_from
from arbitrage.policies.registry import RULES
from arbitrage.policies.rules import ThresholdRule
from arbitrage.policies.strategy_spec import StrategySpec
from arbitrage.training.data_split import DataSplit
from arbitrage.training.methods import TrainingSettings, is_method, method_names, takes_seed, trainer_named
from arbitrage.training.mpc import MpcTrainer
from arbitrage.training.plan import Trainer, TrainingPlan, finished_card, train, trained_policy
from arbitrage.training.rules import RuleTrainer
from tests.worlds import noisy_market

BATTERY = Battery(max_cycles_per_day=1.1)
SPLIT = DataSplit(
    market=noisy_market(seed=8, days=31), train_days=DaysOfMonth(1, 14), validation_days=DaysOfMonth(15, 18)
)
SHORT = TrainingSettings(preset=Preset.QUICK, updates=2, judge_every=2, compiled=False)
SMALL = ForecastConfig(
    near_quarter_hours=2,
    far_quarter_hours=1,
    fractions=(0.1, 0.5, 0.9),
    trees=6,
    leaf_rows=100,
    plans_for_paths=60,
    paths=4,
)
METHODS = ["learned", "dqn", "sac", "mpc", "idle", "threshold", "spread"]


@pytest.fixture(scope="module", autouse=True)
def one_revision() -> Iterator[None]:
    """A commit while the tests run makes no other plans of theirs."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("arbitrage.training.plan.code_revision", lambda: "0" * 12)
        yield


def trainer_of(name: str) -> Trainer:
    trainer = trainer_named(name, SPLIT, SHORT)
    return replace(trainer, forecast=SMALL) if isinstance(trainer, MpcTrainer) else trainer


def plan_of(name: str) -> TrainingPlan:
    return TrainingPlan(trainer=trainer_of(name), split=SPLIT, battery=BATTERY, seed=3)


@pytest.fixture(scope="module", params=METHODS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingPlan, Path]:
    if request.param == "mpc":
        pytest.importorskip("sklearn", reason="fitting needs scikit-learn (extra compare)")
    plan, directory = plan_of(request.param), tmp_path_factory.mktemp(request.param)
    train(plan, directory)
    return plan, directory


def test_every_method_leaves_a_policy_directory_whose_card_says_where_it_comes_from(
    trained: tuple[TrainingPlan, Path],
) -> None:
    plan, directory = trained
    assert {file.name for file in directory.iterdir()} == {CARD_FILE, TENSORS_FILE}
    card = json.loads((directory / CARD_FILE).read_text())
    assert card["plan_sha256"] == plan.fingerprint()
    assert card["split"] == SPLIT.facts()
    assert card["seed"] == 3
    assert card["battery"]["max_cycles_per_day"] == 1.1
    assert set(card["coverage"]) == {"training", "validation"}
    if card["kind"] != Kind.RULE:
        assert card["day_ahead_learned_min"] == [60]
        assert card["day_ahead_hour_means"] == (card["kind"] == Kind.CLOSED_FORM)


def test_every_method_states_what_its_policy_earns_on_the_validation_days(trained: tuple[TrainingPlan, Path]) -> None:
    _, directory = trained
    card = json.loads((directory / CARD_FILE).read_text())
    days = SPLIT.selection(SPLIT.validation_days)
    earned = summary(run_backtest(SPLIT.market, BATTERY, load_policy(directory), days))["profit_eur_per_day"]
    assert card["validation"][card["chosen_stage"]]["profit_eur_per_day"] == pytest.approx(earned, abs=0.02)


def test_a_finished_policy_is_loaded_and_not_trained_again(
    trained: tuple[TrainingPlan, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, directory = trained

    def begin(*_: object) -> None:
        raise AssertionError("a training began")

    monkeypatch.setattr("arbitrage.training.plan.train", begin)
    first, second = (
        Dispatcher(policy, BATTERY, SPLIT.market, SPLIT.market.quarter_hours[960:980], 15)
        for policy in (trained_policy(plan, directory), load_policy(directory))
    )
    for at in range(20):
        assert first.decide(at, BatteryState(1.0, 0.2)) == second.decide(at, BatteryState(1.0, 0.2))


def test_a_policy_is_that_of_its_own_plan_only(trained: tuple[TrainingPlan, Path]) -> None:
    plan, directory = trained
    others = [
        replace(plan, seed=4),
        replace(plan, battery=Battery()),
        replace(plan, split=replace(SPLIT, train_days=DaysOfMonth(1, 13))),
        plan_of("spread" if isinstance(plan.trainer, RuleTrainer) and plan.trainer.spec.name == "idle" else "idle"),
    ]
    assert finished_card(plan, directory) is not None
    assert [finished_card(other, directory) for other in others] == [None] * 4


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("learned", {"preset", "features", "members", "refit", "with_risk_head"}),
        ("dsac-t", {"features", "updates", "judge_every", "compiled"}),
        ("mpc-scenarios", {"refit"}),
        ("threshold", set()),
    ],
)
def test_a_setting_that_a_method_does_not_use_does_not_reach_it(name: str, used: set[str]) -> None:
    settings = TrainingSettings(compiled=False)
    assert set(settings.used_by(name)) == used
    others = {
        "preset": Preset.QUICK,
        "members": 2,
        "refit": True,
        "with_risk_head": False,
        "updates": 7,
        "judge_every": 3,
    }
    changed = replace(settings, **{setting: value for setting, value in others.items() if setting not in used})
    assert trainer_named(name, SPLIT, changed).facts() == trainer_named(name, SPLIT, settings).facts()


def test_every_name_has_its_trainer_and_a_seed_where_something_is_drawn() -> None:
    assert len(set(method_names())) == len(method_names())
    assert all(is_method(name) for name in method_names())
    assert {name for name in method_names() if not takes_seed(name)} == set(RULES)
    assert not is_method("perfect-foresight")
    with pytest.raises(BadInput, match="'guess' cannot be trained; choose one of learned, idle"):
        trainer_named("guess", SPLIT)


def test_a_rule_that_needs_what_the_market_lacks_is_refused_before_it_is_tuned() -> None:
    with pytest.raises(BadInput, match="minute-spread needs"):
        plan_of("minute-spread")


OWN = StrategySpec(
    name="my_module:Patient",
    description="Waits for larger deviations.",
    make=lambda: ThresholdRule(name="patient"),
    tune=lambda _market, _battery, _days, text: ThresholdRule(-2.0, 2.0, text, "patient"),
    code_sha256="0" * 64,
)


def test_a_users_own_strategy_is_tuned_into_files_and_read_by_its_own_spec_only(tmp_path: Path) -> None:
    plan = TrainingPlan(trainer=RuleTrainer(OWN), split=SPLIT, battery=BATTERY)
    policy = trained_policy(plan, tmp_path)
    assert policy == ThresholdRule(-2.0, 2.0, "the days to learn from", "patient")
    with pytest.raises(BadInput, match="my_module:Patient is not a rule of this program"):
        load_policy(tmp_path)


def test_numbers_that_a_rule_does_not_have_are_refused_by_name(tmp_path: Path) -> None:
    train(plan_of("threshold"), tmp_path)
    card = json.loads((tmp_path / CARD_FILE).read_text())
    card["numbers"] = {"charge_below_std": -1.0, "guess": 3.0}
    with pytest.raises(BadInput, match="guess is no number of the rule threshold"):
        rule_from(card, RULES["threshold"], "here")
