"""The published datasets: what each holds, for which time, and in which pieces it is requested.

Contract
- A piece is a UTC day or month of one dataset. One request asks for one piece, and one file of the store holds it.
  Pieces do not depend on the span that a user asks for, so one fetch finds the pieces of another.
- Where one dataset ends and the next begins, both are requested: it is not documented whether 2024-05-22 is a day in
  Brussels time or in UTC.
- Live datasets (the last hours and days) are requested in addition to those of the past, which lag by about a day.

Sources: Elia open data, ids and fields as in `files.schemas`. How long the live datasets keep their records is not
documented; a piece that they no longer hold comes back empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from arbitrage.market.files.schemas import QUARTER_HOUR, START, Kind
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, SOLAR_FORECAST, WIND_FORECAST
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR


class Source(StrEnum):
    """What a user can fetch."""

    PRICES = "prices"
    MINUTES = "minutes"
    FORECASTS = "forecasts"
    WIND_SOLAR = "wind-solar"
    DAY_AHEAD = "day-ahead"


class Piece(StrEnum):
    """The span of one request."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class RecordType:
    """Records that the store keeps together; several datasets may publish them."""

    name: str
    source: Source
    kind: Kind
    value: str
    """The column without which a row is a gap."""
    step_min: int = MINUTES_PER_QUARTER_HOUR
    about: str = START
    """The column that says which interval a row is about."""
    ahead_days: int = 0
    """Days ahead of the present for which records are published."""


PRICES = RecordType("prices", Source.PRICES, Kind.IMBALANCE_PRICE_QUARTER_HOUR, PRICE)
MINUTES = RecordType("minutes", Source.MINUTES, Kind.IMBALANCE_PRICE_MINUTE, PRICE, step_min=1)
FORECAST = "system_imbalance_forecast_mw"
THIS_QUARTER_HOUR = RecordType(
    "forecast-this-quarter-hour", Source.FORECASTS, Kind.SYSTEM_IMBALANCE_FORECAST, FORECAST, about=QUARTER_HOUR
)
NEXT_QUARTER_HOUR = RecordType(
    "forecast-next-quarter-hour", Source.FORECASTS, Kind.SYSTEM_IMBALANCE_FORECAST, FORECAST, about=QUARTER_HOUR
)
WIND = RecordType("wind", Source.WIND_SOLAR, Kind.WIND_SOLAR_FORECAST, WIND_FORECAST, ahead_days=7)
SOLAR = RecordType("solar", Source.WIND_SOLAR, Kind.WIND_SOLAR_FORECAST, SOLAR_FORECAST, ahead_days=7)
DAY_AHEAD_PRICES = RecordType("day-ahead", Source.DAY_AHEAD, Kind.DAY_AHEAD_PRICE, DAY_AHEAD, ahead_days=2)
RECORD_TYPES = (PRICES, MINUTES, THIS_QUARTER_HOUR, NEXT_QUARTER_HOUR, WIND, SOLAR, DAY_AHEAD_PRICES)


class Reach(StrEnum):
    """Which records a dataset holds."""

    PAST = "past"
    LIVE = "live"
    """Records of the last hours or days."""
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Dataset:
    """One published dataset."""

    name: str
    record_type: RecordType
    piece: Piece
    final_after_days: int | None
    """Days after its end from which a piece is final even if some of its rows were never validated; None: never."""
    reach: Reach = Reach.PAST
    first: pd.Timestamp | None = None
    after: pd.Timestamp | None = None
    """The dataset holds [first, after); None: no known limit."""
    time_field: str = "datetime"
    narrowed: str | None = None
    """An additional filter on the rows, in the query language of the service."""


def _utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


_OLD_UNTIL, _NEW_FROM = _utc("2024-05-22T00:00"), _utc("2024-05-21T22:00")
_VALIDATED_AFTER_DAYS = 75
"""Elia validates a month after the 15th of the next one; the rest is a margin for delays."""
_SETTLED_AFTER_DAYS = 7
"""Rows without a quality status count as final a week later."""
_PRICED = "imbalanceprice is not null"
"""The newest live record may come before its price."""
_COUNTRY = 'region = "Belgium"'
_PREDICTED = "predictiontimeutc"
_DAY, _MONTH, _LIVE = Piece.DAY, Piece.MONTH, Reach.LIVE

