"""Sweeps: the same results whatever runs them, each task once, and what becomes of those whose workers die."""

from __future__ import annotations

import json
import multiprocessing
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.runs.folder import read_run
from arbitrage.battery import Battery
from arbitrage.errors import BadInput
from arbitrage.experiments.sweep.plan import GivenPolicy, SweepPlan, SweepWindow
from arbitrage.experiments.sweep.plan_file import read_sweep_file
from arbitrage.experiments.sweep.ray_workers import RayWorkers
from arbitrage.experiments.sweep.run import RUN, run_sweep
from arbitrage.experiments.sweep.tables import sweep_tables
from arbitrage.experiments.sweep.workers import Job, Lost, Outcome, ProcessWorkers, try_job
from arbitrage.learners.closed_form.config import ClosedFormConfig, Preset
from arbitrage.market.simulation.sample import sample_files
from arbitrage.market.splits import DaysOfMonth, SocReset
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.protocol import RiskChoice
from arbitrage.progress import Progress
from arbitrage.quarter_hour import epoch_minute
from arbitrage.risk import RiskPreference
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.methods import TrainingSettings
from tests.worlds import noisy_market

MARKET = noisy_market(seed=8, days=31)
END = epoch_minute("2024-08-01T00:00+02:00")
WINDOW = SweepWindow(
    name="july", train_days=DaysOfMonth(1, 14), validation_days=DaysOfMonth(15, 20), test_days=DaysOfMonth(26, 31)
)
RULES = SweepPlan(strategies=("idle", "threshold", "spread"), windows=(WINDOW,))
LEARNED = SweepPlan(
    strategies=("learned", "threshold"),
    windows=(WINDOW,),
    seeds=(1,),
    training=TrainingSettings(preset=Preset.QUICK),
)


class Inline:
    """Does one job at a time, here, and loses those that it is told to."""

    has_room = True

    def __init__(self, lose: dict[str, int] | None = None) -> None:
        self.lose = lose or {}
        self.begun: list[str] = []
        self.ended = False
        self._jobs: list[Job] = []

    def start(self, job: Job) -> None:
        self.begun.append(job.task.label)
        self._jobs.append(job)

    def wait(self) -> list[Outcome]:
        job = self._jobs.pop(0)
        if self.lose.get(job.task.strategy, 0) > 0:
            self.lose[job.task.strategy] -= 1
            return [Lost(job.fingerprint, "its machine burnt down")]
        told: list[Outcome] = []
        return [*told, try_job(job, MARKET, told.append)]

    def end(self) -> None:
        self.ended = True


def run_bytes(out: Path) -> dict[str, bytes]:
    """Every file of every run folder below."""
    return {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("run/**/*") if file.is_file()}


def test_the_results_are_the_same_bytes_whoever_does_the_work_and_whoever_dies(tmp_path: Path) -> None:
    killed: list[str] = []

    def kill(progress: Progress) -> None:
        if "validating" in progress.doing and not killed:
            killed.append(progress.doing)
            for child in multiprocessing.active_children():
                child.kill()

    alone = run_sweep(LEARNED, MARKET, tmp_path / "one", ProcessWorkers(MARKET, 1))
    among = run_sweep(LEARNED, MARKET, tmp_path / "two", ProcessWorkers(MARKET, 2), progress=kill)
    assert killed
    assert alone.failures == among.failures == {}
    assert multiprocessing.active_children() == []
    assert run_bytes(tmp_path / "one") == run_bytes(tmp_path / "two")
    (learned, folder), _ = among.folders
    assert (folder / "policy" / "card.json").is_file()
    assert read_run(folder / RUN).context.seeds == (learned.seed,)


def test_neural_agents_and_mpc_are_swept_with_the_settings_that_they_use(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="fitting needs scikit-learn (extra compare)")
    settings = TrainingSettings(preset=Preset.QUICK, updates=2, judge_every=2, compiled=False)
    window = replace(WINDOW, train_days=DaysOfMonth(1, 10), test_days=DaysOfMonth(30, 31))
    plan = SweepPlan(strategies=("dqn", "mpc"), windows=(window,), seeds=(1,), training=settings)
    results = run_sweep(plan, MARKET, tmp_path, Inline())
    assert results.failures == {}
    assert [task.contender for task, _ in results.folders] == ["dqn, seed 1", "mpc, seed 1"]
    for task, folder in results.folders:
        loaded = load_policy(folder / "policy")
        alone = run_backtest(MARKET, task.battery, loaded, window.selection(MARKET), step_min=loaded.step_min)
        pd.testing.assert_frame_equal(read_run(folder / RUN).backtests[0].ledger, alone.ledger)
    assert [sorted(task.facts()["training"]) for task, _ in results.folders] == [
        ["compiled", "features", "judge_every", "updates"],
        ["refit"],
    ]


