"""Paths of results are checked before any work is done, whichever command writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbitrage.cli.app import app
from arbitrage.cli.options import output_paths
from arbitrage.errors import BadInput

NOWHERE = ("--prices", "no-such-file.csv")
"""Prices that would be refused if a command came as far as reading them."""
BACKTEST = ("backtest", *NOWHERE, "--strategy", "idle")


def refused(*arguments: str) -> str:
    with pytest.raises(BadInput) as found:
        app(list(arguments), standalone_mode=False)
    return str(found.value)


@pytest.mark.parametrize("command", [BACKTEST, ("data", "info", "x.csv"), ("doctor",)])
def test_figures_cannot_go_into_a_folder(command: tuple[str, ...], tmp_path: Path) -> None:
    assert refused(*command, "--json", str(tmp_path)) == f"--json: {tmp_path} is a directory; name a file in it"


def test_nothing_goes_below_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    below = file / "x" / "figures.json"
    assert refused(*BACKTEST, "--json", str(below)) == f"--json: {below} lies below {file}, which is a file"
    for command in ("train", "fit-mpc"):
        assert refused(command, *NOWHERE, "--out", str(file)) == f"--out: {file} is a file, not a directory"
    assert refused(*BACKTEST, "--run-folder", str(file)) == f"--run-folder: {file} is a file, not a directory"


@pytest.mark.parametrize("name", ["report.docx", "report", "report.html.gz", "report.xlsx"])
def test_an_ending_that_cannot_be_written_is_refused(name: str, tmp_path: Path) -> None:
    ending = Path(name).suffix or "nothing"
    said = refused(*BACKTEST, "--report", str(tmp_path / name))
    assert said.endswith(f"ends in {ending}; what can be written ends in .html, .htm, .pdf, .png")
    assert "ends in" in refused("report", str(tmp_path), "--pdf", str(tmp_path / "page.png"))


def test_a_printed_report_needs_its_browser_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise RuntimeError("PDF and PNG need Chromium or Chrome")

    monkeypatch.setattr(output_paths, "find_browser", missing)
    assert "need Chromium" in refused(*BACKTEST, "--report", str(tmp_path / "sheet.png"))


def test_two_results_do_not_go_into_one_file(tmp_path: Path) -> None:
    one = str(tmp_path / "x.html")
    assert "another option writes" in refused(*BACKTEST, "--json", one, "--report", one)


def test_a_folder_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "no permission" in refused(*BACKTEST, "--json", str(tmp_path / "x.json"))


def test_what_can_be_written_goes_on_to_the_work(tmp_path: Path) -> None:
    said = refused(*BACKTEST, "--json", str(tmp_path / "new" / "x.json"), "--report", str(tmp_path / "r.html"))
    assert "no-such-file.csv" in said
