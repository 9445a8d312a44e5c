"""Help and tables at 80 columns: whole, grouped, with an example that can be typed."""

from __future__ import annotations

import json
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from arbitrage.battery import Battery
from arbitrage.cli import output
from arbitrage.cli.app import app, example_lines
from arbitrage.cli.backtest import COMPARED
from arbitrage.cli.options.config_file import known_options
from arbitrage.cli.options.panels import BATTERY, DAYS, MARKET, OUTPUT
from arbitrage.cli.policies import _LISTED
from arbitrage.cli.sweep import _SHOWN
from arbitrage.cli.table import COMMANDS
from arbitrage.market.simulation.sample import sample_files
from tests.cli.commands import every_command

COMMANDS_LOADED = dict(every_command())
WIDTH = 80


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setattr(output.stdout, "width", WIDTH)


def typed(lines: list[str]) -> list[str]:
    """The words that a shell makes of lines, of which each but the last ends in a backslash."""
    return shlex.split("\n".join(lines).replace("\\\n", ""))


def is_whole(text: str) -> bool:
    return "\N{HORIZONTAL ELLIPSIS}" not in text and max(map(len, text.splitlines())) <= WIDTH


@pytest.mark.parametrize("name", ["", "data", "policies", *COMMANDS_LOADED])
def test_the_help_of_every_command_is_whole_at_80_columns(name: str) -> None:
    shown = CliRunner().invoke(app, [*name.split(), "--help"]).stdout
    assert is_whole(shown), shown
    words = shown.replace("/", " ").replace(",", " ").split()
    for each in COMMANDS_LOADED[name].params if name in COMMANDS_LOADED else ():
        for option in (*each.opts, *each.secondary_opts) if each.param_type_name == "option" else ():
            assert option in words


def test_every_command_is_listed_whole() -> None:
    shown = " ".join(CliRunner().invoke(app, ["--help"]).stdout.split())
    for name, listed in COMMANDS.items():
        if " " not in name:
            assert f"{name} {listed.line}" in shown


@pytest.mark.parametrize("name", COMMANDS_LOADED)
def test_the_example_of_every_command_can_be_typed(name: str) -> None:
    command = COMMANDS_LOADED[name]
    program, *arguments = typed(example_lines(command.epilog))
    assert program == "arbitrage"
    assert " ".join(arguments).startswith(f"{name} ") or arguments == name.split()
    command.make_context(name, arguments[len(name.split()) :])


@pytest.mark.parametrize("name", COMMANDS_LOADED)
def test_every_option_says_what_it_is_for(name: str) -> None:
    assert [each.name for each in COMMANDS_LOADED[name].params if not each.help] == []


def test_every_command_takes_a_config_file() -> None:
    without = [name for name, each in COMMANDS_LOADED.items() if "config" not in {one.name for one in each.params}]
    assert without == []


def test_every_command_with_a_battery_takes_every_number_of_it_in_one_panel() -> None:
    numbers = {field.name for field in fields(Battery)}
    with_battery = {
        name: known for name, each in COMMANDS_LOADED.items() if "power_mw" in (known := known_options(each))
    }
    assert set(with_battery) >= {"train", "learn", "fit-mpc", "backtest", "compare", "walk-forward", "decide"}
    assert "simulate-live" in with_battery
    for name, known in with_battery.items():
        assert {option for option, each in known.items() if each.panel == BATTERY} == numbers, name


def test_options_stand_in_the_panels_of_the_house() -> None:
    known = known_options(COMMANDS_LOADED["backtest"])
    assert {known[name].panel for name in ("prices", "minutes", "decision_latency_min")} == {MARKET}
    assert {known[name].panel for name in ("start", "days_of_month", "strict")} == {DAYS}
    assert {known[name].panel for name in ("json", "report", "run_folder")} == {OUTPUT}


def row(strategy: str, eur: float) -> dict[str, Any]:
    interval = [-eur - 0.123456, eur + 0.123456]
    figures = {name: interval if name.endswith("interval") else eur for name in {*COMPARED, *_SHOWN, *_LISTED}}
    return {**figures, "strategy": strategy, "battery": "depot", "days": 31, "policy": f"policies/{strategy}"}


