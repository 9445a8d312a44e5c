"""The commands that fill the store, as a user meets them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from arbitrage.cli.app import app
from arbitrage.cli.data import poll_words
from arbitrage.cli.options.market import MarketOptions
from arbitrage.errors import BadInput
from arbitrage.market.fetch.elia_client import HOST_VARIABLE, Unreachable
from arbitrage.market.fetch.entsoe import TOKEN_VARIABLE
from arbitrage.market.fetch.poll import Poll
from arbitrage.market.files.country_totals import KINDS
from arbitrage.market.files.format_list import FORMATS, Format
from arbitrage.market.files.read import read_answer
from arbitrage.market.files.schemas import Kind
from arbitrage.market.store.datasets import DATASETS
from arbitrage.market.store.store import Change
from tests.cli.commands import every_command
from tests.market.fetch import elia_server as double
from tests.market.fetch.elia_server import EliaServer

LIVE_MINUTES = next(dataset for dataset in DATASETS if dataset.name == "ods161")
SPAN = ("--start", "2024-09-01T00:00Z", "--end", "2024-09-03T00:00+02:00")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EliaServer]:
    rows = double.quarter_hours("2024-09-01", "2024-10-01")
    datasets = {dataset.name: list[double.Row]() for dataset in DATASETS} | {"ods134": rows[:100] + rows[101:]}
    with EliaServer(datasets).running() as running:
        monkeypatch.setenv(HOST_VARIABLE, running.url)
        yield running


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["data", *arguments])


def test_a_fetch_says_what_it_did_and_what_is_missing(server: EliaServer, tmp_path: Path) -> None:
    done = run("fetch", *SPAN, "--store", str(tmp_path / "store"))
    assert (done.exit_code, done.exception) == (0, None)
    assert "2879" in done.stdout
    assert "missing prices: 2024-09-02T01:00Z to 2024-09-02T01:15Z" in done.stdout
    assert (tmp_path / "store/prices/ods134/2024-09.parquet").exists()


def test_the_directory_of_a_store_is_a_market(server: EliaServer, tmp_path: Path) -> None:
    run("fetch", *SPAN, "--store", str(tmp_path / "store"))
    options = MarketOptions((tmp_path / "store",), None, None, None, None)
    market = options.market()
    assert len(market) == 2880
    assert int(np.isnan(market.price_eur_mwh).sum()) == 1
    assert options.market(trained_delay_min=3).publication_delay_min == 3
    with pytest.raises(BadInput, match="minutes: come from the store, as the prices do"):
        MarketOptions((tmp_path / "store",), None, None, ("minutes.csv",), None).market()


def test_figures_are_json_and_everything_is_in_them(server: EliaServer, tmp_path: Path) -> None:
    what = ("--what", "prices", "--what", "minutes")
    done = run("fetch", *SPAN, *what, "--store", str(tmp_path / "store"), "--json", "-")
    prices, minutes = json.loads(done.stdout)["record_types"]
    assert prices == {
        "record_type": "prices",
        "asked": 1,
        "empty": 0,
        "skipped": 0,
        "added": 2879,
        "revised": 0,
        "withdrawn": 0,
        "missing": [["2024-09-02T01:00:00+00:00", "2024-09-02T01:15:00+00:00"]],
    }
    assert (minutes["asked"], minutes["empty"]) == (2, 2)
    assert minutes["missing"] == [["2024-09-01T00:00:00+00:00", "2024-09-02T22:00:00+00:00"]]


def test_a_fetch_with_an_answer_that_cannot_be_used_fails_with_its_reasons(server: EliaServer, tmp_path: Path) -> None:
    server.bad_days.append(double.holds(lambda rows: [rows[0] | {"imbalanceprice": "dear"}]))
    done = run("fetch", *SPAN, "--store", str(tmp_path / "store"), "--json", str(tmp_path / "figures.json"))
    assert isinstance(done.exception, RuntimeError)
    assert "ods134, 2024-09-01T00:00Z to 2024-10-01T00:00Z" in str(done.exception)
    assert "'dear' is not a number" in str(done.exception)
    assert json.loads((tmp_path / "figures.json").read_text())["failures"] == [str(done.exception)]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("fetch", "--start", "2024-09-01T00:00"), "start: 2024-09-01T00:00 has no time zone"),
        (("fetch", *SPAN, "--base-url", "opendata"), "not an http or https address"),
        (("fetch", *SPAN, "--what", "day-ahead"), f"set {TOKEN_VARIABLE}"),
        (("watch", "--what", "day-ahead"), "no live dataset is published for day-ahead"),
    ],
)
def test_what_cannot_be_done_is_refused(
    server: EliaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], reason: str
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    done = run(*arguments, "--store", str(tmp_path / "store"))
    assert isinstance(done.exception, BadInput)
    assert reason in str(done.exception)
    assert server.requests == []


def test_several_topics_may_follow_one_option(server: EliaServer, tmp_path: Path) -> None:
    what = ("--what", "prices", "minutes")
    done = run("fetch", *SPAN, *what, "--store", str(tmp_path / "store"), "--json", "-")
    assert [each["record_type"] for each in json.loads(done.stdout)["record_types"]] == ["prices", "minutes"]


def test_a_watch_stops_cleanly_when_interrupted(server: EliaServer, tmp_path: Path) -> None:
    now = pd.Timestamp.now(tz="UTC").floor("15min")
    server.datasets["ods162"] = double.quarter_hours(
        f"{now - pd.Timedelta(hours=1):%Y-%m-%dT%H:%M}", f"{now:%Y-%m-%dT%H:%M}", "NotValidated"
    )
    command = [sys.executable, "-W", "ignore", "-m", "arbitrage", "data", "watch", "--what", "prices"]
    options = ["--store", str(tmp_path / "store"), "--interval-s", "60"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert "ods162 prices: newest" in first
    assert "4 new, 0 revised" in first
    assert (process.returncode, out, err) == (0, "stopped after 1 polls: 4 records stored\n", "")


def test_a_poll_is_told_in_one_line() -> None:
    at = pd.Timestamp("2024-12-01T10:01:30", tz="UTC")
    newest = pd.Series(
        {"imbalance_price_eur_mwh": 212.4, "quality": "not_validated"}, name=pd.Timestamp("2024-12-01T10:00Z")
    )
    assert poll_words(Poll(LIVE_MINUTES, at, Change(2, 1), newest)) == (
        "2024-12-01T10:01:30Z ods161 minutes: newest 2024-12-01T10:00Z imbalance_price_eur_mwh 212.40, "
        "not_validated, age 30 s; 2 new, 1 revised"
    )
    failing = Poll(LIVE_MINUTES, at, Change(), None, Unreachable("gave up"), at - pd.Timedelta(minutes=5))
    assert poll_words(failing) == (
        "2024-12-01T10:01:30Z ods161 minutes: OUTAGE since 2024-12-01T09:56:30Z: gave up; no record yet"
    )
    back = Poll(LIVE_MINUTES, at, Change(), newest, restored_after=pd.Timedelta(minutes=5))
    assert "minutes: back after 300 s; newest" in poll_words(back)


def test_market_options_read_files_that_a_spreadsheet_saved(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("Datetime;Imbalance Price\n01/07/2022 00:00;-17,95\n01/07/2022 00:15;1,5\n")
    for decimal in (",", "auto"):
        options = MarketOptions((file,), None, None, None, None, timezone="Europe/Brussels", decimal=decimal)
        assert options.market().price_eur_mwh.tolist() == [-17.95, 1.5]
        assert options.market().frame.index[0] == pd.Timestamp("2022-06-30T22:00Z")
    with pytest.raises(BadInput, match="has no time zone: give --timezone Europe/Brussels"):
        MarketOptions((file,), None, None, None, None).market()


def test_a_time_zone_means_nothing_for_a_store(server: EliaServer, tmp_path: Path) -> None:
    run("fetch", *SPAN, "--store", str(tmp_path / "store"))
    with pytest.raises(BadInput, match="timezone: Europe/Brussels is of files; a store holds its times in UTC"):
        MarketOptions((tmp_path / "store",), None, None, None, None, timezone="Europe/Brussels").market()


def test_every_command_that_takes_prices_takes_their_time_zone_and_decimal_sign() -> None:
    options = {name: {flag for each in command.params for flag in each.opts} for name, command in every_command()}
    takes_prices = {name: flags for name, flags in options.items() if "--prices" in flags}
    assert {"train", "decide", "backtest", "compare", "walk-forward", "learn"} <= takes_prices.keys()
    assert {name for name, flags in takes_prices.items() if not {"--timezone", "--decimal"} <= flags} == set()


# Looking at files


def test_gaps_are_listed_with_their_times_in_brussels(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    rows = [f"2024-10-27T{hour:02d}:00:00Z,1" for hour in range(13)]
    file.write_text("\n".join(["datetime,imbalanceprice", *rows]) + "\n")
    shown = run("validate", str(file)).stdout
    assert "imbalance prices by quarter-hour: 13 rows, 12 gaps, 0 duplicates" in shown
    assert "gap 2024-10-27 02:15+02:00 to 2024-10-27 02:00+01:00" in shown
    assert "and 2 more gaps" in shown
    assert max(map(len, shown.splitlines()[1:])) < 80
    (facts,) = json.loads(run("validate", str(file), "--json", "-").stdout)
    assert len(facts["gaps"]) == 12
    assert facts["gaps"][0] == ["2024-10-27T00:15:00+00:00", "2024-10-27T01:00:00+00:00"]
    assert json.loads(run("info", str(file), "--json", "-").stdout)[0]["gaps"] == facts["gaps"]


def test_validation_as_json_holds_every_fault_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("Datetime;Imbalance Price\n" + "01/01/2022 00:00;1,5\n" * 9)
    done = run("validate", str(file), "--json", "-")
    assert isinstance(done.exception, BadInput)
    (facts,) = json.loads(done.stdout)
    assert [(fault["where"], fault["line"]) for fault in facts["faults"]] == [(str(file), 2), (str(file), 2)]
    assert "9 lines" in facts["faults"][0]["message"]
    read = run("info", str(file), "--timezone", "Europe/Brussels", "--decimal", "auto")
    assert "1 rows, 0 gaps, 8 duplicates" in read.stdout


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: each.source)
def test_every_format_that_is_listed_is_read(each: Format) -> None:
    table = read_answer("example", each.example.encode(), **each.options)
    assert table.kind is each.kind
    assert len(table.frame) == 1


def test_the_list_of_formats_is_the_same_as_text_and_as_json() -> None:
    shown, listed = run("formats").stdout, json.loads(run("formats", "--json", "-").stdout)
    assert len(listed) == len(FORMATS)
    assert max(map(len, shown.splitlines())) < 80
    for each in listed:
        assert f"{each['kind']}\n  {each['source']}\n" in shown
        for line in each["example"].splitlines():
            assert line in shown
    assert {kind.value for kind in Kind if kind not in KINDS} == {each["kind"] for each in listed}
