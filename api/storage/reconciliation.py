"""What decisions earned: at the price they saw, at the near-real-time one and at the validated one.

Contract
- A decision holds from its `valid_from` until it ends or the next one of its chain begins, whichever is first. A chain
  is an asset's served decisions, or those of one challenger. Of two that begin together the later one counts.
- Energy is cut at quarter-hours and settled at the price of each: discharging E MWh earns E x price. Wear is not in it.
- Reading changes nothing. Prices come in as they become known, the newest of each stage counts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from api.storage.decision_record import ChainLink
from api.storage.price_ledger import QUARTER_HOUR, PriceStage, quarter_hour_of
from arbitrage.settling import settle_eur

HOUR = dt.timedelta(hours=1)
Prices = dict[tuple[dt.datetime, str], float]
"""EUR/MWh by quarter-hour and stage."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a decision did in one quarter-hour, and what that was worth as more became known."""

    decision: ChainLink
    quarter_hour: dt.datetime
    start: dt.datetime
    """From here the decision held, in this quarter-hour,"""
    end: dt.datetime
    """up to here."""
    near_real_time_eur_mwh: float | None
    validated_eur_mwh: float | None

    @property
    def energy_mwh(self) -> float:
        """Discharged, grid side; negative if charged."""
        return self.decision.power_mw * ((self.end - self.start) / HOUR)

    @property
    def profit_seen_eur(self) -> float | None:
        """At the price that was decided on; None without one."""
        return self._at(self.decision.price_seen_eur_mwh)

    @property
    def profit_near_real_time_eur(self) -> float | None:
        """At the near-real-time price; None until it is known."""
        return self._at(self.near_real_time_eur_mwh)

    @property
    def profit_validated_eur(self) -> float | None:
        """At the validated price; None until it is known."""
        return self._at(self.validated_eur_mwh)

    def _at(self, price_eur_mwh: float | None) -> float | None:
        return None if price_eur_mwh is None else float(settle_eur(price_eur_mwh, self.energy_mwh))


def reconcile(chain: Sequence[ChainLink], prices: Prices, start: dt.datetime, end: dt.datetime) -> Iterator[Reconciled]:
    """What a chain of decisions did within [start, end), quarter-hour by quarter-hour.

    `chain` is sorted by `valid_from`, of equals the one that counts last.
    """
    for number, decision in enumerate(chain):
        next_from = chain[number + 1].valid_from if number + 1 < len(chain) else decision.valid_until
        held_from, held_until = max(decision.valid_from, start), min(decision.valid_until, next_from, end)
        while held_from < held_until:
            quarter_hour = quarter_hour_of(held_from)
            cut = min(held_until, quarter_hour + QUARTER_HOUR)
            near_real_time, validated = (
                prices.get((quarter_hour, stage)) for stage in (PriceStage.NEAR_REAL_TIME, PriceStage.VALIDATED)
            )
            yield Reconciled(decision, quarter_hour, held_from, cut, near_real_time, validated)
            held_from = cut
