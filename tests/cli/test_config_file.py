"""Options from a file: what is taken, what is refused, and the file that repeats a command."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from arbitrage.battery import Battery
from arbitrage.cli.app import app
from arbitrage.cli.options.config_file import known_options, presets
from arbitrage.errors import BadInput
from arbitrage.market.simulation.sample import sample_files
from tests.cli.commands import every_command

FILES = sample_files()
SHORT = ("--days-of-month", "26-27", "--json")
MARKET = f'[market]\nprices = ["{FILES.prices}"]\nday-ahead = "{FILES.day_ahead}"\n'


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def figures(*arguments: str) -> dict[str, Any]:
    done = run("backtest", *arguments, *SHORT, "-")
    assert done.exception is None, done.output
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def faults(tmp_path: Path, text: str, *arguments: str) -> list[str]:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(BadInput) as refused:
        app(["backtest", *arguments, "--config", str(file)], standalone_mode=False)
    return [str(fault).removeprefix(f"{file}: ") for fault in refused.value.faults]


def test_options_of_a_file_are_those_of_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'strategy = "spread"\n{MARKET}[battery]\npower_mw = 2\nmax-cycles-per-day = 1.1\n')
    market = ("--prices", str(FILES.prices), "--day-ahead", str(FILES.day_ahead), "--strategy", "spread")
    asked = figures(*market, "--power-mw", "2", "--max-cycles-per-day", "1.1")
    assert figures("--config", str(file)) == asked
    assert asked["profit_eur"] != 0.0


def test_the_command_line_comes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'strategy = "spread"\n{MARKET}')
    assert figures("--config", str(file), "--strategy", "idle")["strategy"] == "idle"
    assert figures("--config", str(file))["strategy"] != "idle"


def test_a_day_of_the_file_may_stand_as_toml_has_it(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'strategy = "idle"\n{MARKET}[days]\nstart = 2025-04-20\nend = 2025-04-28T00:00:00+02:00\n')
    assert figures("--config", str(file))["tested_from"] == "2025-04-25T22:00:00+00:00"


def test_every_key_that_is_none_is_refused_with_the_one_that_may_be_meant(tmp_path: Path) -> None:
    text = (
        "powr_mw = 1\n[battery]\ncapacity = 2\nstart = 2025-01-01\n[markt]\nprices = 'x.csv'\n[output]\nreport = [1]\n"
    )
    assert faults(tmp_path, text) == [
        "powr_mw: this command has no such option; did you mean power_mw?",
        "[battery] capacity: this command has no such option; did you mean capacity_mwh?",
        "[battery] start: stands in [days], not in [battery]",
        "[markt] prices: stands in [market], not in [markt]",
        "[output] report: takes one value, not [1]",
    ]


def test_an_option_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    assert faults(tmp_path, "power-mw = 1\n[battery]\npower_mw = 2\n") == ["[battery] power_mw: is given twice"]


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "is not TOML" in faults(tmp_path, "power_mw = ")[0]
    with pytest.raises(BadInput, match=r"no\.toml cannot be read: No such file"):
        app(["doctor", "--config", "no.toml"], standalone_mode=False)
    with pytest.raises(BadInput, match="there is no preset '5mw'; choose one of 10mw-2h, 10mw-4h, 1mw-2h"):
        app(["doctor", "--config", "preset:5mw"], standalone_mode=False)


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_a_battery_that_every_command_with_a_battery_takes(name: str) -> None:
    content = tomllib.loads(presets()[name])
    assert Battery(**content["battery"]).max_cycles_per_day is not None
    for command in (each for _, each in every_command()):
        known = known_options(command)
        if "power_mw" in known:
            assert set(content["battery"]) <= set(known)


def test_what_a_preset_says_is_used() -> None:
    market = ("--prices", str(FILES.prices), "--day-ahead", str(FILES.day_ahead), "--strategy", "spread")
    small, large = (figures(*market, "--config", f"preset:{name}") for name in ("1mw-2h", "10mw-4h"))
    assert abs(large["profit_eur"]) > 2.0 * abs(small["profit_eur"])


def test_what_was_used_is_written_beside_the_result_and_repeats_it(tmp_path: Path) -> None:
    out, folder = tmp_path / "figures.json", tmp_path / "run"
    market = ("--prices", str(FILES.prices), "--day-ahead", str(FILES.day_ahead), "--strategy", "spread")
    battery = ("--max-cycles-per-day", "1.1", "--min-soc-fraction", "0.1", "--export-limit-mw", "0.8")
    done = run("backtest", *market, *battery, *SHORT, str(out), "--run-folder", str(folder))
    assert done.exception is None, done.output
    first, used = out.read_text(), tmp_path / "figures.used.toml"
    assert (folder / "used.toml").read_text() == used.read_text()
    content = tomllib.loads(used.read_text())
    assert content["battery"] == {"max_cycles_per_day": 1.1, "min_soc_fraction": 0.1, "export_limit_mw": 0.8}
    assert content["strategy"] == {"strategy": "spread"}
    assert "run_folder" not in content["output"]
    out.unlink()
    repeated = run("backtest", "--config", str(used))
    assert repeated.exception is None, repeated.output
    assert out.read_text() == first


def test_the_directory_of_a_policy_says_how_it_was_trained(tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    market = ("--prices", str(FILES.prices), "--day-ahead", str(FILES.day_ahead))
    span = ("--start", "2025-03-01", "--end", "2025-04-01", "--preset", "quick")
    assert run("train", *market, *span, "--no-refit", "--out", str(policy)).exception is None
    content = tomllib.loads((policy / "used.toml").read_text())
    assert (content["days"]["end"], content["training"]["preset"]) == ("2025-04-01", "quick")
    assert content["training"]["refit"] is False
    card = json.loads((policy / "card.json").read_text())
    again = tmp_path / "again"
    assert run("train", "--config", str(policy / "used.toml"), "--out", str(again)).exception is None
    repeated = json.loads((again / "card.json").read_text())
    assert repeated["tensors_sha256"] == card["tensors_sha256"]
