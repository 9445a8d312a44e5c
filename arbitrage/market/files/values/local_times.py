"""Converting local times to UTC, including the ambiguous hour when summer time ends.

Contract
- A local time that does not exist is a fault.
- An ambiguous local time is resolved by the order of the rows, if that order is clear: all rows of the file ascend, or
  all descend, and the rows of that night are adjacent and pass the hour twice. Otherwise it is a fault; nothing is
  guessed.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.arrays import Flags
from arbitrage.market.files.records import Rows

Times = npt.NDArray[np.datetime64]
EARLIER, LATER, UNKNOWN = 0, 1, -1
"""Which of its two UTC times an ambiguous local time has: in summer time, in winter time, not stated."""


def to_utc(local: Times, zone: dt.tzinfo, stated: npt.NDArray[np.int8]) -> tuple[Times, Rows, Rows]:
    """Local times [n] in the order of the file as UTC, the rows that do not exist, and those that stay ambiguous.

    local: datetime64[us], without NaT. stated: shape [n], what the file states: EARLIER, LATER or UNKNOWN.
    Faulty rows are NaT in the result.
    """
    earlier, later = possible_utc(local, zone)
    missing = np.isnat(earlier)
    ambiguous = ~missing & (earlier != later)
    turn = np.where(ambiguous, stated, EARLIER).astype(np.int8)
    if (turn == UNKNOWN).any():
        turn = _by_order(local, ambiguous, turn)
    utc = np.where(turn == LATER, later, earlier)
    utc[turn == UNKNOWN] = np.datetime64("NaT")
    return utc, np.flatnonzero(missing), np.flatnonzero(turn == UNKNOWN)


def possible_utc(local: Times, zone: dt.tzinfo) -> tuple[Times, Times]:
    """Both UTC times [n] of each local time: equal where it is unique, NaT where it does not exist."""
    index = pd.DatetimeIndex(local)
    summer = np.ones(len(local), dtype=np.bool_)
    moments = [index.tz_localize(zone, ambiguous=flags, nonexistent="NaT") for flags in (summer, ~summer)]
    earlier, later = (moment.tz_convert(None).to_numpy().astype("datetime64[us]") for moment in moments)
    return earlier, later


def _by_order(local: Times, ambiguous: Flags, turn: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """`turn` [n], with unknown rows resolved where the order of the rows allows it."""
    turn = turn.copy()
    forward = _goes_forward(local, ambiguous)
    if forward is None:
        return turn
    rows = np.flatnonzero(ambiguous)
    nights = local[rows].astype("datetime64[D]")
    for night in np.unique(nights):
        of_night = rows[nights == night]
        ordered = of_night if forward else of_night[::-1]
        second = np.flatnonzero(np.diff(local[ordered]) <= np.timedelta64(0)) + 1
        if len(second) != 1 or not _adjacent(local, of_night, forward=forward):
            continue
        by_order = np.where(np.arange(len(ordered)) < second[0], EARLIER, LATER)
        unknown = turn[ordered] == UNKNOWN
        turn[ordered[unknown]] = by_order[unknown]
    return turn


def _goes_forward(local: Times, ambiguous: Flags) -> bool | None:
    """Whether the rows ascend in time; None where they go both ways, or where there are too few rows."""
    forward, backward = _steps_each_way(local[~ambiguous])
    if forward and backward:
        return None
    if not forward and not backward:
        forward, backward = _steps_each_way(local[ambiguous])
    return None if forward == backward else forward > backward


def _steps_each_way(local: Times) -> tuple[int, int]:
    steps = np.diff(local).astype(np.int64)
    return int(np.count_nonzero(steps > 0)), int(np.count_nonzero(steps < 0))


def _adjacent(local: Times, rows: Rows, *, forward: bool) -> bool:
    """Whether the rows [k] of one night are adjacent, between earlier rows and later ones."""
    if rows[-1] - rows[0] + 1 != len(rows):
        return False
    first, last = local[rows].min(), local[rows].max()
    before, after = local[: rows[0]][-1:], local[rows[-1] + 1 :][:1]
    if not forward:
        before, after = after, before
    return bool((before < first).all() and (after > last).all())
