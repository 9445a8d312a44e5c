"""Options for reading cells whose time zone or decimal sign the file does not state.

Contract: the file takes precedence over these options. An offset beside a time, or a time zone in the name of a column,
overrides the time zone given here. The decimal sign is a point unless another is given.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from dataclasses import dataclass
from enum import StrEnum

from arbitrage.errors import Fault, refuse

_OFFSET = re.compile(r"(?:UTC)?(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})")


class Decimal(StrEnum):
    """The decimal sign of numbers in text."""

    POINT = "."
    COMMA = ","
    AUTO = "auto"
    """Detected from the numbers of the file; refused where they are ambiguous."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Time zone and decimal sign where the file does not state them."""

    zone: dt.tzinfo | None = None
    """Time zone of times without an offset; None: such times are refused."""
    decimal: Decimal = Decimal.POINT

    @classmethod
    def of(cls, timezone: str | None = None, decimal: str = Decimal.POINT) -> Reading:
        """From the name of a time zone or an offset such as +01:00, and a decimal sign. Raises BadInput for others."""
        zone = None if timezone is None else _zone(timezone)
        faults = []
        if timezone is not None and zone is None:
            remedy = "give a name such as Europe/Brussels, UTC, or an offset such as +01:00"
            faults.append(Fault("timezone", f"{timezone!r} is not a time zone: {remedy}"))
        if decimal not in list(Decimal):
            faults.append(Fault("decimal", f"{decimal!r} is not a decimal sign: give one of . , auto"))
        refuse(faults)
        return cls(zone, Decimal(decimal))


def _zone(name: str) -> dt.tzinfo | None:
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        minutes = 60 * int(offset["hours"]) + int(offset["minutes"])
        return dt.timezone(dt.timedelta(minutes=-minutes if offset["sign"] == "-" else minutes))
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return None