def test_a_setting_of_another_method_makes_no_other_task() -> None:
    tasks = {name: replace(LEARNED, strategies=(name,)).tasks()[0] for name in ("learned", "dqn", "mpc")}
    other = replace(LEARNED.training, updates=7)
    prints = [(task.fingerprint("data"), replace(task, training=other).fingerprint("data")) for task in tasks.values()]
    assert [before == after for before, after in prints] == [True, False, True]


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    first, again = Inline(), Inline()
    run_sweep(RULES, MARKET, tmp_path, first)
    before = run_bytes(tmp_path)
    results = run_sweep(
        replace(RULES, strategies=("idle", "threshold", "spread", "perfect-foresight")), MARKET, tmp_path, again
    )
    assert again.begun == ["perfect-foresight, battery, july"]
    assert {name: content for name, content in run_bytes(tmp_path).items() if name in before} == before
    assert len(results.folders) == 4


def test_a_task_is_another_one_where_anything_that_it_depends_on_is_another() -> None:
    task = LEARNED.tasks()[0]
    others = [
        replace(task, seed=5),
        replace(task, battery=Battery(max_cycles_per_day=1.0)),
        replace(task, window=replace(WINDOW, test_days=DaysOfMonth(27, 31))),
        replace(task, window=replace(WINDOW, soc_reset=SocReset.NEVER)),
        replace(task, risks=(RiskChoice(0.5),)),
        replace(task, training=TrainingSettings(preset=Preset.FAST)),
        replace(task, strategy="idle"),
    ]
    prints = {one.fingerprint(MARKET.data_hash) for one in (task, *others)} | {task.fingerprint("other data")}
    assert len(prints) == len(others) + 2


def test_a_task_whose_worker_dies_is_tried_again_so_many_times_and_no_more(tmp_path: Path) -> None:
    workers, remarks = Inline({"threshold": 2, "spread": 3}), []
    results = run_sweep(RULES, MARKET, tmp_path, workers, retries=2, progress=lambda now: remarks.append(now.remark))
    assert [task.strategy for task, _ in results.folders] == ["idle", "threshold"]
    assert results.failures == {"spread, battery, july": "lost 3 times, last because its machine burnt down"}
    assert sum("tried again" in (remark or "") for remark in remarks) == 4
    assert workers.ended


def test_a_task_that_fails_takes_no_other_with_it_and_is_not_tried_again(tmp_path: Path) -> None:
    workers = Inline()
    results = run_sweep(replace(RULES, strategies=("minute-spread", "idle")), MARKET, tmp_path, workers)
    assert [task.strategy for task, _ in results.folders] == ["idle"]
    assert list(results.failures) == ["minute-spread, battery, july"]
    assert len(workers.begun) == 2


