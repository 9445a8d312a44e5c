"""The clock of the service, which tests replace by one of their own.

Law: whoever wants to know the time asks the clock that the service was made with. Nobody else reads the machine's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import lru_cache

Clock = Callable[[], dt.datetime]
"""The present, timezone-aware."""


def machine_clock() -> dt.datetime:
    """What the machine takes the time to be."""
    return dt.datetime.now(dt.UTC)


def next_step(now: dt.datetime, step_min: int) -> int:
    """Epoch minute at which the next interval of `step_min` minutes begins; the present one if it begins just now."""
    step_s = step_min * 60
    return int(-(-now.timestamp() // step_s)) * step_min


def utc_text(time: dt.datetime) -> str:
    """A time in ISO 8601 with `Z`; to the second where it has no fraction."""
    return time.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=1024)
def minute_time(epoch_minute: int) -> dt.datetime:
    """An epoch minute as an aware UTC time."""
    return dt.datetime.fromtimestamp(epoch_minute * 60, dt.UTC)
