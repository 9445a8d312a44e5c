"""The clock of the service, which tests replace by one of their own.

Contract
- The time is that of the clock that the service was made with. No other module reads the machine's.
- A clock that leaves the steady one by more than `JUMP_S` seconds is doubted: until the market fits it, or `DOUBT_S`
  seconds have passed, nothing that is kept is moved.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from functools import lru_cache

Clock = Callable[[], dt.datetime]
"""The present, timezone-aware."""
JUMP_S = 90.0
"""More than a clock is set by in the ordinary course of things."""
DOUBT_S = 600.0
"""Without a time reference, a clock that has run evenly for so long is taken as right."""


def machine_clock() -> dt.datetime:
    """What the machine takes the time to be."""
    return dt.datetime.now(dt.UTC)


def machine_steady_s() -> float:
    """Seconds of a clock that is never set; where the machine has one that also counts its sleep, of that."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class JumpWatch:
    """Compares a clock with the steady one."""

    def __init__(self, clock: Clock, steady_s: Callable[[], float]) -> None:
        self._clock = clock
        self._steady_s = steady_s
        self._offset_s = self._measured_s()
        self._doubted_since_s: float | None = None

    def jumped_s(self) -> float:
        """By how many seconds, in whole ones, the clock has jumped since it was last believed; 0 while it is."""
        offset_s = self._measured_s()
        jumped_s = offset_s - self._offset_s
        if abs(jumped_s) <= JUMP_S:
            self._offset_s, self._doubted_since_s = offset_s, None  # slewed, or back
            return 0.0
        now_s = self._steady_s()
        if self._doubted_since_s is None:
            self._doubted_since_s = now_s
        if now_s - self._doubted_since_s > DOUBT_S:
            self.believe()
            return 0.0
        return float(round(jumped_s))

    def believe(self) -> None:
        """Something else says that the clock is right."""
        self._offset_s, self._doubted_since_s = self._measured_s(), None

    def _measured_s(self) -> float:
        return self._clock().timestamp() - self._steady_s()


def next_step(now: dt.datetime, step_min: int) -> int:
    """Epoch minute at which the next interval of `step_min` minutes begins; the present one if it begins just now."""
    step_s = step_min * 60
    return int(-(-now.timestamp() // step_s)) * step_min


def utc_text(moment: dt.datetime) -> str:
    """A time in ISO 8601 with `Z`; to the second where it has no fraction."""
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=1024)
def minute_time(epoch_minute: int) -> dt.datetime:
    """An epoch minute as an aware UTC time."""
    return dt.datetime.fromtimestamp(epoch_minute * 60, dt.UTC)
