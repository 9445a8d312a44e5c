"""Paths of results, checked while the command line is read: before any work is done.

Contract: each check is a callback of an option. It returns the value as it is or raises BadInput, naming the option,
the path, what is wrong and what is right. Standard output is named `-` and needs no check.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from arbitrage.backtest.report.export import find_browser
from arbitrage.errors import BadInput, Fault

STANDARD_OUTPUT = "-"
_PAGES = (".html", ".htm")
_PRINTED = (".pdf", ".png")
_TAKEN = "arbitrage.cli.options.output_paths"
"""Where the context of a command keeps the paths that its options have named."""


def json_file(context: typer.Context, option: typer.CallbackParam, value: str | None) -> str | None:
    """A file for figures, or `-`."""
    if value is not None and value != STANDARD_OUTPUT:
        _check_file(context, option, Path(value), ())
    return value


def report_file(context: typer.Context, option: typer.CallbackParam, value: Path | None) -> Path | None:
    """A file for a tear sheet: its ending says what is written."""
    if value is not None:
        _check_file(context, option, value, (*_PAGES, *_PRINTED))
    return value


def printed_file(ending: str) -> Callable[[typer.Context, typer.CallbackParam, Path | None], Path | None]:
    """A check of a file that Chromium or Chrome prints, with that ending."""

    def check(context: typer.Context, option: typer.CallbackParam, value: Path | None) -> Path | None:
        if value is not None:
            _check_file(context, option, value, (ending,))
        return value

    return check


def directory(context: typer.Context, option: typer.CallbackParam, value: Path | None) -> Path | None:
    """A directory that is there or can be made."""
    if value is not None and not context.resilient_parsing:
        faults = [f"{value} is a file, not a directory"] if value.is_file() else _unreachable(value)
        _refuse(option, faults)
    return value


def new_directory(context: typer.Context, option: typer.CallbackParam, value: Path | None) -> Path | None:
    """A directory that is empty or not there yet: what is in it is never written over."""
    directory(context, option, value)
    if value is not None and not context.resilient_parsing:
        from arbitrage.backtest.runs.folder import refuse_taken

        refuse_taken(value)
    return value


def _check_file(context: typer.Context, option: typer.CallbackParam, path: Path, endings: Sequence[str]) -> None:
    if context.resilient_parsing:
        return
    faults = _unreachable(path)
    if path.is_dir():
        faults.append(f"{path} is a directory; name a file in it")
    ending = path.suffix.lower()
    if endings and ending not in endings:
        faults.append(f"{path} ends in {ending or 'nothing'}; what can be written ends in {', '.join(endings)}")
    elif ending in _PRINTED and endings:
        faults += _without_browser()
    taken: dict[Path, str] = context.meta.setdefault(_TAKEN, {})
    other = taken.setdefault(path.absolute(), str(option.name))
    if other != option.name:
        faults.append(f"{path} is where another option writes: name different files")
    _refuse(option, faults)


def _unreachable(path: Path) -> list[str]:
    """Why nothing can be written there."""
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        return [f"{path} lies below {parent}, which is a file"]
    return [] if os.access(parent, os.W_OK | os.X_OK) else [f"{path} cannot be written: no permission in {parent}"]


def _without_browser() -> list[str]:
    try:
        find_browser()
    except RuntimeError as missing:
        return [str(missing)]
    return []


def _refuse(option: typer.CallbackParam, faults: list[str]) -> None:
    if faults:
        name = max(option.opts, key=len, default=str(option.name))
        raise BadInput([Fault(name, fault) for fault in faults])
