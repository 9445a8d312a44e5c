"""The schema of a database: made, brought up to date, or refused.

Contract: one transaction, and one process at a time, makes of an empty or older database one that this version knows. A
database of a newer version or of another program is left as it is. A start with nothing to do loads no Alembic.
"""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from api.storage.database.refusals import DatabaseRefused

MIGRATIONS = Path(__file__).parents[1] / "migrations"
VERSION_TABLE = "arbitrage_schema"
LATEST = "0002"
"""The revision that the newest migration makes."""
_LOCK = 0x6172626974726167
"""Names PostgreSQL's advisory lock held while migrating: `arbitrag` in ASCII."""
_LONGEST_WAIT_S = 60
"""For another process that migrates in PostgreSQL."""


def migrate(connection: Connection) -> None:
    """Bring the schema up to date inside the connection's transaction, which must be one that may write.

    Raises DatabaseRefused for the schema of a newer version, and for tables of another program.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LONGEST_WAIT_S}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = schema_revision(connection)
    if found != LATEST:
        _upgrade(connection, found)


def schema_revision(connection: Connection) -> str | None:
    """The revision that the database's schema has; None without one."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()


def _upgrade(connection: Connection, found: str | None) -> None:
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # lists its own parts, on every start
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    if found is None:
        _refuse_foreign_tables(connection)
    elif found not in {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}:
        raise DatabaseRefused(
            f"the database has schema {found!r}, which this version does not know: a newer version made it. "
            "Use that version, or another database"
        )
    command.upgrade(config, LATEST)


def _refuse_foreign_tables(connection: Connection) -> None:
    tables = sorted(inspect(connection).get_table_names())
    if tables:
        raise DatabaseRefused(
            f"the database holds tables of something else ({', '.join(tables[:5])}{', …' if tables[5:] else ''}); "
            "give one that is empty, or in PostgreSQL an empty schema through ?options=-csearch_path%3DNAME"
        )
