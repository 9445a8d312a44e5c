"""The file of a SQLite database: whether it is still the one that was opened, and how much more may be written.

A file that was deleted can be written by anyone who has it open, and all of it is gone when it is closed. So writers
look at the name before and after they write.
"""

from __future__ import annotations

import os
from pathlib import Path

LEAST_FREE_BYTES = 32 * 1024 * 1024
"""SQLite's log takes up to half of it before it is carried over into the file."""


class DatabaseFile:
    """A file by its absolute path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity: tuple[int, int] | None = None

    @property
    def is_known(self) -> bool:
        """Whether a database was opened here: from then on none is made in its place."""
        return self._identity is not None

    @property
    def is_there(self) -> bool:
        """Whether there is a file of this name."""
        return self._found() is not None

    def remember(self) -> None:
        """The file that is there now is the database."""
        self._identity = self._found()

    def fault(self) -> str | None:
        """Why what is written would be lost; None if it would not."""
        if self._identity is None:
            return None
        found = self._found()
        if found is None:
            return f"the database file {self.path} was deleted or moved: put it back"
        if found != self._identity:
            return f"another file lies in the place of the database {self.path}"
        return None

    def free_bytes(self) -> int:
        """Space that is left on its disk. Raises OSError."""
        found = os.statvfs(self.path.parent)
        return found.f_bavail * found.f_frsize

    def _found(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino
