"""Who may ask what, and how often.

Contract
- Who asks is looked at before what is asked; a right key passes, however many wrong ones come from its address.
- A caller without a key gets short answers: nothing of the request is repeated at length.
"""

from __future__ import annotations

import time
from asyncio import sleep
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

from api.http.allowed_hosts import Sites
from api.http.problems import Problem
from api.http.rate_limit import RateLimiter, neighbourhood, retry_after
from api.http.security import ANONYMOUS, ApiKey, KeyRing, Role, shown_keys
from api.settings import Authentication, Settings

Scope = MutableMapping[str, Any]
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/v1/version", "/openapi.json"})
"""Read without a key: nothing there is secret."""
OPEN_FOLDER = "/page/"
READING = ("GET", "HEAD", "OPTIONS")
CALLER = "caller"
"""Where a request's scope keeps the key that it shows; absent where it shows none that is right."""
KEYS_FAULT = "keys_fault"
"""Where a request's scope says why the keys file as it stands is not used."""
MOST_HELD = 32
"""Answers to wrong keys that are held back at once; those beyond are given at once, so that they hold no connection."""
MOST_OPEN_QUERY_BYTES = 64


class Admission:
    """What a request is checked for before its body is read."""

    def __init__(self, settings: Settings) -> None:
        self._is_open = settings.authentication is Authentication.OFF
        self._ring = KeyRing(settings.keys, settings.keys_file)
        self._sites = Sites(settings)
        self._requests = RateLimiter(settings.requests_per_s, settings.burst)
        wrong_burst = max(1, int(settings.wrong_keys_per_min))
        self._wrong = RateLimiter(settings.wrong_keys_per_min / 60.0, wrong_burst, "wrong keys")
        self._delay_s = settings.wrong_key_delay_s
        self._held = 0

    async def check(self, scope: Scope) -> None:
        """Let a request pass, with its caller noted in its scope. Raises Problem."""
        path, reads = scope["path"], scope["method"] in READING
        self._sites.check(scope["headers"], changes=not reads)
        is_public = reads and (path in OPEN_PATHS or path.startswith(OPEN_FOLDER))
        key = self._caller(scope)
        self._check_rate(scope, key, is_public=is_public)
        if key is None:
            await self._check_stranger(scope, is_public=is_public)
        elif key.role is Role.READER and not reads:
            raise Problem(HTTPStatus.FORBIDDEN, f"The key {key.name} may read and nothing else.")

    def _caller(self, scope: Scope) -> ApiKey | None:
        if self._is_open:
            key: ApiKey | None = ANONYMOUS
        else:
            self._ring.refresh()
            key = self._ring.owner(scope["headers"])
        if key is not None:
            scope[CALLER] = key
            scope[KEYS_FAULT] = self._ring.fault
        return key

    def _check_rate(self, scope: Scope, key: ApiKey | None, *, is_public: bool) -> None:
        is_named = key is not None and not self._is_open
        # What is open to all is counted apart: probes are answered beside a client that asks too often.
        name = f"key {key.name}" if key is not None and is_named else f"{'open ' * is_public}{_address(scope)}"
        wait_s = self._requests.wait_s(name, time.monotonic())
        if wait_s > 0.0:
            said = f"This {'key' if is_named else 'address'} asks too often."
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, said, headers=retry_after(wait_s))

    async def _check_stranger(self, scope: Scope, *, is_public: bool) -> None:
        if not is_public:
            if shown_keys(scope["headers"]):
                await self._slow_down(_address(scope))
            raise _no_key()
        query = scope["query_string"]
        if len(query) > MOST_OPEN_QUERY_BYTES or b"&" in query:
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                f"Without a key there is one parameter of at most {MOST_OPEN_QUERY_BYTES} characters.",
            )

    async def _slow_down(self, address: str) -> None:
        """Hold back the answer to a wrong key. Raises Problem where too many came from the address."""
        wait_s = self._wrong.wait_s(address, time.monotonic())
        if wait_s > 0.0:
            said = "Too many wrong keys came from this address."
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, said, headers=retry_after(wait_s))
        if self._held >= MOST_HELD:
            return
        self._held += 1
        try:
            await sleep(self._delay_s)
        finally:
            self._held -= 1


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return neighbourhood(client[0]) if client else ""


def _no_key() -> Problem:
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "Show one valid key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
        headers={"WWW-Authenticate": "Bearer"},
    )
