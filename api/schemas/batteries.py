"""A battery and its state on the wire; `arbitrage.battery` says what the numbers mean."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from api.schemas.wire import Wire
from arbitrage.battery import Battery, BatteryState

Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Efficiency = Annotated[float, Field(gt=0.0, le=1.0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class BatteryIn(Wire):
    """A battery: grid-side powers, one-way efficiencies, budget of equivalent full cycles a Brussels day."""

    power_mw: Positive = 1.0
    capacity_mwh: Positive = 2.0
    charge_efficiency: Efficiency = 0.9
    discharge_efficiency: Efficiency = 0.9
    max_cycles_per_day: NotNegative | None = None
    min_soc_fraction: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    max_soc_fraction: Efficiency = 1.0
    wear_cost_eur_mwh: NotNegative = 0.0
    import_limit_mw: NotNegative | None = None
    export_limit_mw: NotNegative | None = None

    @model_validator(mode="after")
    def _window(self) -> BatteryIn:
        if self.min_soc_fraction >= self.max_soc_fraction:
            raise ValueError("min_soc_fraction must be below max_soc_fraction")
        return self

    def battery(self) -> Battery:
        """The battery of the domain."""
        return Battery(**self.model_dump())


class StateIn(Wire):
    """Where the battery stands: its energy by fraction or in MWh, and the day so far."""

    soc_fraction: Annotated[Fraction | None, Field(description="Of the nominal capacity.")] = None
    soc_mwh: Annotated[NotNegative | None, Field(description="Instead of the fraction, exact to the last bit.")] = None
    cycles_used_today: Annotated[NotNegative, Field(description="Since Brussels midnight.")] = 0.0
    profit_today_eur: Annotated[
        float, Field(description="Made since Brussels midnight, as far as its prices are published.")
    ] = 0.0

    @model_validator(mode="after")
    def _one_charge(self) -> StateIn:
        if (self.soc_fraction is None) == (self.soc_mwh is None):
            raise ValueError("give soc_fraction or soc_mwh, one of them")
        return self

    def state(self, battery: Battery) -> BatteryState:
        """The state of that battery."""
        energy = self.soc_mwh if self.soc_mwh is not None else (self.soc_fraction or 0.0) * battery.capacity_mwh
        return BatteryState(float(energy), float(self.cycles_used_today))
