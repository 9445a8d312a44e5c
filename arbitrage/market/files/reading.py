"""How the cells of a file are to be read where the file does not say it itself.

Contract: nothing here overrides what stands in the file. An offset beside a time, and a time zone in the name of a
column, go before the time zone given here. The decimal sign is a point unless the reader is told otherwise.
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
    """The sign before the decimals."""

    POINT = "."
    COMMA = ","
    AUTO = "auto"
    """Whichever the numbers of the file show; refused where they do not show it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What to take for granted where the file does not say."""

    zone: dt.tzinfo | None = None
    """Of times that have no offset; None: such times are refused."""
    decimal: Decimal = Decimal.POINT

    @classmethod
    def of(cls, timezone: str | None = None, decimal: str = Decimal.POINT) -> Reading:
        """From the name of a time zone or an offset such as +01:00, and a decimal sign. Raises BadInput."""
        zone = None if timezone is None else _zone(timezone)
        faults = []
        if timezone is not None and zone is None:
            message = (
                f"{timezone!r} is not a time zone: give a name such as Europe/Brussels, UTC, or an offset as +01:00"
            )
            faults.append(Fault("timezone", message))
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
