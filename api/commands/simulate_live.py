"""`arbitrage simulate-live`: the whole loop against a simulated market, to look at and to trust.

Contract: nothing of the service is loaded until it is asked for, so that other commands need none of it installed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer

from arbitrage.cli.options.battery import BatteryOptions
from arbitrage.cli.options.build import command
from arbitrage.cli.options.output import FigureOutput
from arbitrage.cli.options.panels import RISK, STRATEGY
from arbitrage.errors import BadInput, Fault

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """The simulated world."""

    PANEL: ClassVar[str] = "World"

    days: Annotated[float, typer.Option(min=0.02, max=366.0, help="Length of the simulation.")] = 1.0
    speed: Annotated[float, typer.Option(min=0.0, help="Simulated seconds a second; 0: as fast as it goes.")] = 0.0
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated world.")] = 0
    start: Annotated[
        str,
        typer.Option(help="When it begins: a Brussels day, or ISO 8601 with an offset, on a quarter-hour."),
    ] = "2025-03-24T00:00+01:00"
    preset: Annotated[str, typer.Option(help="What the world is like: 2019, 2022 or 2024.")] = "2022"
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:AFTER:MINUTES",
            help="A fault of the feed, so many minutes after the start; again for each. KIND is silence, stale, "
            "frozen, jump, duplicate, contradiction or future.",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """The service between the simulation and the policy."""

    PANEL: ClassVar[str] = "Service"

    direct: Annotated[bool, typer.Option("--direct", help="Decide in the command itself, not through the service.")] = (
        False
    )
    serve: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=1, max=65535, help="Let the service listen on loopback, page and all."),
    ] = None


@command(example="simulate-live --strategy minute-spread --days 1 --speed 60 --serve 8321", recorded=True)
def simulate_live_command(
    battery: BatteryOptions,
    world: WorldOptions,
    service: ServiceOptions,
    output: FigureOutput,
    strategy: Annotated[
        str,
        typer.Option(help="A policy directory, or minute-spread, spread, threshold or idle.", rich_help_panel=STRATEGY),
    ] = "minute-spread",
    challenger: Annotated[
        str | None,
        typer.Option(help="Another one, to decide in the shadow and be scored beside it.", rich_help_panel=STRATEGY),
    ] = None,
    risk_aversion: Annotated[
        float | None, typer.Option(help="Risk aversion of the policy that acts.", rich_help_panel=RISK)
    ] = None,
) -> None:
    """Play a simulated market as if it were live: feed, decisions, battery, settlement, profit.

    The battery is that of the policy where one decides; the options of the battery are for rules.
    """
    try:
        from api.commands.simulation import Wanted, show, simulate_live
    except ModuleNotFoundError as error:
        raise BadInput([Fault("simulate-live", f"needs {error.name}: pip install 'arbitrage[api]'")]) from error

    wanted = Wanted(
        strategies=(strategy,) if challenger is None else (strategy, challenger),
        days=world.days,
        speed=world.speed,
        seed=world.seed,
        start=world.start,
        preset=world.preset,
        risk_aversion=risk_aversion,
        faults=tuple(world.fault or ()),
        battery=battery.battery(),
        direct=service.direct,
        port=service.serve,
    )
    figures = simulate_live(wanted)
    show(figures, output.json_out)
    if figures["interrupted"]:
        sys.exit(INTERRUPTED)
