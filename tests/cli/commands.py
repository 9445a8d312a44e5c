"""All commands of the command line, loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from arbitrage.cli.app import CommandStub, app


def every_command() -> Iterator[tuple[str, Any]]:
    """Names as a user writes them, such as `data fetch`, and the commands."""
    yield from _below(typer.main.get_command(app))


def _below(group: Any, *names: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if isinstance(command, CommandStub):
            yield " ".join((*names, name)), command.loaded()
        else:
            yield from _below(command, *names, name)
