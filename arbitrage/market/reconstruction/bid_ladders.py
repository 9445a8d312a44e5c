"""Bid ladders of both sides, from which minute records are reconstructed.

Contract
- Ladders depend on day-ahead prices, the calendar and the seed only. No final price enters here.
- Parameters are fitted to summary figures of real marginal prices: 2022, the first quarter of 2024, and the only
  part-day of minute records since 2024-05-22.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from arbitrage.arrays import Floats
from arbitrage.market.reconstruction.imbalance import generator
from arbitrage.market.settlement import SINGLE_PRICE_SINCE
from arbitrage.market.simulation.merit_order import GRADUAL_FROM
from arbitrage.quarter_hour import EpochMinutes, epoch_minute


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderParameters:
    """Bids of both sides in one period of the market."""

    upward_day_ahead_share: float
    upward_level_share: float
    """Weight of the mean day-ahead price of the Brussels day."""
    upward_first_eur_mwh: float
    upward_rise_eur_mwh_per_100mw: float
    upward_spread_eur_mwh: float
    """Mean absolute deviation of a final marginal price from the ladder, which follows the prices before it."""
    downward_day_ahead_share: float
    downward_level_share: float
    downward_first_eur_mwh: float
    """Negative: below the weighted day-ahead prices."""
    downward_rise_eur_mwh_per_100mw: float
    downward_spread_eur_mwh: float
    shortage_widens_from_eur_mwh: float
    """Excess of a price over the day-ahead price beyond which the system imbalance tends to be larger."""
    surplus_widens_from_eur_mwh: float
    least_avoided_share: float = 0.2
    """The value of avoided activation is a share of the day-ahead price, drawn uniformly between this and 1."""
    response_per_minute: float = 0.22
    """Share of the difference between activation and imbalance that reserves close in a minute."""
    memory: float = 0.85
    """Share of a side's offset that remains after a quarter-hour."""
    following: float = 0.8
    """Share of the deviation of a settled price by which the offset changes."""


_TO_2022 = LadderParameters(
    upward_day_ahead_share=0.75,
    upward_level_share=0.17,
    upward_first_eur_mwh=85.0,
    upward_rise_eur_mwh_per_100mw=15.0,
    upward_spread_eur_mwh=50.0,
    downward_day_ahead_share=0.4,
    downward_level_share=0.2,
    downward_first_eur_mwh=-50.0,
    downward_rise_eur_mwh_per_100mw=20.0,
    downward_spread_eur_mwh=48.0,
    shortage_widens_from_eur_mwh=105.0,
    surplus_widens_from_eur_mwh=200.0,
)
_TO_MAY_2024 = LadderParameters(
    upward_day_ahead_share=0.75,
    upward_level_share=-0.35,
    upward_first_eur_mwh=105.0,
    upward_rise_eur_mwh_per_100mw=15.0,
    upward_spread_eur_mwh=36.0,
    downward_day_ahead_share=0.12,
    downward_level_share=0.6,
    downward_first_eur_mwh=-85.0,
    downward_rise_eur_mwh_per_100mw=20.0,
    downward_spread_eur_mwh=63.0,
    shortage_widens_from_eur_mwh=75.0,
    surplus_widens_from_eur_mwh=120.0,
)
_GRADUAL = LadderParameters(
    upward_day_ahead_share=0.75,
    upward_level_share=0.0,
    upward_first_eur_mwh=150.0,
    upward_rise_eur_mwh_per_100mw=40.0,
    upward_spread_eur_mwh=40.0,
    downward_day_ahead_share=0.4,
    downward_level_share=0.0,
    downward_first_eur_mwh=-280.0,
    downward_rise_eur_mwh_per_100mw=80.0,
    downward_spread_eur_mwh=90.0,
    shortage_widens_from_eur_mwh=200.0,
    surplus_widens_from_eur_mwh=500.0,
    response_per_minute=0.5,
)
_ERAS = (
    (SINGLE_PRICE_SINCE, _TO_2022),
    (epoch_minute("2023-01-01T00:00+01:00"), _TO_MAY_2024),
    (GRADUAL_FROM, _GRADUAL),
)
"""First minute of each period, and its bids."""

_SURPRISE_SHARES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
_SURPRISE_QUANTILES = (-7.0, -3.6, -2.1, -1.45, -0.65, -0.1, 0.62, 1.7, 2.6, 4.9, 9.0)
"""Distribution of the deviations of final marginal prices from the ladder, outward, in spreads; similar on both sides
in 2022 and in 2024."""


class Ladders(NamedTuple):
    """Bids of each quarter-hour for compiled code, arrays of shape [n]; offsets are added later."""

    upward_eur_mwh: Floats
    """Price of the first upward bid."""
    downward_eur_mwh: Floats
    upward_rise: Floats
    """EUR/MWh for each 100 MW activated."""
    downward_rise: Floats
    upward_spread: Floats
    """Usual deviation of a final upward price from the ladder, EUR/MWh."""
    downward_spread: Floats
    upward_surprise: Floats
    """Drawn final deviation of the upward side where it does not settle, outward, in spreads."""
    downward_surprise: Floats
    avoided_activation_eur_mwh: Floats
    shortage_widens_from_eur_mwh: Floats
    surplus_widens_from_eur_mwh: Floats
    memory: Floats
    following: Floats
    response_per_minute: Floats


def draw_ladders(starts: EpochMinutes, day_ahead_eur_mwh: Floats, level_eur_mwh: Floats, seed: int) -> Ladders:
    """Bids of quarter-hours [n] by the parameters of their period; `level_eur_mwh`: mean day-ahead price of the day."""
    era = np.searchsorted([since for since, _ in _ERAS], starts, side="right") - 1

    def of(name: str) -> Floats:
        return np.array([getattr(parameters, name) for _, parameters in _ERAS], dtype=np.float64)[era]

    def first(side: str) -> Floats:
        tied = of(f"{side}_day_ahead_share") * day_ahead_eur_mwh + of(f"{side}_level_share") * level_eur_mwh
        return np.asarray(tied + of(f"{side}_first_eur_mwh"))

    def surprise(side: str) -> Floats:
        share = generator(seed, f"surprise {side}").random(len(starts))
        return np.interp(share, _SURPRISE_SHARES, _SURPRISE_QUANTILES)

    least = of("least_avoided_share")
    avoided = least + (1.0 - least) * generator(seed, "avoided activation").random(len(starts))
    return Ladders(
        upward_eur_mwh=first("upward"),
        downward_eur_mwh=first("downward"),
        upward_rise=of("upward_rise_eur_mwh_per_100mw"),
        downward_rise=of("downward_rise_eur_mwh_per_100mw"),
        upward_spread=of("upward_spread_eur_mwh"),
        downward_spread=of("downward_spread_eur_mwh"),
        upward_surprise=surprise("upward"),
        downward_surprise=surprise("downward"),
        avoided_activation_eur_mwh=avoided * day_ahead_eur_mwh,
        shortage_widens_from_eur_mwh=of("shortage_widens_from_eur_mwh"),
        surplus_widens_from_eur_mwh=of("surplus_widens_from_eur_mwh"),
        memory=of("memory"),
        following=of("following"),
        response_per_minute=of("response_per_minute"),
    )
