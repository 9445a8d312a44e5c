"""Figures, comparisons, run folders and tear sheets of data that give little or nothing to show."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.comparison import compare_table
from arbitrage.backtest.engine import Backtest, run_backtest
from arbitrage.backtest.metrics import full_summary, summary
from arbitrage.backtest.report import tear_sheet as report
from arbitrage.backtest.report.figures.risk_frontier import draw_day
from arbitrage.backtest.report.figures.rounding import round_edges
from arbitrage.backtest.report.figures.trading import price_groups
from arbitrage.backtest.report.material import gather
from arbitrage.backtest.report.panel import Panel
from arbitrage.backtest.report.result_panels import result_panels
from arbitrage.backtest.report.risk_frontier import RiskAversionRun
from arbitrage.backtest.report.tear_sheet import render_report
from arbitrage.backtest.report.trading_panels import median_day, trading_panels
from arbitrage.backtest.runs.folder import read_run, run_files, write_run
from arbitrage.errors import BadInput
from arbitrage.market.point_in_time import DAY_AHEAD
from arbitrage.market.splits import SocReset
from arbitrage.policies.rules import ThresholdRule
from tests.examples import examples
from tests.poor_worlds import CASES, DAY, USUAL, Poor, wave
from tests.worlds import batteries, market_of

_JSON = re.compile(r'<script type="application/json"[^>]*>(.*?)</script>', re.DOTALL)
_UNSEEN = re.compile(r"<(script|style).*?</\1>|<[^>]*>", re.DOTALL)
_NO_NUMBER = re.compile(r"\b(nan|NaN|NaT|inf|Infinity)\b|\|\s*None\s*\|")


@pytest.fixture(autouse=True, scope="module")
def small_pages() -> Iterator[None]:
    """Pages without the megabytes of plotly's code, which are the same on all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "get_plotlyjs", lambda: "")
        yield


