"""A strategy of one's own from a file outside the project, and a rule new to the registry, in every experiment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.runs.folder import read_run
from arbitrage.battery import Battery
from arbitrage.cli.app import app
from arbitrage.errors import BadInput
from arbitrage.experiments.strategies import EvaluationSpec, try_strategy
from arbitrage.experiments.sweep.plan import SweepPlan, SweepWindow
from arbitrage.experiments.sweep.plan_file import read_sweep_file
from arbitrage.experiments.sweep.run import RUN, run_sweep
from arbitrage.experiments.sweep.workers import ProcessWorkers
from arbitrage.experiments.walk_forward import Walk, WindowTrainer, walk_forward
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.simulation.sample import sample_files
from arbitrage.market.splits import DaysOfMonth, SocReset, Span
from arbitrage.market.windows import Window
from arbitrage.policies.own_code import own_strategy
from arbitrage.policies.registry import RULES, find_strategy
from arbitrage.quarter_hour import epoch_minute
from tests.own_strategies import NEW_RULE, PRICES_ALONE, written
from tests.worlds import noisy_market

START = epoch_minute("2024-07-01T00:00+02:00")
DAY = 24 * 60
MARKET = noisy_market(8, 40, START)
WINDOWS = tuple(Window(START, START + days * DAY, START + days * DAY, START + (days + 5) * DAY) for days in (28, 33))


@pytest.fixture
def own(tmp_path: Path) -> str:
    return f"{written(tmp_path, PRICES_ALONE)}:AroundTheMean"


@pytest.fixture
def new_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One file and one line of registration."""
    spec = own_strategy(f"{written(tmp_path, NEW_RULE, 'new_rule.py')}:RULE", "new-rule")
    monkeypatch.setitem(RULES, spec.name, spec)
    return spec.name


@pytest.mark.parametrize("kind", ["own", "new_rule"])
def test_it_walks_forward(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    name = request.getfixturevalue(kind)
    walk = Walk(market=MARKET, battery=Battery(), windows=WINDOWS)
    policies = walk_forward(walk, WindowTrainer(method=name), tmp_path / "walk", name=name)
    again = walk_forward(walk, WindowTrainer(method=name), tmp_path / "walk", name=name)
    ledgers = [run_backtest(MARKET, Battery(), each, walk.selection()).ledger for each in (policies, again)]
    assert len(ledgers[0]) == 10 * 96
    assert ledgers[0]["discharge_mwh"].sum() > 0.0
    assert ledgers[0].equals(ledgers[1])


def test_it_is_a_cell_of_a_sweep_that_names_its_code(own: str, tmp_path: Path) -> None:
    window = SweepWindow(
        name="july", train_days=DaysOfMonth(1, 14), validation_days=DaysOfMonth(15, 20), test_days=DaysOfMonth(26, 28)
    )
    plan = SweepPlan(strategies=("idle", own), windows=(window,))
    results = run_sweep(plan, MARKET, tmp_path / "sweep", ProcessWorkers(MARKET, 1))
    assert results.failures == {}
    backtests = [read_run(folder / RUN).backtests[0] for _, folder in results.folders]
    ledger = next(each.ledger for each in backtests if each.strategy == own)
    alone = run_backtest(MARKET, Battery(), find_strategy(own).make(), window.selection(MARKET)).ledger
    assert ledger["profit_eur"].tolist() == alone["profit_eur"].tolist()
    idle, task = plan.tasks()
    before, fingerprint = task.facts()["code_sha256"], task.fingerprint("data")
    assert (idle.facts()["code_sha256"], len(before)) == (None, 64)
    Path(own.rpartition(":")[0]).write_text(PRICES_ALONE.replace("96", "48"))
    assert task.facts()["code_sha256"] != before
    assert task.fingerprint("data") != fingerprint


def test_a_sweep_file_names_an_own_strategy_s_file_beside_it(own: str, tmp_path: Path) -> None:
    days = 'train_days = "1-14"\nvalidation_days = "15-20"\ntest_days = "26-28"'
    text = f"""strategies = ["idle", "below_and_above.py:AroundTheMean"]
[market]
prices = ["prices.csv"]
[windows.july]
{days}"""
    file = read_sweep_file(written(tmp_path, text, "plan.toml"))
    assert file.plan.strategies == ("idle", own)


def test_a_new_rule_is_tuned_on_other_days_like_every_rule(new_rule: str) -> None:
    rows = range(26 * 96, 28 * 96)
    trial = EvaluationSpec(MARKET, Battery(), (Span(rows.start, rows.stop),), SocReset.DAILY, DaysOfMonth(1, 14))
    results = {name: try_strategy(name, trial, warn=pytest.fail) for name in (new_rule, "threshold")}
    assert results[new_rule].strategy == "new rule"
    assert results[new_rule].ledger.equals(results["threshold"].ledger)


def test_compare_and_decide_take_it_from_a_file(own: str, tmp_path: Path) -> None:
    prices = str(sample_files().prices)
    out = tmp_path / "figures.json"
    days = ("--start", "2025-04-03T00:00+02:00", "--end", "2025-04-05T00:00+02:00", "--json", str(out))
    done = CliRunner().invoke(app, ["compare", "--prices", prices, "--strategy", "idle", "--strategy", own, *days])
    assert done.exit_code == 0, done.output
    rows = {row["strategy"]: row for row in json.loads(out.read_text())["strategies"]}
    assert rows["AroundTheMean"]["cycles_per_day"] > 0.0
    decision = tmp_path / "decision.json"
    asked = ("--strategy", own, "--soc-fraction", "0.5", "--at", "2025-04-03T12:00+02:00", "--json", str(decision))
    done = CliRunner().invoke(app, ["decide", "--prices", prices, *asked])
    assert done.exit_code == 0, done.output
    assert json.loads(decision.read_text())["reason"] == "own_strategy"


def test_a_market_without_what_it_needs_is_refused_with_the_option(tmp_path: Path) -> None:
    own = f"{written(tmp_path)}:BelowAndAbove"
    trial = EvaluationSpec(MARKET, Battery(), (Span(0, 96),), SocReset.DAILY, DaysOfMonth(1, 14))
    with pytest.raises(BadInput, match="needs day-ahead prices; give them with --day-ahead"):
        try_strategy(own, replace(trial, market=prices_alone(MARKET)), warn=print)
    assert try_strategy(own, replace(trial, market=sample_market()), warn=print).strategy == "BelowAndAbove"


def prices_alone(market):
    kept = {name: series for name, series in market.known_series.items() if name.startswith("imbalance")}
    return replace(market, known_series=kept)
