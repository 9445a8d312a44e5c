"""Walking forward and deciding late, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from arbitrage.cli.app import app
from arbitrage.cli.options.market import MarketOptions
from arbitrage.cli.trials import trained_timing
from arbitrage.errors import BadInput
from arbitrage.market.simulation.sample import sample_files
from arbitrage.market.timing import KnownAs

FILES = sample_files()
MARKET = ("--prices", str(FILES.prices), "--day-ahead", str(FILES.day_ahead))
DAYS = ("--train-from", "2025-03-01", "--test-from", "2025-05-01", "--test-until", "2025-05-11")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_strategies_walk_side_by_side(tmp_path: Path) -> None:
    out, report = tmp_path / "figures.json", tmp_path / "report.html"
    rules = ("--strategy", "threshold", "--strategy", "idle", "--strategy", "perfect-foresight")
    done = run(
        "walk-forward", *MARKET, *DAYS, *rules, "--out", str(tmp_path), "--json", str(out), "--report", str(report)
    )
    assert done.exception is None, done.output
    told = json.loads(out.read_text())
    rows = {row["strategy"]: row for row in told["strategies"]}
    assert {row["days"] for row in rows.values()} == {10}
    assert rows["idle"]["profit_eur_per_day"] == 0.0
    assert rows["threshold"]["profit_eur_per_day"] < rows["perfect-foresight"]["profit_eur_per_day"]
    (window,) = told["windows"]
    assert window["train_end"] == window["test_start"] == "2025-04-30T22:00:00+00:00"
    assert "threshold" in report.read_text()


def test_a_walk_names_every_day_that_is_none(tmp_path: Path) -> None:
    done = run("walk-forward", *MARKET, *DAYS[:2], "--test-from", "May", "--test-until", "x", "--out", str(tmp_path))
    assert isinstance(done.exception, BadInput)
    assert "test_from" in str(done.exception)
    assert "test_until" in str(done.exception)


def test_deciding_late_is_recorded_and_costs_what_was_known_last(tmp_path: Path) -> None:
    earned = {}
    for latency in (0, 15):
        out = tmp_path / f"{latency}.json"
        late = ("--decision-latency-min", str(latency), "--days-of-month", "26-31", "--json", str(out))
        assert run("backtest", *MARKET, "--strategy", "threshold", *late).exception is None
        figures = json.loads(out.read_text())
        assert figures["decision_latency_min"] == latency
        earned[latency] = figures["profit_eur_per_day"]
    assert earned[0] > earned[15]


def test_a_policy_is_tried_with_the_latency_that_it_was_trained_for_unless_another_is_asked_for() -> None:
    card = {"publication_delay_min": 0, "decision_latency_min": 3}
    options = MarketOptions((FILES.prices,), None, None, None, None)
    assert options.market(*trained_timing([card])).decision_latency_min == 3
    asked = MarketOptions((FILES.prices,), None, None, None, None, decision_latency_min=1)
    assert asked.market(*trained_timing([card])).decision_latency_min == 1
    with pytest.raises(BadInput, match="0 and 0 min; 0 and 3 min"):
        trained_timing([card, {"publication_delay_min": 0}])


def test_first_published_prices_are_asked_of_a_store() -> None:
    options = MarketOptions((FILES.prices,), None, None, None, None, known_as=KnownAs.FIRST_PUBLISHED)
    with pytest.raises(BadInput, match="in a store alone"):
        options.market()
