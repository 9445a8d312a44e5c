"""From power to energy to euros: what a step of a battery is paid, and which action pays best.

Contract
- Discharging E MWh at a price of P EUR/MWh is paid P x E; charging is a negative E, so a negative price pays for it.
  This product is written here and nowhere else.
- An action is chosen for what it gains over idling: the larger positive gain, charging where both are equal, else idle.
- Profit of the day counts from when it is known: wear when it is caused, cash when its price is published.

`settle_eur`, `settle_power_eur`, `energy_mwh` and `greedy_action` are plain functions that compiled code may call too.
Scalars and arrays (NumPy, pandas, torch) are multiplied from left to right, so that a sum made twice is the same sum.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numba
from numba.extending import register_jitable

from arbitrage.arrays import Floats, Numbers
from arbitrage.battery import BatteryLaw, clip_and_advance, clip_power_mw
from arbitrage.quarter_hour import energy_mwh

CHARGE, DISCHARGE, IDLE = 0, 1, 2
"""Actions; the first two also index arrays of the actions that move energy."""
LEAST_POWER_FRACTION = 1e-9
"""An action that moves no more than this fraction of the rating moves nothing."""

Euros = TypeVar("Euros", float, Floats)
"""Of one battery, or of many, shape [batteries]."""

register_jitable(energy_mwh)


@register_jitable
def settle_eur(price_eur_mwh: Any, energy_mwh: Any) -> Any:
    """EUR received for grid-side energy, discharge positive; scalars or arrays that broadcast."""
    return price_eur_mwh * energy_mwh


@register_jitable
def settle_power_eur(price_eur_mwh: Any, power_mw: Any, duration_h: float) -> Any:
    """EUR received for a constant power, discharge positive; scalars or arrays that broadcast."""
    return price_eur_mwh * power_mw * duration_h


@numba.njit(cache=True)
def step_and_settle(
    law: BatteryLaw, soc_mwh: float, cycles_used: float, asked_mw: float, price_eur_mwh: float, duration_h: float
) -> tuple[float, float, float, float]:
    """Ask a battery for `asked_mw` during `duration_h` at a price.

    Returns SoC in MWh and cycles used after it, cash in EUR, and wear cost in EUR, which the cash does not contain.
    """
    power_mw, soc_mwh, cycles_used, wear_eur = clip_and_advance(law, soc_mwh, cycles_used, asked_mw, duration_h)
    return soc_mwh, cycles_used, settle_power_eur(price_eur_mwh, power_mw, duration_h), wear_eur


@register_jitable
def greedy_action(charge_gain_eur: float, discharge_gain_eur: float) -> int:
    """CHARGE or DISCHARGE, whichever gains more than idling and than the other; else IDLE, also where both are NaN."""
    if charge_gain_eur > 0.0 and charge_gain_eur >= discharge_gain_eur:
        return CHARGE
    return DISCHARGE if discharge_gain_eur > 0.0 else IDLE


@register_jitable
def action_power_mw(law: BatteryLaw, action: int) -> float:
    """The power that an action asks for, discharge positive."""
    if action == CHARGE:
        return -law.charge_power_mw
    return law.discharge_power_mw if action == DISCHARGE else 0.0


@numba.njit(cache=True)
def possible_power_mw(
    law: BatteryLaw, soc_mwh: float, cycles_used: float, action: int, power_fraction: float, duration_h: float
) -> float:
    """What flows when an action asks for that fraction of its rated power; 0 where it would move nothing."""
    rated_mw = action_power_mw(law, action)
    power_mw = clip_power_mw(law, soc_mwh, cycles_used, rated_mw * power_fraction, duration_h)
    return 0.0 if abs(power_mw) <= LEAST_POWER_FRACTION * abs(rated_mw) else power_mw


@numba.njit(cache=True)
def reveal_settled(
    known_eur: Floats, settled_eur: Floats, published_min: Numbers, now_min: int, first: int, end: int
) -> int:
    """Add to the known profits [batteries] what was settled in rows [first, end) and is published by `now_min`.

    settled_eur: shape [rows, batteries]; published_min: shape [rows], ascending epoch minutes.
    Returns the first row that is not known yet, or `end`.
    """
    while first < end and published_min[first] <= now_min:
        for battery in range(known_eur.shape[0]):
            known_eur[battery] += settled_eur[first, battery]
        first += 1
    return first


class KnownProfit(Generic[Euros]):
    """Profit since Brussels midnight as far as it is known, of one battery or of several that share a clock.

    Brussels midnight forgets: what is published later of the day before does not count.
    """

    def __init__(self, nothing_eur: Euros) -> None:
        """nothing_eur: 0.0 for one battery, zeros of shape [batteries] for several."""
        self._nothing_eur: Euros = nothing_eur
        self._known_eur: Euros = nothing_eur
        self._due: list[tuple[int, Euros]] = []
        """Epoch minute of publication, and EUR, of what was settled and may not be known yet."""

    def begin_day(self) -> None:
        """It is Brussels midnight."""
        self._known_eur = self._nothing_eur
        self._due.clear()

    def pay_wear(self, wear_eur: Euros) -> None:
        """An interval has worn the battery."""
        self._known_eur = self._known_eur - wear_eur

    def settle(self, now: int, published_at: int, settled_eur: Euros) -> None:
        """A quarter-hour ends at `now`; what it made will be known at `published_at`, both epoch minutes."""
        self._due.append((published_at, settled_eur))
        self.close(now)

    def close(self, now: int) -> None:
        """A quarter-hour ends at `now`: what is published by then joins the sum that wear is taken from."""
        self._known_eur = self.today_eur(now)
        self._due = [entry for entry in self._due if entry[0] > now]

    def today_eur(self, now: int) -> Euros:
        """Known at an epoch minute that is not before the last settlement."""
        total = self._known_eur
        for published_at, settled_eur in self._due:
            if published_at <= now:
                total = total + settled_eur
        return total
