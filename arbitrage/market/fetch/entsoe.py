"""Belgian day-ahead prices from the ENTSO-E transparency platform, through the library entsoe-py (extra `entsoe`).

Contract
- The token never appears in messages, logs or files.
- Prices are those of the coupled day-ahead auction. The duration of each price is derived from the times in the
  response, never from its date. entsoe-py 0.8 returns hourly prices for days before 2025-10-01, whatever the platform
  holds, and an absent price for an hour that the platform lacks; other versions may differ.
- A time without a price is a gap and is left out.

Verified against a fake of the library's client and, by hand, with the library reading a made-up response; the platform
itself could not be reached.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from arbitrage.errors import BadInput, Fault
from arbitrage.market.fetch.elia_client import Unreachable, utc_now
from arbitrage.market.files.schemas import DURATION, START
from arbitrage.market.files.values.durations import durations_min
from arbitrage.market.point_in_time import DAY_AHEAD
from arbitrage.market.store.datasets import Chunk
from arbitrage.market.store.store import Seen
from arbitrage.quarter_hour import epoch_minutes

TOKEN_VARIABLE = "ENTSOE_API_TOKEN"
COUNTRY = "BE"
_TIMEOUT_S = 60
_LOGGERS = ("entsoe.entsoe", "urllib3.connectionpool")
"""Loggers of libraries that log complete requests, including the token."""
_HIDDEN = "***"
_NOISE = "\\s*It looks like you're using an HTML parser to parse an XML document"


class PriceClient(Protocol):
    """The part of the library's client that is used here."""

    def query_day_ahead_prices(self, country_code: str, start: pd.Timestamp, end: pd.Timestamp) -> pd.Series[float]:
        """Prices by start, both ends included."""


class _Hidden(logging.Filter):
    """Replaces the token in log records."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = record.getMessage().replace(self._token, _HIDDEN), ()
        return True


@dataclass(frozen=True, slots=True)
class Library:
    """The parts of entsoe-py that are used here."""

    client: PriceClient
    nothing_found: type[Exception]
    """The error that it raises where no price is published."""
    failures: tuple[type[Exception], ...]
    """Its other errors, which have no common base class."""


def entsoe_library(token: str | None) -> Library:
    """The library with a new client. Raises BadInput without a token, or if the library is not installed."""
    if not token:
        message = f"day-ahead prices need a token of the ENTSO-E platform: set {TOKEN_VARIABLE} or --entsoe-token"
        raise BadInput([Fault("day-ahead", message)])
    try:
        library: Any = importlib.import_module("entsoe")
        errors: Any = importlib.import_module("entsoe.exceptions")
    except ImportError as error:
        message = "day-ahead prices need the library entsoe-py: pip install 'arbitrage[entsoe]'"
        raise BadInput([Fault("day-ahead", message)]) from error
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_Hidden(token))
    return Library(
        library.EntsoePandasClient(api_key=token, timeout=_TIMEOUT_S),
        errors.NoMatchingDataError,
        (errors.PaginationError, errors.InvalidBusinessParameterError, errors.InvalidParameterError),
    )


class EntsoeSource:
    """Pieces of day-ahead prices from the platform."""

    def __init__(self, library: Library, token: str, *, now: Callable[[], pd.Timestamp] = utc_now) -> None:
        self._library, self._token, self._now = library, token, now

    def ask(self, chunk: Chunk) -> Seen | None:
        """The published prices of a piece; None if there are none. Raises Unreachable."""
        library = self._library
        # Network errors are OSErrors, and their text and their causes hold the whole request.
        failures: tuple[type[Exception], ...] = (OSError, ValueError, *library.failures)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=_NOISE)
                prices = library.client.query_day_ahead_prices(COUNTRY, start=chunk.start, end=chunk.end)
        except library.nothing_found:
            return None
        except failures as error:
            said = f"{type(error).__name__}: {error}".replace(self._token, _HIDDEN)
            raise Unreachable(f"{chunk}: {said}") from None
        table = _table(chunk, prices)
        return Seen(table, self._now()) if len(table) else None


def _table(chunk: Chunk, prices: pd.Series[float]) -> pd.DataFrame:
    """Prices as `read_table` returns them: UTC starts within the piece, and the minutes that each covers."""
    starts = pd.DatetimeIndex(prices.index).tz_convert("UTC").as_unit("us").rename(START)
    table = pd.DataFrame({DAY_AHEAD: prices.to_numpy(np.float64)}, index=starts).sort_index()
    table[DURATION] = durations_min(epoch_minutes(pd.DatetimeIndex(table.index))).astype(np.float64)
    inside = (table.index >= chunk.start) & (table.index < chunk.end)
    return table[inside].dropna(subset=[DAY_AHEAD])
