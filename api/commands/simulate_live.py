"""`arbitrage simulate-live`: the whole loop against a simulated market, to look at and to trust.

Contract: nothing of the service is loaded until it is asked for, so that other commands need none of it installed.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from arbitrage.cli.output_paths import json_file
from arbitrage.errors import BadInput, Fault

INTERRUPTED = 130

Strategy = Annotated[str, typer.Option(help="A policy directory, or minute-spread, spread, threshold or idle.")]
Challenger = Annotated[str | None, typer.Option(help="Another one, to decide in the shadow and be scored beside it.")]
Days = Annotated[float, typer.Option(min=0.02, max=366.0, help="How long it lives.")]
Speed = Annotated[float, typer.Option(min=0.0, help="Simulated seconds a second; 0: as fast as it goes.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the simulated world.")]
Start = Annotated[str, typer.Option(help="When it begins: ISO 8601 with an offset, on a quarter-hour.")]
Preset = Annotated[str, typer.Option(help="What the world is like: 2019, 2022 or 2024.")]
Aversion = Annotated[float | None, typer.Option("--risk-aversion", help="Of the one who acts: position of the dial.")]
FaultText = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="KIND:AFTER:MINUTES",
        help="A fault of the feed, so many minutes after the start; again for each. KIND is silence, stale, frozen, "
        "jump, duplicate, contradiction or future.",
    ),
]
PowerMw = Annotated[float, typer.Option("--power-mw", help="Rated power, where a rule decides.")]
CapacityMwh = Annotated[float, typer.Option("--capacity-mwh", help="Nominal capacity, where a rule decides.")]
MaxCycles = Annotated[float | None, typer.Option(help="Cycle budget of a Brussels day, where a rule decides.")]
Direct = Annotated[bool, typer.Option("--direct", help="Decide in the command itself, not through the service.")]
ServePort = Annotated[
    int | None,
    typer.Option("--serve", metavar="PORT", min=1, max=65535, help="Let the service listen on loopback, page and all."),
]
JsonOut = Annotated[
    str | None, typer.Option("--json", help="File for the figures, or - for standard output.", callback=json_file)
]


def simulate_live_command(
    strategy: Strategy = "minute-spread",
    challenger: Challenger = None,
    days: Days = 1.0,
    speed: Speed = 0.0,
    seed: Seed = 0,
    start: Start = "2025-03-24T00:00+01:00",
    preset: Preset = "2022",
    risk_aversion: Aversion = None,
    fault: FaultText = None,
    power_mw: PowerMw = 1.0,
    capacity_mwh: CapacityMwh = 2.0,
    max_cycles_per_day: MaxCycles = None,
    direct: Direct = False,
    serve: ServePort = None,
    json_out: JsonOut = None,
) -> None:
    """Play a simulated market as if it were live: feed, decisions, battery, settlement, profit."""
    try:
        from api.commands.simulation import Wanted, show, simulate_live
    except ModuleNotFoundError as error:
        raise BadInput([Fault("simulate-live", f"needs {error.name}: pip install 'arbitrage[api]'")]) from error

    wanted = Wanted(
        strategies=(strategy,) if challenger is None else (strategy, challenger),
        days=days,
        speed=speed,
        seed=seed,
        start=start,
        preset=preset,
        risk_aversion=risk_aversion,
        faults=tuple(fault or ()),
        rated=(power_mw, capacity_mwh, max_cycles_per_day),
        direct=direct,
        port=serve,
    )
    figures = simulate_live(wanted)
    show(figures, json_out)
    if figures["interrupted"]:
        sys.exit(INTERRUPTED)
