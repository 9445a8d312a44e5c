"""Presets of training: final-stage-only fits end where full ones do, and say what they leave out."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arbitrage.training.closed_form
from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Dispatcher
from arbitrage.errors import BadInput
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.config import ClosedFormConfig, Preset
from arbitrage.learners.closed_form.fit import fit_closed_form, prepare_training_data, stage_names
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.simulation.sample import sample_files
from arbitrage.market.splits import DaysOfMonth, SocReset, rows_of
from arbitrage.policies.checkpoint.closed_form import member_tensors
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.price_chain import ChainSize
from arbitrage.quarter_hour import epoch_minute
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit
from arbitrage.training.plan import TrainingPlan, train

LEAN = [Preset.QUICK, Preset.FAST]
SMALL = {"cosines": 12, "chain": ChainSize(5, 2), "size": LatticeSize(5, 4)}


def plan(preset: Preset) -> TrainingPlan:
    """Of a preset, made small; the market may have minutes, so the features are named."""
    split = DataSplit(
        market=sample_market(),
        train_days=DaysOfMonth(1, 6),
        validation_days=DaysOfMonth(7, 8),
        end=epoch_minute("2025-04-01T00:00+02:00"),
    )
    return TrainingPlan(trainer=trainer(preset, split), split=split, battery=Battery(max_cycles_per_day=1.1))


def trainer(preset: Preset, split: DataSplit) -> ClosedFormTrainer:
    asked = ClosedFormTrainer.of(split, FeatureSet.QUARTER_HOUR, preset)
    return replace(asked, config=replace(asked.config, **SMALL))


def trainer_of(preset: Preset) -> ClosedFormTrainer:
    return trainer(preset, plan(preset).split)


def test_the_full_preset_is_the_default_with_a_critic() -> None:
    assert ClosedFormConfig.of(Preset.FULL) == ClosedFormConfig()
    assert trainer_of(Preset.FULL).with_critic


def test_a_network_is_fitted_from_so_many_training_days_on(monkeypatch: pytest.MonkeyPatch) -> None:
    split = plan(Preset.FULL).split
    days = split.market.day_numbers[rows_of(split.selection(split.train_days))]
    assert trainer_of(Preset.FULL).config.network is None
    monkeypatch.setattr(arbitrage.training.closed_form, "NETWORK_FROM_DAYS", len(set(days.tolist())))
    assert trainer_of(Preset.FULL).config.network == ClosedFormConfig().network
    monkeypatch.setattr(arbitrage.training.closed_form, "NETWORK_FROM_DAYS", len(set(days.tolist())) + 1)
    assert trainer_of(Preset.FULL).config.network is None


@pytest.mark.parametrize("preset", LEAN)
def test_a_lean_preset_has_no_network_no_critic_and_one_stage(preset: Preset) -> None:
    asked = trainer_of(preset)
    assert asked.config.network is None
    assert not asked.with_critic
    assert len(stage_names(asked.config)) == 1
    with pytest.raises(BadInput, match="critic"):
        replace(asked, with_critic=True)


def test_a_lean_fit_returns_the_last_stage_of_the_same_fit_and_nothing_for_a_critic() -> None:
    asked, made = trainer_of(Preset.QUICK), plan(Preset.QUICK)
    days = made.split.selection(made.split.train_days)
    data = prepare_training_data(
        made.split.market, made.battery, days, SocReset.DAILY, asked.config.size, asked.features
    )
    config = replace(asked.config, passes=2)
    final, whole = (fit_closed_form(data, replace(config, final_stage_only=flag), seed=3) for flag in (True, False))
    assert final.returns is None
    assert whole.returns is not None
    assert [len(final.stages), len(whole.stages)] == [1, 3]
    assert stage_names(config) == stage_names(replace(config, final_stage_only=False))[-1:]
    for name, tensor in member_tensors(final.stages[0]).items():
        np.testing.assert_array_equal(tensor, member_tensors(whole.stages[-1])[name])


def test_a_lean_training_resumes_and_writes_the_policy_that_is_fitted_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = plan(Preset.QUICK)

    def interrupted(*_arguments: Any, **_settings: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(arbitrage.training.closed_form, "run_backtest", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(asked, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(arbitrage.training.closed_form, "fit_closed_form", interrupted)
        card = train(asked, tmp_path)
    assert list(card["validation"]) == [card["chosen_stage"]] == ["correction pass 1"]
    assert card["critic_validation_coverage"] is None
    assert 0.0 < card["fit_seconds"] <= card["training_seconds"]
    market = asked.split.market
    times = market.quarter_hours[40 * 96 : 41 * 96]
    written, in_memory = (
        Dispatcher(policy, asked.battery, market, times, 15)
        for policy in (load_policy(tmp_path), trainer_of(Preset.QUICK).policy(asked.split, asked.battery))
    )
    for at in range(0, 96, 7):
        for state in (BatteryState(0.0), BatteryState(0.9, 0.4), BatteryState(2.0, 1.0)):
            assert written.decide(at, state) == in_memory.decide(at, state)
            assert written.outcomes_eur(at, state) is None


def test_a_lean_preset_by_the_minute_is_refused() -> None:
    split = DataSplit(market=sample_market(), train_days=DaysOfMonth(1, 6), validation_days=DaysOfMonth(7, 8))
    with pytest.raises(BadInput, match="quick is for the feature set quarter_hour"):
        ClosedFormTrainer.of(split, FeatureSet.FULL, Preset.QUICK)


def test_too_few_training_days_are_refused_in_memory_too() -> None:
    start = epoch_minute("2025-03-01T00:00+01:00")
    one_day = replace(plan(Preset.QUICK).split, train_days=DaysOfMonth(1, 1), start=start)
    with pytest.raises(BadInput, match="too few"):
        trainer_of(Preset.QUICK).policy(one_day, Battery())


def test_the_command_line_trains_a_preset(tmp_path: Path) -> None:
    files = sample_files()
    words = ["train", "--prices", str(files.prices), "--day-ahead", str(files.day_ahead), "--preset", "quick"]
    words += ["--out", str(tmp_path / "policy"), "--json", str(tmp_path / "card.json")]
    done = subprocess.run([sys.executable, "-m", "arbitrage", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["config"]["final_stage_only"]
    assert card["config"]["cosines"] == ClosedFormConfig.quick().cosines
    assert load_policy(tmp_path / "policy").critic is None
