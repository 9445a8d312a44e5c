"""Options of the results: where figures, reports, run folders and policies go."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from arbitrage.cli.options.output_paths import directory, json_file, new_directory, report_file
from arbitrage.cli.options.panels import OUTPUT

JsonOut = Annotated[
    str | None,
    typer.Option(
        "--json",
        help="Write the figures as JSON to this file; - for stdout.",
        callback=json_file,
        rich_help_panel=OUTPUT,
    ),
]


@dataclass(frozen=True, slots=True)
class FigureOutput:
    """Figures alone."""

    PANEL: ClassVar[str] = OUTPUT

    json_out: JsonOut = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOutput:
    """A policy, and figures of its training."""

    PANEL: ClassVar[str] = OUTPUT

    out: Annotated[
        Path,
        typer.Option(help="Directory of the policy; an interrupted training there is resumed.", callback=directory),
    ]
    json_out: JsonOut = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOutput:
    """Figures and a report."""

    PANEL: ClassVar[str] = OUTPUT

    json_out: JsonOut = None
    report: Annotated[
        Path | None,
        typer.Option(help="Write a self-contained HTML report, or print it: .pdf, .png.", callback=report_file),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutput(ReportOutput):
    """Figures, a report and a run folder."""

    run_folder: Annotated[
        Path | None,
        typer.Option(
            help="Leave config, figures and ledgers in this new folder; `report` and `compare` read it.",
            callback=new_directory,
        ),
    ] = None

    @property
    def keeps(self) -> bool:
        """Whether there is a report or a folder to write."""
        return self.report is not None or self.run_folder is not None


def write_json(value: Any, out: str | None) -> None:
    """To a file, or to standard output for `-`; nowhere for None."""
    if out is None:
        return
    text = json.dumps(value, indent=2, default=str)
    if out == "-":
        typer.echo(text)
    else:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(text + "\n")
