"""What the commands print: results to standard output, progress and complaints to standard error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

stderr = Console(stderr=True)
stdout = Console()
_NO_FIGURE = "\N{EM DASH}"


@contextmanager
def live_progress(text: str, total: float) -> Iterator[tuple[Progress, Any]]:
    """A bar that is gone when the work is done, and its task."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        yield bar, bar.add_task(text, total=total)


def warn(text: str) -> None:
    """Something that the user should know."""
    say("[yellow]warning:[/yellow]", text)


def say(kind: str, text: str) -> None:
    """A line for people; `text` may hold anything that stood in a file."""
    stderr.print(kind, escape(text), highlight=False, soft_wrap=True)


def print_figures(figures: dict[str, Any]) -> None:
    """Names and values."""
    table = RichTable(show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for name, value in figures.items():
        if isinstance(value, Mapping):
            for key, part in value.items():
                table.add_row(f"{name}: {key}", _figure(part))
        else:
            table.add_row(name, _figure(value))
    stdout.print(table)


def _figure(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_figure(part)}" for name, part in value.items() if part)
    if value is None:
        return _NO_FIGURE
    return f"{value:,.3f}" if isinstance(value, float) else str(value)


def print_table(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """These columns of some rows."""
    table = RichTable(*(name.replace("_", " ") for name in columns))
    for row in rows:
        table.add_row(*(_in_words(row[name]) for name in columns))
    stdout.print(table)


def _in_words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, list):
        return " to ".join(_in_words(part) for part in value)
    return _NO_FIGURE if value is None else str(value)
