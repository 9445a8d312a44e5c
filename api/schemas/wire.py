"""What every model of the wire keeps.

Contract: numbers are numbers (no text, no truth values, nothing infinite), times carry an offset, and a field that
no one knows is refused by name.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, Strict

EARLIEST, LATEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
"""Times outside of these are slips of the pen, and some are beyond what timestamps can hold."""

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}[T ]")


class Wire(BaseModel):
    """A strict model."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def _plausible(time: dt.datetime) -> dt.datetime:
    if not EARLIEST <= time < LATEST:
        raise ValueError(f"lies outside {EARLIEST:%Y-%m-%d} .. {LATEST:%Y-%m-%d}")
    return time.astimezone(dt.UTC)


def _on_minute(time: dt.datetime) -> dt.datetime:
    if time.second or time.microsecond:
        raise ValueError("is not on a whole minute")
    return time


def _on_quarter_hour(time: dt.datetime) -> dt.datetime:
    if time.minute % 15 or time.second or time.microsecond:
        raise ValueError("is not on a quarter-hour")
    return time


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("has a NUL character, which databases do not keep")
    return text


def _written_out(time: object) -> object:
    """The time, unless it is a number or text that is one: these would be taken for seconds since 1970."""
    if not isinstance(time, dt.datetime) and not (isinstance(time, str) and _DATED.match(time)):
        raise ValueError("is not a time such as 2025-01-01T00:00:00Z")
    return time


Text = Annotated[str, AfterValidator(_storable)]
Time = Annotated[AwareDatetime, Strict(False), BeforeValidator(_written_out), AfterValidator(_plausible)]
WholeMinute = Annotated[Time, AfterValidator(_on_minute)]
QuarterHour = Annotated[Time, AfterValidator(_on_quarter_hour)]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""What assets, policies and keys are called."""
