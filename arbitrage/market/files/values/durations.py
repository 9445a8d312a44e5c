"""How many minutes a day-ahead price or forecast covers, where only the starts of the rows say it.

Contract: one rule for files, for the store and for the market built of them. The step may change within a table, as
day-ahead prices did on 2025-10-01. No row is taken to cover more than its neighbours make likely: where a quarter-hour
before a gap and an hour look the same, the rows around decide.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR, EpochMinutes

_UNKNOWN, _QUARTER_HOUR, _HOUR = 0, 1, 2


def durations_min(starts: EpochMinutes) -> EpochMinutes:
    """Minutes that each row covers, an hour or a quarter of it, from ascending starts [n].

    An hour begins on the hour, and no other row begins in it. Two of these in a row are hours. One by itself is what
    the rows around it are; between hours and quarter-hours it is an hour if the next row begins where the hour ends.
    """
    if not len(starts):
        return starts
    steps = np.diff(starts)
    after = np.append(steps, 2 * MINUTES_PER_HOUR)
    possible = (starts % MINUTES_PER_HOUR == 0) & (after >= MINUTES_PER_HOUR)
    beside = possible[:-1] & possible[1:] & (steps == MINUTES_PER_HOUR)
    hourly = np.append(beside, False) | np.append(False, beside)
    single = possible & ~hourly
    known = np.where(single, _UNKNOWN, np.where(hourly, _HOUR, _QUARTER_HOUR))
    before, following = _last_known(known), _last_known(known[::-1])[::-1]
    hourly |= single & (before != _QUARTER_HOUR) & ((following != _QUARTER_HOUR) | (after == MINUTES_PER_HOUR))
    return np.where(hourly, MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR)


def _last_known(known: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The newest entry [n] up to each that is not unknown; unknown before the first of them."""
    rows = np.maximum.accumulate(np.where(known != _UNKNOWN, np.arange(len(known)), 0))
    return known[rows]