def test_an_interruption_ends_the_workers_and_what_was_done_stays(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.completed == 2:
            raise KeyboardInterrupt

    workers, again = Inline(), Inline()
    with pytest.raises(KeyboardInterrupt):
        run_sweep(RULES, MARKET, tmp_path, workers, progress=interrupt)
    assert workers.ended
    run_sweep(RULES, MARKET, tmp_path, again)
    assert again.begun == ["spread, battery, july"]


def test_two_sweeps_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(BadInput, match="another sweep"):
        run_sweep(RULES, MARKET, tmp_path, Inline())


def test_a_result_that_was_tampered_with_is_refused_and_not_run_over(tmp_path: Path) -> None:
    results = run_sweep(RULES, MARKET, tmp_path, Inline())
    path = results.folders[0][1] / RUN / "summary.json"
    path.write_text(path.read_text().replace("idle", "busy"))
    with pytest.raises(BadInput, match="altered"):
        run_sweep(RULES, MARKET, tmp_path, Inline())


def test_a_worker_with_another_program_does_not_work_for_the_sweep() -> None:
    task = RULES.tasks()[0]
    outcome = try_job(Job("0" * 64, task), MARKET, lambda _told: None)
    assert "other code or packages" in outcome.reason


@pytest.mark.parametrize(
    "window",
    [
        replace(WINDOW, test_days=DaysOfMonth(20, 31)),
        replace(WINDOW, test_days=None, test_start=END - 20 * 1440),
        replace(WINDOW, train_end=END - 5 * 1440, train_days=DaysOfMonth(1, 31)),
    ],
)
def test_a_plan_that_tests_what_it_learns_from_is_refused(window: SweepWindow, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="also learns from"):
        run_sweep(replace(RULES, windows=(window,)), MARKET, tmp_path, Inline())


def test_nothing_that_is_published_after_the_window_of_learning_changes_what_is_learned(tmp_path: Path) -> None:
    """A rule is tuned on the same numbers whatever the tested days bring."""
    end = epoch_minute("2024-07-22T00:00+02:00")
    window = replace(WINDOW, train_end=end, test_days=None, test_start=end)
    plan = replace(RULES, windows=(window,), strategies=("threshold",))
    later = MARKET.quarter_hours >= end
    other = noisy_market(seed=9, days=31)
    known_series = {
        name: replace(
            series, values=np.where(later[: len(series.values)], other.known_series[name].values, series.values)
        )
        for name, series in MARKET.known_series.items()
    }
    price = known_series["imbalance_price_eur_mwh"].values
    scrambled = replace(
        MARKET, price_eur_mwh=price, known_series=known_series, frame=MARKET.frame.assign(imbalance_price_eur_mwh=price)
    )
    tuned = []
    for market in (MARKET, scrambled):
        (task,) = plan.tasks()
        outcome = try_job(Job(task.fingerprint(market.data_hash), task), market, lambda _told: None)
        tuned.append(json.loads(outcome.result.run["summary.json"])["strategies"][0])
    assert tuned[0]["facts"] == tuned[1]["facts"]
    assert tuned[0]["figures"]["profit_eur"] != tuned[1]["figures"]["profit_eur"]


def test_tables_pair_contenders_by_day_in_each_window_and_over_all(tmp_path: Path) -> None:
    windows = [replace(WINDOW, name=f"{day}", test_days=DaysOfMonth(day, day + 1)) for day in (26, 28)]
    plan = replace(RULES, windows=tuple(windows), strategies=("idle", "spread"))
    tables = sweep_tables(run_sweep(plan, MARKET, tmp_path, Inline()).folders)
    assert [(row["window"], row["strategy"]) for row in tables["by_window"]] == [
        ("26", "idle"), ("26", "spread"), ("28", "idle"), ("28", "spread"),
    ]  # fmt: skip
    own = [row["profit_eur_per_day"] for row in tables["by_window"] if row["strategy"] == "spread"]
    (idle, spread) = tables["over_windows"]
    assert spread["days"] == 4
    assert spread["profit_eur_per_day"] == pytest.approx(np.mean(own))
    assert spread["difference_eur_per_day"] == pytest.approx(spread["profit_eur_per_day"])
    assert idle["difference_eur_per_day"] is None


def test_days_in_two_windows_are_not_put_together(tmp_path: Path) -> None:
    windows = [replace(WINDOW, name=f"{day}", test_days=DaysOfMonth(day, 31)) for day in (28, 29)]
    tables = sweep_tables(run_sweep(replace(RULES, windows=tuple(windows)), MARKET, tmp_path, Inline()).folders)
    assert tables["over_windows"] == []
    assert len(tables["by_window"]) == 6


PLAN = """
strategies = ["learned", "threshold"]
seeds = [0, 3]
risk_aversions = [0.0, 0.5]
risk_preferences = ["cvar:0.1:0.3"]
[market]
prices = ["prices.csv"]
minutes = ["reconstructed-easy:3"]
publication_delay_min = 1
[training]
preset = "fast"
risk_head = true
[batteries.capped]
max_cycles_per_day = 1.1
[windows.reference]
test_days = "26-31"
[walk_forward]
train_from = "2021-06-01"
test_from = "2022-01-01"
test_until = "2022-03-01"
"""


def test_a_plan_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    file = read_sweep_file(path)
    assert [window.name for window in file.plan.windows] == ["reference", "2021-12-31T2300", "2022-01-31T2300"]
    assert file.plan.windows[2].train_end == file.plan.windows[2].test_start == epoch_minute("2022-02-01T00:00+01:00")
    assert file.plan.batteries == {"capped": Battery(max_cycles_per_day=1.1)}
    assert file.plan.risks[2] == RiskChoice(None, RiskPreference.parse("cvar:0.1:0.3"))
    assert file.plan.training.with_risk_head
    assert file.market["prices"] == [tmp_path / "prices.csv"]
    assert file.market["minutes"] == ["reconstructed-easy:3"]
    assert len(file.plan.tasks()) == 3 * (2 + 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("seeds = [0, 3]", "seeds = [0, -3]"), "whole numbers"),
        (("seeds = [0, 3]", "seeds = [3, 3]"), "name something twice"),
        (('"threshold"]', '"guess"]'), "guess: neither one of"),
        (('test_days = "26-31"', 'test_day = "26-31"'), "test_day means nothing"),
        (("max_cycles_per_day = 1.1", "max_cycles_per_day = -1\npower_mw = 0"), "power_mw"),
        (('preset = "fast"', 'preset = "slow"'), "slow"),
        (('prices = ["prices.csv"]', ""), "names no prices"),
        (("cvar:0.1:0.3", "cvar"), "risk_preferences"),
        (("seeds = ", "sedes = "), "sedes means nothing"),
        (("[market]", "[market"), "is not TOML"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_with_the_reason(
    change: tuple[str, str], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN.replace(*change))
    with pytest.raises(BadInput, match=says):
        read_sweep_file(path)


def test_where_ray_is_not_installed_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadInput, match=r"arbitrage\[ray\]"):
        RayWorkers(MARKET, "auto")


@pytest.fixture
def plan_of_sample(tmp_path: Path) -> Path:
    files = sample_files()
    told: dict[str, Any] = {
        "strategies": ["idle", "threshold"],
        "market": {"prices": [str(files.prices)]},
        "windows": {"spring": {"test_days": "26-27"}},
    }
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(told))
    return path


