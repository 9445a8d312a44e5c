"""What a backtest leaves in a folder: all of it or nothing, and enough to draw its tear sheet again."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from arbitrage.backtest.comparison import compare_table
from arbitrage.backtest.engine import Backtest, run_backtest
from arbitrage.backtest.report.tear_sheet import PriceStage, ReportContext, render_report
from arbitrage.backtest.runs.folder import SUMMARY_FILE, Run, read_run, run_files, span_times, write_files, write_run
from arbitrage.backtest.runs.join import folder_names, read_joined
from arbitrage.battery import Battery
from arbitrage.cli.app import app
from arbitrage.errors import BadInput
from arbitrage.market.point_in_time import DAY_AHEAD
from arbitrage.market.series import MinuteSource
from arbitrage.market.splits import SocReset
from arbitrage.policies.rules import Idle, SpreadRule, ThresholdRule
from tests.worlds import noisy_market, whole

MARKET = noisy_market(seed=3, days=3, gaps=5)
BATTERY = Battery(max_cycles_per_day=1.1, wear_cost_eur_mwh=2.0)
SELECTION = whole(MARKET, SocReset.DAILY)

Change = Callable[[dict[str, Any]], None]


@cache
def backtest_of(rule: Idle | SpreadRule | ThresholdRule, battery: Battery = BATTERY) -> Backtest:
    return run_backtest(MARKET, battery, rule, SELECTION)


def run_of(*rules: Idle | SpreadRule | ThresholdRule, battery: Battery = BATTERY) -> Run:
    context = ReportContext(
        title="A test",
        data_hash=MARKET.data_hash,
        price_stage=PriceStage.MIXED,
        soc_reset=SocReset.DAILY,
        publication_delay_min=0,
        seeds=(3, 4),
        minute_source=MinuteSource.SIMULATED,
        notes=("Made up.",),
        day_ahead_eur_mwh=MARKET.known_series[DAY_AHEAD].series(),
    )
    return Run(
        backtests=tuple(backtest_of(rule, battery) for rule in rules),
        context=context,
        config={"command": "backtest", "spans": span_times(MARKET, SELECTION)},
        facts=tuple({"name": rule.name} for rule in rules),
    )


def page_of(run: Run) -> str:
    return render_report(run.backtests[0], rivals=run.backtests[1:], context=run.context)


def altered(files: dict[str, bytes], change: Change) -> dict[str, bytes]:
    """The files with a summary that was changed, and bears the digest of what it has become."""
    told = json.loads(files[SUMMARY_FILE])
    change(told)
    told.pop("digest", None)
    digest = sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return {**files, SUMMARY_FILE: json.dumps({**told, "digest": digest}).encode()}


def test_a_tear_sheet_drawn_from_the_folder_is_the_same_to_the_last_byte(tmp_path: Path) -> None:
    run = run_of(ThresholdRule(), Idle(), SpreadRule())
    write_run(tmp_path / "run", run)
    assert page_of(read_run(tmp_path / "run")) == page_of(run)


def test_ledgers_come_back_bit_by_bit_with_their_gaps(tmp_path: Path) -> None:
    run = run_of(ThresholdRule(), Idle())
    write_run(tmp_path / "run", run)
    found = read_run(tmp_path / "run")
    assert not run.backtests[0].ledger["settled"].all()
    for own, other in zip(run.backtests, found.backtests, strict=True):
        pd.testing.assert_frame_equal(own.ledger, other.ledger, check_exact=True)
        assert own.foresight.profit_eur == other.foresight.profit_eur
    assert (found.config, found.facts, found.versions) == (run.config, run.facts, run.versions)
    assert found.context.seeds == (3, 4)


def test_the_summary_says_what_was_run_on_what_and_what_came_of_it() -> None:
    told = json.loads(run_files(run_of(ThresholdRule(), Idle()))[SUMMARY_FILE])
    assert [entry["strategy"] for entry in told["strategies"]] == ["threshold", "idle"]
    assert told["strategies"][1]["figures"]["profit_eur"] == 0.0
    assert told["battery"]["max_cycles_per_day"] == 1.1
    assert told["context"]["data_hash"] == MARKET.data_hash
    assert told["config"]["spans"][0] == ["2024-06-30T22:00:00+00:00", "2024-07-01T22:00:00+00:00"]
    assert told["versions"]["numpy"]


def test_the_same_backtest_leaves_the_same_bytes() -> None:
    again = run_backtest(MARKET, BATTERY, ThresholdRule(), SELECTION)
    assert run_files(replace(run_of(ThresholdRule()), backtests=(again,))) == run_files(run_of(ThresholdRule()))


def test_figures_that_are_no_numbers_are_null() -> None:
    run = replace(run_of(Idle()), facts=({"bound": float("inf")},))
    told = json.loads(run_files(run)[SUMMARY_FILE], parse_constant=pytest.fail)
    assert told["strategies"][0]["facts"]["bound"] is None


def test_a_folder_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    write_run(tmp_path / "run", run_of(Idle()))
    before = (tmp_path / "run" / SUMMARY_FILE).read_bytes()
    with pytest.raises(BadInput, match="there already"):
        write_run(tmp_path / "run", run_of(ThresholdRule()))
    assert (tmp_path / "run" / SUMMARY_FILE).read_bytes() == before


def test_a_writer_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) == 3:
            raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_run(tmp_path / "run", run_of(Idle()))
    assert list(tmp_path.iterdir()) == []


def test_every_file_that_was_altered_or_is_missing_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "run", run_of(ThresholdRule(), Idle()))
    (tmp_path / "run" / "ledgers" / "01.parquet").unlink()
    with (tmp_path / "run" / "days.parquet").open("ab") as file:
        file.write(b"0")
    with pytest.raises(BadInput) as refused:
        read_run(tmp_path / "run")
    assert sorted(Path(fault.where).name for fault in refused.value.faults) == ["01.parquet", "days.parquet"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda told: told.update(schema_version=2), "use a newer program"),
        (lambda told: told.update(kind="training"), "not the summary of a backtest"),
        (lambda told: told.pop("battery"), "'battery' is a required property"),
        (lambda told: told["context"].update(soc_reset="weekly"), re.escape("$.context.soc_reset")),
        (lambda told: told["strategies"][0].update(ledger="../../secret.parquet"), "does not match"),
        (lambda told: told["strategies"][0].update(ledger="ledgers/07.parquet"), "no digest of ledgers/07.parquet"),
        (lambda told: told["battery"].update(flywheel=True), "battery that this program does not know"),
        (lambda told: told["battery"].update(min_soc_fraction=2.0), "min_soc_fraction"),
    ],
)
def test_a_summary_that_is_not_ours_is_refused(
    change: Callable[[dict[str, Any]], None], says: str, tmp_path: Path
) -> None:
    write_files(tmp_path / "run", altered(run_files(run_of(Idle())), change))
    with pytest.raises(BadInput, match=says):
        read_run(tmp_path / "run")


def test_a_figure_changed_by_hand_is_found(tmp_path: Path) -> None:
    write_run(tmp_path / "run", run_of(ThresholdRule()))
    path = tmp_path / "run" / SUMMARY_FILE
    told = json.loads(path.read_bytes())
    told["strategies"][0]["figures"]["profit_eur"] += 1000.0
    path.write_text(json.dumps(told))
    with pytest.raises(BadInput, match="altered"):
        read_run(tmp_path / "run")


def test_all_that_is_wrong_with_a_summary_is_said_at_once(tmp_path: Path) -> None:
    def change(told: dict[str, Any]) -> None:
        told["context"].update(publication_delay_min=-1, soc_reset="weekly")

    write_files(tmp_path / "run", altered(run_files(run_of(Idle())), change))
    with pytest.raises(BadInput) as refused:
        read_run(tmp_path / "run")
    assert len(refused.value.faults) == 2


def test_a_folder_without_a_summary_is_not_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a run folder"):
        read_run(tmp_path)


def test_runs_of_several_folders_are_joined_as_if_they_were_run_together(tmp_path: Path) -> None:
    write_run(tmp_path / "one", run_of(ThresholdRule(), Idle()))
    write_run(tmp_path / "two", run_of(SpreadRule(), Idle()))
    joined, _ = read_joined([tmp_path / "one", tmp_path / "two"])
    together = [backtest_of(ThresholdRule()), backtest_of(Idle()), backtest_of(SpreadRule())]
    assert compare_table(joined) == compare_table(together)


def test_strategies_of_one_name_and_different_ledgers_bear_their_folders_names(tmp_path: Path) -> None:
    write_run(tmp_path / "one", run_of(ThresholdRule()))
    write_run(tmp_path / "two", run_of(ThresholdRule(charge_below_std=-1.5)))
    joined, _ = read_joined([tmp_path / "one", tmp_path / "two"])
    assert [each.strategy for each in joined] == ["threshold [one]", "threshold [two]"]


def test_folders_of_one_name_are_told_apart_by_what_holds_them() -> None:
    assert folder_names([Path("/a/seed-0/run"), Path("/a/seed-1/run")]) == ("seed-0/run", "seed-1/run")


def test_runs_with_other_batteries_are_not_joined(tmp_path: Path) -> None:
    write_run(tmp_path / "one", run_of(ThresholdRule()))
    write_run(tmp_path / "two", run_of(SpreadRule(), battery=Battery(power_mw=2.0)))
    with pytest.raises(BadInput, match="another battery"):
        read_joined([tmp_path / "one", tmp_path / "two"])


def test_the_faults_of_all_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        read_joined([tmp_path / "one", tmp_path / "two"])
    assert len(refused.value.faults) == 2


def test_the_commands_leave_redraw_and_join_run_folders(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from arbitrage.market.simulation.sample import sample_files

    files, folder, page = sample_files(), tmp_path / "run", tmp_path / "page.html"
    market = ["--prices", str(files.prices), "--days-of-month", "26-27"]
    told = ["--strategy", "threshold", "--run-folder", str(folder), "--report", str(page)]
    invoke = CliRunner().invoke
    assert invoke(app, ["backtest", *market, *told], catch_exceptions=False).exit_code == 0
    assert invoke(app, ["report", str(folder)], catch_exceptions=False).exit_code == 0
    assert (folder / "report.html").read_bytes() == page.read_bytes()
    joined = invoke(app, ["compare", str(folder), "--json", "-"], catch_exceptions=False)
    assert {row["strategy"] for row in json.loads(joined.stdout)["strategies"]} >= {"threshold", "idle"}
    with pytest.raises(BadInput, match="there already"):
        invoke(app, ["backtest", *market, *told], catch_exceptions=False)
