"""The report stands alone, shows what the summary says, and cannot be made to run what a name contains."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from arbitrage.backtest.comparison import daily_profits_eur
from arbitrage.backtest.engine import Backtest, backtest_perfect_foresight, run_backtest
from arbitrage.backtest.metrics import daily_profit_eur, summary
from arbitrage.backtest.report.figures.drawing import strokes
from arbitrage.backtest.report.figures.results import cumulative_profit, profit_distribution
from arbitrage.backtest.report.figures.rounding import number, percent, sensible_decimals
from arbitrage.backtest.report.figures.trading import profit_by_month_and_hour
from arbitrage.backtest.report.tear_sheet import PriceStage, ReportContext, render_report, write_report
from arbitrage.backtest.report.text import ceiling_ledger, gaps, incomplete_days
from arbitrage.backtest.report.trading_panels import median_day
from arbitrage.battery import Battery, BatteryState
from arbitrage.market.point_in_time import KnownMarket
from arbitrage.market.series import MarketSeries, build_market
from arbitrage.market.splits import SocReset, select_rows, spans
from arbitrage.policies.protocol import Intent, Untrained

FIGURES = {
    "leads",
    "cumulative",
    "gap",
    "distribution",
    "month-hour",
    "power-price",
    "cash-price",
    "soc-fan",
    "cycles",
    "depths",
    "example-day",
}
"""Drawn for the clockwork, whose running total never falls."""
ALONE = FIGURES - {"leads"}
WITHOUT_TRADING = ALONE - {"cumulative", "month-hour", "soc-fan", "cycles", "depths"}
HOSTILE = "<script>alert(1)</script><a href='https://evil.example/'>x</a>"
GAP = slice(130, 134)


@dataclasses.dataclass(frozen=True)
class Clockwork(Untrained):
    """Charges in the first half of the Brussels morning and discharges at night: a policy that needs no prices."""

    name: str = "clockwork"

    def bind(self, known: KnownMarket, battery: Battery) -> Clockwork:
        return self

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        return Intent(-1.0 if at % 96 < 20 else 1.0 if at % 96 > 70 else 0.0, "clock")


@dataclasses.dataclass(frozen=True)
class Still(Clockwork):
    """Never moves energy."""

    name: str = "idle"

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        return Intent(0.0, "still")


@pytest.fixture(scope="module")
def market() -> MarketSeries:
    """Eight winter days of noisy prices, with four quarter-hours missing."""
    index = pd.date_range("2022-01-27T23:00Z", periods=8 * 96, freq="15min")
    noise = np.random.default_rng(7).normal(0.0, 80.0, len(index))
    prices = 150.0 + 90.0 * np.sin(2.0 * np.pi * (np.arange(len(index)) % 96 - 40) / 96.0) + noise
    prices[GAP] = np.nan
    return build_market(pd.DataFrame({"imbalance_price_eur_mwh": prices}, index=index))


@pytest.fixture(scope="module")
def contenders(market: MarketSeries) -> list[Backtest]:
    """The clockwork, the floor and the ceiling on all days of the market."""
    battery = Battery(max_cycles_per_day=1.1, wear_cost_eur_mwh=2.0)
    selection = spans(market, select_rows(market), SocReset.DAILY)
    runs = [run_backtest(market, battery, policy, selection) for policy in (Clockwork(), Still())]
    return [*runs, backtest_perfect_foresight(market, battery, selection)]


@pytest.fixture(scope="module")
def context(market: MarketSeries) -> ReportContext:
    """What a caller would say of the synthetic market."""
    hours = pd.date_range("2022-01-27T23:00Z", periods=8 * 24, freq="h")
    return ReportContext(
        title="A week of clockwork",
        data_hash=market.data_hash,
        price_stage=PriceStage.VALIDATED,
        soc_reset=SocReset.DAILY,
        publication_delay_min=3,
        seeds=(11, 12),
        code_revision="abc1234",
        notes=("A note of the caller.",),
        day_ahead_eur_mwh=pd.Series(np.linspace(100.0, 200.0, len(hours)), index=hours),
    )


class Page(HTMLParser):
    """Elements with their attributes, exact figures, and the text that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.figures: dict[str, float] = {}
        self.shown: dict[str, str] = {}
        self.scripts: dict[str, str] = {}
        self.text = ""
        self._inside: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "link"}:
            self._inside.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._inside[-1][0] == tag, f"{tag} closes {self._inside[-1]}"
        self._inside.pop()

    def handle_data(self, data: str) -> None:
        tag, attributes = self._inside[-1] if self._inside else ("", {})
        if tag == "data":
            name = str(attributes["id"]).removeprefix("figure-")
            self.figures[name], self.shown[name] = float(str(attributes["value"])), data
        if tag == "script" and "data-figure" in attributes:
            self.scripts[str(attributes["data-figure"])] = data
        if tag not in {"script", "style"}:
            self.text += data


