"""What a live decision lacks of the series besides the judged one: day-ahead prices, forecasts, other minute records.

Contract: pure functions of what was known at the time. A missing day-ahead price of the interval decided counts as
absent, because a policy that was trained with it takes it as its base; a part of the day's curve, a forecast or another
record that is missing counts as a gap: the policy decides on a stand-in, which its decision then says.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from arbitrage.live.quality import Finding, Found, Quality
from arbitrage.market.coverage import Need, due_records, record_state, unknown_rest_of_day
from arbitrage.market.point_in_time import DAY_AHEAD, INDICATIVE, PRICE
from arbitrage.market.series import MINUTE_COLUMNS, MarketSeries
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, EpochMinutes, utc_timestamps


def missing_records(market: MarketSeries, time: int, needs: Iterable[Need]) -> Found:
    """Findings for each needed series whose due record, or a part of whose day, is not known at `time`."""
    return [found for need in needs for found in _missing(market, time, need)]


def _missing(market: MarketSeries, time: int, need: Need) -> Found:
    moment = np.array([time], dtype=np.int64)
    if need.series == PRICE:
        return _late_price(market, moment)
    if need.series in MINUTE_COLUMNS and not record_state(market, INDICATIVE, moment)[1][0]:
        return []  # The record as a whole is not there, which the judgement of the indicative price says.
    exists, known = record_state(market, need.series, moment)
    if not known[0]:
        quality = Quality.ABSENT if need.series == DAY_AHEAD else Quality.GAP
        return [(quality, _finding(market, need.series, moment, "late" if exists[0] else "absent"))]
    unknown = int(unknown_rest_of_day(market, need.series, moment)[0]) if need.rest_of_day else 0
    if not unknown:
        return []
    return [(Quality.GAP, Finding("incomplete_day", {"source": need.series, "quarter_hours_missing": unknown}))]


def _late_price(market: MarketSeries, moment: EpochMinutes) -> Found:
    """A final price is a gap where the two newest that are due are missing: one may be under way."""
    due = due_records(market, PRICE, moment)
    newest = market.known_at(moment, due).gather(PRICE, [0, -MINUTES_PER_QUARTER_HOUR])
    return [(Quality.GAP, _finding(market, PRICE, moment, "absent"))] if np.isnan(newest).all() else []


def _finding(market: MarketSeries, series: str, moment: EpochMinutes, state: str) -> Finding:
    due = utc_timestamps(due_records(market, series, moment))[0].isoformat()
    return Finding("missing_record", {"source": series, "due": due, "state": state})
