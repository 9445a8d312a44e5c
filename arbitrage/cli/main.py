"""The command line's entry point: runs the command and keeps its promise of exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable

from arbitrage.cli.app import app
from arbitrage.cli.output import say
from arbitrage.errors import BadInput


def main() -> None:
    """Run the command line with its promise of exit codes."""
    run(app)


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
