"""The last days of the market as a feed brings them: what a policy can look back on, and nothing older.

Contract
- A policy decides on the window as it would on the whole record, to the last bit; `DAYS` reaches back as far as any
  feature does.
- A record that is brought again replaces what was known: figures are revised. Two different values of one interval in
  one answer contradict each other, and neither is kept.
- A record of an interval that is not over is from the future: nothing of the table that it came in is believed, and it
  is given. Day-ahead prices and forecasts are about the future and are exempt.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from arbitrage.arrays import Flags
from arbitrage.errors import BadInput
from arbitrage.live.quality import SECONDS_PER_MINUTE, Finding, Found, Params, Quality
from arbitrage.market.point_in_time import MOST_SIZE
from arbitrage.market.series import MarketSeries, MinuteSource, build_market
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, brussels_day_numbers, utc_timestamps

DAYS = 18
"""Features look back fourteen days from a midnight a day and an hour before; a combination of forecasts, two days."""
MINUTE_DAYS = 3
"""A combination of forecasts looks back on the minute records of two days and a quarter-hour."""
AHEAD_DAYS = 3

_FRESH_STEPS = {1: 8, MINUTES_PER_QUARTER_HOUR: 3}
"""Steps from the beginning of the newest record, by their length, within which it is fresh."""

_MINUTE_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Brought:
    """What one poll brought: tables indexed by UTC start, in the columns of `build_market`; None where nothing came."""

    prices: pd.DataFrame | None = None
    minutes: pd.DataFrame | None = None
    day_ahead: pd.DataFrame | None = None
    forecasts: pd.DataFrame | None = None
    failure: str | None = None
    """Why a part of it is missing, where something failed."""


@dataclass(frozen=True, slots=True)
class _Sort:
    """How one table is kept."""

    step_min: int
    days: int
    future: bool
    """Whether it is about the future."""


_SORTS = {
    "prices": _Sort(MINUTES_PER_QUARTER_HOUR, DAYS, future=False),
    "minutes": _Sort(1, MINUTE_DAYS, future=False),
    "day_ahead": _Sort(MINUTES_PER_QUARTER_HOUR, DAYS, future=True),
    "forecasts": _Sort(MINUTES_PER_QUARTER_HOUR, DAYS, future=True),
}


def empty_market() -> MarketSeries:
    """A market of which nothing is known."""
    nothing = np.zeros(0, dtype=np.int64)
    frame = pd.DataFrame(index=utc_timestamps(nothing))
    return MarketSeries(frame, nothing, np.zeros(0), brussels_day_numbers(nothing), {})


@dataclass(slots=True)
class Window:
    """The tables of the last days, and the market that they make."""

    publication_delay_min: int
    minute_source: MinuteSource = MinuteSource.RECORDED
    clock_skew_s: float = 90.0
    market: MarketSeries = field(default_factory=empty_market)
    _tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def absorb(self, brought: Brought, now_s: float) -> Found:
        """Take in what came at `now_s`, seconds since the epoch; returns what was wrong with it."""
        found: Found = []
        changed = False
        for name, sort in _SORTS.items():
            table = getattr(brought, name)
            if table is not None and len(table):
                changed |= self._take(name, sort, table, now_s, found)
        if changed:
            self._trim(now_s)
            self._rebuild(found)
        return found

    def fits_clock(self, now_s: float) -> bool:
        """Whether the newest record is as fresh as a feed's newest record is, so that clock and feed agree."""
        for name, sort in _SORTS.items():
            if name in self._tables and not sort.future:
                lag_s = now_s - self._tables[name].index[-1].timestamp()
                if lag_s <= _FRESH_STEPS[sort.step_min] * sort.step_min * SECONDS_PER_MINUTE:
                    return True
        return False

    def _take(self, name: str, sort: _Sort, table: pd.DataFrame, now_s: float, found: Found) -> bool:
        """Put the good rows of a table with those that are kept; whether anything is new."""
        fit = _fit(name, sort, table, now_s + self.clock_skew_s, found)
        fit, disputed = _unique(name, fit, found)
        before = self._tables.get(name)
        after = fit if before is None else _merged(before, fit)
        if disputed:
            after = after.drop(index=[start for start in disputed if start in after.index])
        if not len(after) or (before is not None and after.equals(before)):
            return False
        self._tables[name] = after
        return True

    def _trim(self, now_s: float) -> None:
        now = pd.Timestamp(now_s, unit="s", tz="UTC")
        for name, sort in _SORTS.items():
            if name in self._tables:
                table = self._tables[name]
                self._tables[name] = table[table.index >= now.floor("D") - pd.Timedelta(days=sort.days)]

    def _rebuild(self, found: Found) -> None:
        tables = {name: table for name, table in self._tables.items() if len(table)}
        if "prices" not in tables:
            return
        try:
            self.market = build_market(
                tables.pop("prices"),
                **tables,
                minute_source=self.minute_source,
                publication_delay_min=self.publication_delay_min,
            )
        except BadInput as refused:
            found.append((Quality.OK, Finding("not_taken", {"faults": str(refused)})))


