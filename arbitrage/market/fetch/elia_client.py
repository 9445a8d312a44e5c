"""HTTP client of Elia's open-data service (Opendatasoft Explore v2.1).

Contract
- A response counts only if it is complete and valid JSON.
- Transient failures (no connection, time-outs, 429, 5xx, a truncated or malformed body) are retried with exponential
  backoff and jitter, or after the wait that `Retry-After` asks for. Other 4xx responses are not retried.
- Records are requested as exports, never as pages: pages end at 10,000 records.

Verified against a local test server only (`tests/market/fetch/elia_server.py`), which follows the documentation of the
API; the service itself could not be reached. The grammar of `where` and the field names of the price datasets are
those of genuine requests and responses.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import httpx
import pandas as pd
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from arbitrage.errors import BadInput, Fault
from arbitrage.market.store.datasets import Dataset

HOST = "https://opendata.elia.be"
BASE_PATH = "/api/explore/v2.1/catalog/datasets"
HOST_VARIABLE = "ARBITRAGE_ELIA_URL"
"""Environment variable with another base URL, for a mirror or a test."""
TOO_MANY_REQUESTS = 429
_MESSAGE_LENGTH = 300


class FetchFailed(RuntimeError):
    """A request gave no usable response; nothing of it was stored."""


class Unreachable(FetchFailed):
    """No attempt got a usable response from the service."""


class Refused(FetchFailed):
    """The service rejects this request (4xx)."""


class _Transient(Exception):
    """A failure that a retry may overcome."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """Number of attempts, time-outs and waits of a request."""

    tries: int = 6
    connect_s: float = 10.0
    read_s: float = 60.0
    """Longest time without data within a response."""
    whole_s: float = 600.0
    """Longest time for a complete response."""
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    longest_retry_after_s: float = 900.0
    """A longer `Retry-After` means that the quota is used up; the request then fails without a further attempt."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The complete response to an export request."""

    content: bytes
    """JSON, an array of records."""
    records: int
    received_at: pd.Timestamp
    """When the response was complete; its records count as known from then."""


def utc_now() -> pd.Timestamp:
    """The present time in UTC."""
    return pd.Timestamp.now(tz="UTC")


class EliaClient:
    """A client of the service; a context manager.

    now, sleep, monotonic: the clock functions that it uses; tests replace them.
    Raises BadInput if `base_url` is not an HTTP address.
    """

    def __init__(
        self,
        base_url: str = HOST,
        limits: RetryLimits | None = None,
        *,
        now: Callable[[], pd.Timestamp] = utc_now,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_address(base_url)
        self._limits = limits or RetryLimits()
        self._now, self._sleep, self._monotonic = now, sleep, monotonic
        self._http = httpx.Client(
            base_url=base_url.rstrip("/") + BASE_PATH,
            timeout=httpx.Timeout(self._limits.read_s, connect=self._limits.connect_s),
            headers={"Accept": "application/json", "User-Agent": "arbitrage"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def export(self, dataset: Dataset, start: pd.Timestamp, end: pd.Timestamp) -> Answer:
        """All records of a dataset whose time lies in [start, end). Raises Unreachable or Refused."""
        tries = Retrying(
            stop=stop_after_attempt(self._limits.tries),
            wait=self._wait_s,
            retry=retry_if_exception_type(_Transient),
            sleep=self._sleep,
            reraise=True,
        )
        query = {"where": condition(dataset, start, end), "timezone": "UTC"}
        span = f"{dataset.name}, {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
        try:
            return tries(self._ask, f"/{dataset.name}/exports/json", query)
        except _Transient as failure:
            raise Unreachable(f"{span}: gave up after {self._limits.tries} tries: {failure}") from failure
        except FetchFailed as failure:
            raise type(failure)(f"{span}: {failure}") from failure

    def _wait_s(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        if isinstance(failure, _Transient) and failure.wait_s is not None:
            return failure.wait_s
        limits = self._limits
        growing = wait_exponential_jitter(limits.first_wait_s, limits.longest_wait_s, jitter=limits.first_wait_s)
        return growing(state)

    def _ask(self, path: str, query: Mapping[str, str]) -> Answer:
        try:
            with self._http.stream("GET", path, params=query) as response:
                content = self._content(response)
        except httpx.RequestError as error:
            raise _Transient(f"{type(error).__name__}: {error}") from error
        self._check_status(response, content)
        return Answer(content, _record_count(response, content), self._now())

    def _content(self, response: httpx.Response) -> bytes:
        """The body of the response. Raises _Transient if it takes longer than allowed."""
        until = self._monotonic() + self._limits.whole_s
        content = bytearray()
        for part in response.iter_bytes():
            content += part
            if self._monotonic() > until:
                raise _Transient(f"the response was not complete after {self._limits.whole_s:g} s")
        return bytes(content)

    def _check_status(self, response: httpx.Response, content: bytes) -> None:
        status = f"HTTP {response.status_code} {response.reason_phrase}"
        if response.status_code == TOO_MANY_REQUESTS:
            wait_s = self._retry_after_s(response)
            if wait_s is not None and wait_s > self._limits.longest_retry_after_s:
                raise Unreachable(f"{status}: asks to wait {wait_s:.0f} s: {_said(content)}")
            raise _Transient(f"{status}: {_said(content)}", wait_s)
        if response.is_server_error:
            raise _Transient(f"{status}: {_said(content)}", self._retry_after_s(response))
        if not response.is_success:
            raise Refused(f"{status}: {_said(content)}")

    def _retry_after_s(self, response: httpx.Response) -> float | None:
        """Seconds until the time in `Retry-After`, a number or a date; None if it is absent or neither."""
        header = response.headers.get("Retry-After", "").strip()
        if header.isdigit():
            return float(header)
        try:
            until = pd.Timestamp(parsedate_to_datetime(header))
        except ValueError:
            return None
        if until.tzinfo is None:
            return None
        return max(0.0, (until - self._now()).total_seconds())


def _check_address(base_url: str) -> None:
    try:
        address = httpx.URL(base_url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in ("http", "https") or not address.host:
        raise BadInput([Fault("base_url", f"{base_url!r} is not an http or https address")])


def condition(dataset: Dataset, start: pd.Timestamp, end: pd.Timestamp) -> str:
    """The `where` clause for the records in [start, end), with times in UTC."""
    field = dataset.time_field
    span = f'{field} >= "{start:%Y-%m-%dT%H:%M:%S}" AND {field} < "{end:%Y-%m-%dT%H:%M:%S}"'
    return f"{span} AND {dataset.narrowed}" if dataset.narrowed else span


def _record_count(response: httpx.Response, content: bytes) -> int:
    """Number of records in a body. Raises _Transient if it is not a JSON array."""
    content_type = response.headers.get("Content-Type", "no content type")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        message = f"the response ({content_type}, {len(content)} bytes) is not valid JSON: {_said(content)}"
        raise _Transient(message) from error
    if not isinstance(document, list):
        raise _Transient(f"the response ({content_type}) is not an array of records: {_said(content)}")
    return len(document)


def _said(content: bytes) -> str:
    """The error message in a body, or else the beginning of the body."""
    text = content.decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        said = [str(document[key]) for key in ("error_code", "message", "error", "reset_time") if key in document]
        text = ": ".join(said) or text
    text = " ".join(text.split())
    return text[:_MESSAGE_LENGTH] + ("…" if len(text) > _MESSAGE_LENGTH else "") or "no body"
