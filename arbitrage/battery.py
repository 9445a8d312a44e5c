"""The battery and its one law: clip power, advance the state of charge, count cycles.

Law
- Power is metered on the grid side and signed: positive = discharge = injection.
- Efficiency enters in the state-of-charge balance only: charging E MWh stores E x charge_efficiency,
  discharging E MWh draws E / discharge_efficiency from the store.
- One equivalent full cycle is a storage-side discharge of the nominal capacity.
- The daily cycle budget is hard: whatever power is asked for, the power that flows never takes
  the count above it. The count starts anew at Brussels midnight; whoever steps through time does that.

Everything that moves a battery (environment, learners, backtest, perfect foresight, service) calls
`clip_power_mw` and `advance`, compiled once and used for one battery or thousands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from arbitrage.errors import Fault, refuse
from arbitrage.quarter_hour import MINUTES_PER_HOUR

Floats = npt.NDArray[np.float64]


class BatteryLaw(NamedTuple):
    """The numbers of a `Battery` as compiled code takes them."""

    charge_power_mw: float
    discharge_power_mw: float
    capacity_mwh: float
    min_soc_mwh: float
    max_soc_mwh: float
    charge_efficiency: float
    discharge_efficiency: float
    max_cycles_per_day: float
    """Infinite where there is no budget."""
    wear_cost_eur_mwh: float


@numba.njit(cache=True)
def clip_power_mw(
    law: BatteryLaw,
    soc_mwh: float,
    cycles_used: float,
    power_mw: float,
    duration_h: float,
) -> float:
    """The power that can flow for `duration_h` when `power_mw` is asked for."""
    if power_mw > 0.0:
        drawable_mwh = max(0.0, soc_mwh - law.min_soc_mwh)
        budget_mwh = max(0.0, law.max_cycles_per_day - cycles_used) * law.capacity_mwh
        energy_bound_mw = min(drawable_mwh, budget_mwh) * law.discharge_efficiency / duration_h
        return min(power_mw, law.discharge_power_mw, energy_bound_mw)
    if power_mw < 0.0:
        room_mwh = max(0.0, law.max_soc_mwh - soc_mwh)
        energy_bound_mw = room_mwh / law.charge_efficiency / duration_h
        return -min(-power_mw, law.charge_power_mw, energy_bound_mw)
    return 0.0


@numba.njit(cache=True)
def advance(
    law: BatteryLaw, soc_mwh: float, cycles_used: float, power_mw: float, duration_h: float
) -> tuple[float, float, float]:
    """State after `power_mw` (already clipped) has flowed for `duration_h`.

    Returns SoC in MWh, cycles used, and wear cost in EUR. Rounding is kept inside the bounds, but a state
    that begins outside the SoC window is not moved into it for free.
    """
    if power_mw > 0.0:
        drawn_mwh = power_mw * duration_h / law.discharge_efficiency
        soc_after = max(soc_mwh - drawn_mwh, min(soc_mwh, law.min_soc_mwh))
        cycles_after = min(cycles_used + drawn_mwh / law.capacity_mwh, max(cycles_used, law.max_cycles_per_day))
        return soc_after, cycles_after, drawn_mwh * law.wear_cost_eur_mwh
    stored_mwh = -power_mw * duration_h * law.charge_efficiency
    return min(soc_mwh + stored_mwh, max(soc_mwh, law.max_soc_mwh)), cycles_used, 0.0


@numba.njit(cache=True)
def step_fleet(
    law: BatteryLaw,
    soc_mwh: Floats,
    cycles_used: Floats,
    power_mw: Floats,
    duration_h: float,
    wear_eur: Floats,
) -> None:
    """Clip and advance many batteries of one kind in place, arrays of shape [batteries].

    `power_mw` holds the requests on entry and what flowed on return; `wear_eur` receives the wear cost.
    """
    for i in range(soc_mwh.shape[0]):
        power = clip_power_mw(law, soc_mwh[i], cycles_used[i], power_mw[i], duration_h)
        power_mw[i] = power
        soc_mwh[i], cycles_used[i], wear_eur[i] = advance(law, soc_mwh[i], cycles_used[i], power, duration_h)


@dataclass(frozen=True, slots=True)
class BatteryState:
    """What a battery carries through time: energy in store, and cycles used this Brussels day."""

    soc_mwh: float
    cycles_used: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """What one interval did to a battery."""

    power_mw: float
    """Grid-side power that flowed, discharge positive."""
    wear_eur: float
    after: BatteryState


@dataclass(frozen=True, kw_only=True)
class Battery:
    """What a battery is. Raises BadInput naming every parameter that makes no sense.

    Efficiencies are one-way fractions; `power_mw` is the grid-side rating in both directions, and the grid
    connection may allow less in either one. Wear is charged on energy drawn from the store.
    """

    power_mw: float = 1.0
    capacity_mwh: float = 2.0
    charge_efficiency: float = 0.9
    discharge_efficiency: float = 0.9
    max_cycles_per_day: float | None = None
    min_soc_fraction: float = 0.0
    max_soc_fraction: float = 1.0
    wear_cost_eur_mwh: float = 0.0
    import_limit_mw: float | None = None
    export_limit_mw: float | None = None

    def __post_init__(self) -> None:
        refuse(_battery_faults(self))

    @cached_property
    def law(self) -> BatteryLaw:
        """The numbers for compiled code, with grid connection and rating made one."""
        return BatteryLaw(
            charge_power_mw=_least(self.power_mw, self.import_limit_mw),
            discharge_power_mw=_least(self.power_mw, self.export_limit_mw),
            capacity_mwh=float(self.capacity_mwh),
            min_soc_mwh=self.min_soc_fraction * self.capacity_mwh,
            max_soc_mwh=self.max_soc_fraction * self.capacity_mwh,
            charge_efficiency=float(self.charge_efficiency),
            discharge_efficiency=float(self.discharge_efficiency),
            max_cycles_per_day=math.inf if self.max_cycles_per_day is None else float(self.max_cycles_per_day),
            wear_cost_eur_mwh=float(self.wear_cost_eur_mwh),
        )

    @property
    def empty(self) -> BatteryState:
        """The state at the bottom of the SoC window with the whole budget left."""
        return BatteryState(self.min_soc_fraction * self.capacity_mwh)

    def step(self, state: BatteryState, power_mw: float, duration_min: int) -> Step:
        """Ask for `power_mw` during `duration_min` minutes."""
        duration_h = duration_min / MINUTES_PER_HOUR
        law = self.law
        power = clip_power_mw(law, state.soc_mwh, state.cycles_used, float(power_mw), duration_h)
        soc_mwh, cycles_used, wear_eur = advance(law, state.soc_mwh, state.cycles_used, power, duration_h)
        return Step(power, wear_eur, BatteryState(soc_mwh, cycles_used))


def _least(rating_mw: float, limit_mw: float | None) -> float:
    return float(rating_mw) if limit_mw is None else float(min(rating_mw, limit_mw))


def _battery_faults(battery: Battery) -> list[Fault]:
    """Everything wrong with the parameters; comparisons are written so that NaN fails them."""
    rules = {
        "power_mw": (0.0 < battery.power_mw < math.inf, "must be a positive number of MW"),
        "capacity_mwh": (0.0 < battery.capacity_mwh < math.inf, "must be a positive number of MWh"),
        "charge_efficiency": (0.0 < battery.charge_efficiency <= 1.0, "must be above 0 and at most 1"),
        "discharge_efficiency": (0.0 < battery.discharge_efficiency <= 1.0, "must be above 0 and at most 1"),
        "max_cycles_per_day": (_absent_or_at_least_zero(battery.max_cycles_per_day), "must be 0 or more"),
        "min_soc_fraction": (
            0.0 <= battery.min_soc_fraction < battery.max_soc_fraction,
            "must be at least 0 and below max_soc_fraction",
        ),
        "max_soc_fraction": (battery.max_soc_fraction <= 1.0, "must be at most 1"),
        "wear_cost_eur_mwh": (0.0 <= battery.wear_cost_eur_mwh < math.inf, "must be 0 or more"),
        "import_limit_mw": (_absent_or_at_least_zero(battery.import_limit_mw), "must be 0 or more"),
        "export_limit_mw": (_absent_or_at_least_zero(battery.export_limit_mw), "must be 0 or more"),
    }
    return [
        Fault(name, f"{message}, not {getattr(battery, name)}") for name, (holds, message) in rules.items() if not holds
    ]


def _absent_or_at_least_zero(value: float | None) -> bool:
    return value is None or value >= 0.0
