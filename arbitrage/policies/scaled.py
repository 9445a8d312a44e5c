"""A policy at another size: less power than it asks for, or the policy of a small battery on a large one.

Contract: nothing but the size changes. The inner policy reads the same market, is given the state of its own small
battery, and what it asks for is multiplied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from arbitrage.arrays import Floats
from arbitrage.battery import Battery, BatteryState
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import KnownMarket
from arbitrage.policies.protocol import Intent, Policy, PolicyView, RiskChoice, TrainedInputs


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """Answers for another policy all that does not depend on size."""

    policy: Policy

    @property
    def name(self) -> str:
        """The policy's."""
        return self.policy.name

    @property
    def step_min(self) -> int:
        """The policy's."""
        return self.policy.step_min

    @property
    def sources(self) -> tuple[str, ...]:
        """The policy's."""
        return self.policy.sources

    @property
    def needs(self) -> tuple[Need, ...]:
        """The policy's."""
        return self.policy.needs

    @property
    def trained_battery(self) -> Battery | None:
        """The policy's."""
        return self.policy.trained_battery

    @property
    def publication_delay_min(self) -> int | None:
        """The policy's."""
        return self.policy.publication_delay_min

    @property
    def takes_risk_aversion(self) -> bool:
        """The policy's."""
        return self.policy.takes_risk_aversion

    @property
    def gives_outcomes(self) -> bool:
        """The policy's."""
        return self.policy.gives_outcomes

    @property
    def risk(self) -> RiskChoice:
        """The policy's."""
        return self.policy.risk

    def with_risk(self, choice: RiskChoice) -> Self:
        """The same size of the policy with its risk so set. Raises BadInput as the policy does."""
        return replace(self, policy=self.policy.with_risk(choice))


@dataclass(frozen=True, slots=True)
class ScaledPower(_Wrapper):
    """Asks for a fraction of the power that another policy asks for."""

    power_fraction: float

    @property
    def name(self) -> str:
        """The policy's, with the fraction."""
        return f"{self.policy.name} at {self.power_fraction:.0%} power"

    def bind(self, known: KnownMarket, battery: Battery) -> ScaledView:
        """The policy's reading, its power scaled."""
        return ScaledView(self.policy.bind(known, battery), 1.0, self.power_fraction)


@dataclass(frozen=True, slots=True)
class Enlarged(_Wrapper):
    """Runs the policy of one battery on another that is so many times as large in power and in energy alike."""

    inner_battery: Battery

    @property
    def trained_battery(self) -> Battery | None:
        """None: it decides for any size."""
        return None

    def bind(self, known: KnownMarket, battery: Battery) -> ScaledView:
        """The policy's reading for its own battery; states and powers are translated."""
        times = battery.power_mw / self.inner_battery.power_mw
        return ScaledView(self.policy.bind(known, self.inner_battery), times, times)


@dataclass(frozen=True, slots=True)
class ScaledView:
    """A reading made for a battery `state_times` smaller, whose answers are made `power_times` larger."""

    view: PolicyView
    state_times: float
    power_times: float

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        """The inner intent with its power multiplied; advantages stay those of the inner battery."""
        inner = self.view.intent(at, self._inner(state), profit_today_eur / self.state_times)
        return replace(inner, power_mw=inner.power_mw * self.power_times)

    def outcomes_eur(self, at: int, state: BatteryState) -> Floats | None:
        """The inner outcomes, in the money of the larger battery."""
        outcomes = self.view.outcomes_eur(at, self._inner(state))
        return None if outcomes is None else outcomes * self.state_times

    def inputs(self, at: int) -> TrainedInputs | None:
        """The inner policy's: the market is the same."""
        return self.view.inputs(at)

    def _inner(self, state: BatteryState) -> BatteryState:
        return replace(state, soc_mwh=state.soc_mwh / self.state_times)
