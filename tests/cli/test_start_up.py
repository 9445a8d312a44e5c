"""What is loaded when the command line starts: nothing that the command which is asked for does not need."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import typer.main

from arbitrage.cli.app import app
from arbitrage.cli.table import COMMANDS
from tests.cli.commands import every_command
from tests.cli.test_app import MARKET

HEAVY = {"torch", "numba", "pandas", "numpy", "gymnasium", "scipy", "pyarrow", "plotly", "highspy", "fastapi"}
MAIN = """
import sys
sys.argv = ["arbitrage", *{arguments!r}]
from arbitrage.cli.main import main
try:
    main()
except SystemExit:
    pass
print("loaded:", *sys.modules, file=sys.stderr)
"""


def loaded(*arguments: str, **environment: str) -> tuple[set[str], str]:
    """The modules that a call of the command line has loaded at its end, and what it printed."""
    command = [sys.executable, "-W", "ignore", "-c", MAIN.format(arguments=arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "80", **environment}
    )
    return set(done.stderr.rpartition("loaded:")[2].split()), done.stdout + done.stderr.rpartition("loaded:")[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--help",), "walk-forward"),
        (("--version",), "arbitrage 0."),
        (("data", "--help"), "validate"),
        (("trian",), "Did you mean 'train'?"),
        (("--hepl",), "--help"),
        (("policies", "lst"), "Did you mean 'list'?"),
        (("serve", "--prot", "1"), "--port"),
        (("serve", "--help"), "--policy"),
    ],
)
def test_help_and_mistyped_names_load_no_library_of_numbers(arguments: tuple[str, ...], says: str) -> None:
    modules, printed = loaded(*arguments)
    assert modules & HEAVY == set()
    assert says in printed


def test_completion_of_a_command_loads_no_library_of_numbers() -> None:
    asked = {"_ARBITRAGE_COMPLETE": "complete_bash", "COMP_WORDS": "arbitrage wal", "COMP_CWORD": "1"}
    modules, printed = loaded(**asked)
    assert modules & HEAVY == set()
    assert "walk-forward" in printed


def test_a_mistyped_option_loads_the_modules_of_its_own_command_only() -> None:
    modules, printed = loaded("data", "formats", "--jsno", "-")
    assert "--json" in printed
    assert modules & {"torch", "arbitrage.cli.train", "arbitrage.cli.backtest", "api.commands.serve"} == set()


def test_the_backtest_of_a_rule_loads_no_torch() -> None:
    modules, printed = loaded("backtest", *MARKET, "--strategy", "idle", "--days-of-month", "26-27", "--json", "-")
    assert '"profit_eur": 0.0' in printed
    assert "torch" not in modules


def test_the_line_of_a_command_is_the_first_sentence_of_its_help() -> None:
    commands = dict(every_command())
    assert commands.keys() == {name for name, listed in COMMANDS.items() if name not in ("data", "policies")}
    for name, command in commands.items():
        first, _, _ = " ".join(command.help.split()).partition(". ")
        assert COMMANDS[name].line == first.removesuffix(".") + ".", name


def test_importing_the_package_loads_no_gymnasium_and_still_makes_its_environment_known() -> None:
    code = (
        "import sys, arbitrage\n"
        "assert not {'gymnasium', 'numpy'} & set(sys.modules), 'loaded'\n"
        "import gymnasium\n"
        "print(gymnasium.make('arbitrage/BelgianImbalance-v0').spec.id)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "arbitrage/BelgianImbalance-v0\n", done.stderr


def test_the_environment_is_known_whichever_is_imported_first() -> None:
    code = "import gymnasium, arbitrage; print('arbitrage/BelgianImbalance-v0' in gymnasium.registry)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


def test_a_command_of_another_package_is_listed_without_being_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    foreign = metadata.EntryPoint("foreign", "no_such_module:command", "arbitrage.commands")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [foreign])
    assert typer.main.get_command(app).commands["foreign"].help == "From no_such_module."
