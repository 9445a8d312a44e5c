"""Asking Elia's open-data service (Opendatasoft Explore v2.1) for the records of a dataset.

Contract
- An answer is whole and valid JSON or it is none. What may pass (no connection, time-outs, 429, 5xx, a body cut off or
  of another form) is tried again after a growing, jittered wait, or after what `Retry-After` asks for; what will not
  pass (4xx) is not.
- Exports are asked for, never pages: pages end at 10,000 records.

Verified against a local double of the service only (`tests/market/fetch/elia_server.py`), which follows the
documentation of the API; the service itself could not be reached. Its grammar of `where` and the field names of the
price sets are those of genuine requests and answers.
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
    """Nothing usable came of a request, and nothing of it was kept."""


class Unreachable(FetchFailed):
    """The service did not answer, or not usably, however often it was asked."""


class Refused(FetchFailed):
    """The service refuses this very request."""


class _Passing(Exception):
    """A failure that the next try may not meet."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what."""

    tries: int = 6
    connect_s: float = 10.0
    read_s: float = 60.0
    """Longest silence within an answer."""
    whole_s: float = 600.0
    """Longest time for a whole answer."""
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    longest_retry_after_s: float = 900.0
    """A service that asks for a longer wait than this has used up its quota for us: give up and say so."""


@dataclass(frozen=True, slots=True)
class Answer:
    """All records of a request."""

    content: bytes
    """JSON, an array of records."""
    records: int
    received_at: pd.Timestamp
    """When the answer was complete; none of it was known before."""


def utc_now() -> pd.Timestamp:
    """The present moment."""
    return pd.Timestamp.now(tz="UTC")


class EliaClient:
    """A connection to the service; a context manager.

    now, sleep and monotonic are the clocks it goes by.
    Raises BadInput if `base_url` is no HTTP address.
    """

    def __init__(
        self,
        base_url: str = HOST,
        patience: Patience | None = None,
        *,
        now: Callable[[], pd.Timestamp] = utc_now,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_address(base_url)
        self._patience = patience or Patience()
        self._now, self._sleep, self._monotonic = now, sleep, monotonic
        self._http = httpx.Client(
            base_url=base_url.rstrip("/") + BASE_PATH,
            timeout=httpx.Timeout(self._patience.read_s, connect=self._patience.connect_s),
            headers={"Accept": "application/json", "User-Agent": "arbitrage"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def export(self, dataset: Dataset, start: pd.Timestamp, end: pd.Timestamp) -> Answer:
        """All records of a dataset whose time lies in [start, end). Raises Unreachable or Refused."""
        tries = Retrying(
            stop=stop_after_attempt(self._patience.tries),
            wait=self._wait_s,
            retry=retry_if_exception_type(_Passing),
            sleep=self._sleep,
            reraise=True,
        )
        query = {"where": condition(dataset, start, end), "timezone": "UTC"}
        span = f"{dataset.name}, {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
        try:
            return tries(self._ask, f"/{dataset.name}/exports/json", query)
        except _Passing as failure:
            raise Unreachable(f"{span}: gave up after {self._patience.tries} tries: {failure}") from failure
        except FetchFailed as failure:
            raise type(failure)(f"{span}: {failure}") from failure

    def _wait_s(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        if isinstance(failure, _Passing) and failure.wait_s is not None:
            return failure.wait_s
        patience = self._patience
        growing = wait_exponential_jitter(patience.first_wait_s, patience.longest_wait_s, jitter=patience.first_wait_s)
        return growing(state)

    def _ask(self, path: str, query: Mapping[str, str]) -> Answer:
        try:
            with self._http.stream("GET", path, params=query) as response:
                content = self._content(response)
        except httpx.RequestError as error:
            raise _Passing(f"{type(error).__name__}: {error}") from error
        self._check_status(response, content)
        return Answer(content, _record_count(response, content), self._now())

    def _content(self, response: httpx.Response) -> bytes:
        """The body, within the time allowed for it."""
        until = self._monotonic() + self._patience.whole_s
        content = bytearray()
        for part in response.iter_bytes():
            content += part
            if self._monotonic() > until:
                raise _Passing(f"the answer was not complete after {self._patience.whole_s:g} s")
        return bytes(content)

    def _check_status(self, response: httpx.Response, content: bytes) -> None:
        status = f"HTTP {response.status_code} {response.reason_phrase}"
        if response.status_code == TOO_MANY_REQUESTS:
            wait_s = self._retry_after_s(response)
            if wait_s is not None and wait_s > self._patience.longest_retry_after_s:
                raise Unreachable(f"{status}: asks to wait {wait_s:.0f} s: {_said(content)}")
            raise _Passing(f"{status}: {_said(content)}", wait_s)
        if response.is_server_error:
            raise _Passing(f"{status}: {_said(content)}", self._retry_after_s(response))
        if not response.is_success:
            raise Refused(f"{status}: {_said(content)}")

    def _retry_after_s(self, response: httpx.Response) -> float | None:
        """What `Retry-After` asks for, seconds or a date; None without it, or if it is neither."""
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
    """The `where` of the records in [start, end), its times in UTC."""
    field = dataset.time_field
    span = f'{field} >= "{start:%Y-%m-%dT%H:%M:%S}" AND {field} < "{end:%Y-%m-%dT%H:%M:%S}"'
    return f"{span} AND {dataset.narrowed}" if dataset.narrowed else span


def _record_count(response: httpx.Response, content: bytes) -> int:
    """How many records a body holds. Raises _Passing if it is not a JSON array."""
    sort = response.headers.get("Content-Type", "no content type")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _Passing(f"the answer ({sort}, {len(content)} bytes) is not valid JSON: {_said(content)}") from error
    if not isinstance(document, list):
        raise _Passing(f"the answer ({sort}) is not an array of records: {_said(content)}")
    return len(document)


def _said(content: bytes) -> str:
    """What a body says for itself: the service's own message, or its beginning."""
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
