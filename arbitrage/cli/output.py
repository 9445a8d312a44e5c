"""What the commands print: results to standard output, progress and warnings to standard error.

Contract: nothing is cut. A table that is wider than the terminal is turned: each row becomes a block, a figure a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from arbitrage.progress import Progress as Report
from arbitrage.progress import ProgressCallback

stderr = Console(stderr=True)
stdout = Console()
_NO_FIGURE = "\N{EM DASH}"
_GAP = 2
"""Columns of the terminal between those of a table."""
_HEADINGS = {
    "profit_eur_per_day": "EUR a day",
    "profit_eur_per_day_interval": "95 % interval",
    "capture_fraction": "capture",
    "cycles_per_day": "cycles a day",
    "conditional_value_at_risk_eur": "CVaR EUR",
    "difference_eur_per_day": "vs first",
    "difference_eur_per_day_interval": "95 % interval",
}
"""Short headings, so that a comparison fits 80 columns; the other names are their own headings."""


@contextmanager
def live_progress(text: str, total: float) -> Iterator[tuple[Progress, TaskID]]:
    """A bar that is gone when the work is done, and its task."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        yield bar, bar.add_task(text, total=total)


def shown_on(bar: Progress, task: TaskID) -> ProgressCallback:
    """A callback that shows reports on a line of a bar, and each remark on a line of its own."""

    def show(progress: Report) -> None:
        if progress.remark is not None:
            warn(progress.remark)
        bar.update(task, description=escape(progress.doing), completed=progress.completed, total=progress.total)

    return show


def warn(text: str) -> None:
    """Something that the user should know."""
    say("[yellow]warning:[/yellow]", text)


def say(kind: str, text: str) -> None:
    """A line for people; `text` may hold anything that stood in a file."""
    stderr.print(kind, escape(text), highlight=False, soft_wrap=True)


def print_figures(figures: Mapping[str, Any], title: str | None = None) -> None:
    """Names and values, a line each; a value that is too long goes on below itself."""
    lines: list[tuple[str, str]] = []
    for name, value in figures.items():
        parts = value.items() if isinstance(value, Mapping) else ()
        lines += [(f"{name}: {key}", _figure(part)) for key, part in parts] or [(name, _figure(value))]
    print_lines(lines, title)


def print_lines(lines: Sequence[tuple[str, str]], title: str | None = None, indent: int = 0) -> None:
    """Names and words beside each other, below a title."""
    if title is not None:
        stdout.print(escape(title), style="bold", highlight=False, soft_wrap=True)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, words in lines:
        table.add_row(" " * indent + escape(name), escape(words))
    stdout.print(table)


def _figure(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_figure(part)}" for name, part in value.items() if part)
    if value is None:
        return _NO_FIGURE
    return f"{value:,.3f}" if isinstance(value, float) else str(value)


def print_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """These columns of some rows; a block a row where they do not fit beside each other."""
    print_cells([heading(name) for name in columns], [[in_words(row[name]) for name in columns] for row in rows])


def heading(name: str) -> str:
    """A column's name for people."""
    return _HEADINGS.get(name, name.replace("_", " "))


def print_cells(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of words, or a block a row where it does not fit the terminal."""
    columns = list(zip(*rows, strict=True)) or [()] * len(headings)
    widths = [
        max(map(len, (*cells, *title.split())), default=1) for title, cells in zip(headings, columns, strict=True)
    ]
    room = stdout.width - sum(widths) - _GAP * (len(widths) - 1)
    if room < 0:
        for title, *cells in rows:
            print_lines(list(zip(headings[1:], cells, strict=True)), title, indent=2)
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, _GAP - 1))
    for number, (title, width) in enumerate(zip(headings, widths, strict=True)):
        wider = min(room, max(0, len(title) - width))  # a title of several words on one line, where there is room
        room -= wider
        table.add_column(escape(title), justify="right" if number else "left", width=width + wider)
    for row in rows:
        table.add_row(*map(escape, row))
    stdout.print(table, highlight=False)


def in_words(value: Any) -> str:
    """A figure of a table; an interval as its two ends."""
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100.0 else f"{value:,.2f}"
    if isinstance(value, list):
        return " to ".join(in_words(part) for part in value)
    return _NO_FIGURE if value is None else str(value)
