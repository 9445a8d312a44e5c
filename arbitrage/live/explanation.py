"""The explanation of a decision: prices seen, outcomes in four numbers, how risk was set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from arbitrage.arrays import Floats
from arbitrage.features.minutes import last_record_of
from arbitrage.live.decision import RiskInWords
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, KnownMarket
from arbitrage.policies.protocol import Policy
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, quarter_hour_starts

_RECENT_QUARTER_HOURS = 16


@lru_cache(maxsize=8)
def summary_weights(count: int) -> Floats:
    """Weights [count, 4] that make mean, 5 %, 50 % and 95 % of equally likely outcomes in ascending order."""
    weights = np.full((count, 4), 1.0 / count)
    weights[:, 1:] = 0.0
    for column, fraction in enumerate((0.05, 0.5, 0.95), start=1):
        position = min(max(fraction * count - 0.5, 0.0), count - 1.0)
        low = min(int(position), max(count - 2, 0))
        weights[low, column] += 1.0 - (position - low)
        weights[min(low + 1, count - 1), column] += position - low
    return weights


def prices_seen(known: KnownMarket) -> dict[str, float | None]:
    """The newest prices at the one time of `known`; None where not known."""
    starts = quarter_hour_starts(known.times)
    recent = known.gather(PRICE, -MINUTES_PER_QUARTER_HOUR * np.arange(1, _RECENT_QUARTER_HOURS + 1))[0]
    final = recent[~np.isnan(recent)]
    values = {
        "indicative_price_eur_mwh": float(last_record_of(known, starts)[0]),
        "previous_indicative_price_eur_mwh": float(last_record_of(known, starts - MINUTES_PER_QUARTER_HOUR)[0]),
        "last_price_eur_mwh": float(final[0]) if len(final) else math.nan,
        "day_ahead_price_eur_mwh": float(known.gather(DAY_AHEAD, [0])[0, 0]),
    }
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def newest_price(seen: Mapping[str, float | None]) -> float | None:
    """Of the running quarter-hour if there is one, else of the one before, else the last final one."""
    names = ("indicative_price_eur_mwh", "previous_indicative_price_eur_mwh", "last_price_eur_mwh")
    return next((value for name in names if (value := seen[name]) is not None), None)


def risk_in_words(policy: Policy) -> RiskInWords:
    """How the policy's risk is set."""
    chosen = policy.risk
    preference = chosen.preference
    if preference is None:
        return RiskInWords(chosen.risk_aversion or 0.0)
    return RiskInWords(chosen.risk_aversion or 0.0, preference.measure.value, preference.level, preference.weight)
