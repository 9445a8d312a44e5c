"""Profit so far today, as far as it is known: what a risk-averse policy is told beside the battery's state.

Contract: as `env.known_profit`, by the clock: money settled at a final price counts from when that price is published,
wear from when it is caused. Brussels midnight begins anew: what is published later of the day before counts no more.
"""

from __future__ import annotations


class Account:
    """The account of one battery while it lives through time."""

    def __init__(self) -> None:
        self._known_eur = 0.0
        self._due: list[tuple[int, float]] = []
        """Epoch minute of publication and EUR of what was settled and may not be known yet."""

    def begin_day(self) -> None:
        """It is Brussels midnight."""
        self._known_eur = 0.0
        self._due.clear()

    def pay_wear(self, wear_eur: float) -> None:
        """An interval has worn the battery."""
        self._known_eur -= wear_eur

    def settle(self, now: int, published_at: int, settled_eur: float) -> None:
        """A quarter-hour ends at `now`; what it made will be known at `published_at`, both epoch minutes."""
        self._due.append((published_at, settled_eur))
        self._known_eur = self.today_eur(now)
        self._due = [entry for entry in self._due if entry[0] > now]

    def today_eur(self, now: int) -> float:
        """Known at an epoch minute that is not before the last settlement."""
        total = self._known_eur
        for published_at, settled_eur in self._due:
            if published_at <= now:
                total += settled_eur
        return total
