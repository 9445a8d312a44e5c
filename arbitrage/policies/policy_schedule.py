"""Policies that take turns: each decides from its own time on, until the next one takes over.

Contract: each time is decided by the policy that is due then, exactly as that policy would alone. The battery's state
carries over from one policy to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Numbers
from arbitrage.battery import Battery, BatteryState
from arbitrage.errors import Fault, refuse
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import KnownMarket
from arbitrage.policies.protocol import Intent, Policy, PolicyView, RiskChoice, TrainedInputs


@dataclass(frozen=True, slots=True)
class _ScheduleView:
    views: tuple[PolicyView | None, ...]
    """Of each policy; None where it is not on duty at any time asked for."""
    on_duty: Numbers
    """Shape [T]; which policy decides each time."""
    position: Numbers
    """Shape [T]; which of that policy's times it is."""

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        return self._on_duty(at).intent(int(self.position[at]), state, profit_today_eur)

    def outcomes_eur(self, at: int, state: BatteryState) -> npt.NDArray[np.float64] | None:
        return self._on_duty(at).outcomes_eur(int(self.position[at]), state)

    def inputs(self, at: int) -> TrainedInputs | None:
        return self._on_duty(at).inputs(int(self.position[at]))

    def _on_duty(self, at: int) -> PolicyView:
        view = self.views[int(self.on_duty[at])]
        if view is None:
            raise LookupError("a policy is on duty that read nothing")
        return view


@dataclass(frozen=True, slots=True)
class PolicySchedule:
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

    @property
    def step_min(self) -> int:
        """The shortest of the policies'."""
        return min(policy.step_min for policy in self.policies)

    @property
    def sources(self) -> tuple[str, ...]:
        """All that one of the policies cannot do without."""
        return tuple(sorted({source for policy in self.policies for source in policy.sources}))

    @property
    def needs(self) -> tuple[Need, ...]:
        """All that one of the policies needs, each series as the first says that needs it.

        Values within the hour are unfamiliar where they are to every policy that needs the series.
        """
        every = [need for policy in self.policies for need in policy.needs]
        needs = {need.series: need for need in reversed(every)}
        familiar = {need.series for need in every if not need.hourly_only}
        return tuple(replace(need, hourly_only=need.series not in familiar) for need in reversed(needs.values()))

    @property
    def trained_battery(self) -> Battery | None:
        """The battery of the first policy that decides for one only."""
        return next((own for policy in self.policies if (own := policy.trained_battery) is not None), None)

    @property
    def publication_delay_min(self) -> int | None:
        """The longest delay that a policy learned with."""
        delays = [delay for policy in self.policies if (delay := policy.publication_delay_min) is not None]
        return max(delays, default=None)

    @property
    def takes_risk_aversion(self) -> bool:
        """Whether each policy has one."""
        return all(policy.takes_risk_aversion for policy in self.policies)

    @property
    def gives_outcomes(self) -> bool:
        """Whether each policy does."""
        return all(policy.gives_outcomes for policy in self.policies)

    @property
    def risk(self) -> RiskChoice:
        """That of the first policy; `with_risk` sets all alike."""
        return self.policies[0].risk

    def with_risk(self, choice: RiskChoice) -> PolicySchedule:
        """The policy_schedule of the policies with their risk so set. Raises BadInput if one has no such setting."""
        return replace(self, policies=tuple(policy.with_risk(choice) for policy in self.policies))

    def bind(self, known: KnownMarket, battery: Battery) -> PolicyView:
        """Let each policy read its own times. Raises BadInput where a time lies before the first policy's start."""
        on_duty = np.searchsorted(self.starts, known.times, side="right") - 1
        refuse([Fault("time", "lies before the first policy's start")] if (on_duty < 0).any() else [])
        position = np.zeros(len(on_duty), dtype=np.int64)
        views: list[PolicyView | None] = []
        for number, policy in enumerate(self.policies):
            own = np.flatnonzero(on_duty == number)
            position[own] = np.arange(len(own))
            views.append(_read_own(policy, known, own, battery))
        return _ScheduleView(tuple(views), on_duty, position)


def _read_own(policy: Policy, known: KnownMarket, own: Numbers, battery: Battery) -> PolicyView | None:
    """A policy's reading of the times [m] at which it is on duty."""
    if not len(own):
        return None
    return policy.bind(known.as_of(known.times[own], known.about[own]), battery)


def policy_schedule(name: str, turns: Sequence[tuple[int, Policy]]) -> PolicySchedule:
    """The policy_schedule of policies with the epoch minutes at which they begin."""
    return PolicySchedule(name, tuple(policy for _, policy in turns), tuple(start for start, _ in turns))
