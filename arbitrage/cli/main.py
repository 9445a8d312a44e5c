"""Where a command is looked for: among those that other packages bring, else in the command line proper.

Contract: a command of another package is run without loading the rest, so that a service starts without the learners.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

import typer

from arbitrage.cli.output import say
from arbitrage.errors import BadInput

COMMANDS = "arbitrage.commands"
"""Entry points, each named as its command, of functions that register it on the app that they are given."""


def main() -> None:
    """Run the command line with its promise of exit codes."""
    asked = sys.argv[1] if len(sys.argv) > 1 else None
    brought = next((command for command in entry_points(group=COMMANDS) if command.name == asked), None)
    if brought is not None:
        run(lambda: _alone(brought))
        return
    from arbitrage.cli.app import app, expanded

    for command in entry_points(group=COMMANDS):
        command.load()(app)
    run(lambda: app(args=expanded(sys.argv[1:])))


def run(command: Callable[[], None]) -> None:
    """Exit codes: 0 done; 1 the job failed; 2 bad input, every fault named."""
    try:
        command()
    except BadInput as refused:
        for fault in refused.faults:
            say("[red]error:[/red]", str(fault))
        sys.exit(2)
    except (RuntimeError, OSError) as failed:
        say("[red]failed:[/red]", str(failed))
        sys.exit(1)


def _alone(brought: EntryPoint) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)  # else an app of one command has no name for it
    brought.load()(app)
    app()
