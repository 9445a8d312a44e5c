"""The duration of day-ahead prices and forecasts, derived from the starts of the rows.

Contract
- Files, the store and the market use this one rule.
- The step may change within a table, as that of day-ahead prices did on 2025-10-01.
- A row before a gap may be an hour or a quarter-hour; its neighbours decide.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR, EpochMinutes

_UNKNOWN, _QUARTER_HOUR, _HOUR = 0, 1, 2


def durations_min(starts: EpochMinutes) -> EpochMinutes:
    """Minutes that each row covers, 60 or 15, from ascending starts [n].

    A row can be an hour if it begins on the hour and no other row begins within that hour. Two such rows in sequence
    are hours. A single one has the duration of its neighbours; between hours and quarter-hours it is an hour if the
    next row begins where the hour ends.
    """
    if not len(starts):
        return starts
    steps = np.diff(starts)
    after = np.append(steps, 2 * MINUTES_PER_HOUR)
    possible = (starts % MINUTES_PER_HOUR == 0) & (after >= MINUTES_PER_HOUR)
    adjacent = possible[:-1] & possible[1:] & (steps == MINUTES_PER_HOUR)
    hourly = np.append(adjacent, False) | np.append(False, adjacent)
    single = possible & ~hourly
    known = np.where(single, _UNKNOWN, np.where(hourly, _HOUR, _QUARTER_HOUR))
    before, following = _last_known(known), _last_known(known[::-1])[::-1]
    hourly |= single & (before != _QUARTER_HOUR) & ((following != _QUARTER_HOUR) | (after == MINUTES_PER_HOUR))
    return np.where(hourly, MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR)


def _last_known(known: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each entry [n], or the last known one before it where it is unknown."""
    rows = np.maximum.accumulate(np.where(known != _UNKNOWN, np.arange(len(known)), 0))
    return known[rows]
