"""Converting and checking the columns of a recognised file.

Contract
- Every row is checked for every fault, and all faults are returned together.
- A price is refused if it is absent, infinite, not a number or larger than `MOST_SIZE`; otherwise its level does not
  matter. It may be absent where Elia marks the record with a data issue: genuine exports have such rows. They are gaps.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from arbitrage.arrays import Floats
from arbitrage.errors import Fault
from arbitrage.market.files.reading import Decimal, Reading
from arbitrage.market.files.recognition import Recognised, spelling_key
from arbitrage.market.files.records import CellFaults, Describe, Records, Rows, quoted
from arbitrage.market.files.schemas import (
    DURATION,
    DURATIONS_MIN,
    INTERVAL,
    NEGATIVE_PRICE,
    QUALITY,
    QUARTER_HOUR,
    RESOLUTION,
    START,
    Column,
    Kind,
    RecordQuality,
    Role,
)
from arbitrage.market.files.values.cells import Minutes, intervals, numbers, qualities, texts, times
from arbitrage.market.files.values.durations import durations_min
from arbitrage.market.files.values.local_times import Times
from arbitrage.market.files.values.numbers import shown_sign
from arbitrage.market.point_in_time import MOST_SIZE, PRICE
from arbitrage.quarter_hour import BRUSSELS, MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR

_EARLIEST, _LATEST = np.datetime64("2000-01-01"), np.datetime64("2100-01-01")
"""Times outside this range are typing errors, and some exceed the range of timestamps."""
_MINUTE_US = 60_000_000
_QUARTER_HOUR_US = MINUTES_PER_QUARTER_HOUR * _MINUTE_US
_STATUS_TYPE = pd.CategoricalDtype([quality.value for quality in RecordQuality])
_PRICE_KINDS = (Kind.IMBALANCE_PRICE_QUARTER_HOUR, Kind.IMBALANCE_PRICE_MINUTE)

_ZONES = {"mtucetcest": BRUSSELS, "mtuutc": dt.UTC}
"""Time zones stated in column names. `MTU (CET)` is not among them: older exports use it for Brussels time."""
_VALUE_ROLES = (Role.TIME, Role.PRICE, Role.NUMBER, Role.QUALITY, Role.TEXT)

Values = Floats | pd.DatetimeIndex | pd.Categorical | npt.NDArray[np.object_]


def read_columns(records: Records, known: Recognised, reading: Reading) -> tuple[pd.DataFrame, list[Fault]]:
    """The columns of the layout that the file has, in the order of its rows, and all faults.

    The frame is indexed by UTC `start` and valid only if there is no fault. Numbers are float64, other times UTC
    timestamps, statuses categories of `RecordQuality`; day-ahead prices have the column `duration_min`.
    """
    reader = _Reader(records, known, reading)
    kind = known.layout.kind
    present = [column for column in known.layout.columns if column.name in known.positions]
    start, minutes = reader.starts()
    values = {column.name: reader.values(column) for column in present if column.role in _VALUE_ROLES}
    reader.check_prices_present(values)
    reader.check_resolutions()
    reader.check_single_price(values)
    if kind is Kind.IMBALANCE_PRICE_MINUTE:
        reader.check_minutes(start, values[QUARTER_HOUR])
    if kind is Kind.DAY_AHEAD_PRICE:
        values[DURATION] = reader.durations_min(start, minutes)
    if kind in _PRICE_KINDS:
        values.setdefault(QUALITY, _statuses(np.full(len(start), list(RecordQuality).index(RecordQuality.UNKNOWN))))
    return pd.DataFrame(values, index=_utc(start).rename(START)), reader.faults


class _Reader:
    """Reads the columns of one file and collects their faults."""

    def __init__(self, records: Records, known: Recognised, reading: Reading) -> None:
        self._records = records
        self._known = known
        self._reading = reading
        self._bad: dict[str, Rows] = {}
        self.faults: list[Fault] = []
        self._decimal = self._decimal_sign() if reading.decimal is Decimal.AUTO else reading.decimal

    def starts(self) -> tuple[Times, Minutes | None]:
        """UTC starts [rows], and the minutes that each row covers if the file gives intervals."""
        layout = self._known.layout
        if layout.times != INTERVAL:
            return self.times(layout.times, layout.step_min), None
        zone = _ZONES.get(spelling_key(self._title(INTERVAL)), self._reading.zone)
        found, minutes, cell_faults = intervals(self._cells(INTERVAL), zone)
        return self._checked_times(INTERVAL, found, cell_faults, layout.step_min), minutes

    def values(self, column: Column) -> Values:
        """The values [rows] of a column other than the start and the resolution code."""
        if column.role is Role.TIME:
            return _utc(self.times(column.name, MINUTES_PER_QUARTER_HOUR))
        if column.role is Role.QUALITY:
            return _statuses(qualities(self._cells(column.name)))
        if column.role is Role.TEXT:
            return texts(self._cells(column.name))
        found = self._numbers(column.name)
        if column.role is Role.PRICE:
            beyond = np.isfinite(found) & (np.abs(found) > MOST_SIZE)
            title = self._title(column.name)
            self._add_faults(beyond, lambda row: f"{title} is beyond {MOST_SIZE:,.0f} EUR/MWh: {found[row]:g}")
        return found

    def times(self, name: str, step_min: int | None) -> Times:
        """UTC times [rows] of a column, checked to be present and on the grid of `step_min`."""
        found, cell_faults = times(self._cells(name), self._reading.zone)
        return self._checked_times(name, found, cell_faults, step_min)

    def _checked_times(self, name: str, found: Times, cell_faults: list[CellFaults], step_min: int | None) -> Times:
        strange = ~np.isnat(found) & ((found < _EARLIEST) | (found >= _LATEST))
        self._add_cell_faults(name, cell_faults)
        self._bad[name] = np.union1d(self._bad[name], np.flatnonzero(strange))
        as_read = found.copy()
        self._add_faults(strange, lambda row: f"{_shown(as_read[row])} lies outside {_EARLIEST} .. {_LATEST}")
        found[strange] = np.datetime64("NaT")
        self._add_absent(name, np.isnat(found))
        if step_min is not None:
            off_grid = ~np.isnat(found) & (found.astype(np.int64) % (step_min * _MINUTE_US) != 0)
            self._add_faults(off_grid, lambda row: f"{_shown(found[row])} is not on the grid of {step_min} min")
        return found

    def check_resolutions(self) -> None:
        """Check that every resolution code is valid for this kind of table."""
        if RESOLUTION not in self._known.positions:
            return
        layout = self._known.layout
        codes = self._resolutions()
        unique, inverse = np.unique(codes, return_inverse=True)
        wrong = np.array([code not in ("", *layout.resolutions) for code in unique], dtype=np.bool_)[inverse]
        expected = " or ".join(layout.resolutions)
        self._add_faults(wrong, lambda row: f"resolution code {codes[row]}, but {layout.kind.value} need {expected}")

    def check_prices_present(self, values: dict[str, Values]) -> None:
        """Check that every row has its price, except rows marked with a data issue."""
        marked = np.asarray(values[QUALITY] == RecordQuality.DATA_ISSUE.value) if QUALITY in values else np.bool_(False)
        for column in self._known.layout.columns:
            if column.role is Role.PRICE:
                absent = np.isnan(np.asarray(values[column.name], dtype=np.float64)) & ~marked
                self._add_absent(column.name, absent)

    def check_single_price(self, values: dict[str, Values]) -> None:
        """Check that the positive and the negative price agree; remove the second from `values`."""
        if NEGATIVE_PRICE not in self._known.positions:
            return
        positive, negative = np.asarray(values[PRICE]), np.asarray(values.pop(NEGATIVE_PRICE))
        differ = (positive != negative) & ~np.isnan(positive) & ~np.isnan(negative)
        self._add_faults(
            differ,
            lambda row: (
                f"positive price {positive[row]} and negative price {negative[row]} differ; "
                "since 2020 there is a single imbalance price"
            ),
        )

    def check_minutes(self, start: Times, quarter_hour: Values) -> None:
        """Check that every minute lies in its quarter-hour."""
        quarter = np.asarray(pd.DatetimeIndex(quarter_hour).tz_localize(None), dtype="datetime64[us]")
        since = (start - quarter).astype(np.int64)
        outside = ~np.isnat(start) & ~np.isnat(quarter) & ((since < 0) | (since >= _QUARTER_HOUR_US))
        self._add_faults(
            outside, lambda row: f"{_shown(start[row])} does not lie in its quarter-hour, {_shown(quarter[row])}"
        )

    def durations_min(self, start: Times, given: Minutes | None) -> Floats:
        """Minutes that each row [rows] covers: by resolution code, else as given, else by the starts of all rows."""
        on_the_hour = start.astype(np.int64) % (MINUTES_PER_HOUR * _MINUTE_US) == 0
        minutes, row_of = np.unique(start.astype("datetime64[m]").astype(np.int64), return_inverse=True)
        durations = (durations_min(minutes)[row_of] if given is None else given).astype(np.float64)
        if RESOLUTION in self._known.positions:
            codes, code_of = np.unique(self._resolutions(), return_inverse=True)
            coded = np.array([DURATIONS_MIN.get(code, np.nan) for code in codes], dtype=np.float64)[code_of]
            durations = np.where(np.isnan(coded), durations, coded)
        off_hour = (durations == MINUTES_PER_HOUR) & ~on_the_hour & ~np.isnat(start)
        self._add_faults(off_hour, lambda row: f"{_shown(start[row])} is not on the hour, as an hourly price must be")
        return durations

    def _numbers(self, name: str) -> Floats:
        found, cell_faults = numbers(self._cells(name), self._decimal)
        title = self._title(name)
        self._add_cell_faults(name, cell_faults, f"{title}: ")
        self._add_faults(np.isinf(found), lambda row: f"{title} is infinite")
        return found

    def _decimal_sign(self) -> Decimal:
        """The decimal sign detected from the numbers of the file; a fault where it is ambiguous."""
        names = [column.name for column in self._known.layout.columns if column.role in (Role.PRICE, Role.NUMBER)]
        columns = [self._cells(name) for name in names if name in self._known.positions]
        written = [column for column in columns if pa.types.is_string(column.type)]
        shown = shown_sign(written)
        signs = [sign for sign in shown if sign is not None]
        if len(signs) == 1:
            return signs[0]
        if shown:
            cells = {sign: quoted(str(written[column][row].as_py())) for sign, (column, row) in shown.items()}
            both = f"{cells.get(Decimal.POINT)} has a decimal point and {cells.get(Decimal.COMMA)} a decimal comma"
            either = f"{cells.get(None)} may have a decimal comma or point"
            row = max(row for _, row in shown.values())
            remedy = "give --decimal , or --decimal ."
            self._add_faults_at(np.array([row]), lambda _: both if signs else either, remedy)
        return Decimal.POINT

    def _add_absent(self, name: str, absent: npt.NDArray[np.bool_]) -> None:
        """Add faults for absent cells, except those that are absent because they could not be converted."""
        absent[self._bad[name]] = False
        self._add_faults(absent, lambda row: f"{self._title(name)} is missing")

    def _resolutions(self) -> npt.NDArray[np.str_]:
        codes = texts(self._cells(RESOLUTION))
        return np.array([code.strip() if code else "" for code in codes], dtype=np.str_)

    def _cells(self, name: str) -> pa.ChunkedArray:
        return self._records.columns[self._known.positions[name]]

    def _title(self, name: str) -> str:
        return self._records.names[self._known.positions[name]]

    def _add_faults(self, wrong: npt.NDArray[np.bool_], describe: Describe) -> None:
        self._add_faults_at(np.flatnonzero(wrong), describe)

    def _add_faults_at(self, rows: Rows, describe: Describe, remedy: str = "") -> None:
        self.faults += self._records.faults_at(rows, describe, remedy)

    def _add_cell_faults(self, name: str, cell_faults: list[CellFaults], before: str = "") -> None:
        """Add faults for cells of a column that could not be converted, and record their rows."""
        for each in cell_faults:
            self._add_faults_at(each.rows, _after(before, each.what), each.remedy)
        self._bad[name] = np.concatenate([each.rows for each in cell_faults] or [np.zeros(0, dtype=np.intp)])


def _after(before: str, what: Describe) -> Describe:
    return lambda row: f"{before}{what(row)}"


def _utc(stamps: Times) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(stamps).tz_localize("UTC")


def _shown(stamp: np.datetime64) -> str:
    whole_minute = stamp == stamp.astype("datetime64[m]")
    return f"{np.datetime_as_string(stamp, unit='m' if whole_minute else 'auto')}Z"


def _statuses(codes: npt.NDArray[np.int64]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, dtype=_STATUS_TYPE)
