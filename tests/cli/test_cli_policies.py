"""Policies on the command line: what is shown of them, how they are listed, and how test figures get on their cards."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from arbitrage.cli.main import main
from arbitrage.policies.checkpoint.load import CARD_FILE, TENSORS_FILE
from arbitrage.training.plan import train
from tests.cli.test_app import FILES, MARKET
from tests.policies.checkpoint.test_policy_card import foreign_policy
from tests.training.test_closed_form_training import plan, with_trainer

TESTED = ("backtest", *MARKET, "--forecasts", str(FILES.forecasts), "--days-of-month", "26-27", "--json", "-")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two policies: one trained, one of a kind that this version does not know."""
    folder = tmp_path_factory.mktemp("policies")
    train(with_trainer(plan(), members=1, with_critic=False), folder / "ours")
    foreign_policy(
        folder / "deep" / "foreign",
        battery={"power_mw": 2, "capacity_mwh": 4.0},
        features=["[red]"],
        validation={"profit_eur_per_day": 12.5},
    )
    return folder


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line within this process, which saves starting one a dozen times."""
    out, err = StringIO(), StringIO()
    with patch.object(sys, "argv", ["arbitrage", *arguments]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def words(text: str) -> str:
    """What is printed, without the frame and its line breaks."""
    return " ".join("".join(" " if letter in "│┃" else letter for letter in text).split())


def card_of(directory: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((directory / CARD_FILE).read_text())
    return card


def test_a_policy_is_shown_with_all_that_its_card_says(folder: Path) -> None:
    done = run("policies", "show", str(folder / "ours"))
    assert done.returncode == 0, done.stderr
    shown, card = words(done.stdout), card_of(folder / "ours")
    assert card["description"] in shown
    for section in ("What it is", "Battery", "Data", "Training", "Validation", "Features (57)", "Tensors"):
        assert section in shown
    assert "cosine or sine, -1 to 1 cos_day_1" in shown
    assert "split.end 2025-03-31T22:00:00+00:00" in shown
    assert "the tensors match the card" in shown


def test_the_card_comes_as_json_with_the_state_of_its_tensors(folder: Path) -> None:
    shown = json.loads(run("policies", "show", str(folder / "ours"), "--json", "-").stdout)
    assert shown == {**card_of(folder / "ours"), "directory": str(folder / "ours"), "tensors": "match"}


def test_a_policy_of_an_unknown_kind_is_shown_and_only_its_use_is_refused(folder: Path) -> None:
    foreign = folder / "deep" / "foreign"
    done = run("policies", "show", str(foreign))
    assert done.returncode == 0, done.stderr
    shown = words(done.stdout)
    for text in ("oracle", "horizon_h 3", "power_mw 2", "profit_eur_per_day 12.50", "unit not on the card [red]"):
        assert text in shown
    assert run(*TESTED, "--strategy", str(foreign)).returncode == 2


def test_altered_tensors_are_shown_as_such(tmp_path: Path) -> None:
    foreign_policy(tmp_path)
    (tmp_path / TENSORS_FILE).write_bytes(b"altered")
    assert "DO NOT match the card" in words(run("policies", "show", str(tmp_path)).stdout)
    assert json.loads(run("policies", "show", str(tmp_path), "--json", "-").stdout)["tensors"] == "altered"


def test_policies_are_listed_each_in_a_block_and_what_is_no_card_is_named(folder: Path) -> None:
    broken = folder / "broken"
    broken.mkdir()
    (broken / CARD_FILE).write_text("{")
    done = run("policies", "list", str(folder))
    assert done.returncode == 0, done.stderr
    assert "is not JSON" in done.stderr
    earned = card_of(folder / "ours")["validation"][card_of(folder / "ours")["chosen_stage"]]["profit_eur_per_day"]
    foreign, ours = (words(block) for block in done.stdout.split("\nours\n"))
    assert foreign.startswith("deep/foreign name seer kind oracle feature set - battery 2 MW / 4 MWh")
    assert foreign.endswith("validation, EUR a day 12.50 test, EUR a day - code revision -")
    assert ours.startswith("name learned kind counterfactual_closed_form feature set quarter_hour battery 1 MW / 2 MWh")
    assert f"validation, EUR a day {earned:,.2f} " in ours
    rows = json.loads(run("policies", "list", str(folder), "--json", "-").stdout)
    assert [row["validation_eur_per_day"] for row in rows] == [12.5, earned]


def test_recording_keeps_the_figures_by_label_and_leaves_the_policy_as_it_is(folder: Path) -> None:
    ours = folder / "ours"
    tensors, card = (ours / TENSORS_FILE).read_bytes(), card_of(ours)
    plain = run(*TESTED, "--strategy", str(ours))
    assert plain.returncode == 0, plain.stderr
    before = json.loads(plain.stdout)
    for label in ("first", "second"):
        done = run(*TESTED, "--strategy", str(ours), "--record", label)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == before
    recorded = card_of(ours).pop("tests")
    assert set(recorded) == {"first", "second"}
    for name in ("profit_eur_per_day", "profit_eur_per_day_interval", "capture_fraction", "violations", "data_sha256"):
        assert recorded["first"][name] == before[name]
    assert recorded["first"]["days"] == 6
    assert (ours / TENSORS_FILE).read_bytes() == tensors
    assert {name: value for name, value in card_of(ours).items() if name != "tests"} == card
    assert "first" in words(run("policies", "show", str(ours)).stdout)
    row = next(
        row
        for row in json.loads(run("policies", "list", str(folder), "--json", "-").stdout)
        if row["name"] == "learned"
    )
    assert row["test_eur_per_day"] == dict.fromkeys(("first", "second"), before["profit_eur_per_day"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--days-of-month", "6-26"), "1 of the days tested are training days, 2025-03-06 first"),
        (("--days-of-month", "8"), "validation days, 2025-03-08"),
        (("--days-of-month", "26", "--wear-cost-eur-mwh", "3"), "the battery is not the one"),
        (("--days-of-month", "26", "--strategy", "idle"), "only policies have a card"),
    ],
)
def test_what_may_not_be_recorded_is_refused_before_the_work(folder: Path, options: tuple[str, ...], says: str) -> None:
    before = card_of(folder / "ours")
    done = run("backtest", *MARKET, "--strategy", str(folder / "ours"), "--record", "late", *options)
    assert done.returncode == 2
    assert says in words(done.stderr)
    assert card_of(folder / "ours") == before


def test_seeds_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    done = run("train", *MARKET, "--seeds", "4-0", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "not a list such as" in words(done.stderr)
