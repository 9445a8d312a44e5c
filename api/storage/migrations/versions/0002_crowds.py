"""Indexes for every filter of the log, and who has a challenger, for logs of millions and assets by the thousand."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes, and the challenger of each asset beside its specification, which names it too."""
    op.drop_index("ix_decisions_asset_id_generated_at_sequence", "decisions")
    for columns in (
        ("asset_id", "role"),
        ("role",),
        ("role", "mode"),
        ("role", "action"),
        ("policy_sha256", "role"),
    ):
        named = (*columns, "generated_at", "sequence")
        op.create_index(f"ix_decisions_{'_'.join(named)}", "decisions", list(named))
    for level in (1, 2, 3):
        few = sa.text(f"fallback_level >= {level}")
        name, order = f"ix_decisions_fallback_level_{level}", ["role", "generated_at", "sequence"]
        op.create_index(name, "decisions", order, sqlite_where=few, postgresql_where=few)
    op.add_column("assets", sa.Column("challenger_policy_id", sa.String()))
    op.create_index("ix_assets_challenger_policy_id", "assets", ["challenger_policy_id"])
    _note_challengers()


def _note_challengers() -> None:
    assets = sa.table("assets", *(sa.column(name) for name in ("asset_id", "battery", "challenger_policy_id")))
    connection = op.get_bind()
    for asset_id, battery in connection.execute(sa.select(assets.c.asset_id, assets.c.battery)).all():
        spec = json.loads(battery).get("spec")
        challenger = None if spec is None else json.loads(spec).get("challenger_policy_id")
        if challenger is not None:
            same = sa.update(assets).where(assets.c.asset_id == asset_id)
            connection.execute(same.values(challenger_policy_id=challenger))