def _fit(name: str, sort: _Sort, table: pd.DataFrame, limit_s: float, found: Found) -> pd.DataFrame:
    """The rows that stand on the grid; none if one of them is not over by `limit_s`."""
    starts = pd.DatetimeIndex(table.index).as_unit("ns").asi8
    on_grid: Flags = starts % (sort.step_min * _MINUTE_NS) == 0
    if not on_grid.all():
        found.append((Quality.GAP, Finding("off_grid", {"table": name, "records": int((~on_grid).sum())})))
    if not sort.future:
        ends_s = starts / 1e9 + sort.step_min * SECONDS_PER_MINUTE
        over: Flags = ends_s <= limit_s
        if not over.all():
            ahead_s = float(ends_s.max() - limit_s)
            params: Params = {"table": name, "records": int((~over).sum()), "ahead_s": ahead_s}
            found.append((Quality.CLOCK, Finding("from_the_future", params)))
            return table.iloc[:0]
    return _without_implausible(name, table[on_grid], found)


def _without_implausible(name: str, table: pd.DataFrame, found: Found) -> pd.DataFrame:
    """The rows without values that no market has, which would keep every later record from being taken."""
    numbers = table.select_dtypes("number")
    implausible = numbers.abs() > MOST_SIZE
    if not implausible.to_numpy().any():
        return table
    records = int(implausible.any(axis=1).sum())
    found.append((Quality.GAP, Finding("implausible", {"table": name, "records": records})))
    return table.assign(**numbers.mask(implausible))


def _unique(name: str, table: pd.DataFrame, found: Found) -> tuple[pd.DataFrame, list[pd.Timestamp]]:
    """Rows given once, and starts about which the answer contradicts itself."""
    repeated = np.asarray(table.index.duplicated(keep=False))
    if not repeated.any():
        return table, []
    rows = table[repeated]
    distinct = rows.reset_index().drop_duplicates().set_index(table.index.name or "index")
    disputed = sorted(set(distinct.index[distinct.index.duplicated()]))
    once = table[~table.index.duplicated(keep="last")]
    same = int(repeated.sum()) - len(rows.index[rows.index.isin(disputed)])
    if same:
        found.append((Quality.OK, Finding("duplicate", {"table": name, "records": same})))
    if disputed:
        params: Params = {"table": name, "intervals": len(disputed), "first": disputed[0].isoformat()}
        found.append((Quality.CONTRADICTION, Finding("contradiction", params)))
    return once[~once.index.isin(disputed)], disputed


def _merged(before: pd.DataFrame, fit: pd.DataFrame) -> pd.DataFrame:
    """Both, the newer row of a start counting, in order of time."""
    together = pd.concat([before[~before.index.isin(fit.index)], fit])
    return together.sort_index()
