"""A world whose prices are worked by hand, and one drawn across the change of rules."""

from __future__ import annotations

import dataclasses

import numpy as np

from arbitrage.market.simulation.merit_order import GRADUAL_FROM, MeritOrder
from arbitrage.market.simulation.simulator import Scenario, draw_scenario
from arbitrage.quarter_hour import epoch_minute

FEBRUARY = epoch_minute("2024-02-01T00:00+01:00")
JULY = epoch_minute("2024-07-01T00:00+02:00")
FAR_MW = 1e9
DAY_AHEAD_EUR_MWH = 60.0


def by_hand(start: int, imbalance_mw: float = -100.0, quarter_hours: int = 2) -> Scenario:
    """The same imbalance in every minute; reserves follow at once; bids of 25 MW.

    Upward: 100 + 50 x (1 + volume / 100 MW), so 175 at 50 MW, 200 at 100, 225 at 150. Downward: 80 - 40 x (1 + volume /
    100 MW), so 20 at 50 MW. Day-ahead price 60, avoided activation 33.
    """
    scenario = draw_scenario(start, start + 15 * quarter_hours, seed=0, parameters="2024")
    rows = len(scenario.fundamentals.quarter_hours) - 1
    numbers = {
        "upward_start_eur_mwh": 100.0,
        "downward_start_eur_mwh": 80.0,
        "upward_premium_eur_mwh": 50.0,
        "downward_premium_eur_mwh": 40.0,
        "avoided_activation_eur_mwh": 33.0,
        "upward_growth": 1.0,
        "downward_growth": 1.0,
        "growth_exponent": 1.0,
        "bid_mw": 25.0,
        "upward_jump_from_mw": FAR_MW,
        "downward_jump_from_mw": FAR_MW,
        "upward_jump_eur_mwh": 0.0,
        "downward_jump_eur_mwh": 0.0,
        "extreme_from_mw": FAR_MW,
        "upward_extreme_eur_mwh_per_100mw": 0.0,
        "downward_extreme_eur_mwh_per_100mw": 0.0,
        "available_mw": FAR_MW,
        "response_per_minute": 1.0,
    }
    bids = MeritOrder(**{name: np.full(rows, value) for name, value in numbers.items()})
    flat = np.full(rows + 1, DAY_AHEAD_EUR_MWH)
    fundamentals = dataclasses.replace(scenario.fundamentals, day_ahead_eur_mwh=flat)
    minutes = np.full(15 * rows, imbalance_mw)
    return dataclasses.replace(scenario, bids=bids, fundamentals=fundamentals, minute_imbalance_mw=minutes)


def across_the_rules(seed: int = 7, hours: int = 12) -> Scenario:
    """From so many hours before the change of 2024-05-22 to so many after it; begins within a Brussels day."""
    return draw_scenario(GRADUAL_FROM - 60 * hours, GRADUAL_FROM + 60 * hours, seed=seed, parameters="2024")
