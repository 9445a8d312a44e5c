"""Run by Alembic: applies the migrations on the connection that `api.storage.schema` hands over."""

from __future__ import annotations

from alembic import context

from api.storage.schema import VERSION_TABLE
from api.storage.tables import Tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Tables.metadata,
    version_table=VERSION_TABLE,
    # The caller's transaction covers all migrations, in SQLite too: a killed start leaves no half-made schema.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