def strict(text: str | bytes) -> Any:
    """What JSON says, if it is JSON to the letter."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@cache
def poor(case: str) -> tuple[Poor, tuple[Backtest, ...]]:
    made = CASES[case]()
    return made, tuple(made.backtests())


def figures_of_each(case: Poor, backtests: list[Backtest]) -> None:
    for backtest in backtests:
        assert strict(json.dumps(full_summary(backtest)))["days"] >= 1


def comparison(case: Poor, backtests: list[Backtest]) -> None:
    assert len(strict(json.dumps(compare_table(backtests)))) == len(backtests)
    assert compare_table(backtests[:1])[0]["verdict"] is None


def run_folder(case: Poor, backtests: list[Backtest]) -> None:
    files = run_files(case.run(backtests))
    told = strict(files["summary.json"])
    assert [entry["strategy"] for entry in told["strategies"]] == [backtest.strategy for backtest in backtests]


def sheet(case: Poor, backtests: list[Backtest]) -> None:
    context = case.run(backtests).context
    for first in (backtests, backtests[:1], backtests[-1:]):
        check_page(render_report(first[0], rivals=first[1:], context=context))


def check_page(page: str) -> None:
    """Every number is one, to a program and to a reader."""
    assert all(strict(found) for found in _JSON.findall(page))
    assert _NO_NUMBER.search(_UNSEEN.sub(" | ", page)) is None


OUTPUTS: Mapping[str, Callable[[Poor, list[Backtest]], None]] = {
    "figures": figures_of_each,
    "comparison": comparison,
    "run folder": run_folder,
    "sheet": sheet,
}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("case", CASES)
def test_poor_data_leave_every_output_whole(case: str, output: str) -> None:
    made, backtests = poor(case)
    OUTPUTS[output](made, list(backtests))
    assert not any(len(backtest.violations) for backtest in backtests)


@pytest.mark.parametrize("case", ["one quarter-hour", "two days without prices, each on its own"])
def test_a_run_folder_of_poor_data_is_read_back_and_drawn_the_same(case: str, tmp_path: Path) -> None:
    made, backtests = poor(case)
    run = made.run(list(backtests))
    write_run(tmp_path / "run", run)
    found = read_run(tmp_path / "run")
    pages = [render_report(each.backtests[0], rivals=each.backtests[1:], context=each.context) for each in (run, found)]
    assert pages[0] == pages[1]


def panels_of(case: str) -> dict[str, Panel]:
    made, backtests = poor(case)
    material = gather(backtests[0], backtests[1:])
    recorded = made.market.known_series.get(DAY_AHEAD)
    day_ahead = None if recorded is None else recorded.series()
    return {panel.name: panel for panel in (*result_panels(material), *trading_panels(material, day_ahead))}


@pytest.mark.parametrize("case", CASES)
def test_a_panel_has_a_picture_or_one_sentence_that_says_why_not(case: str) -> None:
    for panel in panels_of(case).values():
        if panel.figure is None:
            assert re.fullmatch(r"[A-Z][^.]*(\.\d+[^.]*)*\.", panel.caption), panel.caption
            assert panel.key == ()
        else:
            assert any(_holds_a_number(trace) for trace in panel.figure.data), panel.name


def _holds_a_number(trace: Any) -> bool:
    """Whether a trace shows at least one finite value along each of its axes."""
    axes = [np.asarray(trace[axis]) for axis in ("x", "y", "z") if axis in trace and trace[axis] is not None]
    numbers = [axis.astype(np.float64) for axis in axes if axis.dtype.kind in "fiu"]
    return all(np.isfinite(axis).any() for axis in numbers) and all(axis.size for axis in axes)


SENTENCES = {
    ("a day without prices, tested alone", "leads"): "No quarter-hour tested has a price, so nothing was settled",
    ("a day without prices, tested alone", "example-day"): "No quarter-hour tested has a price, so nothing was settled",
    ("a day without prices, tested alone", "soc-fan"): "No quarter-hour tested has a price, so nothing was settled",
    ("one price for four hours", "power-price"): "Every settled price is 50.00 EUR/MWh",
    ("one price for four hours", "cash-price"): "Every settled price is 50.00 EUR/MWh",
    ("one price for two days", "gap"): "Perfect foresight earns nothing here, and nothing was lost against it",
    ("one price for two days", "causes"): None,
    ("one price for two days", "leads"): "It earned the same as every rival on every day tested",
    ("one price for two days", "cumulative"): "No strategy earned or lost anything on any day tested",
    ("one price for two days", "drawdown"): "The running total of profits never fell",
    ("one quarter-hour", "distribution"): "Only one day was tested, and one day has no distribution",
    ("one day", "drawdown"): "Only one day was tested, and one day has no course of profits",
    ("no import", "month-hour"): "No hour earned or cost anything",
    ("no import", "power-price"): "No energy was bought or sold, neither here nor by perfect foresight",
    ("no import", "soc-fan"): "The battery stayed empty all the time",
    ("no export", "cycles"): "Nothing was discharged, so no cycle was used",
    ("no import", "depths"): "The state of charge never changed",
}


@pytest.mark.parametrize(("case", "panel"), SENTENCES)
def test_each_reason_stands_where_it_belongs(case: str, panel: str) -> None:
    expected, found = SENTENCES[case, panel], panels_of(case).get(panel)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found.figure is None
    assert found.caption.startswith(expected)


def test_a_loss_where_perfect_foresight_earns_nothing_is_still_a_gap() -> None:
    panels = panels_of("a spread smaller than the losses")
    assert panels["gap"].heading.startswith("125.4 EUR a day short of perfect foresight")
    assert panels["gap"].figure is not None


def test_figures_that_mean_nothing_are_none() -> None:
    figures = summary(poor("one quarter-hour")[1][0])
    meaningless = {"capture_fraction", "profit_eur_per_cycle", "cash_eur_per_mwh_discharged"}
    intervals = {name for name in figures if name.endswith("_interval")}
    assert len(intervals) == 3
    assert {name: figures[name] for name in meaningless | intervals} == dict.fromkeys(meaningless | intervals)
    assert (figures["profit_eur"], figures["coverage_fraction"], figures["days"]) == (0.0, 1.0, 1)


def test_the_page_says_at_the_top_that_nothing_was_settled_or_nothing_could_be_earned() -> None:
    for case, words in {
        "a day without prices, tested alone": "No quarter-hour tested has a price, so every sum on this page is zero",
        "one price for two days": "even perfect foresight earns nothing with this battery",
    }.items():
        made, backtests = poor(case)
        page = render_report(backtests[0], rivals=backtests[1:], context=made.run(list(backtests)).context)
        assert words in page.split('<dl class="facts">')[0]


def test_the_page_says_at_the_top_which_days_were_seen_before_and_which_records_are_missing() -> None:
    made, backtests = poor("day-ahead prices for a part of the time")
    seen = [replace(backtests[0], in_sample_days=2), *backtests[1:]]
    page = render_report(seen[0], rivals=seen[1:], context=made.run(seen).context)
    top, rest = page.split('<dl class="facts">', 1)
    assert "threshold learned from, or was chosen on, 2 of the 2 days tested: its figures flatter it." in top
    assert "For spread, day-ahead prices are missing for 96 of 192 quarter-hours" in top
    assert "For threshold" not in top
    shown = " ".join(_UNSEEN.sub(" ", rest.split('id="sources"')[1].split("</table>")[0]).split())
    assert "spread day-ahead prices 192 96 0 96" in shown


def test_the_page_of_an_ordinary_backtest_has_no_warning_at_the_top() -> None:
    made, backtests = poor("two days")
    page = render_report(backtests[0], rivals=backtests[1:], context=made.run(list(backtests)).context)
    assert 'class="banner warning"' not in page


def test_the_page_names_the_span_tested_and_the_days_without_a_price() -> None:
    made, backtests = poor("a day without prices between two others")
    page = render_report(backtests[0], rivals=backtests[1:], context=made.run(list(backtests)).context)
    shown = " ".join(_UNSEEN.sub(" ", page.split("What the figures rest on")[1]).split())
    assert "Tested 1 Jul 2024 00:00 to 4 Jul 2024 00:00 Brussels days 3 " in shown
    assert "Without a price 96 of 288 quarter-hours; nothing is settled in them" in shown
    assert "Days without any price 1: 2 Jul 2024; each counts as a day that earned nothing" in shown


def test_an_ordinary_day_is_one_with_a_price() -> None:
    prices = wave(3)
    prices[:DAY] = prices[DAY : DAY + 1] = np.nan
    prices[2 * DAY :: 2] = np.nan
    result = run_backtest(market_of(prices), USUAL, ThresholdRule(), Poor(market_of(prices)).selection)
    ledger = result.ledger
    assert ledger.loc[ledger["brussels_day"] == median_day(ledger), "settled"].any()


@pytest.mark.parametrize("column", ["profit_eur", "cash_eur", "soc_end_mwh", "charge_mwh", "cycles_used", "asked_mw"])
@pytest.mark.parametrize("rows", [slice(10, 12), slice(None)], ids=["two rows", "all rows"])
def test_what_is_not_a_number_in_a_ledger_is_counted_and_never_printed(column: str, rows: slice) -> None:
    made, backtests = poor("two days")
    ledger = backtests[0].ledger.copy()
    ledger.iloc[rows, ledger.columns.get_loc(column)] = np.nan
    broken = Backtest(backtests[0].strategy, made.battery, ledger, backtests[0].violations, backtests[0].foresight)
    strict(json.dumps(summary(broken)))
    check_page(render_report(broken, rivals=backtests[1:], context=made.run(list(backtests)).context))


@pytest.mark.parametrize("value", [0.0, 41.6, -41.6, 1e17, 1e-300, -2e-7])
@pytest.mark.parametrize("count", [1, 5])
def test_equal_profits_share_one_bin_that_holds_them(value: float, count: int) -> None:
    edges = round_edges(np.full(count, value))
    assert (np.diff(edges) > 0.0).all()
    assert np.histogram(np.full(count, value), edges)[0].max() == count
    assert len(edges) < 5


def test_profits_that_differ_by_rounding_share_a_bin() -> None:
    edges = round_edges(np.array([1e6, 1e6 + 1e-9]))
    assert len(edges) < 5


@pytest.mark.parametrize("prices", [[79.01, 79.02, 79.03], [1.0, 2.0], [50.0, 50.0 + 1e-9, 51.0], [0.0, 1e-12]])
def test_groups_of_prices_that_lie_close_together_have_labels_that_differ(prices: list[float]) -> None:
    groups = price_groups(market_of(np.tile(prices, 40)).frame["imbalance_price_eur_mwh"])
    labels = list(groups.cat.categories)
    assert len(labels) == len(set(labels)) == len(prices)
    assert groups.notna().all()


@st.composite
def small_markets(draw: st.DrawFn) -> Poor:
    """A few quarter-hours to three days of few prices, many of them missing, and any battery."""
    count = draw(st.sampled_from([1, 2, 5, 95, 97, 200, 288]))
    levels = draw(
        st.lists(st.sampled_from([-4574.0, -50.0, 0.0, 0.01, 50.0, 3456.0, math.nan]), min_size=1, max_size=4)
    )
    shuffle = draw(st.randoms(use_true_random=False))
    prices = np.array([shuffle.choice(levels) for _ in range(count)])
    if np.isnan(prices).all():
        prices[draw(st.integers(0, count - 1))] = 50.0
    last = draw(st.integers(1, count))
    first = draw(st.integers(0, last - 1))
    return Poor(market_of(prices), draw(batteries()), draw(st.sampled_from(SocReset)), first, last)


@examples(20)
@given(small_markets())
def test_any_small_market_with_gaps_leaves_every_output_whole(case: Poor) -> None:
    backtests = case.backtests()
    for check in (figures_of_each, comparison, run_folder):
        check(case, backtests)
    check_page(render_report(backtests[0], rivals=backtests[1:], context=case.run(backtests).context))


def test_a_picture_of_a_day_that_was_not_tested_is_refused_by_name() -> None:
    runs = [RiskAversionRun(0.0, poor("two days")[1][0])]
    assert draw_day(runs, "2024-07-02").data
    with pytest.raises(BadInput, match=r"2024-07-09 was not tested; the days tested lie in 2024-07-01 to 2024-07-02"):
        draw_day(runs, "2024-07-09")


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_price_is_refused_with_its_time(value: float) -> None:
    prices = wave(1)
    prices[[40, 50]] = value
    with pytest.raises(BadInput, match=r"imbalance_price_eur_mwh is infinite 2 times, first at 2024-07-01 08:00:00"):
        market_of(prices)


def test_training_seeds_that_were_tested_on_one_day_are_drawn_without_intervals() -> None:
    made, backtests = poor("one day")
    seeds = [replace(each, strategy=f"learned (seed-{number})") for number, each in enumerate(backtests[:2])]
    (panel,) = (panel for panel in result_panels(gather(seeds[0], seeds[1:])) if panel.name == "seeds")
    assert panel.figure is not None
    assert {trace.mode for trace in panel.figure.data} == {"markers"}
    check_page(render_report(seeds[0], rivals=seeds[1:], context=made.run(seeds).context))
