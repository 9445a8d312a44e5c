"""The battery and its one law: clip power, advance the state of charge, count cycles.

Contract
- Power is metered on the grid side and signed: positive = discharge = injection.
- Efficiency enters in the state-of-charge balance only: charging E MWh stores E x charge_efficiency,
  discharging E MWh draws E / discharge_efficiency from the store.
- One equivalent full cycle is a storage-side discharge of the nominal capacity.
- The daily cycle budget is hard: whatever power is asked for, the power that flows never takes
  the count above it. The count restarts at Brussels midnight; anyone who steps through time does that.

Everything that moves a battery (environment, learners, backtest, perfect foresight, service) calls
`clip_power_mw` and `advance`, or `clip_and_advance` for both, compiled once and used for one battery or thousands.
What the energy is paid is in `arbitrage.settling`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numba
from numba.extending import register_jitable

from arbitrage.arrays import Floats
from arbitrage.errors import Fault, refuse
from arbitrage.numeric import as_written, is_real, percent_remedy, plain, real_number
from arbitrage.quarter_hour import MINUTES_PER_HOUR

_LEAST, _MOST = 1e-12, 1e12
"""Bounds of powers, capacities and costs, far beyond every battery; outside, arithmetic would overflow or vanish."""
_LOOKS_LIKE_KW, _LOOKS_LIKE_KWH = 1_000.0, 10_000.0
"""From here on a power in MW or a capacity in MWh is more likely one in kW or kWh: no battery is that large."""
_SHORTEST_H, _LONGEST_H = 1.0 / 20.0, 100.0
"""Hours that plausible batteries last at their rated power: a C-rate of 20, and of 0.01."""


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

    @property
    def unit_mwh(self) -> float:
        """An energy of the battery's own size, above 0: what its rating moves in an hour, or its capacity if less.

        A solver whose tolerances are absolute is given powers and energies in this unit.
        """
        rating_mw = max(self.charge_power_mw, self.discharge_power_mw)
        return min(rating_mw, self.capacity_mwh) if rating_mw > 0.0 else self.capacity_mwh

    def in_units_of(self, unit_mwh: float) -> BatteryLaw:
        """The law of the same battery with `unit_mwh` as the unit of energy, and of power over an hour."""
        return self._replace(
            charge_power_mw=self.charge_power_mw / unit_mwh,
            discharge_power_mw=self.discharge_power_mw / unit_mwh,
            capacity_mwh=self.capacity_mwh / unit_mwh,
            min_soc_mwh=self.min_soc_mwh / unit_mwh,
            max_soc_mwh=self.max_soc_mwh / unit_mwh,
        )


@register_jitable
def wear_cost_eur(law: BatteryLaw, drawn_mwh: Any) -> Any:
    """What it costs to draw energy from the store; a scalar or an array of any shape."""
    return drawn_mwh * law.wear_cost_eur_mwh


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
        return soc_after, cycles_after, wear_cost_eur(law, drawn_mwh)
    stored_mwh = -power_mw * duration_h * law.charge_efficiency
    return min(soc_mwh + stored_mwh, max(soc_mwh, law.max_soc_mwh)), cycles_used, 0.0


@numba.njit(cache=True)
def clip_and_advance(
    law: BatteryLaw, soc_mwh: float, cycles_used: float, asked_mw: float, duration_h: float
) -> tuple[float, float, float, float]:
    """Ask for `asked_mw` during `duration_h`.

    Returns the power that flows, SoC in MWh and cycles used after it, and wear cost in EUR.
    """
    power_mw = clip_power_mw(law, soc_mwh, cycles_used, asked_mw, duration_h)
    soc_after, cycles_after, wear_eur = advance(law, soc_mwh, cycles_used, power_mw, duration_h)
    return power_mw, soc_after, cycles_after, wear_eur


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
        power_mw[i], soc_mwh[i], cycles_used[i], wear_eur[i] = clip_and_advance(
            law, soc_mwh[i], cycles_used[i], power_mw[i], duration_h
        )


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
        for own in fields(self):
            value = getattr(self, own.name)
            object.__setattr__(self, own.name, None if value is None else plain(value))

    @cached_property
    def law(self) -> BatteryLaw:
        """The numbers for compiled code, with grid connection and rating made one."""
        return BatteryLaw(
            charge_power_mw=_least(self.power_mw, self.import_limit_mw),
            discharge_power_mw=_least(self.power_mw, self.export_limit_mw),
            capacity_mwh=float(self.capacity_mwh),
            min_soc_mwh=float(self.min_soc_fraction * self.capacity_mwh),
            max_soc_mwh=float(self.max_soc_fraction * self.capacity_mwh),
            charge_efficiency=float(self.charge_efficiency),
            discharge_efficiency=float(self.discharge_efficiency),
            max_cycles_per_day=math.inf if self.max_cycles_per_day is None else float(self.max_cycles_per_day),
            wear_cost_eur_mwh=float(self.wear_cost_eur_mwh),
        )

    @property
    def empty(self) -> BatteryState:
        """The state at the bottom of the SoC window with the whole budget left."""
        return BatteryState(self.law.min_soc_mwh)

    def step(self, state: BatteryState, power_mw: float, duration_min: int) -> Step:
        """Ask for `power_mw` during `duration_min` minutes; asking for NaN moves nothing.

        Raises BadInput for a power that is not of a number's type, and for a duration that is not above 0.
        """
        if not (isinstance(power_mw, float) and type(duration_min) is int and 0 < duration_min < _MOST):
            refuse(_step_faults(power_mw, duration_min))
            power_mw = real_number(power_mw)
        duration_h = float(duration_min) / MINUTES_PER_HOUR
        power, soc_mwh, cycles_used, wear_eur = clip_and_advance(
            self.law, state.soc_mwh, state.cycles_used, float(power_mw), duration_h
        )
        return Step(power, wear_eur, BatteryState(soc_mwh, cycles_used))


def _least(rating_mw: float, limit_mw: float | None) -> float:
    return float(rating_mw) if limit_mw is None else float(min(rating_mw, limit_mw))


def _step_faults(power_mw: object, duration_min: object) -> list[Fault]:
    rules = {
        "power_mw": (is_real(power_mw), power_mw, "a number of MW"),
        "duration_min": (_LEAST <= real_number(duration_min) < math.inf, duration_min, "a positive number of minutes"),
    }
    return [
        Fault(name, f"must be {what}, not {as_written(value)}")
        for name, (holds, value, what) in rules.items()
        if not holds
    ]


def _battery_faults(battery: Battery) -> list[Fault]:
    """Everything wrong with the parameters; comparisons are written so that NaN fails them."""
    given = {own.name: getattr(battery, own.name) for own in fields(battery)}
    is_a = {name: real_number(value) for name, value in given.items()}
    lowest, highest = is_a["min_soc_fraction"], is_a["max_soc_fraction"]
    rules = {
        "power_mw": (0.0 < is_a["power_mw"] < math.inf, "must be a positive number of MW"),
        "capacity_mwh": (0.0 < is_a["capacity_mwh"] < math.inf, "must be a positive number of MWh"),
        "charge_efficiency": (0.0 < is_a["charge_efficiency"] <= 1.0, "must be above 0 and at most 1"),
        "discharge_efficiency": (0.0 < is_a["discharge_efficiency"] <= 1.0, "must be above 0 and at most 1"),
        "min_soc_fraction": (
            0.0 <= lowest <= 1.0 and not (lowest >= highest and highest <= 1.0),
            "must be at least 0 and below max_soc_fraction",
        ),
        "max_soc_fraction": (highest <= 1.0, "must be at most 1"),
        "wear_cost_eur_mwh": (0.0 <= is_a["wear_cost_eur_mwh"] <= _MOST, f"must be 0 or more, up to {_MOST:g}"),
    }
    for name in ("max_cycles_per_day", "import_limit_mw", "export_limit_mw"):
        rules[name] = (given[name] is None or is_a[name] >= 0.0, "must be 0 or more")
    for name, unit in (("power_mw", "MW"), ("capacity_mwh", "MWh")):
        if rules[name][0] and not _LEAST <= is_a[name] <= _MOST:
            rules[name] = (False, f"must be from {_LEAST:g} to {_MOST:g} {unit}")
    return [
        Fault(name, f"{message}, not {as_written(given[name])}{_remedy(name, given[name])}")
        for name, (holds, message) in rules.items()
        if not holds
    ]


def _remedy(name: str, value: object) -> str:
    return percent_remedy(value) if name.endswith(("_efficiency", "_fraction")) else ""


def unit_warnings(battery: Battery) -> tuple[str, ...]:
    """What of a battery looks like another unit than the field's, each with the remedy; nothing for a plausible one.

    It is no fault, for such a battery may be meant. It is for those who take batteries from people.
    """
    power_mw, capacity_mwh = battery.power_mw, battery.capacity_mwh
    hours = capacity_mwh / power_mw
    lasts = f"capacity_mwh: {capacity_mwh:g} MWh at {power_mw:g} MW lasts {{}}; check the units of both"
    found = {
        f"power_mw: {power_mw:,g} MW looks like kW; did you mean {power_mw / 1000.0:g} MW?": power_mw >= _LOOKS_LIKE_KW,
        f"capacity_mwh: {capacity_mwh:,g} MWh looks like kWh; did you mean {capacity_mwh / 1000.0:g} MWh?": (
            capacity_mwh >= _LOOKS_LIKE_KWH
        ),
        lasts.format(f"{60.0 * hours:.2g} minutes"): hours < _SHORTEST_H,
        lasts.format(f"{hours:,.0f} hours"): hours > _LONGEST_H,
    }
    return tuple(warning for warning, holds in found.items() if holds)
