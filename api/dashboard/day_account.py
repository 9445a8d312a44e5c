"""One asset's Brussels day in euros: what is cash, what is open, and what the store is worth.

Contract
- Cash is energy at published prices. Open is energy at the newest price seen in its quarter-hour. What has neither is
  counted in MWh and valued at nothing.
- The change of the store since the day began, or its first decision, is marked at the day-ahead price of now, else at
  the newest price seen, less the losses of discharging it.
- Wear is a cost and no cash: it stands beside.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal

from api.storage.decision_record import ChainLink
from api.storage.reconciliation import Prices, Reconciled, reconcile
from arbitrage.battery import Battery, wear_cost_eur
from arbitrage.settling import settle_eur

SettlementStage = Literal["validated", "near_real_time", "indicative"]
MarkBasis = Literal["day_ahead", "newest_seen"]


@dataclass(frozen=True, slots=True)
class QuarterHourEntry:
    """What one quarter-hour brought."""

    start: dt.datetime
    charged_mwh: float
    discharged_mwh: float
    price_eur_mwh: float | None
    price_stage: SettlementStage | None

    @property
    def energy_mwh(self) -> float:
        """Net, discharge positive: this is settled."""
        return self.discharged_mwh - self.charged_mwh

    @property
    def profit_eur(self) -> float | None:
        """Energy at the price; None without one."""
        return None if self.price_eur_mwh is None else float(settle_eur(self.price_eur_mwh, self.energy_mwh))


@dataclass(frozen=True, slots=True)
class Day:
    """The day so far."""

    quarter_hours: tuple[QuarterHourEntry, ...]
    stored_mwh: float | None = None
    """Change of the energy in store; None where the battery is not known or nothing was decided."""
    stored_eur: float | None = None
    mark_price_eur_mwh: float | None = None
    mark_price: MarkBasis | None = None
    wear_eur: float | None = None
    charged_mwh: float = field(init=False)
    discharged_mwh: float = field(init=False)

    def __post_init__(self) -> None:
        for name in ("charged_mwh", "discharged_mwh"):
            object.__setattr__(self, name, sum(getattr(entry, name) for entry in self.quarter_hours))

    @property
    def cash_eur(self) -> float:
        """At published prices."""
        return _total(entry for entry in self.quarter_hours if entry.price_stage != "indicative")

    @property
    def open_eur(self) -> float:
        """At indicative prices."""
        return _total(entry for entry in self.quarter_hours if entry.price_stage == "indicative")

    @property
    def unpriced_mwh(self) -> float:
        """Net energy that no price is known for."""
        return sum(abs(entry.energy_mwh) for entry in self.quarter_hours if entry.price_stage is None)

    @property
    def marked_eur(self) -> float | None:
        """Cash, open and store together; None where the store cannot be valued."""
        return None if self.stored_eur is None else self.cash_eur + self.open_eur + self.stored_eur


def book_day(
    chain: Sequence[ChainLink],
    prices: Prices,
    begins: dt.datetime,
    now: dt.datetime,
    battery: Battery | None,
    answer_of: Callable[[str], str],
) -> Day:
    """The day from `begins` until now; `chain` and `prices` as `reconcile` takes them.

    answer_of: what was answered with a decision of the chain, JSON; asked of the first and the last.
    """
    pieces = reconcile(chain, prices, begins, now)
    entries = tuple(_entry(list(group)) for _, group in groupby(pieces, attrgetter("quarter_hour")))
    if battery is None or not chain:
        return Day(entries)
    discharged_mwh = sum(entry.discharged_mwh for entry in entries)
    wear_eur = float(wear_cost_eur(battery.law, discharged_mwh / battery.discharge_efficiency))
    opening = [record for record in chain if record.valid_from <= begins][-1:] or chain[:1]
    first, last = (json.loads(answer_of(link.decision_id)) for link in (opening[0], chain[-1]))
    gained = _soc_fraction(chain[-1], last, now) - _soc_fraction(opening[0], first, begins)
    stored_mwh = gained * battery.capacity_mwh
    mark_eur_mwh, basis = _mark(chain[-1], last)
    delivered_mwh = stored_mwh * battery.discharge_efficiency
    stored_eur = None if mark_eur_mwh is None else float(settle_eur(mark_eur_mwh, delivered_mwh))
    return Day(entries, stored_mwh, stored_eur, mark_eur_mwh, basis, wear_eur)


def _entry(pieces: Sequence[Reconciled]) -> QuarterHourEntry:
    last = pieces[-1]
    seen = last.decision.price_seen_eur_mwh
    stages: tuple[tuple[SettlementStage, float | None], ...] = (
        ("validated", last.validated_eur_mwh),
        ("near_real_time", last.near_real_time_eur_mwh),
        ("indicative", seen),
    )
    stage, price = next(((stage, price) for stage, price in stages if price is not None), (None, None))
    energies = [piece.energy_mwh for piece in pieces]
    charged, discharged = -sum(e for e in energies if e < 0.0), sum(e for e in energies if e > 0.0)
    return QuarterHourEntry(last.quarter_hour, charged, discharged, price, stage)


def _soc_fraction(link: ChainLink, answer: Mapping[str, Any], time: dt.datetime) -> float:
    """Where the store stands at a time during a decision, or at the nearer end of it."""
    expected = answer["expected"]
    start, end = float(expected["soc_fraction_start"]), float(expected["soc_fraction_end"])
    passed = (time - link.valid_from) / (link.valid_until - link.valid_from)
    return start + (end - start) * min(1.0, max(0.0, passed))


def _mark(link: ChainLink, answer: Mapping[str, Any]) -> tuple[float | None, MarkBasis | None]:
    """The price that the store is marked at, and what it is."""
    for reason in answer["reasons"]:
        day_ahead = reason["params"].get("day_ahead_price_eur_mwh")
        if day_ahead is not None:
            return float(day_ahead), "day_ahead"
    return link.price_seen_eur_mwh, None if link.price_seen_eur_mwh is None else "newest_seen"


def _total(entries: Iterable[QuarterHourEntry]) -> float:
    return sum(entry.profit_eur for entry in entries if entry.profit_eur is not None)
