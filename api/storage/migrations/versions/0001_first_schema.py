"""The first schema: decisions, assets, overrides, jobs and prices."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables. Times are microseconds since 1970-01-01T00:00Z."""
    _decisions()
    _assets()
    _jobs()
    op.create_table(
        "prices",
        _required("quarter_hour", sa.BigInteger()),
        _required("stage", sa.String()),
        _required("price_eur_mwh", sa.Double()),
        _required("known_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("quarter_hour", "stage", name="pk_prices"),
    )


def _decisions() -> None:
    op.create_table(
        "decisions",
        _counted(),
        *(_required(name, sa.String()) for name in ("decision_id", "asset_id", "role")),
        _required("generated_at", sa.BigInteger()),
        sa.Column("data_as_of", sa.BigInteger()),
        _required("valid_from", sa.BigInteger()),
        _required("valid_until", sa.BigInteger()),
        _required("action", sa.String()),
        _required("power_mw", sa.Double()),
        _required("fallback_level", sa.Integer()),
        _required("mode", sa.String()),
        sa.Column("policy_id", sa.String()),
        sa.Column("policy_sha256", sa.String()),
        sa.Column("price_seen_eur_mwh", sa.Double()),
        _required("principal", sa.String()),
        _required("request_sha256", sa.String()),
        sa.Column("idempotency_key", sa.String()),
        _required("answer", sa.Text()),
        sa.PrimaryKeyConstraint("sequence", name="pk_decisions"),
        sa.UniqueConstraint("decision_id", name="uq_decisions_decision_id"),
        sa.UniqueConstraint("principal", "idempotency_key", name="uq_decisions_principal_idempotency_key"),
    )
    _index("decisions", "generated_at", "sequence")
    _index("decisions", "asset_id", "generated_at", "sequence")
    _index("decisions", "asset_id", "valid_from")


def _assets() -> None:
    op.create_table(
        "assets",
        _required("asset_id", sa.String()),
        _required("version", sa.Integer()),
        _required("battery", sa.Text()),
        sa.Column("policy_id", sa.String()),
        _required("soc_mwh", sa.Double()),
        _required("cycles_used", sa.Double()),
        _required("cycle_day", sa.String()),
        _required("power_mw", sa.Double()),
        _required("state_as_of", sa.BigInteger()),
        _required("changed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("asset_id", name="pk_assets"),
    )
    op.create_table(
        "overrides",
        _counted(),
        _required("asset_id", sa.String()),
        _required("kind", sa.String()),
        sa.Column("power_mw", sa.Double()),
        _required("set_at", sa.BigInteger()),
        _required("until", sa.BigInteger()),
        _required("principal", sa.String()),
        _required("reason", sa.Text()),
        sa.PrimaryKeyConstraint("sequence", name="pk_overrides"),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.asset_id"], name="fk_overrides_asset_id"),
    )
    _index("overrides", "asset_id", "sequence")


def _jobs() -> None:
    op.create_table(
        "jobs",
        _counted(),
        _required("job_id", sa.String()),
        _required("principal", sa.String()),
        _required("request", sa.Text()),
        _required("status", sa.String()),
        _required("progress_fraction", sa.Double()),
        sa.Column("worker", sa.String()),
        _required("queued_at", sa.BigInteger()),
        *(sa.Column(name, sa.BigInteger()) for name in ("started_at", "heartbeat_at", "ended_at")),
        *(sa.Column(name, sa.Text()) for name in ("result", "report_path", "failure")),
        sa.PrimaryKeyConstraint("sequence", name="pk_jobs"),
        sa.UniqueConstraint("job_id", name="uq_jobs_job_id"),
    )
    _index("jobs", "status", "sequence")


def _counted() -> sa.Column[int]:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("sequence", number, autoincrement=True, nullable=False)


def _required(name: str, kind: TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))
