"""Walk-forward: what a window learns rests on what came before it, and what it decides on what was known then."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from arbitrage.backtest.engine import Backtest, run_backtest
from arbitrage.battery import Battery
from arbitrage.errors import BadInput
from arbitrage.experiments.walk_forward import PolicyTrainer, TrainingWindow, Walk, WindowTrainer, walk_forward
from arbitrage.learners.closed_form.config import Preset
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.series import MarketSeries
from arbitrage.market.timing import until
from arbitrage.market.windows import WindowPlan
from arbitrage.policies.policy_schedule import PolicySchedule
from arbitrage.policies.protocol import Policy
from arbitrage.policies.rules import ThresholdRule
from arbitrage.quarter_hour import epoch_minute
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.methods import TrainingSettings
from tests.worlds import noisy_market

START = epoch_minute("2024-05-01T00:00+02:00")
BATTERY = Battery(max_cycles_per_day=1.1)
QUICK = WindowTrainer(method="learned", settings=TrainingSettings(preset=Preset.QUICK, refit=True))
WINDOWS = WindowPlan(
    train_from=dt.date(2024, 5, 1), test_from=dt.date(2024, 6, 1), test_until=dt.date(2024, 7, 6)
).windows()


def walked(market: MarketSeries, teach: PolicyTrainer, folder: Path) -> tuple[PolicySchedule, Backtest]:
    walk = Walk(market=market, battery=BATTERY, windows=WINDOWS)
    policies = walk_forward(walk, teach, folder, name="walked")
    return policies, run_backtest(market, BATTERY, policies, walk.selection())


def scrambled_after(market: MarketSeries, time: int) -> MarketSeries:
    """Every record that is not known at `time` is another, and so is every later settlement."""
    random, known_series = np.random.default_rng(9), {}
    for name, series in market.known_series.items():
        later = series.available_at > time
        known_series[name] = replace(
            series, values=np.where(later, random.normal(0.0, 500.0, len(later)), series.values)
        )
    return replace(market, known_series=known_series, price_eur_mwh=known_series[PRICE].values)


@pytest.mark.parametrize("name", ["idle", "threshold", "spread"])
def test_rules_of_a_walk_are_tuned_on_the_past_alone(name: str, tmp_path: Path) -> None:
    market = noisy_market(5, 70, START)
    second = WINDOWS[1]
    policies, result = walked(market, WindowTrainer(method=name), tmp_path / "a")
    other, same = walked(scrambled_after(market, second.test_start), WindowTrainer(method=name), tmp_path / "b")
    assert policies.policies == other.policies
    before = result.ledger.index < result.ledger.index[30 * 96]
    assert result.ledger["net_energy_mwh"][before].equals(same.ledger["net_energy_mwh"][before])


@pytest.mark.parametrize(("refit", "newest"), [(True, 31 * 96), (False, 25 * 96)])
def test_a_closed_form_learns_from_the_newest_days_unless_there_is_no_refit(refit: bool, newest: int) -> None:
    market, (first, *_) = noisy_market(6, 70, START), WINDOWS
    room = TrainingWindow(until(market, first.train_end), BATTERY, first, Path("unused"))
    walker = WindowTrainer(method="learned") if refit else WindowTrainer(method="learned", settings=TrainingSettings())
    trainer = walker.trainer(room)
    assert isinstance(trainer, ClosedFormTrainer)
    assert trainer.refit is refit
    assert room.split.selection(*room.split.fitted_days(refit=refit))[-1].last == newest


def test_a_closed_form_walks_and_learns_from_the_past_alone(tmp_path: Path) -> None:
    market, teach = noisy_market(6, 70, START), QUICK
    _, result = walked(market, teach, tmp_path / "a")
    _, other = walked(scrambled_after(market, WINDOWS[1].test_start), teach, tmp_path / "b")
    cut = 30 * 96
    assert result.ledger["net_energy_mwh"].iloc[:cut].equals(other.ledger["net_energy_mwh"].iloc[:cut])
    assert result.ledger["net_energy_mwh"].iloc[:cut].abs().sum() > 0.0
    digests = [
        [(folder / window.label / "policy.safetensors").read_bytes() for window in WINDOWS]
        for folder in (tmp_path / "a", tmp_path / "b")
    ]
    assert digests[0] == digests[1]
    assert len(result.ledger) == 35 * 96
    assert result.violations.empty


def test_a_walk_that_is_taken_up_again_trains_nothing_twice(tmp_path: Path) -> None:
    market, teach = noisy_market(6, 70, START), QUICK
    walk = Walk(market=market, battery=BATTERY, windows=WINDOWS)
    walk_forward(walk, teach, tmp_path, name="walked")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("card.json")}
    walk_forward(walk, teach, tmp_path, name="walked")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("card.json")} == before
    walk_forward(walk, replace(QUICK, seed=1), tmp_path, name="walked")
    assert all(path.stat().st_mtime_ns > before[path] for path in tmp_path.rglob("card.json"))


def test_whoever_teaches_is_handed_a_market_that_ends_with_the_training(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def teach(room: TrainingWindow) -> Policy:
        assert (room.market.known_series[PRICE].available_at <= room.window.train_end).all()
        seen.append((int(room.market.quarter_hours[-1]) + 15, room.window.train_end))
        return ThresholdRule()

    walked(noisy_market(5, 70, START), teach, tmp_path)
    assert len(seen) == 2
    assert all(end == trained for end, trained in seen)


def test_the_market_as_it_was_known_may_come_from_elsewhere(tmp_path: Path) -> None:
    market, other = noisy_market(5, 70, START), noisy_market(7, 70, START)
    taught = []

    def teach(room: TrainingWindow) -> Policy:
        taught.append(room.market)
        return ThresholdRule()

    walk = Walk(market=market, battery=BATTERY, windows=WINDOWS, market_at=lambda _time: other)
    walk_forward(walk, teach, tmp_path, name="walked")
    assert taught == [other, other]


def test_a_warm_start_goes_on_from_the_window_before_and_a_cold_one_does_not(tmp_path: Path) -> None:
    market = noisy_market(8, 70, START)
    decided, settings = {}, TrainingSettings(updates=2, judge_every=2, compiled=False)
    for warm in (True, False):
        walker = WindowTrainer(method="dqn", settings=settings, warm_start=warm)
        policies, _ = walked(market, walker, tmp_path / str(warm))
        decided[warm] = [policy.critics[0].weights[0] for policy in policies.policies]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(decided[True][0], decided[False][0])
    moved = {warm: float(np.abs(weights[1] - weights[0]).max()) for warm, weights in decided.items()}
    assert not np.array_equal(decided[True][1], decided[False][1])
    assert moved[True] != moved[False]


@pytest.mark.parametrize("method", ["dqn", "threshold"])
def test_an_agent_or_rule_that_is_finished_is_not_trained_again(method: str, tmp_path: Path) -> None:
    settings = TrainingSettings(updates=2, judge_every=2, compiled=False)
    walk = Walk(market=noisy_market(8, 70, START), battery=BATTERY, windows=WINDOWS)
    walker = WindowTrainer(method=method, settings=settings)
    first = walk_forward(walk, walker, tmp_path, name="walked")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("card.json")}
    assert len(before) == len(WINDOWS)
    second = walk_forward(walk, walker, tmp_path, name="walked")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("card.json")} == before
    assert [policy.name for policy in first.policies] == [policy.name for policy in second.policies] == [method] * 2


def test_a_walk_beyond_the_prices_is_refused(tmp_path: Path) -> None:
    walk = Walk(market=noisy_market(5, 60, START), battery=BATTERY, windows=WINDOWS)
    with pytest.raises(BadInput, match="after the last price"):
        walk_forward(walk, WindowTrainer(method="threshold"), tmp_path, name="walked")


def test_a_strategy_that_cannot_learn_is_refused_with_the_names_of_those_that_can(tmp_path: Path) -> None:
    walk = Walk(market=noisy_market(5, 70, START), battery=BATTERY, windows=WINDOWS)
    with pytest.raises(BadInput, match=r"'perfect-foresight' cannot be trained.*learned, idle, threshold.*mpc.*dsac-t"):
        walk_forward(walk, WindowTrainer(method="perfect-foresight"), tmp_path, name="walked")
