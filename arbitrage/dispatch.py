"""The one decision path: what is known now and the battery's state in, a decision out.

Contract: environment agents aside, anyone who turns a policy into power (backtest, command line, service) does it here.
The policy asks, the battery law answers, and the decision says both.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from arbitrage.battery import Battery, BatteryState, Step
from arbitrage.errors import Fault, refuse
from arbitrage.market.series import MarketSeries
from arbitrage.numeric import is_whole
from arbitrage.policies.protocol import CannotDecide, Intent, Policy, PolicyView
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, step_faults


class NotANumber(CannotDecide):
    """The policy came to a power or an advantage that is not a number."""


class ShieldRule(StrEnum):
    """Which bound of the battery law cut the power asked for."""

    RATED_POWER = "rated_power"
    STATE_OF_CHARGE = "state_of_charge"
    CYCLE_BUDGET = "cycle_budget"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do during one interval."""

    time: int
    """Epoch minute at which the interval begins and up to which the market was known."""
    intent: Intent
    state: BatteryState
    """The state it was decided in."""
    flow: Step
    """What the battery law makes of it: power, wear and the state after."""
    shield: ShieldRule | None
    """Why `power_mw` is less than was asked for, if it is."""

    @property
    def power_mw(self) -> float:
        """What the battery will do, discharge positive."""
        return self.flow.power_mw

    @property
    def action(self) -> str:
        """`charge`, `idle` or `discharge`."""
        return "charge" if self.power_mw < 0 else "discharge" if self.power_mw > 0 else "idle"


class Dispatcher:
    """A policy reading one market at given times, ready to decide for one kind of battery."""

    def __init__(
        self, policy: Policy, battery: Battery, market: MarketSeries, times: npt.ArrayLike, duration_min: int
    ) -> None:
        """Read the market at epoch minutes [n], each the start of an interval of `duration_min` minutes.

        Raises BadInput for an interval that does not end within the quarter-hour in which it begins.
        """
        self.battery = battery
        self.times = np.atleast_1d(np.asarray(times, dtype=np.int64))
        self.duration_min = duration_min
        refuse(_interval_faults(self.times, duration_min))
        self._name = policy.name
        self.view: PolicyView = policy.bind(market.known_at(self.times), battery)

    def decide(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Decision:
        """Decide the interval that begins at the `at`-th time.

        profit_today_eur: made since Brussels midnight, as far as its prices are published by then.
        Raises NotANumber where the policy's power or advantages are not numbers.
        """
        intent = self.view.intent(at, state, profit_today_eur)
        if not intent.is_number:
            raise NotANumber([Fault(self._name, f"{_in_words(intent)}, which is not a number; retrain it")])
        flow = self.battery.step(state, intent.power_mw, self.duration_min)
        cut = flow.power_mw != intent.power_mw
        shield = shield_rule(self.battery, state, intent.power_mw, flow.power_mw) if cut else None
        return Decision(int(self.times[at]), intent, state, flow, shield)

    def outcomes_eur(self, at: int, state: BatteryState) -> npt.NDArray[np.float64] | None:
        """How the day may turn out after each action, as far as the policy models it; see `PolicyView`."""
        return self.view.outcomes_eur(at, state)


def decide(
    policy: Policy,
    battery: Battery,
    market: MarketSeries,
    time: int,
    state: BatteryState,
    duration_min: int = 15,
    profit_today_eur: float = 0.0,
) -> Decision:
    """One decision at one epoch minute, on what the market had made known by then; see `Dispatcher.decide`.

    Raises BadInput for a duration that is not 1, 3, 5 or 15 minutes.
    """
    refuse(step_faults(duration_min, "duration_min"))
    return Dispatcher(policy, battery, market, time, duration_min).decide(0, state, profit_today_eur)


def _in_words(intent: Intent) -> str:
    """What was asked for, with the advantages that it rests on where the policy knows them."""
    gains = (intent.charge_advantage_eur, intent.discharge_advantage_eur)
    known = "" if gains == (None, None) else f" on advantages of {gains[0]} and {gains[1]} EUR"
    return f"asked for {intent.power_mw} MW{known}"


def _interval_faults(times: npt.NDArray[np.int64], duration_min: int) -> list[Fault]:
    """Energy of an interval is settled at one price, so it lies within one quarter-hour."""
    minutes = np.mod(times, MINUTES_PER_QUARTER_HOUR)
    if is_whole(duration_min) and duration_min >= 1 and (minutes + duration_min <= MINUTES_PER_QUARTER_HOUR).all():
        return []
    return [Fault("duration_min", f"must be whole minutes up to the quarter-hour's end at most, not {duration_min!r}")]


def shield_rule(battery: Battery, state: BatteryState, asked_mw: float, power_mw: float) -> ShieldRule:
    """The bound of the battery law that left `power_mw` of a larger `asked_mw`."""
    law = battery.law
    if power_mw == (law.discharge_power_mw if asked_mw > 0 else -law.charge_power_mw):
        return ShieldRule.RATED_POWER
    budget_left_mwh = (law.max_cycles_per_day - state.cycles_used) * law.capacity_mwh
    if asked_mw > 0 and budget_left_mwh < state.soc_mwh - law.min_soc_mwh:
        return ShieldRule.CYCLE_BUDGET
    return ShieldRule.STATE_OF_CHARGE
