"""Column types that mean the same in SQLite and in PostgreSQL.

Contract
- A time is an integer count of microseconds since 1970-01-01T00:00Z; outside it is an aware UTC datetime. Naive ones
  are refused.
- A number is a double and comes back bit for bit. What is not finite is refused (SQLite would make NaN a NULL), and
  minus zero becomes zero (SQLite would do so, PostgreSQL would not).
- JSON is text, kept as it was written: neither the order of keys nor a digit of a number changes.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from sqlalchemy import BigInteger, Dialect, Double, Integer
from sqlalchemy.types import TypeDecorator

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)


def microseconds(time: dt.datetime) -> int:
    """An aware time as microseconds since the epoch, exactly. Raises ValueError if it is naive."""
    if time.tzinfo is None:
        raise ValueError(f"{time.isoformat()} has no time zone")
    return (time - EPOCH) // MICROSECOND


def utc_time(count: int) -> dt.datetime:
    """Microseconds since the epoch as an aware UTC time."""
    return EPOCH + count * MICROSECOND


class UtcTime(TypeDecorator[dt.datetime]):
    """An aware time, stored as microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, _dialect: Dialect) -> int | None:
        return None if value is None else microseconds(value)

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> dt.datetime | None:
        return None if value is None else utc_time(value)


class FiniteDouble(TypeDecorator[float]):
    """A finite double; minus zero is zero."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, _dialect: Dialect) -> float | None:
        if value is None:
            return None
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a finite number")
        return value + 0.0

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> float | None:
        return None if value is None else float(value)


Sequence = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database counts up; in SQLite only a column of type INTEGER is one."""
LARGEST_SEQUENCE = 2**63 - 1
