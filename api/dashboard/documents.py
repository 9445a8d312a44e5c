"""Prices and the day's euros as documents for people who watch an asset.

Contract
- Prices are those that were known for the interval that is decided, and no later ones.
- The newest price that is kept of a quarter-hour counts: validated, near-real-time, then the one of the market that
  was decided on.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np

from api.clock import minute_time, utc_text
from api.dashboard.day_account import Day, book_day
from api.service import Service
from api.state.asset import brussels_day, look_up
from api.state.last_seen import Seen
from api.storage.database.refusals import AssetUnknown
from api.storage.price_ledger import PriceStage
from api.storage.reconciliation import Prices
from arbitrage.battery import Battery
from arbitrage.market.point_in_time import DAY_AHEAD, INDICATIVE, PRICE, PointInTimeSeries
from arbitrage.quarter_hour import brussels_midnight

_MINUTES_PER_HOUR = 60
_AHEAD_H = 36
"""Day-ahead prices reach at most to the end of tomorrow."""


def prices_document(seen: Seen, asset_id: str, hours: int, now: dt.datetime) -> dict[str, Any]:
    """The last hours of each price, as the wire has it."""
    time, known_series = seen.subject.time, seen.source.market.known_series
    start = time - hours * _MINUTES_PER_HOUR
    ends = {INDICATIVE: time, PRICE: time, DAY_AHEAD: time + _AHEAD_H * _MINUTES_PER_HOUR}
    series = {name: _known(known_series.get(name), start, end, time) for name, end in ends.items()}
    return {"asset_id": asset_id, "now": utc_text(now), "known_at": utc_text(minute_time(time)), **series}


def day_document(service: Service, asset_id: str, now: dt.datetime) -> dict[str, Any]:
    """The Brussels day of an asset so far, as the wire has it."""
    begins, ends = _midnights(now)
    seen = service.last_seen.of(asset_id)
    ledger = service.readers.prices
    chain = ledger.chain(asset_id, begins, now)
    prices = _final_prices(seen, begins, now) | ledger.prices(begins, now)
    day = book_day(chain, prices, begins, now, _battery_of(service, asset_id, seen), service.readers.log.answer)
    return {"asset_id": asset_id, "now": utc_text(now), "begins_at": utc_text(begins), "ends_at": utc_text(ends)} | (
        _in_euros(day)
    )


def _in_euros(day: Day) -> dict[str, Any]:
    return {
        "charged_mwh": day.charged_mwh,
        "discharged_mwh": day.discharged_mwh,
        "cash_eur": day.cash_eur,
        "open_eur": day.open_eur,
        "unpriced_mwh": day.unpriced_mwh,
        "stored_mwh": day.stored_mwh,
        "stored_eur": day.stored_eur,
        "mark_price_eur_mwh": day.mark_price_eur_mwh,
        "mark_price": day.mark_price,
        "marked_eur": day.marked_eur,
        "wear_eur": day.wear_eur,
        "quarter_hours": [
            {
                "start": utc_text(entry.start),
                "energy_mwh": entry.energy_mwh,
                "price_eur_mwh": entry.price_eur_mwh,
                "price_stage": entry.price_stage,
                "profit_eur": entry.profit_eur,
            }
            for entry in day.quarter_hours
        ],
    }


def _midnights(now: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    day = brussels_day(now)
    return minute_time(brussels_midnight(day)), minute_time(brussels_midnight(day + 1))


def _battery_of(service: Service, asset_id: str, seen: Seen | None) -> Battery | None:
    """The battery that was decided for last, else the one that is kept; None where neither is known."""
    if seen is not None:
        return seen.subject.battery
    try:
        return look_up(service.readers.assets, asset_id, service.clock()).battery
    except AssetUnknown:
        return None


def _final_prices(seen: Seen | None, start: dt.datetime, end: dt.datetime) -> Prices:
    """Final prices of the market that was decided on, as far as they were known then."""
    if seen is None:
        return {}
    first, last = int(start.timestamp() // 60), int(end.timestamp() // 60)
    prices = _known(seen.source.market.known_series.get(PRICE), first, last, seen.subject.time)
    if prices is None:
        return {}
    starts = (
        dt.datetime.fromisoformat(prices["start"]) + number * dt.timedelta(minutes=15) for number in range(10_000)
    )
    known = zip(starts, prices["values"], strict=False)
    return {(start, PriceStage.NEAR_REAL_TIME): price for start, price in known if price is not None}


def _known(recorded: PointInTimeSeries | None, start: int, end: int, time: int) -> dict[str, Any] | None:
    """What of a recorded in [start, end) was known at `time`, epoch minutes; None where that is nothing."""
    if recorded is None:
        return None
    first = max(0, -(-(start - recorded.first_minute) // recorded.step_min))
    last = min(len(recorded.values), max(first, -(-(end - recorded.first_minute) // recorded.step_min)))
    values = np.where(recorded.available_at[first:last] <= time, recorded.values[first:last], np.nan)
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return None
    prices = [None if math.isnan(value) else value for value in values[: known[-1] + 1].tolist()]
    start_text = utc_text(minute_time(recorded.first_minute + first * recorded.step_min))
    return {"start": start_text, "step_min": recorded.step_min, "values": prices}
