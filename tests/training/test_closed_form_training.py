"""Training: what it refuses, what it chooses, and that an interruption changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import arbitrage.training.closed_form
from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Dispatcher
from arbitrage.errors import BadInput
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.fit import fit_closed_form, prepare_training_data, stage_names
from arbitrage.learners.closed_form.network_training import NetworkConfig
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import DaysOfMonth
from arbitrage.policies.checkpoint.load import CARD_FILE, TENSORS_FILE, load_policy
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.progress import Progress
from arbitrage.quarter_hour import epoch_minute
from arbitrage.training.closed_form import ClosedFormTrainer, choose
from arbitrage.training.data_split import DataSplit
from arbitrage.training.plan import TrainingPlan, train

CONFIG = ClosedFormConfig(
    cosines=12, passes=1, network=NetworkConfig(width=8, steps=20), size=LatticeSize(5, 4), scale_days=None
)


def plan() -> TrainingPlan:
    return TrainingPlan(
        trainer=ClosedFormTrainer(members=2, config=CONFIG),
        split=DataSplit(
            market=sample_market(),
            train_days=DaysOfMonth(1, 6),
            validation_days=DaysOfMonth(7, 8),
            end=epoch_minute("2025-04-01T00:00+02:00"),
        ),
        battery=Battery(max_cycles_per_day=1.1),
    )


def with_trainer(made: TrainingPlan, **changes: Any) -> TrainingPlan:
    """The plan with other settings of its method."""
    return replace(made, trainer=replace(made.trainer, **changes))  # type: ignore[type-var]


def with_split(made: TrainingPlan, **changes: Any) -> TrainingPlan:
    """The plan on other days."""
    return replace(made, split=replace(made.split, **changes))


REPORTED: list[Progress] = []
"""What the training of the fixture reported."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("policy")
    train(plan(), directory, REPORTED.append)
    return directory


def test_overlapping_training_and_validation_days_are_refused() -> None:
    with pytest.raises(BadInput, match="overlap"):
        with_split(plan(), validation_days=DaysOfMonth(6, 8))


def test_the_card_says_what_the_policy_is(trained: Path) -> None:
    card = json.loads((trained / CARD_FILE).read_text())
    assert card["data_sha256"] == sample_market().data_hash
    assert card["battery"]["max_cycles_per_day"] == 1.1
    assert card["split"]["train_days_of_month"] == "1-6"
    assert list(card["validation"]) == sorted(stage_names(CONFIG))
    assert card["chosen_stage"] in card["validation"]
    assert all(result["violations"] == 0 for result in card["validation"].values())


def test_the_card_says_in_words_what_the_policy_sees_and_what_its_features_are_measured_in(trained: Path) -> None:
    card = json.loads((trained / CARD_FILE).read_text())
    assert "every 15 min" in card["description"]
    assert "at most 1.1 cycles a day" in card["description"]
    assert set(card["feature_units"]) == set(card["features"])
    assert card["created_at"].endswith("+00:00")
    assert card["plan_sha256"] == plan().fingerprint()


def test_the_split_on_the_card_is_bounded_by_what_the_market_holds(trained: Path) -> None:
    split = json.loads((trained / CARD_FILE).read_text())["split"]
    assert split["start_epoch_minute"] == sample_market().quarter_hours[0]
    assert split["end_epoch_minute"] == epoch_minute("2025-04-01T00:00+02:00")


def test_the_training_tells_what_each_stage_earned_as_soon_as_it_is_validated(trained: Path) -> None:
    validation = json.loads((trained / CARD_FILE).read_text())["validation"]
    first, second = stage_names(CONFIG)[:2]
    doing = [report.doing for report in REPORTED]
    assert f"validating: {second} ({first} {validation[first]['profit_eur_per_day']:,.1f} EUR/day)" in doing
    chosen = json.loads((trained / CARD_FILE).read_text())["chosen_stage"]
    assert doing[-1] == f"done: {chosen} {validation[chosen]['profit_eur_per_day']:,.1f} EUR/day"
    shares = [report.fraction for report in REPORTED]
    assert shares == sorted(shares)


def test_a_policy_read_back_decides_as_the_one_written(trained: Path) -> None:
    policy = load_policy(trained)
    market = sample_market()
    times = market.quarter_hours[40 * 96 : 41 * 96]
    first, second = (Dispatcher(load_policy(trained), policy.battery, market, times, 15) for _ in range(2))
    states = [BatteryState(soc, cycles) for soc in (0.0, 0.7, 2.0) for cycles in (0.0, 0.6)]
    for at in range(0, 96, 7):
        for state in states:
            assert first.decide(at, state) == second.decide(at, state)
            levels = first.outcomes_eur(at, state)
            assert levels is not None
            assert (np.diff(levels, axis=1) >= 0).all()


