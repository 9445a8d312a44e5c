"""The columns of a recognised file, converted and checked.

Contract
- Every row is checked for every fault, and all faults are handed back together.
- A price is refused for being absent, infinite, no number or beyond `MOST_SIZE`, not for its level below that. Absent
  it may be where Elia marks the record as one with a data issue: genuine exports have such rows, and they are gaps.
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
from arbitrage.market.files.records import Complaint, Describe, Records, Rows, quoted
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
"""Times outside of these are slips of the pen, and some are beyond what timestamps can hold."""
_MINUTE_US = 60_000_000
_QUARTER_HOUR_US = MINUTES_PER_QUARTER_HOUR * _MINUTE_US
_STATUS_TYPE = pd.CategoricalDtype([quality.value for quality in RecordQuality])
_PRICE_KINDS = (Kind.IMBALANCE_PRICE_QUARTER_HOUR, Kind.IMBALANCE_PRICE_MINUTE)

_ZONES = {"mtucetcest": BRUSSELS, "mtuutc": dt.UTC}
"""Time zones that the name of a column gives. `MTU (CET)` gives none: older exports mean Brussels time by it."""
_VALUE_ROLES = (Role.TIME, Role.PRICE, Role.NUMBER, Role.QUALITY, Role.TEXT)

Values = Floats | pd.DatetimeIndex | pd.Categorical | npt.NDArray[np.object_]


def read_columns(records: Records, known: Recognised, reading: Reading) -> tuple[pd.DataFrame, list[Fault]]:
    """The columns of the layout that the file has, in the order of its rows, and all faults.

    The frame is indexed by UTC `start` and fit for use only if there is no fault. Numbers are float64, other times
    UTC timestamps, statuses categories named as in `RecordQuality`; day-ahead prices come with `duration_min`.
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
    """Reads columns of one file and gathers what is wrong with them."""

    def __init__(self, records: Records, known: Recognised, reading: Reading) -> None:
        self._records = records
        self._known = known
        self._reading = reading
        self._bad: dict[str, Rows] = {}
        self.faults: list[Fault] = []
        self._decimal = self._decimal_sign() if reading.decimal is Decimal.AUTO else reading.decimal

    def starts(self) -> tuple[Times, Minutes | None]:
        """UTC starts [rows], and the minutes that each row covers where the file gives intervals."""
        layout = self._known.layout
        if layout.times != INTERVAL:
            return self.times(layout.times, layout.step_min), None
        zone = _ZONES.get(spelling_key(self._title(INTERVAL)), self._reading.zone)
        found, minutes, complaints = intervals(self._cells(INTERVAL), zone)
        return self._checked_times(INTERVAL, found, complaints, layout.step_min), minutes

    def values(self, column: Column) -> Values:
        """The values [rows] of a column that is neither the start nor the resolution code."""
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
            self._complain(beyond, lambda row: f"{title} is beyond {MOST_SIZE:,.0f} EUR/MWh: {found[row]:g}")
        return found

    def times(self, name: str, step_min: int | None) -> Times:
        """UTC times [rows] of a column, each of them present and on the grid of `step_min`."""
        found, complaints = times(self._cells(name), self._reading.zone)
        return self._checked_times(name, found, complaints, step_min)

    def _checked_times(self, name: str, found: Times, complaints: list[Complaint], step_min: int | None) -> Times:
        strange = ~np.isnat(found) & ((found < _EARLIEST) | (found >= _LATEST))
        self._complain_of_cells(name, complaints)
        self._bad[name] = np.union1d(self._bad[name], np.flatnonzero(strange))
        as_read = found.copy()
        self._complain(strange, lambda row: f"{_shown(as_read[row])} lies outside {_EARLIEST} .. {_LATEST}")
        found[strange] = np.datetime64("NaT")
        self._complain_of_absent(name, np.isnat(found))
        if step_min is not None:
            off_grid = ~np.isnat(found) & (found.astype(np.int64) % (step_min * _MINUTE_US) != 0)
            self._complain(off_grid, lambda row: f"{_shown(found[row])} is not on the grid of {step_min} min")
        return found

    def check_resolutions(self) -> None:
        """Every resolution code must be one that this kind of table has."""
        if RESOLUTION not in self._known.positions:
            return
        layout = self._known.layout
        codes = self._resolutions()
        unique, inverse = np.unique(codes, return_inverse=True)
        wrong = np.array([code not in ("", *layout.resolutions) for code in unique], dtype=np.bool_)[inverse]
        expected = " or ".join(layout.resolutions)
        self._complain(wrong, lambda row: f"resolution code {codes[row]}, but {layout.kind.value} have {expected}")

    def check_prices_present(self, values: dict[str, Values]) -> None:
        """No row may lack its price, unless it is marked as one with a data issue."""
        marked = np.asarray(values[QUALITY] == RecordQuality.DATA_ISSUE.value) if QUALITY in values else np.bool_(False)
        for column in self._known.layout.columns:
            if column.role is Role.PRICE:
                absent = np.isnan(np.asarray(values[column.name], dtype=np.float64)) & ~marked
                self._complain_of_absent(column.name, absent)

    def check_single_price(self, values: dict[str, Values]) -> None:
        """Positive and negative price must be one; the second is taken out of `values`."""
        if NEGATIVE_PRICE not in self._known.positions:
            return
        positive, negative = np.asarray(values[PRICE]), np.asarray(values.pop(NEGATIVE_PRICE))
        differ = (positive != negative) & ~np.isnan(positive) & ~np.isnan(negative)
        self._complain(
            differ,
            lambda row: (
                f"positive price {positive[row]} and negative price {negative[row]} differ; "
                "since 2020 there is a single imbalance price"
            ),
        )

    def check_minutes(self, start: Times, quarter_hour: Values) -> None:
        """Every minute must lie in the quarter-hour that it is recorded for."""
        quarter = np.asarray(pd.DatetimeIndex(quarter_hour).tz_localize(None), dtype="datetime64[us]")
        since = (start - quarter).astype(np.int64)
        outside = ~np.isnat(start) & ~np.isnat(quarter) & ((since < 0) | (since >= _QUARTER_HOUR_US))
        self._complain(
            outside, lambda row: f"{_shown(start[row])} does not lie in its quarter-hour, {_shown(quarter[row])}"
        )

    def durations_min(self, start: Times, given: Minutes | None) -> Floats:
        """Minutes that each row [rows] covers: as given, by its resolution code, else by the starts of all rows."""
        on_the_hour = start.astype(np.int64) % (MINUTES_PER_HOUR * _MINUTE_US) == 0
        minutes, row_of = np.unique(start.astype("datetime64[m]").astype(np.int64), return_inverse=True)
        durations = (durations_min(minutes)[row_of] if given is None else given).astype(np.float64)
        if RESOLUTION in self._known.positions:
            codes, code_of = np.unique(self._resolutions(), return_inverse=True)
            coded = np.array([DURATIONS_MIN.get(code, np.nan) for code in codes], dtype=np.float64)[code_of]
            durations = np.where(np.isnan(coded), durations, coded)
        off_hour = (durations == MINUTES_PER_HOUR) & ~on_the_hour & ~np.isnat(start)
        self._complain(off_hour, lambda row: f"{_shown(start[row])} is not on the hour, as an hourly price must be")
        return durations

    def _numbers(self, name: str) -> Floats:
        found, complaints = numbers(self._cells(name), self._decimal)
        title = self._title(name)
        self._complain_of_cells(name, complaints, f"{title}: ")
        self._complain(np.isinf(found), lambda row: f"{title} is infinite")
        return found

    def _decimal_sign(self) -> Decimal:
        """The decimal sign that the numbers of the file show; a fault where they do not show one."""
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
            self._complain_of(np.array([row]), lambda _: both if signs else either, remedy)
        return Decimal.POINT

    def _complain_of_absent(self, name: str, absent: npt.NDArray[np.bool_]) -> None:
        """Complain of absent cells, save those that are absent only because they could not be converted."""
        absent[self._bad[name]] = False
        self._complain(absent, lambda row: f"{self._title(name)} is missing")

    def _resolutions(self) -> npt.NDArray[np.str_]:
        codes = texts(self._cells(RESOLUTION))
        return np.array([code.strip() if code else "" for code in codes], dtype=np.str_)

    def _cells(self, name: str) -> pa.ChunkedArray:
        return self._records.columns[self._known.positions[name]]

    def _title(self, name: str) -> str:
        return self._records.names[self._known.positions[name]]

    def _complain(self, wrong: npt.NDArray[np.bool_], describe: Describe) -> None:
        self._complain_of(np.flatnonzero(wrong), describe)

    def _complain_of(self, rows: Rows, describe: Describe, remedy: str = "") -> None:
        self.faults += self._records.faults_at(rows, describe, remedy)

    def _complain_of_cells(self, name: str, complaints: list[Complaint], before: str = "") -> None:
        """Complain of cells of a column that could not be converted, and remember which they are."""
        for complaint in complaints:
            self._complain_of(complaint.rows, _after(before, complaint.what), complaint.remedy)
        self._bad[name] = np.concatenate([complaint.rows for complaint in complaints] or [np.zeros(0, dtype=np.intp)])


def _after(before: str, what: Describe) -> Describe:
    return lambda row: f"{before}{what(row)}"


def _utc(stamps: Times) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(stamps).tz_localize("UTC")


def _shown(stamp: np.datetime64) -> str:
    whole_minute = stamp == stamp.astype("datetime64[m]")
    return f"{np.datetime_as_string(stamp, unit='m' if whole_minute else 'auto')}Z"


def _statuses(codes: npt.NDArray[np.int64]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, dtype=_STATUS_TYPE)
