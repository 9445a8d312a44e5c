"""Recorded quarter-hours as one path, along which a battery is stepped.

Contract: every row states what follows it: a row of the same day, the next day, or the end of the span.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from arbitrage.arrays import Flags, Floats, Numbers
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import Span, rows_of


class After(IntEnum):
    """What follows a quarter-hour."""

    SAME_DAY = 0
    NEXT_DAY = 1
    END_OF_SPAN = 2


@dataclass(frozen=True, slots=True)
class Path:
    """Consecutive recorded quarter-hours of all spans, arrays of shape [n]."""

    rows: Numbers
    """Rows of the market series."""
    price_eur_mwh: Floats
    """NaN in a gap, where the battery idles."""
    after: Numbers
    """One of `After`."""
    day_numbers: Numbers

    @property
    def settled(self) -> Flags:
        """Which quarter-hours have a price."""
        return ~np.isnan(self.price_eur_mwh)


def lay_path(market: MarketSeries, selection: Sequence[Span]) -> Path:
    """The spans, in order, as one path."""
    rows = rows_of(selection)
    days = market.day_numbers[rows]
    after = np.where(np.append(days[1:] != days[:-1], True), int(After.NEXT_DAY), int(After.SAME_DAY))
    after[np.cumsum([len(span) for span in selection]) - 1] = After.END_OF_SPAN
    return Path(rows, market.price_eur_mwh[rows], after, days)
