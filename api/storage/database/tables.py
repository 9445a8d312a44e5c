"""The tables, as typed classes. What a database on disk looks like is decided by the migrations; a test compares both.

Contract: rows are written by the stores only, with statements of their own; no session tracks them.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, Index, MetaData, String, Text, TextClause, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from api.storage.database.columns import FiniteDouble, Sequence, UtcTime

FALLBACK_LEVELS = (1, 2, 3)
"""Levels with an index of the decisions at or above them."""


def _at_or_above(level: int) -> TextClause:
    """The condition of such an index; a query must repeat it with the number in its text for the index to be used."""
    return text(f"fallback_level >= {int(level)}")


class Tables(DeclarativeBase):
    """All tables; names of constraints follow from those of their columns, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map = {dt.datetime: UtcTime, float: FiniteDouble, str: String}  # noqa: RUF012 (SQLAlchemy's way)


class DecisionRow(Tables):
    """One answered decision, or what a challenger would have answered. Never changed once written."""

    __tablename__ = "decisions"
    __table_args__ = (
        UniqueConstraint("principal", "idempotency_key"),
        Index(None, "generated_at", "sequence"),
        Index(None, "asset_id", "role", "generated_at", "sequence"),
        Index(None, "role", "generated_at", "sequence"),
        Index(None, "role", "mode", "generated_at", "sequence"),
        Index(None, "role", "action", "generated_at", "sequence"),
        Index(None, "policy_sha256", "role", "generated_at", "sequence"),
        *(
            Index(
                f"ix_decisions_fallback_level_{level}",
                *("role", "generated_at", "sequence"),
                sqlite_where=_at_or_above(level),
                postgresql_where=_at_or_above(level),
            )
            for level in FALLBACK_LEVELS
        ),
        Index(None, "asset_id", "valid_from"),
    )

    sequence: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=True)
    decision_id: Mapped[str] = mapped_column(unique=True)
    asset_id: Mapped[str]
    role: Mapped[str]
    generated_at: Mapped[dt.datetime]
    data_as_of: Mapped[dt.datetime | None]
    valid_from: Mapped[dt.datetime]
    valid_until: Mapped[dt.datetime]
    action: Mapped[str]
    power_mw: Mapped[float]
    fallback_level: Mapped[int]
    mode: Mapped[str]
    policy_id: Mapped[str | None]
    policy_sha256: Mapped[str | None]
    price_seen_eur_mwh: Mapped[float | None]
    principal: Mapped[str]
    request_sha256: Mapped[str]
    idempotency_key: Mapped[str | None]
    answer: Mapped[str] = mapped_column(Text)


class AssetRow(Tables):
    """A battery in the service's care, and the state that it was last known in."""

    __tablename__ = "assets"
    __table_args__ = (Index(None, "challenger_policy_id"),)

    asset_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    battery: Mapped[str] = mapped_column(Text)
    policy_id: Mapped[str | None]
    challenger_policy_id: Mapped[str | None]
    soc_mwh: Mapped[float]
    cycles_used: Mapped[float]
    cycle_day: Mapped[str]
    power_mw: Mapped[float]
    state_as_of: Mapped[dt.datetime]
    changed_at: Mapped[dt.datetime]


class OverrideRow(Tables):
    """An order of a person about an asset; the newest one of an asset counts. Never changed once written."""

    __tablename__ = "overrides"
    __table_args__ = (Index(None, "asset_id", "sequence"),)

    sequence: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=True)
    asset_id: Mapped[str] = mapped_column(ForeignKey("assets.asset_id"))
    kind: Mapped[str]
    power_mw: Mapped[float | None]
    set_at: Mapped[dt.datetime]
    until: Mapped[dt.datetime]
    principal: Mapped[str]
    reason: Mapped[str] = mapped_column(Text)


class JobRow(Tables):
    """A backtest that was asked for."""

    __tablename__ = "jobs"
    __table_args__ = (Index(None, "status", "sequence"),)

    sequence: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(unique=True)
    principal: Mapped[str]
    request: Mapped[str] = mapped_column(Text)
    status: Mapped[str]
    progress_fraction: Mapped[float]
    worker: Mapped[str | None]
    queued_at: Mapped[dt.datetime]
    started_at: Mapped[dt.datetime | None]
    heartbeat_at: Mapped[dt.datetime | None]
    ended_at: Mapped[dt.datetime | None]
    result: Mapped[str | None] = mapped_column(Text)
    report_path: Mapped[str | None] = mapped_column(Text)
    failure: Mapped[str | None] = mapped_column(Text)


class PriceRow(Tables):
    """The imbalance price of a quarter-hour at one stage, the newest that is known."""

    __tablename__ = "prices"

    quarter_hour: Mapped[dt.datetime] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    price_eur_mwh: Mapped[float]
    known_at: Mapped[dt.datetime]
