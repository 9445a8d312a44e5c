"""What every strategy is, learned or not: it reads what is known, then says what power it would like.

Law: a policy never sees the market itself, only a `Knowledge`; and it asks, it does not act: the battery law has the
last word, in `dispatch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from arbitrage.battery import Battery, BatteryState
from arbitrage.market.tapes import Knowledge


@dataclass(frozen=True, slots=True)
class Intent:
    """What a policy would like to do with the next interval."""

    power_mw: float
    """Asked for, discharge positive."""
    reason: str
    """A short code such as `price_below_threshold`."""
    charge_advantage_eur: float | None = None
    """Expected gain of charging over idling, where the policy knows it."""
    discharge_advantage_eur: float | None = None
    """Expected gain of discharging over idling, where the policy knows it."""


class Outlook(Protocol):
    """A policy's reading of the market at a number of times, waiting for a battery's state."""

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        """What the policy wants at the `at`-th time from this state.

        profit_today_eur: made since Brussels midnight, as far as it is known by then; most policies do not mind.
        """
        ...

    def outcomes_eur(self, at: int, state: BatteryState) -> npt.NDArray[np.float64] | None:
        """Quantiles of the profit to the day's end, shape [3 actions, quantiles]; None where the policy has no idea."""
        ...


class Policy(Protocol):
    """A strategy."""

    @property
    def name(self) -> str:
        """As reports call it."""
        ...

    def read(self, knowledge: Knowledge, battery: Battery) -> Outlook:
        """Read the market at the times of `knowledge`; time t of the outlook rests on what is known at time t only."""
        ...
