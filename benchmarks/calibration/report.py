"""The calibration's table, its misses in plain words, and its page of curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from rich.console import Console
from rich.table import Table

from benchmarks.calibration.evidence import Floats
from benchmarks.calibration.figures import Curves

_COLUMNS = ("block", "figure", "real", "simulated", "between seeds", "tolerance", "by chance", "")
_PANELS_A_ROW = 3
_PANEL_HEIGHT_PX = 250
_REAL, _SIMULATED, _BAND = "#1a1a1a", "#c8323c", "rgba(200, 50, 60, 0.18)"
_TITLES = {
    "system imbalance, MW": "SI, MW",
    "autocorrelation by quarter-hours": "autocorrelation, by quarter-hours",
    "share of quarter-hours whose sign is the final one": "sign is the final one, share by minute",
    "median |indicative - final|, EUR/MWh": "median |indicative - final|, by minute",
    "mean |indicative - final|, EUR/MWh": "mean |indicative - final|, by minute",
    "mean |change of mean SI|, MW": "mean |change of mean SI|, MW, by minute",
    "ladder: distance from the middle, 100 MW = 1": "distance from the middle, by MW",
}
"""Shorter words for the heads of narrow panels."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison."""

    block: str
    figure: str
    real: float
    simulated: float
    between_seeds: float
    allowed: float | None
    by_chance: tuple[float, float] | None
    """Where the figure lies in 95 of 100 cases, where that is known."""
    verdict: str
    """hit, miss, or nothing where no tolerance is set."""
    remark: str
    """What there is to say should it be missed."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A block's rows and curves, real beside simulated."""

    block: str
    rows: list[Row]
    real_curves: Curves
    simulated_curves: dict[str, tuple[Floats, Floats, Floats, Floats]]
    """Name of a curve and its x, and its mean, least and greatest y over seeds."""


def print_table(console: Console, comparisons: Sequence[Comparison], wall_s: float) -> None:
    """The comparison as a table, and what was missed."""
    table = Table(title="Simulated against real")
    for title in _COLUMNS:
        table.add_column(title, justify="left" if title in ("block", "figure") else "right")
    rows = [row for comparison in comparisons for row in comparison.rows]
    for row in rows:
        colour = {"hit": "[green]hit[/]", "miss": "[red]miss[/]"}.get(row.verdict, "")
        allowed = "" if row.allowed is None else f"{row.allowed:.3g}"
        numbers = (f"{row.real:.3f}", f"{row.simulated:.3f}", f"{row.between_seeds:.3f}", allowed, _interval(row))
        table.add_row(row.block, row.figure, *numbers, colour)
    console.print(table)
    judged = [row for row in rows if row.verdict]
    missed = [row for row in judged if row.verdict == "miss"]
    console.print(f"{len(judged) - len(missed)} of {len(judged)} figures within tolerance, in {wall_s:.0f} s.")
    if missed:
        console.print("The simulator misses:")
    for number, row in enumerate(missed):
        console.print(f"- {in_words(row)}", soft_wrap=True, highlight=False)
        last_of_its_remark = row.remark not in {later.remark for later in missed[number + 1 :]}
        if row.remark and last_of_its_remark:
            console.print(f"  {row.remark[:1].upper()}{row.remark[1:]}.", soft_wrap=True, highlight=False)


def in_words(row: Row) -> str:
    """A miss as a sentence."""
    side = "too high" if row.simulated > row.real else "too low"
    said = f"{row.block}: {row.figure} is {side}, {row.simulated:.3g} where {row.real:.3g} is real"
    said += "" if row.allowed is None else f" and {row.allowed:.2g} off allowed"
    if row.by_chance is not None:
        low, high = row.by_chance
        inside = low <= row.simulated <= high
        said += f"; {'within' if inside else 'outside'} what chance alone explains ({low:.3g} to {high:.3g})"
    return f"{said}."


def _interval(row: Row) -> str:
    return "" if row.by_chance is None else f"{row.by_chance[0]:.3g} .. {row.by_chance[1]:.3g}"


def write_plot(path: Path, comparisons: Sequence[Comparison]) -> None:
    """All curves, real and simulated, on one page of its own; the band is the range over seeds.

    Where a block has real curves, those that are simulated only are left out.
    """
    panels = [
        (c, name) for c in comparisons for name in c.simulated_curves if name in c.real_curves or not c.real_curves
    ]
    rows = math.ceil(len(panels) / _PANELS_A_ROW)
    height_px = _PANEL_HEIGHT_PX * rows + 90
    figure = make_subplots(
        rows=rows,
        cols=_PANELS_A_ROW,
        subplot_titles=[f"<b>{comparison.block}</b>  {_short(name)}" for comparison, name in panels],
        vertical_spacing=62.0 / height_px,
        horizontal_spacing=0.055,
    )
    for number, (comparison, name) in enumerate(panels):
        for trace in _traces(comparison, name, shown=number == 0):
            figure.add_trace(trace, row=number // _PANELS_A_ROW + 1, col=number % _PANELS_A_ROW + 1)
    figure.update_annotations(font_size=12)
    figure.update_xaxes(tickfont_size=10)
    figure.update_yaxes(tickfont_size=10)
    figure.update_layout(
        height=height_px,
        template="plotly_white",
        title={"text": "Simulated against real: mean over seeds, and the range from seed to seed", "font_size": 17},
        legend={"orientation": "h", "x": 1.0, "xanchor": "right", "y": 0.993, "yref": "container", "yanchor": "top"},
        margin={"l": 45, "r": 20, "t": 75, "b": 35},
    )
    figure.write_html(path, include_plotlyjs=True, config={"displayModeBar": False})


def _traces(comparison: Comparison, name: str, *, shown: bool) -> list[go.Scatter]:
    """Band and mean of the simulated worlds, and the real curve above them."""
    x, mean, least, greatest = comparison.simulated_curves[name]
    none = {"width": 0}
    traces = [
        go.Scatter(x=x, y=greatest, line=none, mode="lines", showlegend=False, hoverinfo="skip"),
        go.Scatter(
            x=x, y=least, line=none, mode="lines", fill="tonexty", fillcolor=_BAND, name="seeds", showlegend=shown
        ),
        go.Scatter(x=x, y=mean, mode="lines", line={"color": _SIMULATED}, name="simulated", showlegend=shown),
    ]
    if name in comparison.real_curves:
        x, y = comparison.real_curves[name]
        traces.append(go.Scatter(x=x, y=y, mode="lines", line={"color": _REAL}, name="real", showlegend=shown))
    return traces


def _short(name: str) -> str:
    for long, short in _TITLES.items():
        name = name.replace(long, short)
    return name
