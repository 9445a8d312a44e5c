"""Policies that take turns: each decides from its own time on, until the next one takes over.

Law: the relay reads nothing itself. Every time is read by the policy on duty then, exactly as that policy would alone;
the battery does not notice the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arbitrage.agents.policy import Intent, Outlook, Policy
from arbitrage.battery import Battery, BatteryState
from arbitrage.errors import Fault, refuse
from arbitrage.market.tapes import Knowledge

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _RelayOutlook:
    outlooks: tuple[Outlook | None, ...]
    """Of each policy; None where it is not on duty at any time asked for."""
    on_duty: Numbers
    """Shape [T]; which policy decides each time."""
    position: Numbers
    """Shape [T]; which of that policy's times it is."""

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        return self._on_duty(at).intent(int(self.position[at]), state, profit_today_eur)

    def outcomes_eur(self, at: int, state: BatteryState) -> npt.NDArray[np.float64] | None:
        return self._on_duty(at).outcomes_eur(int(self.position[at]), state)

    def _on_duty(self, at: int) -> Outlook:
        outlook = self.outlooks[int(self.on_duty[at])]
        if outlook is None:
            raise LookupError("a policy is on duty that read nothing")
        return outlook


@dataclass(frozen=True, slots=True)
class Relay:
    """Policies and the epoch minutes at which each takes over, in order. Raises BadInput if they are not in order."""

    name: str
    policies: tuple[Policy, ...]
    starts: tuple[int, ...]

    def __post_init__(self) -> None:
        rules = {
            "policies": (len(self.policies) == len(self.starts) > 0, "are as many as the times at which they begin"),
            "starts": (all(np.diff(self.starts) > 0), "must rise from policy to policy"),
        }
        refuse(Fault(name, message) for name, (holds, message) in rules.items() if not holds)

    def read(self, knowledge: Knowledge, battery: Battery) -> Outlook:
        """Let each policy read its own times. Raises BadInput where a time lies before the first policy's start."""
        on_duty = np.searchsorted(self.starts, knowledge.times, side="right") - 1
        refuse([Fault("time", "lies before the first policy's start")] if (on_duty < 0).any() else [])
        position = np.zeros(len(on_duty), dtype=np.int64)
        outlooks: list[Outlook | None] = []
        for number, policy in enumerate(self.policies):
            own = np.flatnonzero(on_duty == number)
            position[own] = np.arange(len(own))
            outlooks.append(_read_own(policy, knowledge, own, battery))
        return _RelayOutlook(tuple(outlooks), on_duty, position)


def _read_own(policy: Policy, knowledge: Knowledge, own: Numbers, battery: Battery) -> Outlook | None:
    """A policy's reading of the times [m] at which it is on duty."""
    if not len(own):
        return None
    return policy.read(knowledge.looking_back(knowledge.times[own], knowledge.about[own]), battery)


def relay(name: str, turns: Sequence[tuple[int, Policy]]) -> Relay:
    """The relay of policies with the epoch minutes at which they begin."""
    return Relay(name, tuple(policy for _, policy in turns), tuple(start for start, _ in turns))
