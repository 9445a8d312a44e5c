"""Options of the battery: every number that `Battery` has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import typer

from arbitrage.battery import Battery, unit_warnings
from arbitrage.cli.options.panels import BATTERY
from arbitrage.cli.output import warn


@dataclass(frozen=True, slots=True)
class BatteryOptions:
    """The battery as the command line names it; None where nothing is said."""

    PANEL: ClassVar[str] = BATTERY

    power_mw: Annotated[float | None, typer.Option(help="Rated power, both directions. [default: 1]")] = None
    capacity_mwh: Annotated[float | None, typer.Option(help="Nominal capacity. [default: 2]")] = None
    charge_efficiency: Annotated[float | None, typer.Option(help="One way, a fraction. [default: 0.9]")] = None
    discharge_efficiency: Annotated[float | None, typer.Option(help="One way, a fraction. [default: 0.9]")] = None
    max_cycles_per_day: Annotated[
        float | None, typer.Option(help="Hard budget of equivalent full cycles a Brussels day. [default: none]")
    ] = None
    min_soc_fraction: Annotated[
        float | None, typer.Option(help="Least state of charge, fraction of the capacity. [default: 0]")
    ] = None
    max_soc_fraction: Annotated[
        float | None, typer.Option(help="Greatest state of charge, fraction of the capacity. [default: 1]")
    ] = None
    wear_cost_eur_mwh: Annotated[
        float | None, typer.Option(help="Cost of wear per MWh drawn from the store. [default: 0]")
    ] = None
    import_limit_mw: Annotated[
        float | None, typer.Option(help="Limit of the grid connection on charging. [default: the rated power]")
    ] = None
    export_limit_mw: Annotated[
        float | None, typer.Option(help="Limit of the grid connection on discharging. [default: the rated power]")
    ] = None

    def battery(self, card: dict[str, Any] | None = None) -> Battery:
        """What the user said, else what the policy was trained for, else the defaults. Raises BadInput.

        Warns of a battery that looks like one in other units.
        """
        base = asdict(Battery()) if card is None else dict(card["battery"])
        battery = Battery(**base | {name: value for name, value in asdict(self).items() if value is not None})
        for text in unit_warnings(battery):
            warn(text)
        return battery
