"""Checks that an installation can do its work."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import gymnasium

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.hindsight.perfect_foresight import foresight_value_eur
from arbitrage.battery import Battery
from arbitrage.cli.options.build import command
from arbitrage.cli.options.output import JsonOut, write_json
from arbitrage.cli.output import print_table
from arbitrage.env.registration import ENVIRONMENT_ID
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import Span
from arbitrage.policies.rules import ThresholdRule


@dataclass(frozen=True)
class Check:
    """One check and how it came out."""

    check: str
    ok: bool
    detail: str


@command(example="doctor")
def doctor_command(json_out: JsonOut = None) -> None:
    """Check that this installation can do its work; exit 1 if it cannot."""
    findings = examine()
    write_json([vars(finding) for finding in findings], json_out)
    if json_out != "-":
        print_table(("check", "ok", "detail"), [vars(finding) for finding in findings])
    if not all(finding.ok for finding in findings):
        raise RuntimeError("something is not as it should be")


def examine() -> list[Check]:
    """Run every check; one that fails does not keep the others from running."""
    checks: dict[str, Callable[[], str]] = {
        "torch": lambda: str(importlib.import_module("torch").__version__),
        "highspy": lambda: version("highspy"),
        "numba": lambda: version("numba"),
        "environment registered": _environment,
        "embedded sample": lambda: f"{len(sample_market())} simulated quarter-hours",
        "linear and dynamic programme agree": _programmes,
    }
    return [_try(name, check) for name, check in checks.items()]


def _try(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except (ImportError, OSError, RuntimeError, ValueError, gymnasium.error.Error) as error:
        return Check(name, False, f"{type(error).__name__}: {error}")


def _environment() -> str:
    env = gymnasium.make(ENVIRONMENT_ID)
    observation, _ = env.reset(seed=0)
    return f"{ENVIRONMENT_ID}, {observation.shape[0]} features"


def _programmes() -> str:
    market, battery, selection = sample_market(), Battery(max_cycles_per_day=1.1), (Span(0, 96),)
    exact = run_backtest(market, battery, ThresholdRule(), selection).foresight.profit_eur
    lattice = float(foresight_value_eur(market, battery, selection)[0])
    if abs(lattice - exact) > 0.01 * abs(exact):
        raise RuntimeError(f"linear programme {exact:.2f} EUR, dynamic programme {lattice:.2f} EUR")
    return f"{exact:.2f} and {lattice:.2f} EUR on the sample's first day"
