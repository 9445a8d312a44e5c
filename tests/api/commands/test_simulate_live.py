"""`arbitrage simulate-live`: a simulated market lived through by the service, beside the backtest of the same."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.commands.simulation import Wanted, simulate_live
from arbitrage.battery import Battery
from arbitrage.cli.app import app
from arbitrage.errors import BadInput
from tests.own_strategies import written

WANTED = Wanted(
    strategies=("spread", "threshold"),
    days=0.5,
    speed=0.0,
    seed=2,
    start="2025-03-30T00:00+01:00",
    preset="2022",
    risk_aversion=None,
    faults=(),
    battery=Battery(max_cycles_per_day=1.1),
)


def wanted(**changes: Any) -> Wanted:
    return dataclasses.replace(WANTED, **changes)


@pytest.fixture(scope="module")
def served() -> dict[str, Any]:
    return simulate_live(WANTED)


def test_what_the_service_decides_makes_what_a_backtest_makes(served: dict[str, Any]) -> None:
    assert served["simulated"] is True
    assert served["decisions_by_level"] == {"policy": 48}
    assert served["profit_eur"] != 0.0
    for each in (served, *served["challengers"]):
        assert each["profit_eur"] == pytest.approx(each["backtest_profit_eur"], abs=1e-9, rel=0)
        assert each["cash_at_final_price_eur"] == pytest.approx(each["profit_eur"], abs=1e-9, rel=0)


def test_without_the_service_between_the_figures_are_the_same(served: dict[str, Any]) -> None:
    direct = simulate_live(wanted(direct=True))
    assert direct["decided_by"] != served["decided_by"]
    same = {name: value for name, value in served.items() if name != "decided_by"}
    assert {name: value for name, value in direct.items() if name != "decided_by"} == same


@pytest.mark.parametrize("direct", [False, True])
def test_an_own_strategy_makes_what_a_backtest_makes(tmp_path: Path, direct: bool) -> None:
    own = f"{written(tmp_path)}:BelowAndAbove"
    figures = simulate_live(wanted(strategies=(own, "spread"), days=0.2, direct=direct))
    assert (figures["name"], figures["decisions_by_level"]) == ("BelowAndAbove", {"policy": 19})
    assert figures["profit_eur"] == pytest.approx(figures["backtest_profit_eur"], abs=1e-9, rel=0)
    assert figures["profit_eur"] != 0.0


def test_a_fault_is_lived_through_by_labelled_fallbacks() -> None:
    figures = simulate_live(wanted(faults=("silence:60:240",), days=0.3, strategies=("spread",)))
    assert figures["decisions_by_level"].keys() == {"policy", "policy on the last good data", "day-ahead rule"}
    assert figures["quarter_hours_without_price"] == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"strategies": ("nobody",)}, "nobody"),
        ({"strategies": ("no_such_module_here:Mine",)}, "no_such_module_here"),
        ({"faults": ("thunder:1:2",)}, "thunder"),
        ({"faults": ("silence:1",)}, "silence:1"),
        ({"preset": "1999"}, "1999"),
        ({"start": "2025-03-30T00:07+01:00"}, "quarter-hour"),
        ({"start": "2025-03-30T00:00"}, "time zone"),
        ({"risk_aversion": 0.5}, "risk"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        simulate_live(wanted(**changes))


def test_who_breaks_off_keeps_what_has_been_lived() -> None:
    threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    figures = simulate_live(wanted(speed=600.0, strategies=("spread",), direct=True))
    assert figures["interrupted"] is True
    assert 0 < figures["decisions"] < 48
    assert "backtest_profit_eur" not in figures


def test_the_command_writes_its_figures(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    arguments = ["simulate-live", "--strategy", "spread", "--days", "0.05", "--direct", "--json", str(file)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(file.read_text())["quarter_hours"] == 5
