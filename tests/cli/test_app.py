"""The command line as a user meets it: exit codes, figures, and what goes where."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from arbitrage.cli.options.days import time_to_decide
from arbitrage.errors import BadInput
from arbitrage.market.series import build_market
from arbitrage.market.simulation.sample import sample_files
from arbitrage.market.simulation.simulator import simulate
from arbitrage.quarter_hour import epoch_minute
from tests.shared_data import shared_file

PROMISED = {
    "profit_eur",
    "profit_eur_per_day",
    "cycles_per_day",
    "capture_fraction",
    "value_at_risk_eur",
    "conditional_value_at_risk_eur",
    "days",
    "violations",
}
FILES = sample_files()
MARKET = ("--prices", str(FILES.prices), "--day-ahead", str(FILES.day_ahead))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "arbitrage", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("strategy", ["idle", "threshold", "spread", "perfect-foresight"])
def test_a_backtest_writes_the_promised_figures(strategy: str, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    options = ("--days-of-month", "26-31", "--max-cycles-per-day", "1.1", "--json", str(out))
    done = run("backtest", *MARKET, "--strategy", strategy, *options)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    assert set(figures) >= PROMISED
    assert figures["violations"] == 0
    assert figures["days"] == 17
    assert figures["cycles_per_day"] <= 1.1 + 1e-9


def test_json_to_standard_output_stands_there_alone() -> None:
    done = run("backtest", *MARKET, "--strategy", "idle", "--json", "-")
    assert json.loads(done.stdout)["profit_eur"] == 0.0


def test_comparison_and_report_are_written(tmp_path: Path) -> None:
    out, report = tmp_path / "figures.json", tmp_path / "report.html"
    options = ("--days-of-month", "26-31", "--json", str(out), "--report", str(report))
    done = run("compare", *MARKET, "--strategy", "threshold", "--strategy", "idle", *options)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["strategies"]
    assert rows[1]["difference_eur_per_day"] == pytest.approx(-rows[0]["profit_eur_per_day"])
    assert "threshold" in report.read_text()


def test_several_files_may_follow_one_option(tmp_path: Path) -> None:
    lines = FILES.prices.read_text(encoding="utf-8-sig").splitlines()
    halves = [tmp_path / "late.csv", tmp_path / "early.csv"]
    for half, rows in zip(halves, (lines[1:4000], lines[4000:]), strict=True):
        half.write_text("\n".join([lines[0], *rows]))
    done = run("backtest", "--prices", *map(str, halves), "--strategy", "idle", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["coverage_fraction"] == 1.0


def test_a_report_may_go_to_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    report = tmp_path / "new" / "report.html"
    done = run("backtest", *MARKET, "--strategy", "idle", "--days-of-month", "26-27", "--report", str(report))
    assert done.returncode == 0, done.stderr
    assert report.exists()


def test_a_rule_decides_and_says_why() -> None:
    done = run("decide", *MARKET, "--strategy", "threshold", "--soc-fraction", "0.5", "--json", "-")
    answer = json.loads(done.stdout)
    assert answer["sign_convention"] == "discharge_positive"
    assert answer["action"] in {"charge", "idle", "discharge"}
    assert answer["reason"].startswith("signal_")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("backtest", *MARKET, "--strategy", "guess"), "neither one of"),
        (("backtest", *MARKET, "--strategy", "idle", "--days-of-month", "31-26"), "not a range"),
        (("backtest", *MARKET, "--strategy", "idle", "--start", "2025-03-01T00:00"), "or give the day alone"),
        (("backtest", *MARKET, "--strategy", "idle", "--power-mw", "-1", "--capacity-mwh", "0"), "capacity_mwh"),
        (("backtest", "--prices", "nowhere.csv", "--strategy", "idle"), "nowhere.csv"),
        (("backtest", "--prices", str(FILES.prices), "--strategy", "spread"), "--day-ahead"),
        (("train", *MARKET, "--train-days", "1-20", "--validation-days", "20-25", "--out", "x"), "overlap"),
        (("backtest", "--strategy", "idle"), "--prices"),
        (("backtest", *MARKET, "--strategy", "idle", "--end", "12345-01-01"), "not an ISO 8601 time"),
        (("decide", *MARKET, "--strategy", "idle", "--soc-fraction", "0.5", "--at", "2030-01-01T00:00Z"), "outside"),
        (("data", "validate", "[/5].csv"), "[/5].csv"),
    ],
)
def test_bad_input_ends_with_2_and_the_reason(arguments: tuple[str, ...], says: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_validation_lists_the_faults_of_every_file(tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("datetime,imbalanceprice\n2025-01-01T00:00,5\n")
    second.write_text("something,else\n1,2\n")
    done = run("data", "validate", str(first), str(FILES.prices), str(second))
    assert done.returncode == 2
    assert "first.csv:2" in done.stderr
    assert "second.csv:1" in done.stderr


def test_the_mangled_export_is_refused_and_a_genuine_one_is_not() -> None:
    genuine = shared_file("formats/ods047_portal_csv_labels_bom_crlf.csv")
    mangled = shared_file("formats/old_website_ImbalanceNrvPrices_mangled.csv")
    assert run("data", "validate", str(genuine)).returncode == 0
    assert run("data", "validate", str(genuine), str(mangled)).returncode == 2


def test_the_doctor_finds_this_installation_well() -> None:
    done = run("doctor", "--json", "-")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(finding["ok"] for finding in json.loads(done.stdout))


def test_reconstructed_minutes_are_drawn_on_request_and_labelled_in_figures_and_report(tmp_path: Path) -> None:
    out, report = tmp_path / "figures.json", tmp_path / "report.html"
    options = ("--strategy", "idle", "--days-of-month", "26", "--json", str(out), "--report", str(report))
    done = run("backtest", *MARKET, "--minutes", "reconstructed-harsh:3", *options)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    assert (figures["minute_source"], figures["minute_seed"]) == ("reconstructed, harsh", 3)
    assert "not real but reconstructed, harsh" in " ".join(done.stderr.split())
    assert figures["publication_delay_min"] == 1
    assert "reconstructed, harsh, drawn around the final prices" in report.read_text()


def test_whether_minutes_in_files_were_recorded_is_not_claimed() -> None:
    options = ("--strategy", "minute-spread", "--days-of-month", "26", "--json", "-", "--publication-delay-min", "2")
    done = run("backtest", *MARKET, "--minutes", str(FILES.minutes), *options)
    figures = json.loads(done.stdout)
    assert (figures["minute_source"], figures["publication_delay_min"]) == ("as given in files", 2)
    assert figures["cycles_per_day"] > 0.0


def test_the_rule_of_the_minutes_needs_minutes() -> None:
    done = run("backtest", *MARKET, "--strategy", "minute-spread", "--days-of-month", "26")
    assert done.returncode == 2
    assert "needs minute records" in done.stderr


@pytest.mark.parametrize(
    ("minutes", "says"),
    [
        (("reconstructed-gentle",), "unknown grade 'gentle'"),
        (("reconstructed-easy", "reconstructed-harsh"), "either files or one reconstruction"),
        ((str(FILES.prices),), "minutes needs imbalance prices by minute"),
    ],
)
def test_minutes_that_make_no_sense_are_refused(minutes: tuple[str, ...], says: str) -> None:
    done = run("backtest", *MARKET, "--minutes", *minutes, "--strategy", "idle")
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())


def test_the_time_to_decide_by_the_minute_reaches_to_the_newest_record() -> None:
    # Prices end at 21:45, minutes with that of 21:51, which is out at 21:53.
    start = epoch_minute("2025-03-18T00:00+01:00")
    world = simulate(start, start + 24 * 60, seed=1)
    prices, minutes = world.prices.iloc[:87], world.minutes.iloc[: 21 * 60 + 52]
    market = build_market(prices, day_ahead=world.day_ahead, minutes=minutes)
    assert time_to_decide(market, None, 1) == start + 21 * 60 + 53
    assert time_to_decide(market, "2025-03-18T21:52+01:00", 1) == start + 21 * 60 + 52
    assert time_to_decide(market, None, 15) == start + 21 * 60 + 45
    with pytest.raises(BadInput, match="lies outside"):
        time_to_decide(market, "2025-03-18T21:54+01:00", 1)
    with pytest.raises(BadInput, match="not the beginning"):
        time_to_decide(market, "2025-03-18T21:22+01:00", 15)


def test_a_strategy_that_is_mistyped_is_answered_with_the_one_that_may_be_meant(tmp_path: Path) -> None:
    done = run("backtest", *MARKET, "--strategy", "sprad")
    assert done.returncode == 2
    assert "did you mean spread?" in done.stderr
    done = run("backtest", *MARKET, "--strategy", str(tmp_path))
    assert "is a directory without card.json: it holds no policy" in done.stderr


def test_percent_where_a_fraction_is_meant_is_answered_with_the_fraction() -> None:
    done = run("decide", *MARKET, "--strategy", "spread", "--soc-fraction", "50")
    assert done.returncode == 2
    assert done.stderr.strip() == ("error: soc_fraction: must be a fraction from 0 to 1, not 50; did you mean 0.5?")


def test_a_battery_that_looks_like_kw_is_tested_with_a_warning(tmp_path: Path) -> None:
    size = ("--power-mw", "5000", "--capacity-mwh", "10000", "--days-of-month", "26-27", "--json", "-")
    done = run("backtest", *MARKET, "--strategy", "idle", *size)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("looks like kW; did you mean 5 MW?") == 1
    assert done.stderr.count("looks like kWh; did you mean 10 MWh?") == 1
    plain = run("backtest", *MARKET, "--strategy", "idle", "--days-of-month", "26-27", "--json", "-")
    assert "looks like" not in plain.stderr


def test_a_battery_of_a_sweep_that_looks_like_kw_is_named(tmp_path: Path) -> None:
    plan, out = tmp_path / "plan.toml", tmp_path / "out"
    days = 'windows.short = {train_days = "1-20", validation_days = "21-25", test_days = "26-27"}'
    text = f'market.prices = ["{FILES.prices}"]\nstrategies = ["idle"]\n{days}\nbatteries.depot.power_mw = 1500\n'
    plan.write_text(text)
    done = run("sweep", str(plan), "--out", str(out), "--workers", "1")
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stderr.split())
    assert "battery depot: power_mw: 1,500 MW looks like kW; did you mean 1.5 MW?" in words


def test_training_says_what_its_span_and_its_preset_leave_out(tmp_path: Path) -> None:
    span = ("--start", "2025-02-01T00:00+01:00", "--end", "2025-05-01T00:00+02:00")
    done = run("train", *MARKET, *span, "--preset", "quick", "--out", str(tmp_path / "policy"))
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stderr.split())
    assert "2,688 quarter-hours (28.0 days) are left out" in words
    assert "no risk head is trained" in words
    assert "no quantile critic is trained" in words
    done = run("train", *MARKET, "--start", "2025-05-01T00:00Z", "--end", "2025-04-01T00:00Z", "--out", str(tmp_path))
    assert "end: 2025-04-01T00:00Z is not after start 2025-05-01T00:00Z" in done.stderr


@pytest.mark.parametrize("ends", ["2025-05-26", "2025-04-10"])
def test_training_on_day_ahead_prices_that_end_early_says_so_and_keeps_the_count(tmp_path: Path, ends: str) -> None:
    short = tmp_path / "day_ahead.csv"
    header, *rows = FILES.day_ahead.read_text().splitlines()
    short.write_text("\n".join([header, *(row for row in rows if row < ends)]))
    out = tmp_path / "policy"
    market = ("--prices", str(FILES.prices), "--day-ahead", str(short))
    done = run("train", *market, "--preset", "quick", "--out", str(out))
    assert done.returncode == 0, done.stderr
    counts = json.loads((out / "card.json").read_text())["coverage"]
    missing = counts["training"]["day_ahead_price_eur_mwh"]["absent"]
    assert missing == (0 if ends == "2025-05-26" else 96 * 31 - 8)
    assert ("day-ahead prices are missing" in " ".join(done.stderr.split())) == (missing > 0)
