"""Finding out whether the next decision can be written, by writing where there is a doubt.

Contract
- A database that failed is fit again once a write goes through; one that was found damaged, once all of it was looked
  through. So the service recovers by itself, anyone who asks it or not.
- A file that takes the place of a deleted one is taken up if it holds a database of this program. None is made.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api.storage.database.database import Database
from api.storage.database.file import LEAST_FREE_BYTES, DatabaseFile
from api.storage.database.refusals import StorageUnavailable
from api.storage.database.schema import VERSION_TABLE, schema_revision

WRITE_EVERY_S = 10.0
"""How old the last write may be that the next one is expected to go through."""
LEAST_LOOK_EVERY_S = 5.0
"""From one look through a damaged database to the next; more where a look takes long."""
_LOOKS = 10.0
"""A look takes at most one part in so many of the time."""


@dataclass(slots=True)
class Prober:
    """Asks one database, from one thread at a time."""

    database: Database
    _look_again_s: float = 0.0

    def probe(self) -> None:
        """Raise StorageRefusal with the reason if the next decision could not be written."""
        file, health = self.database.file, self.database.health
        if file is not None:
            take_up(self.database)
            _check_space(file)
        if health.damage is not None:
            self._look_through()
        if health.failure is not None or time.monotonic() - health.written_s > WRITE_EVERY_S:
            with self.database.writing() as connection:
                connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = version_num"))
        else:
            with self.database.reading() as connection:
                schema_revision(connection)

    def _look_through(self) -> None:
        """Look for damage everywhere. Raises StorageUnavailable while there is any."""
        health, began_s = self.database.health, time.monotonic()
        if began_s >= self._look_again_s and self.database.dialect == "sqlite":
            self.database.engine.dispose()  # what connections remember of the file is not what is in it
            try:
                with self.database.reading() as connection:
                    found = str(connection.execute(text("PRAGMA quick_check(1)")).scalar_one())
            finally:
                took_s = time.monotonic() - began_s
                self._look_again_s = time.monotonic() + max(LEAST_LOOK_EVERY_S, _LOOKS * took_s)
            if found == "ok":
                health.mended()
                return
        raise StorageUnavailable(f"the database is damaged ({health.damage}): put a backup in its place")


def take_up(database: Database) -> None:
    """Go on with the file that took the place of the database's, if it is one. Raises StorageUnavailable."""
    file = database.file
    fault = None if file is None else file.fault()
    if file is None or fault is None:
        return
    database.engine.dispose()  # or its log would stay and be taken for that of the new file
    if not file.is_there or not _is_ours(database):
        raise StorageUnavailable(fault)
    database.migrate()
    database.health.mended()


def _is_ours(database: Database) -> bool:
    try:
        with database.engine.connect() as connection:
            return schema_revision(connection) is not None
    except DBAPIError:
        return False


def _check_space(file: DatabaseFile) -> None:
    free_bytes = file.free_bytes()
    if free_bytes < LEAST_FREE_BYTES:
        free_mib, least_mib = free_bytes // 2**20, LEAST_FREE_BYTES // 2**20
        raise StorageUnavailable(
            f"{free_mib} MiB are free on the disk of {file.path}, and {least_mib} MiB are needed: make room"
        )