@pytest.mark.parametrize("columns", [COMPARED, _SHOWN, _LISTED])
@pytest.mark.parametrize("eur", [0.81, 412.3, -1_234_567.891])
def test_no_number_name_or_path_of_a_table_is_cut(
    columns: tuple[str, ...], eur: float, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["perfect-foresight", "learned (a-policy-with-a-long-name), risk aversion 0.5"]
    rows = [row(name, eur) for name in names]
    output.print_table(columns, rows)
    shown = capsys.readouterr().out
    assert is_whole(shown), shown
    words = " ".join(shown.split())
    for each in rows:
        for name in columns:
            assert output.in_words(each[name]) in words


def test_a_comparison_of_one_megawatt_stays_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    figures = [
        ("learned (policy)", 461.2, 0.46, 1.02, 91.25, None, None),
        ("idle", 0.0, 0.0, 0.0, 0.0, -461.2, [-660.1, -264.3]),
        ("perfect-foresight", 997.3, 1.0, 1.1, 583.1, 536.0, [380.9, 691.6]),
    ]
    output.print_table(COMPARED, [dict(zip(COMPARED, each, strict=True)) for each in figures])
    shown = capsys.readouterr().out
    assert is_whole(shown)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "idle 0.00 0.00 0.00 0.00 -461.2 -660.1 to -264.3" in lines
    assert "perfect-foresight 997.3 1.00 1.10 583.1 536.0 380.9 to 691.6" in lines


def test_figures_go_on_below_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    digest = "0123456789abcdef" * 4
    output.print_figures({"data_sha256": digest, "discharge_profit_eur_to_midnight_p05": 1.5, "policy": None})
    shown = capsys.readouterr().out
    assert is_whole(shown)
    assert digest in "".join(shown.split())
    assert "discharge_profit_eur_to_midnight_p05" in shown


def test_what_commands_print_is_whole(tmp_path: Path) -> None:
    files = sample_files()
    market = ("--prices", str(files.prices), "--day-ahead", str(files.day_ahead), "--days-of-month", "26-27")
    printed = [
        CliRunner().invoke(app, ["backtest", *market, "--strategy", "spread"]),
        CliRunner().invoke(app, ["compare", *market, "--strategy", "spread", "idle", "perfect-foresight"]),
        CliRunner().invoke(app, ["decide", *market[:4], "--strategy", "spread", "--soc-fraction", "0.5"]),
        CliRunner().invoke(app, ["data", "formats"]),
        CliRunner().invoke(app, ["doctor"]),
    ]
    for done in printed:
        assert done.exception is None, done.output
        assert is_whole(done.stdout), done.stdout
    assert "perfect-foresight" in printed[1].stdout


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert CliRunner().invoke(app, ["--version"]).stdout == f"arbitrage {version('arbitrage')}\n"


def test_a_long_call_is_shown_in_lines_that_a_shell_reads_as_one() -> None:
    call = "compare --strategy a b c --prices " + " ".join(f"{number}.csv" for number in range(3)) + " --end 2022-01-01"
    lines = example_lines(call, width=40)
    assert max(map(len, lines)) <= 40
    assert typed(lines) == ["arbitrage", *shlex.split(call)]
    assert json.dumps(example_lines("doctor")) == '["arbitrage doctor"]'


def test_no_cell_of_a_table_is_cut_where_the_table_just_fits(capsys: pytest.CaptureFixture[str]) -> None:
    titles = ("strategy", "EUR a day", "capture", "cycles a day", "CVaR EUR", "vs first", "95 % interval")
    cells = ("perfect-foresight", "1,034.3", "1.00", "1.10", "-701.4", "-930.4", "-788.8 to -1,072")
    output.print_cells(titles, [cells])
    printed = capsys.readouterr().out
    assert all(cell in printed for cell in cells)
    assert max(map(len, printed.splitlines())) <= 80
