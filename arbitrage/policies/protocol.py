"""What every strategy is, learned or not: it reads what is known, then says what power it would like.

Contract: a policy never sees the market itself, only a `KnownMarket`; and it asks, it does not act: the battery law has
the last word, in `dispatch`. What callers must know of a policy or of its view, it answers itself; nothing outside
`policies` looks at its type.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Singles
from arbitrage.battery import Battery, BatteryState
from arbitrage.errors import BadInput, Fault
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import INDICATIVE, PRICE, KnownMarket
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR
from arbitrage.risk import RiskPreference


class CannotDecide(BadInput):
    """The policy comes to no decision from this state of the market and the battery."""


@dataclass(frozen=True, slots=True)
class RiskChoice:
    """How risk is to be weighed; None leaves it as the policy was loaded."""

    risk_aversion: float | None = None
    """0 (risk-neutral) to 0.95."""
    preference: RiskPreference | None = None


NEUTRAL = RiskChoice()


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

    @property
    def is_number(self) -> bool:
        """Whether power and advantages are numbers; minus infinity is the advantage of what moves nothing."""
        gains = (self.charge_advantage_eur or 0.0, self.discharge_advantage_eur or 0.0)
        return not math.isnan(self.power_mw) and gains[0] < math.inf and gains[1] < math.inf


@dataclass(frozen=True, slots=True)
class TrainedInputs:
    """The market features of one time, with the scale that they had in training."""

    names: tuple[str, ...]
    """At least as many as there are features that are scaled."""
    values: Singles
    """Shape [n]."""
    mean: Singles
    """Shape [m]; of the first m features. The battery's features, where a policy scales these too, come after them."""
    std: Singles
    """Shape [m]."""


class PolicyView(Protocol):
    """A policy's reading of the market at a number of times, waiting for a battery's state."""

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        """What the policy wants at the `at`-th time from this state.

        profit_today_eur: made since Brussels midnight, as far as it is known by then; most policies do not mind.
        """
        ...

    def outcomes_eur(self, at: int, state: BatteryState) -> npt.NDArray[np.float64] | None:
        """Quantiles of the profit to the day's end, shape [3 actions, quantiles]; None where the policy has no idea."""
        ...

    def inputs(self, at: int) -> TrainedInputs | None:
        """The market features of the `at`-th time beside their training; None where they were not scaled by it."""
        ...


class Policy(Protocol):
    """A strategy."""

    @property
    def name(self) -> str:
        """As reports call it."""
        ...

    @property
    def step_min(self) -> int:
        """Minutes between the decisions that it is made for."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """Series of the market without which it cannot read it."""
        ...

    @property
    def needs(self) -> tuple[Need, ...]:
        """The series that its decisions rest on, and what stands in where a record is not there."""
        ...

    @property
    def trained_battery(self) -> Battery | None:
        """The only battery that it decides for; None: any."""
        ...

    @property
    def publication_delay_min(self) -> int | None:
        """How late the records came that it learned from; None where it learned from none."""
        ...

    @property
    def takes_risk_aversion(self) -> bool:
        """Whether its risk aversion can be set."""
        ...

    @property
    def gives_outcomes(self) -> bool:
        """Whether it knows how the day may turn out, which a risk preference can weigh."""
        ...

    @property
    def risk(self) -> RiskChoice:
        """How its risk is set; None in it where it is neutral."""
        ...

    def with_risk(self, choice: RiskChoice) -> Self:
        """The same policy with its risk so set. Raises BadInput where it has no such setting."""
        ...

    def bind(self, known: KnownMarket, battery: Battery) -> PolicyView:
        """Read the market at the times of `known`; time t of the view rests on what is known at time t only."""
        ...


class PlainView:
    """Base class of views that know no outcomes and were not scaled in training."""

    __slots__ = ()

    def outcomes_eur(self, _at: int, _state: BatteryState) -> npt.NDArray[np.float64] | None:
        """None: it does not know how the day may turn out."""
        return None

    def inputs(self, _at: int) -> TrainedInputs | None:
        """None: no training set the scale of what it reads."""
        return None


class Untrained:
    """What a strategy answers that was not trained: base class of rules, which say only what they need."""

    __slots__ = ()

    step_min: ClassVar[int] = MINUTES_PER_QUARTER_HOUR
    needs: ClassVar[tuple[Need, ...]] = (Need(PRICE),)
    trained_battery: ClassVar[Battery | None] = None
    publication_delay_min: ClassVar[int | None] = None
    takes_risk_aversion: ClassVar[bool] = False
    gives_outcomes: ClassVar[bool] = False
    risk: ClassVar[RiskChoice] = NEUTRAL

    @property
    def sources(self) -> tuple[str, ...]:
        """Everything that it needs."""
        return tuple(need.series for need in self.needs)

    def with_risk(self, choice: RiskChoice) -> Self:
        """The rule itself. Raises BadInput for anything but neutral: a rule weighs no risk."""
        faults = []
        if choice.risk_aversion:
            faults.append(Fault("risk_aversion", _NO_RISK))
        if choice.preference is not None and choice.preference.weight != 0.0:
            faults.append(Fault("risk_preference", _NO_RISK))
        if faults:
            raise BadInput(faults)
        return self


_NO_RISK = "a rule has no risk setting; leave the option out, or choose a learned policy"


def judged_series(policy: Policy) -> str | None:
    """The prices whose freshness counts live: minutes if the policy reads them, else quarter-hours; None if neither."""
    read = {need.series for need in policy.needs}
    return next((series for series in (INDICATIVE, PRICE) if series in read), None)