def test_an_interrupted_training_resumes_to_the_same_policy(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = arbitrage.training.closed_form.fit_closed_form
    fitted: list[int] = []

    def fit_once_then_stop(data: object, config: object, seed: int) -> object:
        if fitted:
            raise KeyboardInterrupt
        fitted.append(seed)
        return fit(data, config, seed)  # type: ignore[arg-type]

    monkeypatch.setattr(arbitrage.training.closed_form, "fit_closed_form", fit_once_then_stop)
    with pytest.raises(KeyboardInterrupt):
        train(plan(), tmp_path)
    monkeypatch.setattr(
        arbitrage.training.closed_form, "fit_closed_form", lambda *a, seed: (fitted.append(seed), fit(*a, seed))[1]
    )
    train(plan(), tmp_path)
    assert fitted == [0, 1]
    assert (tmp_path / TENSORS_FILE).read_bytes() == (trained / TENSORS_FILE).read_bytes()


def test_a_refit_learns_from_the_validation_days_after_they_have_chosen(trained: Path, tmp_path: Path) -> None:
    card = train(with_trainer(plan(), refit=True), tmp_path)
    before, after = load_policy(trained), load_policy(tmp_path)
    both = with_split(plan(), train_days=DaysOfMonth(1, 8), validation_days=DaysOfMonth(9, 10))
    stage = stage_names(CONFIG).index(card["chosen_stage"])
    trainer = ClosedFormTrainer(members=2, config=CONFIG.up_to_stage(stage), with_critic=False, with_risk_head=False)
    on_both = trainer.policy(both.split, both.battery)
    assert isinstance(before, ClosedFormPolicy)
    assert isinstance(after, ClosedFormPolicy)
    for old, new, expected in zip(before.members, after.members, on_both.members, strict=True):
        np.testing.assert_array_equal(new.correction_coefficients, expected.correction_coefficients)
        assert not np.array_equal(new.correction_coefficients, old.correction_coefficients)
    held_out = json.loads((trained / CARD_FILE).read_text())
    assert card["validation"] == held_out["validation"]
    assert (held_out["refit"], card["refit"]) == (False, True)
    for old_weights, new_weights in zip(before.critic or (), after.critic or (), strict=True):
        np.testing.assert_array_equal(old_weights, new_weights)


@pytest.mark.parametrize("stage", range(len(stage_names(CONFIG))))
def test_a_stage_fitted_alone_is_the_one_of_the_whole_fit(stage: int) -> None:
    chosen = plan()
    data = prepare_training_data(
        chosen.split.market,
        chosen.battery,
        chosen.split.selection(chosen.split.train_days),
        chosen.split.soc_reset,
        CONFIG.size,
    )
    whole = fit_closed_form(data, CONFIG, 0).stages[stage]
    (alone,) = fit_closed_form(data, CONFIG.up_to_stage(stage), 0).stages
    np.testing.assert_allclose(alone.correction_coefficients, whole.correction_coefficients, rtol=1e-4, atol=1e-6)


def test_the_last_stage_is_kept_unless_another_is_significantly_better() -> None:
    random = np.random.default_rng(0)
    last = pd.Series(100.0 + 50.0 * random.standard_normal(60))
    noise = pd.Series(random.standard_normal(60))
    assert choose([last + 30.0 * noise, last]) == 1
    assert choose([last + 10.0 + noise, last - 5.0, last]) == 0
    assert choose([last + 10.0 + noise, last + 20.0 + noise, last]) == 1


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda d: (d / TENSORS_FILE).write_bytes((d / TENSORS_FILE).read_bytes()[:-1]), "digest"),
        (lambda d: (d / TENSORS_FILE).unlink(), "cannot be read"),
        (lambda d: (d / CARD_FILE).write_text("{"), "is not JSON"),
        (lambda d: (d / CARD_FILE).write_text("[]"), "is not the card of a policy"),
        (lambda d: _edit(d, schema_version=99), "schema version 99"),
        (lambda d: _edit(d, features=["tomorrow"]), "train it again"),
        (lambda d: _edit(d, members=3), "other tensors"),
        (lambda d: _edit(d, battery={"power_mw": -1}), "power_mw"),
    ],
)
def test_a_damaged_or_foreign_policy_is_refused_with_the_reason(
    trained: Path,
    tmp_path: Path,
    damage: object,
    says: str,
) -> None:
    for name in (CARD_FILE, TENSORS_FILE):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(BadInput, match=says):
        load_policy(tmp_path)


def _edit(directory: Path, **changes: object) -> None:
    card = json.loads((directory / CARD_FILE).read_text()) | changes
    del card["card_sha256"]
    (directory / CARD_FILE).write_text(json.dumps(card))


def test_another_battery_than_the_one_trained_for_is_refused(trained: Path) -> None:
    market = sample_market()
    with pytest.raises(BadInput, match=r"capacity_mwh: the policy was trained for 2.0, not 4.0"):
        Dispatcher(load_policy(trained), Battery(capacity_mwh=4.0, max_cycles_per_day=1.1), market, 0, 15)
