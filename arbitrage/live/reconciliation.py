"""What decisions made at the price that they saw, at the near-real-time one and at the validated one.

Contract: energy is settled net by the quarter-hour; a price that is not known yet makes nothing, and is counted. Wear
is kept apart: it is caused by the energy, whatever its price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from arbitrage.settling import settle_eur

Prices = Mapping[int, float]
"""EUR/MWh by start of the quarter-hour, epoch minutes."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Energy at one price that was seen when it was decided."""

    quarter_hour: int
    """Start, epoch minute."""
    energy_mwh: float
    """Grid side, discharge positive."""
    price_seen_eur_mwh: float | None
    wear_eur: float = 0.0


@dataclass(frozen=True, slots=True)
class QuarterHourAccount:
    """One quarter-hour at every stage of its price; None where that price is not known."""

    quarter_hour: int
    energy_mwh: float
    wear_eur: float
    seen_eur: float | None
    near_real_time_eur: float | None
    validated_eur: float | None


@dataclass(frozen=True, slots=True)
class ReconciliationStage:
    """One stage of the price over a number of quarter-hours."""

    cash_eur: float = 0.0
    known: int = 0
    """Quarter-hours that had a price."""
    unknown: int = 0

    def plus(self, cash_eur: float | None) -> ReconciliationStage:
        """With one quarter-hour more."""
        if cash_eur is None:
            return ReconciliationStage(self.cash_eur, self.known, self.unknown + 1)
        return ReconciliationStage(self.cash_eur + cash_eur, self.known + 1, self.unknown)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """All of it."""

    seen: ReconciliationStage = ReconciliationStage()
    near_real_time: ReconciliationStage = ReconciliationStage()
    validated: ReconciliationStage = ReconciliationStage()
    wear_eur: float = 0.0


def accounts(flows: Iterable[Flow], near_real_time: Prices, validated: Prices) -> list[QuarterHourAccount]:
    """One account a quarter-hour that anything was decided for, in order of time."""
    by_start: dict[int, list[Flow]] = {}
    for flow in flows:
        by_start.setdefault(flow.quarter_hour, []).append(flow)
    return [_account(start, by_start[start], near_real_time, validated) for start in sorted(by_start)]


def reconcile(rows: Iterable[QuarterHourAccount]) -> Reconciliation:
    """The sums over quarter-hours."""
    total = Reconciliation()
    for row in rows:
        total = Reconciliation(
            total.seen.plus(row.seen_eur),
            total.near_real_time.plus(row.near_real_time_eur),
            total.validated.plus(row.validated_eur),
            total.wear_eur + row.wear_eur,
        )
    return total


def _account(start: int, flows: list[Flow], near_real_time: Prices, validated: Prices) -> QuarterHourAccount:
    net_mwh = sum(flow.energy_mwh for flow in flows)
    seen = [0.0 if flow.energy_mwh == 0.0 else _at(flow.price_seen_eur_mwh, flow.energy_mwh) for flow in flows]
    known = [value for value in seen if value is not None]
    return QuarterHourAccount(
        quarter_hour=start,
        energy_mwh=net_mwh,
        wear_eur=sum(flow.wear_eur for flow in flows),
        seen_eur=sum(known) if len(known) == len(seen) else None,
        near_real_time_eur=_at(near_real_time.get(start), net_mwh),
        validated_eur=_at(validated.get(start), net_mwh),
    )


def _at(price_eur_mwh: float | None, energy: float) -> float | None:
    return None if price_eur_mwh is None else float(settle_eur(price_eur_mwh, energy))