def test_the_command_runs_a_plan_and_writes_its_tables(plan_of_sample: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from arbitrage.cli.app import app

    arguments = ["sweep", str(plan_of_sample), "--out", str(tmp_path / "out"), "--workers", "1", "--json", "-"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    answer = json.loads(done.stdout)
    assert [row["strategy"] for row in answer["over_windows"]] == ["idle", "threshold"]
    assert answer == json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert read_run(tmp_path / "out" / answer["folders"]["idle, battery, spring"] / RUN).backtests


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that learned from days 1-14 and was chosen on 15-20."""
    directory = tmp_path_factory.mktemp("given") / "policy"
    trainer = ClosedFormTrainer(
        config=ClosedFormConfig(cosines=12, passes=1, network=None, size=LatticeSize(5, 4)),
        with_critic=False,
        with_risk_head=False,
    )
    trainer.fit(WINDOW.split(MARKET), Battery(max_cycles_per_day=1.1), 0, directory)
    return directory


def given(directory: Path) -> GivenPolicy:
    files = {name: (directory / name).read_bytes() for name in ("card.json", "policy.safetensors")}
    return GivenPolicy(name="mine", battery=Battery(max_cycles_per_day=1.1), files=files)


def test_a_given_policy_travels_as_bytes_and_is_tested_with_its_own_battery(policy: Path, tmp_path: Path) -> None:
    plan = replace(RULES, strategies=("idle",), given=(given(policy),))
    results = run_sweep(plan, MARKET, tmp_path, Inline())
    backtest = read_run(results.folders[1][1] / RUN).backtests[0]
    alone = run_backtest(MARKET, backtest.battery, load_policy(policy), WINDOW.selection(MARKET))
    assert backtest.battery.max_cycles_per_day == 1.1
    assert backtest.strategy == "mine"
    pd.testing.assert_frame_equal(backtest.ledger, alone.ledger)


def test_a_given_policy_is_not_tested_on_days_that_it_learned_from(policy: Path, tmp_path: Path) -> None:
    days = {"train_days": DaysOfMonth(1, 5), "validation_days": DaysOfMonth(6, 7), "test_days": DaysOfMonth(13, 31)}
    window = replace(WINDOW, **days)
    with pytest.raises(BadInput) as refused:
        run_sweep(replace(RULES, windows=(window,), given=(given(policy),)), MARKET, tmp_path, Inline())
    assert [fault.where for fault in refused.value.faults] == ["mine in window july"] * 2


def test_folders_of_policies_from_elsewhere_are_not_hidden(policy: Path) -> None:
    plan = replace(RULES, given=(replace(given(policy), name="../other/policy"),))
    assert plan.tasks()[-1].folder("0" * 64) == "other-policy-own-battery-july-0000000000"
