"""Imbalance prices as they become known, and the decisions that they settle.

Contract: of each quarter-hour the newest price of each stage is kept, with the time from which it was known. Of two
that differ the one known later counts, in whatever order they come, and of two known at one time the one that came
last. A price that is only repeated changes nothing, and writes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

from sqlalchemy import BigInteger, ColumnElement, and_, func, select, type_coerce
from sqlalchemy.orm import InstrumentedAttribute

from api.storage.database.columns import EPOCH, MICROSECOND, utc_time
from api.storage.database.database import Database
from api.storage.database.tables import DecisionRow, PriceRow
from api.storage.decision_record import LINK_COLUMNS, LONGEST_VALIDITY, ChainLink, Role

QUARTER_HOUR = dt.timedelta(minutes=15)
_QUARTER_HOUR_US = QUARTER_HOUR // MICROSECOND


class PriceStage(StrEnum):
    """How final a price is."""

    NEAR_REAL_TIME = "near_real_time"
    VALIDATED = "validated"


@dataclass(frozen=True, slots=True)
class KnownPrice:
    """The imbalance price of a quarter-hour, as it was known from some time on."""

    quarter_hour: dt.datetime
    stage: PriceStage
    price_eur_mwh: float
    known_at: dt.datetime

    def __post_init__(self) -> None:
        if quarter_hour_of(self.quarter_hour) != self.quarter_hour:
            raise ValueError(f"{self.quarter_hour.isoformat()} is not the start of a quarter-hour")


def quarter_hour_of(time: dt.datetime) -> dt.datetime:
    """The start of the quarter-hour that a time lies in."""
    return time - (time - EPOCH) % QUARTER_HOUR


class PriceLedger:
    """Keeps prices; says which are missing and what decisions they settle."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, prices: Iterable[KnownPrice]) -> int:
        """Keep prices that are new or differ from what is there, unless that is newer; returns how many were."""
        known = sorted(prices, key=lambda price: (price.quarter_hour, price.stage, price.known_at))
        if not known:
            return 0
        there = self.prices(known[0].quarter_hour, known[-1].quarter_hour + QUARTER_HOUR)
        rows = [asdict(price) for price in known if there.get((price.quarter_hour, price.stage)) != price.price_eur_mwh]
        if not rows:
            return 0
        insert = self._database.insert(PriceRow)
        new = insert.excluded
        upsert = insert.on_conflict_do_update(
            index_elements=["quarter_hour", "stage"],
            set_={"price_eur_mwh": new.price_eur_mwh, "known_at": new.known_at},
            where=and_(PriceRow.known_at <= new.known_at, PriceRow.price_eur_mwh != new.price_eur_mwh),
        )
        with self._database.writing() as connection:
            return connection.execute(upsert, rows).rowcount

    def prices(self, start: dt.datetime, end: dt.datetime) -> dict[tuple[dt.datetime, str], float]:
        """EUR/MWh by quarter-hour in [start, end) and stage."""
        query = select(PriceRow.quarter_hour, PriceRow.stage, PriceRow.price_eur_mwh)
        within = and_(PriceRow.quarter_hour >= quarter_hour_of(start), PriceRow.quarter_hour < end)
        with self._database.reading() as connection:
            return {(row.quarter_hour, row.stage): row.price_eur_mwh for row in connection.execute(query.where(within))}

    def unpriced(self, stage: PriceStage, before: dt.datetime, limit: int = 10_000) -> tuple[dt.datetime, ...]:
        """Quarter-hours before a time in which decisions began that have no price of a stage, oldest first."""
        began = first_quarter_hour()
        priced = select(PriceRow.quarter_hour).where(
            PriceRow.stage == stage, type_coerce(PriceRow.quarter_hour, BigInteger) == began
        )
        query = select(began.label("began")).where(DecisionRow.valid_from < before, ~priced.exists())
        with self._database.reading() as connection:
            rows = connection.execute(query.distinct().order_by("began").limit(limit)).scalars()
            return tuple(utc_time(count) for count in rows)

    def chain(
        self,
        asset_id: str,
        start: dt.datetime,
        end: dt.datetime,
        role: Role = Role.SERVED,
        policy_sha256: str | None = None,
    ) -> tuple[ChainLink, ...]:
        """The decisions of an asset that may hold within [start, end), as `reconcile` takes them.

        A challenger's chain is that of one `policy_sha256`.
        """
        query = select(*LINK_COLUMNS).where(
            DecisionRow.asset_id == asset_id,
            DecisionRow.role == role,
            DecisionRow.valid_from > start - LONGEST_VALIDITY,
            DecisionRow.valid_from < end,
        )
        if policy_sha256 is not None:
            query = query.where(DecisionRow.policy_sha256 == policy_sha256)
        order = (DecisionRow.valid_from, DecisionRow.generated_at, DecisionRow.sequence)
        with self._database.reading() as connection:
            return tuple(ChainLink(*row) for row in connection.execute(query.order_by(*order)))


def first_quarter_hour() -> ColumnElement[int]:
    """The quarter-hour in which a decision begins, in microseconds, as the database computes it."""
    return _floor(DecisionRow.valid_from)


def is_settled() -> ColumnElement[bool]:
    """Whether all quarter-hours of a decision have a validated price, as the database computes it."""
    first, last = first_quarter_hour(), _floor(DecisionRow.valid_until, before_us=1)
    quarter_hour = type_coerce(PriceRow.quarter_hour, BigInteger)
    validated = select(func.count()).where(
        PriceRow.stage == PriceStage.VALIDATED, quarter_hour >= first, quarter_hour <= last
    )
    return validated.scalar_subquery() * _QUARTER_HOUR_US == last - first + _QUARTER_HOUR_US


def _floor(time: InstrumentedAttribute[dt.datetime], before_us: int = 0) -> ColumnElement[int]:
    count = type_coerce(time, BigInteger) - before_us
    return count - count % _QUARTER_HOUR_US
