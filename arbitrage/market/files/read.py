"""Reading market files into tables with standard column names, and several files into one market.

Contract
- A file is accepted completely or refused with all its faults. Nothing is filled in or clipped, and no price is refused
  for its level: extreme and repeated prices are real.
- Times carry their UTC offset. A gap is not a fault, but it is reported. Each start has one record (see `revisions`).
- Since 2020 one imbalance price settles surplus and shortage, so a positive and a negative price must agree.

Names of columns and statuses: `files.schemas`. File formats: `files.formats`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as compute

from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.files.country_totals import KINDS, country_total
from arbitrage.market.files.formats import parse_records, read_records
from arbitrage.market.files.published_prices import published
from arbitrage.market.files.reading import Decimal, Reading
from arbitrage.market.files.recognition import Recognised, recognise
from arbitrage.market.files.records import Places, Records
from arbitrage.market.files.revisions import RecordBatch, unique_starts
from arbitrage.market.files.schemas import DURATION, START, Kind
from arbitrage.market.files.validation import read_columns
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.series import MarketSeries, MinuteSource, build_market
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR

Paths = Path | str | Sequence[Path | str]
Gap = tuple[pd.Timestamp, pd.Timestamp]

_INSTEAD = {
    Kind.IMBALANCE_PRICE_MINUTE: "; a price by minute is indicative, a quarter-hour settles at its final price",
    Kind.MERIT_ORDER: "; its price, if any, lacks the alpha component and is not a settlement price",
}
"""Why a table that resembles prices is not accepted as prices."""


@dataclass(frozen=True, slots=True)
class Table:
    """One market file without faults."""

    kind: Kind
    frame: pd.DataFrame
    """Indexed by `start` (UTC, sorted, unique); columns named as in `files.schemas`, with units. For forecasts
    of the system imbalance, `start` is the time of the forecast and `quarter_hour` the forecast quarter-hour."""
    path: str
    places: Places = field(repr=False)
    """Shape [rows]; the place of each row in the file."""
    place_word: str
    """What `places` counts: line, record or row."""
    step_min: int | None = None
    """Grid of `start`; None where records are not on a grid of minutes."""
    duplicates_collapsed: int = 0
    """Rows equal to another."""
    unread_columns: tuple[str, ...] = ()
    """Columns of the file that are unknown and not read."""
    replaced: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    """Rows that a validated one of the same start replaced, in the order of the file."""
    without_price: int = 0
    """Rows that state that no price was published; their intervals are gaps."""
    of_other_auctions: int = 0
    """Rows of another auction than the coupled one, which are not read."""

    @property
    def revisions(self) -> int:
        """Number of rows that a validated one of the same start replaced."""
        return len(self.replaced)

    def gaps(self) -> list[Gap]:
        """The spans [start, end) inside the table without a row, or with a row that lacks its price."""
        frame = self.frame.dropna(subset=[PRICE]) if PRICE in self.frame else self.frame
        starts = frame.index
        # Forecasts come about once a minute, some seconds early or late.
        slack = pd.Timedelta(0) if self.step_min else pd.Timedelta(30, "s")
        lengths = frame[DURATION].to_numpy() if DURATION in frame else np.full(len(starts), self.step_min or 1)
        ends = starts + pd.to_timedelta(lengths, unit="min")
        return [(end, after) for end, after in zip(ends[:-1], starts[1:], strict=True) if after > end + slack]


def read_table(path: Path | str, *, timezone: str | None = None, decimal: str = Decimal.POINT) -> Table:
    """Read one file of any known kind and format. Raises BadInput with every fault of the file.

    timezone: time zone of times without an offset, such as Europe/Brussels; None: such times are refused.
    decimal: decimal sign of numbers in text: a point, a comma, or `auto` to detect it from the file.
    """
    return _read(path, Reading.of(timezone, decimal))


def _read(path: Path | str, reading: Reading) -> Table:
    return _table(read_records(path), reading)


def read_answer(name: str, content: bytes, *, timezone: str | None = None, decimal: str = Decimal.POINT) -> Table:
    """Read the response of a service as a file; `name` identifies it in faults. Raises BadInput with every fault."""
    return _table(parse_records(name, content), Reading.of(timezone, decimal))


def _table(records: Records, reading: Reading) -> Table:
    try:
        known = recognise(records.path, records.names, records.header_line)
    except BadInput as error:
        raise BadInput([*error.faults, *records.faults]) from error
    records, faults = _without_second_headers(records, known)
    if len(records.places) == 0:
        refuse(faults or [Fault(records.path, "holds no rows")])
    rows = published(records, known)
    records = rows.records
    if len(records.places) == 0:
        refuse([*faults, *rows.faults, Fault(records.path, "holds no price")])
    frame, column_faults = read_columns(records, known, reading)
    timed = np.flatnonzero(frame.index.notna())
    files = np.zeros(len(frame), dtype=np.int64)
    batch = RecordBatch(frame, files, records.places, (records.path,), (records.place_word,))
    kind = known.layout.kind
    timed_batch = batch.take(timed)
    unique = country_total(timed_batch, kind) if kind in KINDS else unique_starts(timed_batch)
    refuse([*faults, *rows.faults, *column_faults, *unique.faults, *_missing_records(records)])
    return Table(
        Kind.WIND_SOLAR_FORECAST if kind in KINDS else kind,
        unique.frame,
        records.path,
        unique.places,
        records.place_word,
        known.layout.step_min,
        unique.collapsed,
        known.unread,
        unique.replaced,
        rows.without_price,
        rows.of_other_auctions,
    )


def _missing_records(records: Records) -> list[Fault]:
    """A fault if the file is one page of a longer response."""
    left_out, held = records.records_left_out, len(records.places)
    return [Fault(records.path, f"holds {held} of {held + left_out} records; export all of them")] if left_out else []


def _without_second_headers(records: Records, known: Recognised) -> tuple[Records, list[Fault]]:
    """The records without lines that repeat the header, and the faults of parsing the file."""
    faults = list(records.faults)
    if records.header_line is None:
        return records, faults
    position = known.positions[known.layout.times]
    titles = compute.utf8_lower(records.columns[position])
    repeated = compute.equal(titles, records.names[position].lower()).fill_null(False).to_numpy()
    if not repeated.any():
        return records, faults
    message = "is a second header line: split the joined files and give each of them separately"
    faults += records.faults_at(np.flatnonzero(repeated), lambda row: message)
    return records.take(~repeated), faults


def read_market(
    prices: Paths,
    *,
    day_ahead: Paths | None = None,
    forecasts: Paths | None = None,
    minutes: Paths | None = None,
    minute_source: MinuteSource = MinuteSource.GIVEN,
    publication_delay_min: int | None = None,
    timezone: str | None = None,
    decimal: str = Decimal.POINT,
) -> MarketSeries:
    """Read the files of a market, each argument one path or several, and build the market.

    prices: imbalance prices by quarter-hour. day_ahead: day-ahead prices, hourly or quarter-hourly.
    forecasts: day-ahead wind and solar forecasts, in one file or apart.
    minutes: indicative prices by minute.
    timezone, decimal: of times without an offset and of numbers, in all files; see `read_table`.
    Raises BadInput with the faults of all files, including files of the wrong kind and records that contradict each
    other across files.
    """
    reading = Reading.of(timezone, decimal)
    faults: list[Fault] = []
    price_frame = _read_joined("prices", prices, Kind.IMBALANCE_PRICE_QUARTER_HOUR, reading, faults)
    day_ahead_frame = forecast_frame = minute_frame = None
    if day_ahead is not None:
        day_ahead_frame = _read_joined("day_ahead", day_ahead, Kind.DAY_AHEAD_PRICE, reading, faults)
    if forecasts is not None:
        forecast_frame = _read_joined("forecasts", forecasts, Kind.WIND_SOLAR_FORECAST, reading, faults)
    if minutes is not None:
        minute_frame = _read_joined("minutes", minutes, Kind.IMBALANCE_PRICE_MINUTE, reading, faults)
    refuse(faults)
    return build_market(
        price_frame,
        day_ahead=day_ahead_frame,
        forecasts=forecast_frame,
        minutes=minute_frame,
        minute_source=minute_source,
        publication_delay_min=publication_delay_min,
    )


def _read_joined(slot: str, paths: Paths, kind: Kind, reading: Reading, faults: list[Fault]) -> pd.DataFrame:
    """The rows of several files of one kind as one table; faults are added to `faults`."""
    tables: list[Table] = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        try:
            table = _read(path, reading)
        except BadInput as error:
            faults += error.faults
            continue
        if table.kind is kind:
            tables.append(table)
        else:
            reason = _INSTEAD.get(table.kind, "")
            faults.append(Fault(table.path, f"holds {table.kind.value}, but {slot} needs {kind.value}{reason}"))
    if not tables:
        if not faults:
            faults.append(Fault(slot, "contains no file; give at least one path"))
        return pd.DataFrame()
    unique = unique_starts(_by_quarter_hour(_joined(tables)))
    faults += unique.faults
    return unique.frame


def _joined(tables: Sequence[Table]) -> RecordBatch:
    sizes = [len(table.frame) for table in tables]
    return RecordBatch(
        pd.concat([table.frame for table in tables]),
        np.repeat(np.arange(len(tables), dtype=np.int64), sizes),
        np.concatenate([table.places for table in tables]),
        tuple(table.path for table in tables),
        tuple(table.place_word for table in tables),
    )


def _by_quarter_hour(batch: RecordBatch) -> RecordBatch:
    """Hourly rows repeated for each of their quarter-hours, so that hourly and quarter-hourly files can be joined."""
    if DURATION not in batch.frame:
        return batch
    repeats = batch.frame[DURATION].to_numpy().astype(np.int64) // MINUTES_PER_QUARTER_HOUR
    rows = np.repeat(np.arange(len(repeats)), repeats)
    number_in_row = np.arange(len(rows)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    fine = batch.take(rows)
    start = fine.frame.index + pd.to_timedelta(MINUTES_PER_QUARTER_HOUR * number_in_row, unit="min")
    frame = fine.frame.drop(columns=DURATION).set_index(start.rename(START))
    return dataclasses.replace(fine, frame=frame)
