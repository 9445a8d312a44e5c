"""Profit so far today, as far as it is known.

Contract: money settled at a final price counts from when that price is published, wear from when it is caused. Brussels
midnight begins anew: what is published later of the day before counts no more.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from arbitrage.env.episode import Episode

Euros = TypeVar("Euros", float, npt.NDArray[np.float64])
"""Of one battery, or of many, shape [batteries]."""


class KnownProfit(Generic[Euros]):
    """Follows one episode step by step."""

    def __init__(self, episode: Episode, nothing_eur: Euros) -> None:
        self.today_eur: Euros = nothing_eur
        self._episode = episode
        self._nothing_eur: Euros = nothing_eur
        self._due_eur: dict[int, Euros] = {}
        """Settled at prices not yet published, by the step at which they are."""

    def advance(self, at: int, wear_eur: Euros, settled_eur: Euros | None) -> None:
        """Step `at` is over; `settled_eur` where it settled a quarter-hour."""
        self.today_eur = self.today_eur - wear_eur
        if settled_eur is not None:
            shows_at = int(self._episode.price_shows_at[at])
            self._due_eur[shows_at] = self._due_eur.get(shows_at, self._nothing_eur) + settled_eur
        if self._episode.ends_day[at]:
            self.today_eur = self._nothing_eur
            self._due_eur.clear()
        self.today_eur = self.today_eur + self._due_eur.pop(at + 1, self._nothing_eur)
