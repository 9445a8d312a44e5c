"""What every request passes through before and after its route: admission, size and time; headers and figures.

Contract
- A request is refused as early as it can be: who asks before what is asked, its size before its content.
- Whatever goes wrong behind the middleware, the answer is a problem document; what went wrong stands in the log alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

import structlog

from api.http.admission import CALLER, OPEN_FOLDER, READING, Admission, Scope
from api.http.problems import Problem, outcome_open
from api.metrics import Metrics
from api.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAY_BE_WRITTEN = "may_be_written"
"""Where a request's scope says whether something may be written down by now."""
_SECURE_HEADERS = tuple(
    (name.encode(), value.encode())
    for name, value in {
        "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "geolocation=(), camera=(), microphone=()",
    }.items()
)
_TOO_LONG = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "It took too long.", headers={"Retry-After": "1"})
_BODY_LATE = Problem(HTTPStatus.REQUEST_TIMEOUT, "The body did not come in time.", headers={"Connection": "close"})
_WENT_WRONG = Problem(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "Something went wrong here, not with the request.",
    headers={"Retry-After": "1"},
)
_NO_STORE = (b"cache-control", b"no-store")
_LEVEL = logging.getLogger("api.http.middleware")
"""Says whether it is worth while to put a line together."""
log = structlog.get_logger("api.http.middleware")


class RequestMiddleware:
    """The outermost layer of the service."""

    def __init__(self, app: App, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._admission = Admission(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; anything else (start and stop) passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Passage(self._app, self._metrics, self._settings.request_timeout_s).serve(
            scope, receive, send, self._admit
        )

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        """Let a request in, with its body read. Raises Problem."""
        await self._admission.check(scope)
        if scope["method"] in READING:
            return receive
        whole = await _read_whole(scope, receive, self._settings.most_body_bytes)
        scope[MAY_BE_WRITTEN] = True
        return whole


class _Passage:
    """One request on its way through."""

    def __init__(self, app: App, metrics: Metrics, timeout_s: float) -> None:
        self._app = app
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._status = 0

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, admit: Callable[[Scope, Receive], Awaitable[Receive]]
    ) -> None:
        began_s = time.perf_counter()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_SECURE_HEADERS, *_caching(scope)]
            await send(message)

        try:
            async with asyncio.timeout(self._timeout_s):
                admitted = await admit(scope, receive)
                await self._app(scope, admitted, answer)
        except Problem as problem:
            await problem.response(scope["path"])(scope, receive, answer)
        except TimeoutError:
            is_open = scope.get(MAY_BE_WRITTEN, False)
            log.warning(
                "timed_out", method=scope["method"], path=scope["path"], limit_s=self._timeout_s, outcome_open=is_open
            )
            await self._give_up(scope, receive, answer, outcome_open() if is_open else _late(scope))
        except Exception:
            log.exception("failed", method=scope["method"], path=scope["path"])
            await self._give_up(scope, receive, answer, _WENT_WRONG)
        self._book(scope, time.perf_counter() - began_s)

    async def _give_up(self, scope: Scope, receive: Receive, answer: Send, problem: Problem) -> None:
        if self._status == 0:
            await problem.response(scope["path"])(scope, receive, answer)

    def _book(self, scope: Scope, took_s: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.answered(scope["method"], route, self._status, took_s)
        if self._status < HTTPStatus.BAD_REQUEST and not _LEVEL.isEnabledFor(logging.DEBUG):
            return
        write = log.warning if self._status >= HTTPStatus.BAD_REQUEST else log.debug
        caller = scope[CALLER].name if CALLER in scope else None
        write("answered", method=scope["method"], path=scope["path"], status=self._status, key=caller, took_s=took_s)


def _late(scope: Scope) -> Problem:
    """What to answer where nothing was begun: whether something may be written is known once the body is there."""
    return _TOO_LONG if scope["method"] in READING or MAY_BE_WRITTEN in scope else _BODY_LATE


def _caching(scope: Scope) -> tuple[tuple[bytes, bytes], ...]:
    return () if scope["path"].startswith(OPEN_FOLDER) else (_NO_STORE,)


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)


async def _read_whole(scope: Scope, receive: Receive, most_bytes: int) -> Receive:
    """The body as one message. Raises Problem where it is larger than it may be."""
    declared = _header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > most_bytes:
        raise _too_large(most_bytes)
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        piece = message.get("body", b"")
        size += len(piece)
        if size > most_bytes:
            raise _too_large(most_bytes)
        pieces.append(piece)
        more = message.get("more_body", False)
    whole: list[Message] = [{"type": "http.request", "body": b"".join(pieces), "more_body": False}]

    async def given() -> Message:
        return whole.pop() if whole else await receive()

    return given


def _too_large(most_bytes: int) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body may have {most_bytes} bytes.")
