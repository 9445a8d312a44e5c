"""Neural agents on a market: what they learn, what is kept, what an interruption changes, and what comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.metrics import daily_profit_eur, summary
from arbitrage.battery import Battery
from arbitrage.errors import BadInput
from arbitrage.experiments.strategies import EvaluationSpec, try_strategy
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.learners.experience.counterfactual_source import CounterfactualConfig
from arbitrage.learners.neural.monitoring import Diverged
from arbitrage.learners.neural.registry import LEARNERS
from arbitrage.market.point_in_time import PRICE, RESIDUAL
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import DaysOfMonth, SocReset
from arbitrage.policies.checkpoint.load import CARD_FILE, TENSORS_FILE, load_policy
from arbitrage.policies.network_policy import NetworkPolicy
from arbitrage.progress import Progress
from arbitrage.quarter_hour import epoch_minute
from arbitrage.training.data_split import DataSplit
from arbitrage.training.neural import _WORK_FILE as WORK_FILE
from arbitrage.training.neural import LEARNER_FILE, NeuralTrainer, NeuralTraining, lay_paths
from arbitrage.training.plan import TrainingPlan, train
from tests.cli.test_cli_policies import run, words
from tests.minute_worlds import scramble_later

BATTERY = Battery(max_cycles_per_day=1.1)
END = "2025-04-01T00:00+02:00"
SMALL = CounterfactualConfig(times=32, states=2, pool=2048, discount=0.999)
QUICK: dict[str, Any] = {"hidden": (16, 16), "polyak_rate": 0.1, "learning_rate": 3e-3}


SETTINGS: dict[str, Any] = {
    "algorithm": "dqn",
    "settings": QUICK,
    "source": SMALL,
    "updates": 400,
    "judge_every": 100,
    "compiled": False,
}


def plan(**changes: Any) -> TrainingPlan:
    """Days 1-12 of March 2025 in the embedded sample, which is simulated; judged on days 13-18."""
    split = DataSplit(
        market=sample_market(),
        train_days=DaysOfMonth(1, 12),
        validation_days=DaysOfMonth(13, 18),
        end=epoch_minute(END),
    )
    return TrainingPlan(trainer=NeuralTrainer(**{**SETTINGS, **changes}), split=split, battery=BATTERY, seed=1)


def seconds_plan(**changes: Any) -> TrainingPlan:
    """The same, of a second and less."""
    short = CounterfactualConfig(times=16, states=1, pool=256)
    return plan(**{"source": short, "updates": 20, "judge_every": 5, **changes})


def training_of(made: TrainingPlan) -> NeuralTraining:
    assert isinstance(made.trainer, NeuralTrainer)
    return NeuralTraining(made.trainer, made.split, made.battery, made.seed)


def with_market(made: TrainingPlan, market: MarketSeries) -> TrainingPlan:
    return replace(made, split=replace(made.split, market=market))


def bits(training: NeuralTraining) -> dict[str, bytes]:
    """All that the learner is."""
    return {name: tensor.numpy().tobytes() for name, tensor in training.learner.tensors().items()}


REPORTED: list[Progress] = []
"""What the training of the fixture reported."""


@pytest.fixture(scope="module")
def trained() -> NeuralTraining:
    training = training_of(plan())
    training.run(progress=REPORTED.append)
    return training


@pytest.fixture(scope="module")
def directory(trained: NeuralTraining, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("networks") / "quick"
    where.mkdir()
    trained.save(where / WORK_FILE)
    train(plan(), where)
    return where


def card_of(directory: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((directory / CARD_FILE).read_text())
    return card


def test_something_is_learned_within_a_few_hundred_updates(trained: NeuralTraining) -> None:
    untrained = training_of(plan()).validate()
    assert trained.progress.best_eur_per_day > max(untrained, 0.0) + 10.0


def test_it_is_judged_at_regular_updates_and_each_time_told(trained: NeuralTraining) -> None:
    assert [step for step, _ in trained.progress.judged] == [100, 200, 300, 400]
    assert [
        (report.completed, report.figures["validation_eur_per_day"]) for report in REPORTED
    ] == trained.progress.judged
    assert {"loss", "value_mean", "value_largest", "entropy", "temperature"} < set(REPORTED[0].figures)
    assert trained.progress.best_eur_per_day == max(profit for _, profit in trained.progress.judged)


def test_the_last_update_is_judged_wherever_it_falls() -> None:
    training = training_of(seconds_plan(updates=13))
    training.run()
    assert [step for step, _ in training.progress.judged] == [5, 10, 13]


def test_the_best_is_served_and_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, training = (training_of(seconds_plan()) for _ in range(2))
    stopped.run(10)
    profits = iter([1.0, 5.0, 3.0, 5.0])
    monkeypatch.setattr(NeuralTraining, "validate", lambda self: next(profits))
    training.run()
    before = bits(training)
    served, then = training.policy(), stopped.learner.served()
    assert bits(training) == before
    assert before != bits(stopped)
    assert training.progress.best_eur_per_day == 5.0
    for part in ("weights", "biases"):
        pairs = zip(getattr(served.critics[0], part), getattr(then["critics"][0], part), strict=True)
        assert all(np.array_equal(own, at_best) for own, at_best in pairs)


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_every_algorithm_earns_on_the_validation_days_what_its_policy_is_booked(algorithm: str) -> None:
    training = training_of(seconds_plan(algorithm=algorithm, settings={"hidden": (8, 8)}, updates=5))
    training.run()
    policy, split = training.policy(), training.plan.split
    assert policy.name == algorithm
    result = run_backtest(split.market, BATTERY, policy, split.selection(split.validation_days))
    near = 1e-6 if LEARNERS[algorithm].discrete else 1e-2
    assert daily_profit_eur(result.ledger).mean() == pytest.approx(training.progress.best_eur_per_day, abs=near)


def scrambled(after: str) -> MarketSeries:
    """The sample with noise in place of all final prices of quarter-hours from then on."""
    now, market = epoch_minute(after), sample_market()
    changed = scramble_later(market, now, 0, seed=1, only=PRICE)
    residual = scramble_later(market, now, 0, seed=2, only=RESIDUAL).known_series[RESIDUAL]
    return replace(changed, known_series={**changed.known_series, RESIDUAL: residual})


def trained_on(*markets: MarketSeries) -> list[NeuralTraining]:
    """One continuous agent for each market, which is never quite idle."""
    made = seconds_plan(algorithm="sac", settings={"hidden": (8, 8)}, updates=10)
    trainings = [training_of(with_market(made, market)) for market in markets]
    for training in trainings:
        training.run()
    return trainings


def test_no_price_outside_the_training_days_moves_anything_of_the_learner() -> None:
    other = scrambled("2025-03-13T00:00+01:00")
    assert not np.array_equal(other.price_eur_mwh, sample_market().price_eur_mwh, equal_nan=True)
    first, second = trained_on(sample_market(), other)
    for part, same in zip(first.learner.standard, second.learner.standard, strict=True):
        assert torch.equal(part, same)
    assert bits(first) == bits(second)
    assert first.progress.judged != second.progress.judged


def test_no_price_after_the_validation_days_moves_anything_of_what_is_served() -> None:
    first, second = trained_on(sample_market(), scrambled("2025-03-19T00:00+01:00"))
    assert first.progress.judged == second.progress.judged
    actors = [training.policy().actor for training in (first, second)]
    assert actors[0] is not None
    assert actors[1] is not None
    assert [part.tobytes() for part in actors[0].weights] == [part.tobytes() for part in actors[1].weights]


def test_a_price_of_the_training_days_does_move_the_learner() -> None:
    first, second = trained_on(sample_market(), scrambled("2025-03-12T00:00+01:00"))
    assert bits(first) != bits(second)


@pytest.mark.parametrize("algorithm", ["dqn", "quantile-discrete-sac", "sac"])
def test_a_training_that_is_taken_up_again_ends_with_the_same_bits(algorithm: str, tmp_path: Path) -> None:
    made = seconds_plan(algorithm=algorithm, settings={"hidden": (8, 8)})
    straight, first, second = (training_of(made) for _ in range(3))
    straight.run()
    first.run(10)
    first.save(tmp_path / "work")
    assert second.resume(tmp_path / "work")
    second.run()
    assert bits(second) == bits(straight)
    assert second.progress.judged == straight.progress.judged
    best = [{name: part.numpy().tobytes() for name, part in t.progress.best.items()} for t in (straight, second)]
    assert best[0] == best[1]


def other_plans() -> dict[str, TrainingPlan]:
    made = seconds_plan()
    return {
        "seed": replace(made, seed=2),
        "battery": replace(made, battery=Battery()),
        "data": with_market(made, scrambled("2025-03-31T00:00+02:00")),
        "algorithm": seconds_plan(algorithm="quantile-dqn"),
        "settings": seconds_plan(settings={**QUICK, "learning_rate": 2e-3}),
        "source": seconds_plan(source=CounterfactualConfig(times=16, states=1, pool=256, discount=0.99)),
        "updates": seconds_plan(updates=25),
        "judged": seconds_plan(judge_every=10),
    }


@pytest.mark.parametrize("changed", sorted(other_plans()))
def test_work_on_another_plan_is_not_taken_up(changed: str, tmp_path: Path) -> None:
    begun = training_of(seconds_plan())
    begun.run(5)
    begun.save(tmp_path / "work")
    other = training_of(other_plans()[changed])
    before = bits(other)
    assert not other.resume(tmp_path / "work")
    assert bits(other) == before
    assert other.progress.updates == 0


def test_a_training_into_a_directory_goes_on_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(seconds_plan(), tmp_path / "straight")
    seen: list[int] = []

    def stop(report: Progress) -> None:
        seen.append(int(report.completed))
        if report.completed == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(seconds_plan(), tmp_path / "stopped", stop)
    assert not (tmp_path / "stopped" / CARD_FILE).exists()
    card = train(seconds_plan(), tmp_path / "stopped", lambda report: seen.append(int(report.completed)))
    assert seen == [5, 10, 15, 15, 20]
    straight = card_of(tmp_path / "straight")
    assert card["tensors_sha256"] == straight["tensors_sha256"]
    assert straight["validation_curve"] == card["validation_curve"]
    names = {path.name for path in (tmp_path / "stopped").iterdir()}
    assert names == {CARD_FILE, TENSORS_FILE}


def test_work_of_another_plan_in_the_directory_leaves_no_trace(tmp_path: Path) -> None:
    other = training_of(seconds_plan(judge_every=2))
    other.run(10)
    other.save(tmp_path / WORK_FILE)
    card = train(seconds_plan(), tmp_path)
    assert card["tensors_sha256"] == train(seconds_plan(), tmp_path / "fresh")["tensors_sha256"]


def test_a_training_that_diverges_stops_with_a_message_and_the_best_before_stays(tmp_path: Path) -> None:
    training = training_of(seconds_plan())
    training.run(10)
    progress = training.progress
    kept = progress.best_eur_per_day, {name: part.clone() for name, part in progress.best.items()}
    training.learner.tensors()["critic.flat"].fill_(float("nan"))
    with pytest.raises(Diverged, match=r"diverged at step 15: .*value_mean is nan"):
        training.run()
    assert progress.best_eur_per_day == kept[0]
    assert all(torch.equal(progress.best[name], part) for name, part in kept[1].items())
    served = training.policy().critics[0]
    assert all(np.isfinite(weight).all() for weight in served.weights)


def test_values_beyond_what_a_return_can_be_count_as_divergence(tmp_path: Path) -> None:
    wild = seconds_plan(largest_value=1e-9)
    with pytest.raises(Diverged, match=r"at step 5: a value is .* beyond 1e-09"):
        train(wild, tmp_path)
    assert not (tmp_path / CARD_FILE).exists()


def test_the_card_says_where_the_policy_comes_from(directory: Path, trained: NeuralTraining) -> None:
    card, made = card_of(directory), plan()
    assert card["data_sha256"] == sample_market().data_hash
    assert card["split"] == made.split.facts()
    assert card["split"]["train_days_of_month"] == "1-12"
    assert card["seed"] == 1
    assert card["plan_sha256"] == made.fingerprint()
    assert card["validation"] == {"best": {"profit_eur_per_day": trained.progress.best_eur_per_day}}
    assert card["chosen_stage"] == "best"
    assert [tuple(judged) for judged in card["validation_curve"]] == trained.progress.judged
    assert card["features"] == list(MarketFeatures().names)
    assert set(card["feature_units"]) == set(card["features"])
    assert card["config"] == {"algorithm": "dqn", **{name: str(value) for name, value in QUICK.items()}}
    assert card["source"]["discount"] == SMALL.discount
    assert card["updates"] == 400
    assert card["battery"]["max_cycles_per_day"] == 1.1


def test_what_a_directory_holds_decides_as_what_was_trained(directory: Path, trained: NeuralTraining) -> None:
    loaded, policy = load_policy(directory), trained.policy()
    assert isinstance(loaded, NetworkPolicy)
    market = sample_market()
    times = market.quarter_hours[96 * 40 : 96 * 41]
    views = [served.bind(market.known_at(times), BATTERY) for served in (loaded, policy)]
    for at in range(96):
        for soc in (0.0, 1.0, 2.0):
            state = replace(BATTERY.empty, soc_mwh=soc)
            assert views[0].intent(at, state) == views[1].intent(at, state)


def test_a_network_policy_is_shown_with_all_that_its_card_says(directory: Path) -> None:
    done = run("policies", "show", str(directory))
    assert done.returncode == 0, done.stderr
    shown = words(done.stdout)
    for text in ("What it is", "network", "dqn", "Features (57)", "profit_eur_per_day", "the tensors match the card"):
        assert text in shown
    as_json = json.loads(run("policies", "show", str(directory), "--json", "-").stdout)
    assert as_json == {**card_of(directory), "directory": str(directory), "tensors": "match"}
    listed = json.loads(run("policies", "list", str(directory.parent), "--json", "-").stdout)
    best = card_of(directory)["validation"]["best"]["profit_eur_per_day"]
    assert [(row["name"], row["validation_eur_per_day"]) for row in listed] == [("dqn", best)]


def test_a_network_policy_is_tried_by_its_directory(directory: Path) -> None:
    split = plan().split
    selection = split.selection(split.validation_days)
    trial = EvaluationSpec(split.market, BATTERY, selection, SocReset.DAILY, split.validation_days)
    warned: list[str] = []
    result = try_strategy(str(directory), trial, warn=warned.append)
    best = card_of(directory)["validation"]["best"]["profit_eur_per_day"]
    assert summary(result)["profit_eur_per_day"] == pytest.approx(best, abs=1e-6)
    assert result.strategy == f"dqn ({directory.name})"
    assert result.violations.empty
    assert [text for text in warned if "6 of the days tested are validation days" in text] == warned


@pytest.mark.parametrize("feature_set", [FeatureSet.REFERENCE, FeatureSet.FULL])
def test_by_the_minute_it_is_trained_judged_and_served_every_minute(feature_set: FeatureSet) -> None:
    made = seconds_plan(updates=5)
    trainer = replace(made.trainer, features=MarketFeatures(feature_set))  # type: ignore[type-var]
    split = replace(
        made.split,
        market=sample_market(with_minutes=True),
        train_days=DaysOfMonth(20, 21),
        validation_days=DaysOfMonth(22, 22),
    )
    training = training_of(replace(made, trainer=trainer, split=split))
    training.run()
    policy = training.policy()
    assert policy.step_min == training.trainer.step_min == 1
    result = run_backtest(split.market, BATTERY, policy, split.selection(split.validation_days), step_min=1)
    assert daily_profit_eur(result.ledger).mean() == pytest.approx(training.progress.best_eur_per_day, abs=1e-6)


def test_features_of_minutes_are_refused_where_there_are_none() -> None:
    with pytest.raises(BadInput, match="needs minute records"):
        seconds_plan(features=MarketFeatures(FeatureSet.FULL))


def test_where_energy_is_carried_on_each_validation_day_still_stands_on_its_own() -> None:
    made = seconds_plan()
    carried = replace(made, split=replace(made.split, soc_reset=SocReset.NEVER))
    training, paths = training_of(carried), lay_paths(carried.split, MarketFeatures())
    assert [int(path.ends.sum()) for path in paths] == [1, 6]
    assert [path.days_stand_alone for path in paths] == [False, True]
    training.run(5)
    assert np.isfinite(training.progress.judged[0][1])


def test_a_warm_start_begins_with_the_kept_learner_and_a_policy_keeps_none_unless_asked(tmp_path: Path) -> None:
    train(seconds_plan(keep_learner=True), tmp_path / "first")
    train(seconds_plan(), tmp_path / "bare")
    assert (tmp_path / "first" / LEARNER_FILE).is_file()
    assert not (tmp_path / "bare" / LEARNER_FILE).exists()
    straight = training_of(seconds_plan())
    straight.run()
    warm = training_of(seconds_plan(warm_start=tmp_path / "first"))
    last, begun = straight.learner.handed_on(), warm.learner.handed_on()
    assert all(torch.equal(begun[name], part) for name, part in last.items())
    assert warm.plan.fingerprint() != seconds_plan().fingerprint()


def test_a_warm_start_from_a_learner_of_other_sizes_is_refused(tmp_path: Path) -> None:
    train(seconds_plan(keep_learner=True), tmp_path)
    with pytest.raises(BadInput, match="warm start: the kept learner is of another algorithm, other sizes"):
        training_of(seconds_plan(warm_start=tmp_path, settings={"hidden": (8, 8)}))
