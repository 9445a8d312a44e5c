"""What the last work of a database came to: whether the next decision can be written rests on it."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class Health:
    """Outcomes of one process' own work; any thread may note one, and each is one assignment."""

    failure: str | None = None
    """Why the last work failed; None if it did not."""
    damage: str | None = None
    """What was found damaged. Stays until the whole database was looked through, or another one took its place."""
    failures: int = 0
    written_s: float = -float("inf")
    """When something was written last, by the steady clock."""

    def wrote(self) -> None:
        """A transaction was committed."""
        self.written_s = time.monotonic()
        self.failure = None

    def failed(self, reason: str, *, is_damage: bool) -> None:
        """The database did not do its work."""
        self.failures += 1
        self.failure = reason
        if is_damage:
            self.damage = reason

    def mended(self) -> None:
        """The database is whole, or another one."""
        self.failure = self.damage = None
