"""Connections that cost the service nothing for long: deadlines, and limits in all and by address.

Contract
- The headers of a request, the rest of a body that is not needed, and the reading of an answer each have a deadline;
  between headers and answer the middleware's time for a request holds.
- Where there are as many connections as there may be, a new one takes the place of one that waits: of those that never
  sent a whole request first, and of these the one that has waited longest. A request that is being served is never cut
  off; where all are being served, the new connection is refused with 503.

uvicorn has no deadline for headers and no limit of their size, and it closes a connection only after the caller has
read what was sent.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from dataclasses import dataclass
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.http.rate_limit import neighbourhood
from api.settings import Settings

MOST_HEADER_BYTES = 64 * 1024
OWN_DESCRIPTORS = 112
"""Files that the service keeps for itself: database, logs, listeners, and connections in the act of being accepted."""
MOST_DESCRIPTORS = 65536
SAID_EVERY_S = 10.0
log = structlog.get_logger("api.http.connections")


def raise_descriptor_limit() -> int:
    """Let the process open as many files as it may, and say how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What connections of one process may take."""

    most: int
    most_per_address: int
    header_timeout_s: float
    answer_timeout_s: float

    @property
    def backlog(self) -> int:
        """Connections that may wait to be accepted: so few that the newest cannot end one that was not read yet."""
        return max(4, self.most_per_address // 2)

    @classmethod
    def of(cls, settings: Settings, descriptors: int) -> ConnectionLimits:
        """As set, and within the files that the process may open."""
        most = max(8, min(settings.most_connections, descriptors - OWN_DESCRIPTORS))
        return cls(
            most=most,
            most_per_address=min(settings.most_connections_per_address, most * 3 // 4),
            header_timeout_s=settings.header_timeout_s,
            answer_timeout_s=settings.answer_timeout_s,
        )


class Door:
    """The connections of one process."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._inside: set[GuardedConnection] = set()
        self._by_address: Counter[str] = Counter()
        self._ended, self._refused = 0, 0
        self._say_at_s = 0.0

    def __call__(self, **given: Any) -> GuardedConnection:
        """A connection, as uvicorn makes one."""
        return GuardedConnection(self, **given)

    def enter(self, connection: GuardedConnection) -> bool:
        """Whether there is room for one more, made at the cost of one that waits if need be."""
        address = connection.address
        has_room = self._make_room(address) and self._make_room(None)
        if has_room:
            self._inside.add(connection)
            self._by_address[address] += 1
        else:
            self._refused += 1
        return has_room

    def leave(self, connection: GuardedConnection) -> None:
        """Forget a connection; one that is not inside is no matter."""
        if connection not in self._inside:
            return
        self._inside.discard(connection)
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]

    def _make_room(self, address: str | None) -> bool:
        """Room at an address; None: in all."""
        if address is None:
            count, most = len(self._inside), self.limits.most
        else:
            count, most = self._by_address[address], self.limits.most_per_address
        if count < most:
            return True
        self._say(address)
        waiting = (each for each in self._inside if each.waits and address in (None, each.address))
        last = min(waiting, key=lambda each: (each.was_served, each.since_s), default=None)
        if last is None:
            return False
        self._ended += 1
        self.leave(last)
        last.transport.abort()
        return True

    def _say(self, address: str | None) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._say_at_s:
            self._say_at_s = now_s + SAID_EVERY_S
            log.warning(
                "connections_at_their_limit",
                limit=self.limits.most if address is None else self.limits.most_per_address,
                address=address,
                ended_so_far=self._ended,
                refused_so_far=self._refused,
            )


class GuardedConnection(HttpToolsProtocol):
    """One connection of uvicorn's, with deadlines."""

    def __init__(self, door: Door, **given: Any) -> None:
        super().__init__(**given)
        self._door = door
        self._deadline: asyncio.TimerHandle | None = None
        self._answer_deadline: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._in_body = False
        self.address = ""
        self.since_s = 0.0
        """Since when it waits, on the loop's clock."""
        self.was_served = False

    @property
    def is_served(self) -> bool:
        """Whether a request is between its headers and its answer."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def waits(self) -> bool:
        """Whether it can be ended with no harm: no whole request is being served."""
        return not self.is_served or (self._in_body and not self.pipeline)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it in, or refuse it."""
        super().connection_made(transport)
        self.address = neighbourhood(self.client[0]) if self.client else ""
        self.since_s = self.loop.time()
        if self._door.enter(self):
            self._expect()
        else:
            self._dismiss(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._door.leave(self)
        for timer in (self._deadline, self._answer_deadline):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the deadline with the first byte after an answer, and bound the headers."""
        if self.transport.is_closing():
            return
        self._watch_answer()
        if not self.is_served:
            self._expect()
            self._header_bytes += 0 if self._in_body else len(data)
        super().data_received(data)
        if self._header_bytes > MOST_HEADER_BYTES and not self.transport.is_closing():
            self._dismiss(431)

    def on_headers_complete(self) -> None:
        """The request is served from here on."""
        self._header_bytes, self._in_body = 0, True
        self._expect_nothing()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The whole request is there."""
        super().on_message_complete()
        self._in_body = False

    def on_response_complete(self) -> None:
        """From here on it waits, for the caller to read and to ask again."""
        super().on_response_complete()
        self.was_served, self.since_s = True, self.loop.time()
        self._watch_answer()

    def pause_writing(self) -> None:
        """The caller reads more slowly than the service answers."""
        super().pause_writing()
        self._watch_answer()

    def _expect(self) -> None:
        """Headers, or the rest of a body, from now on."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._door.limits.header_timeout_s, self._dismiss, 408)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _watch_answer(self) -> None:
        """A deadline for the caller to read what was sent; none where it has."""
        if self.transport.get_write_buffer_size():
            if self._answer_deadline is None:
                self._answer_deadline = self.loop.call_later(self._door.limits.answer_timeout_s, self._give_up_answer)
        elif self._answer_deadline is not None:
            self._answer_deadline.cancel()
            self._answer_deadline = None

    def _give_up_answer(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        self._answer_deadline = None

    def _dismiss(self, status: int) -> None:
        """Say why, unless an answer is under way, and close."""
        self._expect_nothing()
        if self.transport.is_closing():
            return
        if not self.was_served and not self.is_served:
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()
