"""Which backtests may stand on a card: none that touches a day learned from, and none of another battery."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.runs.card_figures import figures_for_card, refuse_recording
from arbitrage.battery import Battery
from arbitrage.errors import BadInput
from arbitrage.market.splits import select
from arbitrage.policies.rules import Idle
from arbitrage.quarter_hour import epoch_minute
from tests.worlds import noisy_market

MARKET = noisy_market(seed=0, days=40)
"""From 2024-07-01 to 2024-08-09."""
BATTERY = Battery(max_cycles_per_day=1.1)


def card(start: str | None = None, end: str | None = None) -> dict[str, Any]:
    """Of a policy that learned on days 1-10 and was chosen on days 11-12, within [start, end)."""
    split = {
        "train_days_of_month": "1-10",
        "validation_days_of_month": "11-12",
        "start_epoch_minute": None if start is None else epoch_minute(start),
        "end_epoch_minute": None if end is None else epoch_minute(end),
    }
    return {"battery": asdict(BATTERY), "split": split}


def test_days_that_nobody_learned_from_are_accepted() -> None:
    refuse_recording(card(), BATTERY, MARKET, select(MARKET, days_of_month="13-31"))


@pytest.mark.parametrize(
    ("days", "says"),
    [
        ("10-13", [r"1 of the days tested are training days, 2024-07-10 first", r"2 .* validation days, 2024-07-11"]),
        ("9", [r"2 of the days tested are training days, 2024-07-09 first"]),
        ("12-31", [r"1 of the days tested are validation days, 2024-07-12 first"]),
    ],
)
def test_days_learned_from_or_chosen_on_are_refused_and_counted(days: str, says: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        refuse_recording(card(), BATTERY, MARKET, select(MARKET, days_of_month=days))
    assert len(refused.value.faults) == len(says)
    for words in says:
        assert refused.match(words)


def test_days_of_the_same_number_outside_the_time_of_learning_are_accepted() -> None:
    august = select(MARKET, start="2024-08-01T00:00+02:00")
    refuse_recording(card(end="2024-08-01T00:00+02:00"), BATTERY, MARKET, august)
    refuse_recording(card(start="2024-08-10T00:00+02:00"), BATTERY, MARKET, august)
    with pytest.raises(BadInput, match="1 of the days tested are training days, 2024-08-01"):
        refuse_recording(card(end="2024-08-01T00:15+02:00"), BATTERY, MARKET, august)
    with pytest.raises(BadInput, match="9 of the days tested are training days, 2024-08-01"):
        refuse_recording(card(), BATTERY, MARKET, august)


def test_a_day_of_which_a_quarter_hour_was_learned_from_is_refused_whole() -> None:
    evening = select(MARKET, start="2024-07-10T12:00+02:00", end="2024-07-11T00:00+02:00")
    with pytest.raises(BadInput, match="2024-07-10"):
        refuse_recording(card(end="2024-07-10T00:15+02:00"), BATTERY, MARKET, evening)


def test_without_a_split_on_the_card_nothing_is_recorded() -> None:
    with pytest.raises(BadInput, match="does not say on which days"):
        refuse_recording({"battery": asdict(BATTERY)}, BATTERY, MARKET, select(MARKET, days_of_month="20-31"))


def test_figures_of_another_battery_are_refused() -> None:
    days = select(MARKET, days_of_month="20-31")
    with pytest.raises(BadInput, match="the battery is not the one"):
        refuse_recording(card(), Battery(max_cycles_per_day=1.1, wear_cost_eur_mwh=5.0), MARKET, days)


def test_the_figures_say_what_was_tested_and_on_what() -> None:
    days = select(MARKET, days_of_month="30-31")
    figures = figures_for_card(run_backtest(MARKET, BATTERY, Idle(), days), days, MARKET, {"data_sha256": "d"})
    assert (figures["first_day"], figures["last_day"], figures["days"]) == ("2024-07-30", "2024-07-31", 2)
    assert figures["profit_eur_per_day_interval"] == [0.0, 0.0]
    assert (figures["capture_fraction"], figures["conditional_value_at_risk_eur"], figures["violations"]) == (0, 0, 0)
    assert figures["data_sha256"] == "d"
    assert figures["recorded_at"].endswith("+00:00")
