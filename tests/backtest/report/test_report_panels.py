"""What the tear sheet says of rivals, seeds and the gap, and that it can be printed."""

from __future__ import annotations

import dataclasses
import json
import re
import stat
from pathlib import Path

import numpy as np
import pytest

from arbitrage.backtest.attribution import CAUSES
from arbitrage.backtest.comparison import compare_table, other_seeds_among
from arbitrage.backtest.engine import Backtest, backtest_perfect_foresight, run_backtest
from arbitrage.backtest.metrics import full_summary
from arbitrage.backtest.report import export
from arbitrage.backtest.report.export import write_pdf, write_png
from arbitrage.backtest.report.figures.results import gap_waterfall
from arbitrage.backtest.report.key_figures import ACCOUNT_COLUMNS, accounts
from arbitrage.backtest.report.material import Material, gather
from arbitrage.backtest.report.result_panels import result_panels
from arbitrage.backtest.report.tear_sheet import PriceStage, ReportContext, render_report, write_report
from arbitrage.battery import Battery
from arbitrage.market.splits import SocReset
from tests.worlds import noisy_market, scripted, whole

BATTERY = Battery(max_cycles_per_day=1.1, wear_cost_eur_mwh=3.0)

CONTEXT = ReportContext(
    title="Two seeds",
    data_hash="0" * 64,
    price_stage=PriceStage.VALIDATED,
    soc_reset=SocReset.DAILY,
    publication_delay_min=0,
)


@pytest.fixture(scope="module")
def contenders() -> list[Backtest]:
    """Two seeds of a strategy that follows the price with some noise, a rival, the floor and the ceiling."""
    market = noisy_market(3, days=12)
    selection = whole(market, SocReset.DAILY)
    price = market.price_eur_mwh
    random = np.random.default_rng(0)
    asked = {
        f"learned (seed-{seed})": np.sign(price - 80.0 + random.normal(0.0, 60.0, len(price))) for seed in range(2)
    }
    asked |= {"rival": random.choice([-1.0, 1.0], len(price)), "idle": np.zeros(len(price))}
    runs = [
        dataclasses.replace(run_backtest(market, BATTERY, scripted(market, power), selection), strategy=name)
        for name, power in asked.items()
    ]
    return [*runs, backtest_perfect_foresight(market, BATTERY, selection)]


@pytest.fixture(scope="module")
def material(contenders: list[Backtest]) -> Material:
    return gather(contenders[0], contenders[1:])


@pytest.fixture(scope="module")
def page(contenders: list[Backtest]) -> str:
    return render_report(contenders[0], rivals=contenders[1:], context=CONTEXT)


def test_strategies_that_differ_by_the_seed_alone_are_seeds_of_one(contenders: list[Backtest]) -> None:
    assert [seed.strategy for seed in other_seeds_among(contenders)] == ["learned (seed-1)"]
    assert other_seeds_among(contenders[2:]) == []
    assert other_seeds_among([contenders[2], contenders[2]]) == []


def test_seeds_are_no_rivals_and_leads_are_those_of_their_mean(material: Material) -> None:
    assert [row["strategy"] for row in material.table] == ["learned (seed-0)", "rival", "idle", "perfect-foresight"]
    assert material.seeds_eur.shape == (2, 12)
    mean = material.seeds_eur.mean()
    assert material.leads["idle"]["lead_eur"] == pytest.approx(mean)
    assert material.table[2]["difference_eur_per_day"] == pytest.approx(-mean)
    assert material.real_rivals == ["idle", "rival"]


def test_a_table_without_seeds_is_that_of_the_backtests(contenders: list[Backtest]) -> None:
    row = compare_table([contenders[0], contenders[3]])[1]
    assert row["difference_eur_per_day"] == pytest.approx(-contenders[0].ledger["profit_eur"].sum() / 12)


def test_the_page_holds_the_numbers_that_it_shows(page: str, contenders: list[Backtest]) -> None:
    found = re.search(r'<script type="application/json" id="numbers">(.*?)</script>', page, re.S)
    assert found is not None
    numbers = json.loads(found.group(1))
    assert numbers["figures"] == full_summary(contenders[0])
    assert numbers["leads"]["rival"]["verdict"] == "ahead"
    assert len(numbers["seeds_eur_per_day"]) == 2
    assert set(numbers["gap_by_cause_eur_per_day"]) == {"learned (seed-0)", "rival"}


def test_headings_say_what_was_found(material: Material) -> None:
    headings = {panel.name: panel.heading for panel in result_panels(material)}
    assert headings["leads"] == "Ahead of all 2 rivals beyond chance"
    assert "a day short of perfect foresight" in headings["gap"]
    assert headings["seeds"].startswith("2 training seeds lie")


def test_the_waterfall_comes_down_from_the_ceiling_to_what_was_earned() -> None:
    lost = dict(zip(CAUSES, (10.0, 20.0, 5.0, 0.0, 7.0, 1.0), strict=True))
    bars = gap_waterfall(100.0, lost, 57.0).data[0]
    ends = np.asarray(bars.base) + np.asarray(bars.x)
    assert ends.tolist() == [100.0, 90.0, 70.0, 65.0, 65.0, 58.0, 57.0, 57.0]


def test_the_accounts_add_up(material: Material) -> None:
    rows = {row.name: row.cells for row in accounts(material)}
    assert all(len(cells) == len(ACCOUNT_COLUMNS) for cells in rows.values())

    def total(name: str) -> float:
        return float(rows[name][0].replace(",", "").replace("\N{MINUS SIGN}", "-"))

    assert total("Cash") + total("Wear") == pytest.approx(total("Profit"), abs=1.0)
    assert total("Profit") + total("Left in store") == pytest.approx(total("Marked to market"), abs=1.0)
    assert total("Wear") < 0.0


def test_without_a_browser_it_is_said_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"need Chromium or Chrome, and none of chromium, .* is on the PATH"):
        write_pdf(tmp_path / "page.html", tmp_path / "page.pdf")


def browser_that(does: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in for the browser on the PATH."""
    path = folder / export.BROWSERS[0]
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_report_that_is_to_be_a_pdf_is_printed(
    contenders: list[Backtest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    does = """for option in "$@"; do case $option in --print-to-pdf=*) echo "$@" > "${option#*=}";; esac; done"""
    browser_that(does, tmp_path, monkeypatch)
    write_report(tmp_path / "sheet.pdf", contenders[0], rivals=(), context=CONTEXT)
    assert "report.html" in (tmp_path / "sheet.pdf").read_text()


def test_a_picture_is_as_high_as_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    does = """
for option in "$@"; do
  case $option in
    --dump-dom) echo '<html data-height-px="4321">';;
    --screenshot=*) echo "$@" > "${option#--screenshot=}";;
  esac
done"""
    browser_that(does, tmp_path, monkeypatch)
    write_png(tmp_path / "page.html", tmp_path / "out" / "page.png", width_px=800)
    assert "--window-size=800,4321" in (tmp_path / "out" / "page.png").read_text()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["page.png"]


def test_a_browser_that_fails_is_quoted_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser_that("echo no display >&2; exit 3", tmp_path, monkeypatch)
    with pytest.raises(RuntimeError, match="exit code 3: no display"):
        write_pdf(tmp_path / "page.html", tmp_path / "out" / "page.pdf")
    assert list((tmp_path / "out").iterdir()) == []