def page_of(contenders: list[Backtest], context: ReportContext) -> Page:
    return Page(render_report(contenders[0], rivals=contenders[1:], context=context))


@pytest.fixture(scope="module")
def page(contenders: list[Backtest], context: ReportContext) -> Page:
    return page_of(contenders, context)


def test_the_page_loads_nothing(page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base"}
        assert not {"src", "href", "srcset", "action"} & set(attributes)
    policies = [attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes]
    assert str(policies[0]).startswith("default-src 'none'")


def test_the_style_sheet_loads_nothing(contenders: list[Backtest], context: ReportContext) -> None:
    html = render_report(contenders[0], rivals=contenders[1:], context=context)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    assert "url(" not in style.group(1)
    assert "@import" not in style.group(1)


def test_plotly_is_inlined_once(contenders: list[Backtest], context: ReportContext) -> None:
    html = render_report(contenders[0], rivals=contenders[1:], context=context)
    assert html.count("* plotly.js v") == 1


def test_every_figure_is_there_with_data_and_a_place_to_stand(page: Page) -> None:
    places = {attributes.get("id") for tag, attributes in page.elements if tag == "div"}
    assert set(page.scripts) == FIGURES
    assert places >= FIGURES
    assert "The running total of profits never fell." in page.text
    assert all(json.loads(script)["data"] for script in page.scripts.values())


def test_the_cards_show_the_summary(page: Page, contenders: list[Backtest]) -> None:
    figures = summary(contenders[0])
    assert set(page.figures) >= {"profit_eur_per_day", "capture_fraction", "cycles_per_day", "violations"}
    lead = page.figures.pop("lead_eur_per_day")
    assert lead == pytest.approx(figures["profit_eur_per_day"])  # Idle, the next best, earns nothing.
    assert all(exact == figures[name] for name, exact in page.figures.items())
    decimals = sensible_decimals(figures["perfect_foresight_eur_per_day"])
    assert page.shown["profit_eur_per_day"] == number(figures["profit_eur_per_day"], decimals)
    assert page.shown["capture_fraction"] == percent(figures["capture_fraction"])
    assert page.shown["violations"] == "0"


def test_the_distribution_counts_every_day_once(contenders: list[Backtest]) -> None:
    daily = daily_profit_eur(contenders[0].ledger)
    bars = [trace for trace in profit_distribution(daily).data if trace.type == "bar"]
    assert [int(np.sum(bar.y)) for bar in bars] == [1, 7]  # the worst tenth of eight days is one day


def test_cumulative_profit_starts_at_zero_and_ends_at_the_total(contenders: list[Backtest]) -> None:
    daily = daily_profits_eur(contenders)
    for backtest, line in zip(contenders, cumulative_profit(daily).data, strict=True):
        assert line.y[0] == 0.0
        assert line.y[-1] == pytest.approx(summary(backtest)["profit_eur"])


def test_the_heat_map_adds_up_to_the_profit(contenders: list[Backtest]) -> None:
    ledger = contenders[0].ledger
    cells = np.asarray(profit_by_month_and_hour(ledger).data[0].z)  # January: 4 days, February: 4 days
    assert np.nansum(cells, axis=1) @ np.array([4.0, 4.0]) == pytest.approx(ledger["profit_eur"].sum())


def test_the_ceiling_drawn_is_the_optimum_of_the_summary(contenders: list[Backtest]) -> None:
    drawn = ceiling_ledger(contenders[0])["profit_eur"].sum()
    assert drawn == pytest.approx(contenders[0].foresight.profit_eur)


def test_the_header_says_what_was_run(page: Page, context: ReportContext) -> None:
    for words in (
        "28 Jan 2022 to 4 Feb 2022: 8 days",
        "1 MW, 2 MWh; efficiency 0.9 charging, 0.9 discharging (0.81 round trip)",
        "at most 1.1 full cycles a Brussels day",
        "Belgian imbalance price, validated",
        "3 min after the end of its quarter-hour",
        "energy left at midnight is worth nothing",
        context.data_hash[:12],
        "11, 12",
        "abc1234",
    ):
        assert words in page.text


def test_the_limits_name_revised_history_gaps_and_the_callers_notes(page: Page) -> None:
    assert "validated data sees revised history" in page.text
    assert "It is a relaxation" in page.text
    assert "29 Jan 2022 08:30 to 09:30: 4 quarter-hours" in page.text
    assert "A note of the caller." in page.text
    assert "imulated" not in page.text


def test_a_simulated_market_is_called_simulated(contenders: list[Backtest], context: ReportContext) -> None:
    simulated = page_of(contenders, dataclasses.replace(context, simulated=True))
    assert "Simulated market." in simulated.text
    assert "revised history" not in simulated.text


def test_hostile_names_stay_text(contenders: list[Backtest], context: ReportContext) -> None:
    hostile = [dataclasses.replace(one, strategy=f"{HOSTILE}{at}") for at, one in enumerate(contenders)]
    context = dataclasses.replace(context, title=HOSTILE, notes=(HOSTILE,), code_revision=HOSTILE)
    page = page_of(hostile, context)
    assert HOSTILE in page.text
    assert not [attributes for tag, attributes in page.elements if tag == "a"]
    scripts = [tag for tag, _ in page.elements if tag == "script"]
    # Besides the pictures, of which there is one more for rivals that are not called idle: numbers, plotly, drawing.
    assert len(scripts) == len(FIGURES) + 1 + 3
    names = [trace["name"] for trace in json.loads(page.scripts["cumulative"])["data"]]
    assert all("<" not in name for name in names)


def test_violations_are_counted_and_listed(contenders: list[Backtest], context: ReportContext) -> None:
    when = contenders[0].ledger.index[:2]
    broken = pd.DataFrame({"rule": ["cash", "soc_balance"], "excess": [1.5, 0.25]}, index=when)
    page = page_of([dataclasses.replace(contenders[0], violations=broken), *contenders[1:]], context)
    assert page.figures["violations"] == 2.0
    assert {"class": "bad"} in [attributes for tag, attributes in page.elements if tag == "li"]
    assert "soc_balance" in page.text


def test_the_ceiling_and_idleness_can_be_reported_on_alone(contenders: list[Backtest], context: ReportContext) -> None:
    clockwork, idle, ceiling = (set(page_of([backtest], context).scripts) for backtest in contenders)
    assert clockwork == ceiling == ALONE
    assert idle == WITHOUT_TRADING


def test_the_file_is_written_and_the_same_each_time(
    contenders: list[Backtest], context: ReportContext, tmp_path: Path
) -> None:
    for name in ("one.html", "two.html"):
        write_report(tmp_path / name, contenders[0], rivals=contenders[1:], context=context)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_the_example_day_is_a_complete_one_near_the_median(contenders: list[Backtest]) -> None:
    ledger = contenders[0].ledger
    day = median_day(ledger)
    rows = ledger[ledger["brussels_day"] == day]
    assert rows["settled"].tolist() == [True] * 96
    daily = ledger.groupby("brussels_day")["profit_eur"].sum()
    complete = daily.drop(pd.Timestamp("2022-01-29"))
    assert abs(daily[day] - daily.median()) == (complete - daily.median()).abs().min()


def test_a_day_of_which_a_part_was_tested_is_noticed(contenders: list[Backtest]) -> None:
    ledger = contenders[0].ledger
    assert incomplete_days(ledger) == 0
    assert incomplete_days(ledger.iloc[1:]) == 1


def test_a_gap_over_midnight_names_both_days(contenders: list[Backtest]) -> None:
    ledger = contenders[0].ledger.copy()
    ledger["settled"] = True
    ledger.loc[ledger.index[95:97], "settled"] = False
    ledger.loc[ledger.index[200], "settled"] = False
    assert gaps(ledger) == [
        "28 Jan 2022 23:45 to 29 Jan 2022 00:15: 2 quarter-hours",
        "30 Jan 2022 02:00 to 02:15: 1 quarter-hour",
    ]


def test_each_strategy_has_a_stroke_of_its_own() -> None:
    drawn = strokes(["mine", "idle", "threshold", "spread", "perfect-foresight"])
    assert len({(stroke.colour, stroke.dash) for stroke in drawn.values()}) == 5


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(2172.44, 1, "2,172.4"), (-0.04, 1, "0.0"), (-1234.5, 0, "\N{MINUS SIGN}1,234"), (None, 1, "\N{EM DASH}")],
)
def test_numbers_are_rounded_for_reading(value: float | None, decimals: int, text: str) -> None:
    assert number(value, decimals) == text


@pytest.mark.parametrize(
    ("scale", "decimals"),
    [(62_206.0, 0), (1_051.0, 1), (39.0, 2), (0.4, 3), (0.01, 3), (0.0021, 4), (3e-8, 9), (0.0, 1), (np.nan, 1)],
)
def test_decimals_follow_the_size_of_a_column(scale: float, decimals: int) -> None:
    assert sensible_decimals(scale) == decimals
