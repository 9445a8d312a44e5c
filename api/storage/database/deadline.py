"""Until when work on a thread may ask a database: the work stops when its time is over or when it is called off.

Contract: SQLite looks at the deadline of the running thread every few thousand steps, and PostgreSQL stops the
statement by its own clock. Between statements, `check_deadline` looks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, text

from api.storage.database.refusals import ReadTooLong

STEPS = 20_000
"""Of SQLite's machine from one look to the next, about a millisecond."""


class Deadline:
    """The end of the time of one piece of work; may be called off from another thread."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends_s = time.monotonic() + seconds
        self._is_off = False

    def call_off(self) -> None:
        """End the time now: the result is not needed any more."""
        self._is_off = True

    @property
    def left_s(self) -> float:
        """Time that is left; at most zero once it is over."""
        return 0.0 if self._is_off else self._ends_s - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the work has to stop."""
        return self.left_s <= 0.0

    def check(self) -> None:
        """Raise ReadTooLong if the time is over."""
        if self.is_over:
            raise ReadTooLong(
                f"This was not read within {self.seconds:g} s: ask for less (a shorter time, a smaller limit, one "
                "asset), or again when fewer are reading"
            )


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def within(deadline: Deadline) -> Iterator[None]:
    """What this thread asks in the block has to end by the deadline. Raises ReadTooLong."""
    deadline.check()
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


def check_deadline() -> None:
    """Raise ReadTooLong if the time of the work on this thread is over; work without a deadline goes on."""
    deadline = _current.get()
    if deadline is not None:
        deadline.check()


@contextmanager
def imposed_on(connection: Connection) -> Iterator[None]:
    """Statements of the connection end by the deadline of this thread, if it has one. Raises ReadTooLong."""
    deadline = _current.get()
    if deadline is None:
        yield
        return
    deadline.check()
    if connection.dialect.name != "sqlite":
        # A little late, so that the deadline is over when the server says that it is.
        connection.execute(text(f"SET LOCAL statement_timeout = {int(deadline.left_s * 1000) + 20}"))
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(lambda: deadline.is_over, STEPS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)
