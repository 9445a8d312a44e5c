"""Which tested days a policy has seen before: days that it learned from, and days that chose it.

Contract: the split on the policy's card decides, whichever data the days come from. Where the card does not say, the
days are unknown, which is not the same as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from arbitrage.market.splits import DaysOfMonth
from arbitrage.quarter_hour import DayNumbers, brussels_midnight, calendar_day, days_of_month

_SPLITS = {"train_days_of_month": "training", "validation_days_of_month": "validation"}


@dataclass(frozen=True, slots=True)
class DaysSeen:
    """Of the days asked about, those that a policy has seen, by purpose (`training`, `validation`)."""

    by_purpose: Mapping[str, DayNumbers]

    @property
    def days(self) -> DayNumbers:
        """All of them, ascending."""
        return np.unique(np.concatenate([np.zeros(0, np.int64), *self.by_purpose.values()]))

    def sentences(self) -> list[str]:
        """One for each purpose, with the count and the first day."""
        return [
            f"{len(days)} of the days tested are {purpose} days, {calendar_day(int(days[0]))} first"
            for purpose, days in self.by_purpose.items()
            if len(days)
        ]


def days_seen(card: Mapping[str, Any], days: DayNumbers) -> DaysSeen | None:
    """Which of the Brussels days [n] the policy of a card has seen; None where the card does not say."""
    split = card.get("split")
    if not isinstance(split, dict) or not set(_SPLITS) <= set(split):
        return None
    within = _within(split, days)
    seen = {}
    for key, purpose in _SPLITS.items():
        chosen = DaysOfMonth.parse(str(split[key]))
        seen[purpose] = days[within & days_of_month(days, chosen.first, chosen.last)]
    return DaysSeen(seen)


def _within(split: Mapping[str, Any], days: DayNumbers) -> npt.NDArray[np.bool_]:
    """Which days [n] overlap the times that the split was cut from."""
    first, after = split.get("start_epoch_minute"), split.get("end_epoch_minute")
    inside = (
        (after is None or brussels_midnight(int(day)) < after)
        and (first is None or brussels_midnight(int(day) + 1) > first)
        for day in days
    )
    return np.fromiter(inside, dtype=np.bool_, count=len(days))