DATASETS = (
    Dataset("ods047", PRICES, _MONTH, _VALIDATED_AFTER_DAYS, after=_OLD_UNTIL),
    Dataset("ods134", PRICES, _MONTH, _VALIDATED_AFTER_DAYS, first=_NEW_FROM),
    Dataset("ods162", PRICES, _DAY, None, _LIVE, narrowed=_PRICED),
    Dataset("ods046", MINUTES, _DAY, _VALIDATED_AFTER_DAYS, after=_OLD_UNTIL),
    Dataset("ods133", MINUTES, _DAY, _VALIDATED_AFTER_DAYS, first=_NEW_FROM),
    Dataset("ods161", MINUTES, _DAY, None, _LIVE, narrowed=_PRICED),
    Dataset("ods136", THIS_QUARTER_HOUR, _DAY, _SETTLED_AFTER_DAYS, Reach.BOTH, time_field=_PREDICTED),
    Dataset("ods147", NEXT_QUARTER_HOUR, _DAY, _SETTLED_AFTER_DAYS, Reach.BOTH, time_field=_PREDICTED),
    Dataset("ods031", WIND, _MONTH, _SETTLED_AFTER_DAYS),
    Dataset("ods086", WIND, _DAY, None, _LIVE),
    Dataset("ods032", SOLAR, _MONTH, _SETTLED_AFTER_DAYS, narrowed=_COUNTRY),
    Dataset("ods087", SOLAR, _DAY, None, _LIVE, narrowed=_COUNTRY),
    Dataset("entsoe", DAY_AHEAD_PRICES, _MONTH, _SETTLED_AFTER_DAYS),
)
LIVE_DAYS = 2
"""Days back from now for which the live datasets are requested in addition to those of the past."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece [start, end) of a dataset."""

    dataset: Dataset
    start: pd.Timestamp
    end: pd.Timestamp

    @property
    def label(self) -> str:
        """The piece as a date or a month; the name of its file."""
        return f"{self.start:%Y-%m-%d}" if self.dataset.piece is _DAY else f"{self.start:%Y-%m}"

    def __str__(self) -> str:
        return f"{self.dataset.name} {self.label}"


def chunks(source: Source, start: pd.Timestamp, end: pd.Timestamp, now: pd.Timestamp) -> list[Chunk]:
    """The pieces of a source to request for [start, end), as far as it can be published at `now`."""
    found: list[Chunk] = []
    for dataset in DATASETS:
        if dataset.record_type.source is not source:
            continue
        known_until = now + pd.Timedelta(days=dataset.record_type.ahead_days)
        since = max(start, now.floor("D") - pd.Timedelta(days=LIVE_DAYS)) if dataset.reach is _LIVE else start
        found += pieces(dataset, since, min(end, known_until))
    return sorted(found, key=lambda chunk: chunk.start)


def pieces(dataset: Dataset, start: pd.Timestamp, end: pd.Timestamp) -> Iterator[Chunk]:
    """The pieces of a dataset that [start, end) touches, in time order, cut where the dataset begins and ends."""
    first = start if dataset.first is None else max(start, dataset.first)
    after = end if dataset.after is None else min(end, dataset.after)
    begin = _beginning(dataset.piece, first)
    while begin < after and first < after:
        following = _beginning(dataset.piece, begin + pd.Timedelta(days=1 if dataset.piece is _DAY else 31))
        yield Chunk(
            dataset,
            begin if dataset.first is None else max(begin, dataset.first),
            following if dataset.after is None else min(following, dataset.after),
        )
        begin = following


def _beginning(piece: Piece, time: pd.Timestamp) -> pd.Timestamp:
    day = time.tz_convert("UTC").floor("D")
    return day if piece is _DAY else day.replace(day=1)
