"""Run by Alembic: applies the migrations on the connection that `api.storage.database.schema` hands over."""

from __future__ import annotations

from alembic import context

from api.storage.database.schema import VERSION_TABLE
from api.storage.database.tables import Tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Tables.metadata,
    version_table=VERSION_TABLE,
    # The caller's transaction covers all migrations, in SQLite too: a killed start leaves no half-made schema.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
