"""A live decision names what it lacks beside the judged prices, and falls back on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from arbitrage.battery import Battery, BatteryState
from arbitrage.live.decider import LiveDecider
from arbitrage.live.decision import AssetState, Level, PolicyIdentity
from arbitrage.live.missing import missing_records
from arbitrage.live.quality import Quality
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, WIND_FORECAST
from arbitrage.market.series import MarketSeries
from arbitrage.policies.rules import SpreadRule
from tests.worlds import noisy_market

MARKET = noisy_market(3, 3)
NOON = int(MARKET.quarter_hours[2 * 96 + 48])
ROW = 2 * 96 + 48
CURVE = Need(DAY_AHEAD, "the weekly mean", rest_of_day=True)


def without(series: str, first: int, last: int) -> MarketSeries:
    """The market with records [first, last) of a series gone."""
    values = MARKET.known_series[series].values.copy()
    values[first:last] = np.nan
    return replace(
        MARKET, known_series={**MARKET.known_series, series: replace(MARKET.known_series[series], values=values)}
    )


def test_nothing_is_found_where_nothing_is_missing() -> None:
    assert missing_records(MARKET, NOON, [CURVE, Need(PRICE), Need(WIND_FORECAST, "zero", rest_of_day=True)]) == []


@pytest.mark.parametrize(
    ("series", "last", "quality", "code"),
    [
        (DAY_AHEAD, ROW + 1, Quality.ABSENT, "missing_record"),
        (WIND_FORECAST, ROW + 1, Quality.GAP, "missing_record"),
        (DAY_AHEAD, None, Quality.ABSENT, "missing_record"),
    ],
)
def test_a_record_of_the_interval_decided_is_named(series: str, last: int, quality: Quality, code: str) -> None:
    found = missing_records(without(series, ROW, last), NOON, [Need(series, "something", rest_of_day=True)])
    assert [(each, finding.code, finding.params["source"]) for each, finding in found] == [(quality, code, series)]


def test_a_curve_that_ends_before_the_day_does_is_a_gap() -> None:
    (quality, finding) = missing_records(without(DAY_AHEAD, ROW + 8, 3 * 96), NOON, [CURVE])[0]
    assert (quality, finding.code) == (Quality.GAP, "incomplete_day")
    assert finding.params["quarter_hours_missing"] == 40


def test_one_price_may_be_under_way_but_not_two() -> None:
    assert missing_records(without(PRICE, ROW - 1, ROW), NOON, [Need(PRICE)]) == []
    assert missing_records(without(PRICE, ROW - 2, ROW), NOON, [Need(PRICE)])[0][0] is Quality.GAP


def test_a_rule_without_its_day_ahead_price_does_not_decide() -> None:
    decider = LiveDecider(SpreadRule(), Battery(), PolicyIdentity("spread"))
    state = AssetState(BatteryState(1.0))
    decided = decider.prepare(without(DAY_AHEAD, ROW, None), NOON).decide(state)
    assert decided.frame.level is Level.HOLD
    assert decided.frame.fallback_reason == "absent_and_no_day_ahead_price"
    assert decided.power_mw == 0.0
    assert decider.prepare(MARKET, NOON).decide(state).frame.level is Level.POLICY
