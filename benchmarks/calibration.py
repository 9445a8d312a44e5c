"""How the simulator compares with the real market: figures side by side, with tolerance, hit or miss.

    python benchmarks/calibration.py [--seeds 8] [--data ../shared/data] [--json] [--plot OUT.html]

A simulated figure is the mean over seeds of the same span as the real one. The column `between seeds` is the standard
deviation from seed to seed: how far one real year may lie from another for no reason at all.

Real figures are computed from the files in `--data` where they are present; where they are not, the published ones
below stand in, and there are no real curves.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from benchmarks.calibration_figures import (  # noqa: E402 (runs from a checkout, without an installed package)
    BLOCKS,
    Curves,
    Evidence,
    Figures,
    curves_of,
    figures_of,
    real_evidence,
    simulated_evidence,
)

PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "2022": {
        "price mean": 233.6,
        "price std": 222.4,
        "price 1 %": -195.0,
        "price 5 %": -93.0,
        "price 25 %": 80.0,
        "price 50 %": 221.0,
        "price 75 %": 360.0,
        "price 95 %": 640.0,
        "price 99 %": 850.0,
        "negative share": 0.129,
        "price autocorrelation 1": 0.71,
        "price autocorrelation 4": 0.57,
        "price autocorrelation 96": 0.36,
        "median daily max - min": 693.0,
        "correlation with day-ahead": 0.57,
    },
    "2024 Q1": {
        "SI mean": -27.0,
        "SI std": 173.0,
        "SI autocorrelation 1": 0.74,
        "SI autocorrelation 4": 0.43,
        "correlation SI, price": -0.69,
        "rank correlation SI, price": -0.82,
        "alpha > 0": 0.22,
    },
    "minutes": {
        "mean |indicative - final| after minute 0": 175.0,
        "mean |indicative - final| after minute 4": 136.0,
        "mean |indicative - final| after minute 9": 74.0,
        "mean |indicative - final| after minute 13": 11.0,
        "sign agreement after minute 0": 0.76,
        "sign agreement after minute 4": 0.83,
        "sign agreement after minute 9": 0.83,
        "sign agreement after minute 12": 0.92,
        "sign agreement after minute 13": 0.97,
        "mean |change of mean SI| at minute 1": 19.5,
        "mean |change of mean SI| at minute 14": 5.4,
    },
}
"""Figures published with the data."""

PUBLISHED_MINUTE_MEDIANS: Mapping[int, float] = {0: 82.0, 4: 24.0, 9: 8.0, 13: 0.9}
"""Medians of |indicative - final| as published with the data, EUR/MWh by minute. The file of that day yields others.
Both are shown; the simulator was fitted to these."""

GENUINE_QUARTER_HOURS = 75
"""Whole quarter-hours in the genuine minute day; a share estimated from them has a standard error of its own."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a simulated figure may lie from the real one: a part of it, a distance, or sampling errors."""

    relative: float = 0.0
    absolute: float = 0.0
    standard_errors: float = 0.0
    """Of a share estimated from `GENUINE_QUARTER_HOURS`."""

    def allowed(self, real: float) -> float:
        """The greatest permitted distance."""
        sampling = self.standard_errors * float(np.sqrt(max(0.0, real * (1.0 - real)) / GENUINE_QUARTER_HOURS))
        return max(self.absolute, self.relative * abs(real), sampling)


_QUANTILES = (5, 25, 50, 75, 95)
TOLERANCES: dict[str, Tolerance] = {
    **{f"price {percent} %": Tolerance(relative=0.10) for percent in _QUANTILES},
    **{f"price autocorrelation {lag}": Tolerance(absolute=0.05) for lag in (1, 4, 96)},
    "negative share": Tolerance(absolute=0.03),
    "median daily max - min": Tolerance(relative=0.10),
    "correlation with day-ahead": Tolerance(absolute=0.05),
    "day-ahead mean": Tolerance(relative=0.10),
    "day-ahead std": Tolerance(relative=0.10),
    "SI mean": Tolerance(absolute=10.0),
    "SI std": Tolerance(relative=0.10),
    **{f"SI {percent} %": Tolerance(relative=0.10, absolute=10.0) for percent in _QUANTILES},
    **{f"SI autocorrelation {lag}": Tolerance(absolute=0.05) for lag in (1, 4)},
    "correlation SI, price": Tolerance(absolute=0.05),
    "rank correlation SI, price": Tolerance(absolute=0.05),
    "alpha > 0": Tolerance(absolute=0.03),
    **{f"median |indicative - final| after minute {k}": Tolerance(relative=0.25) for k in (0, 4, 9, 13)},
    **{f"sign agreement after minute {k}": Tolerance(standard_errors=2.0) for k in (0, 4, 9, 12, 13)},
    **{f"mean |change of mean SI| at minute {k}": Tolerance(relative=0.15) for k in (1, 14)},
    **{f"ladder at {sign}{step} MW": Tolerance(relative=0.25) for sign in "+-" for step in (200, 300, 400, 500, 600)},
}
"""Figures that carry a verdict; all others are shown only."""

SHAPE_CORRELATION = 0.8
"""Least correlation of simulated with real means by hour for the daily shape to count as met."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison."""

    block: str
    figure: str
    real: float
    simulated: float
    between_seeds: float
    allowed: float | None
    verdict: str
    """hit, miss, or nothing where no tolerance is set."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A block's rows and curves, real beside simulated."""

    rows: list[Row]
    real_curves: Curves
    simulated_curves: Curves


def compare(block: str, data: Path, seeds: int) -> Comparison:
    """Simulate a block once a seed and set it beside the real evidence, or beside the published figures."""
    worlds = [simulated_evidence(block, seed) for seed in range(seeds)]
    real = real_evidence(block, data)
    real_figures = dict(PUBLISHED.get(block, {})) if real is None else figures_of(real)
    simulated = [figures_of(world) for world in worlds]
    rows = [
        _row(block, name, value, [figures[name] for figures in simulated])
        for name, value in real_figures.items()
        if name in simulated[0]
    ]
    if block == "minutes":
        rows += _published_minute_rows(simulated)
    real_curves = {} if real is None else curves_of(real)
    simulated_curves = _mean_curves(worlds)
    return Comparison(rows + _shape_rows(block, real_curves, simulated_curves), real_curves, simulated_curves)


def _row(block: str, name: str, real: float, simulated: Sequence[float]) -> Row:
    mean, spread = float(np.mean(simulated)), float(np.std(simulated))
    tolerance = TOLERANCES.get(name)
    if tolerance is None:
        return Row(block, name, real, mean, spread, None, "")
    allowed = tolerance.allowed(real)
    return Row(block, name, real, mean, spread, allowed, "hit" if abs(mean - real) <= allowed else "miss")


def _published_minute_rows(simulated: Sequence[Figures]) -> list[Row]:
    """The published medians of the minute day once more: they are not what the file of that day yields."""
    rows = []
    for k, real in PUBLISHED_MINUTE_MEDIANS.items():
        name = f"median |indicative - final| after minute {k}"
        rows.append(_row("minutes, as published", name, real, [figures[name] for figures in simulated]))
    return rows


def _shape_rows(block: str, real: Curves, simulated: Curves) -> list[Row]:
    """How far the simulated means by hour follow the real ones."""
    rows = []
    for name in real:
        if name.endswith("mean by hour"):
            correlation = float(np.corrcoef(real[name][1], simulated[name][1])[0, 1])
            verdict = "hit" if correlation >= SHAPE_CORRELATION else "miss"
            title = f"{name}, correlation with real"
            rows.append(Row(block, title, 1.0, correlation, 0.0, 1.0 - SHAPE_CORRELATION, verdict))
    return rows


def _mean_curves(worlds: Sequence[Evidence]) -> Curves:
    """Curves of several worlds, averaged point by point."""
    drawn = [curves_of(world) for world in worlds]
    return {name: (x, np.mean([curves[name][1] for curves in drawn], axis=0)) for name, (x, _) in drawn[0].items()}


def print_table(console: Console, comparisons: Sequence[Comparison], wall_s: float) -> None:
    """The comparison as a table, and what was missed."""
    table = Table(title="Simulated against real")
    for title in ("block", "figure", "real", "simulated", "between seeds", "tolerance", ""):
        table.add_column(title, justify="left" if title in ("block", "figure") else "right")
    rows = [row for comparison in comparisons for row in comparison.rows]
    for row in rows:
        colour = {"hit": "[green]hit[/]", "miss": "[red]miss[/]"}.get(row.verdict, "")
        allowed = "" if row.allowed is None else f"{row.allowed:.3g}"
        numbers = (f"{row.real:.3f}", f"{row.simulated:.3f}", f"{row.between_seeds:.3f}", allowed)
        table.add_row(row.block, row.figure, *numbers, colour)
    console.print(table)
    judged = [row for row in rows if row.verdict]
    missed = [row for row in judged if row.verdict == "miss"]
    console.print(f"{len(judged) - len(missed)} of {len(judged)} figures within tolerance, in {wall_s:.0f} s. Missed:")
    for row in missed:
        console.print(f"  {row.block}: {row.figure}: {row.simulated:.3g} against {row.real:.3g}")


def write_plot(path: Path, comparisons: Sequence[Comparison], blocks: Sequence[str]) -> None:
    """All curves, real and simulated, on one page of its own."""
    panels = [(b, c, name) for b, c in zip(blocks, comparisons, strict=True) for name in c.simulated_curves]
    titles = [f"{block}: {name}" for block, _, name in panels]
    figure = make_subplots(rows=(len(panels) + 1) // 2, cols=2, subplot_titles=titles)
    colours = {"real": "black", "simulated": "crimson"}
    for number, (_, comparison, name) in enumerate(panels):
        place = {"row": number // 2 + 1, "col": number % 2 + 1}
        for kind, curves in (("real", comparison.real_curves), ("simulated", comparison.simulated_curves)):
            if name in curves:
                x, y = curves[name]
                line = go.Scatter(x=x, y=y, name=kind, line={"color": colours[kind]}, showlegend=number == 0)
                figure.add_trace(line, **place)
    figure.update_layout(height=320 * ((len(panels) + 1) // 2), template="plotly_white")
    figure.write_html(path, include_plotlyjs=True)


def main() -> None:
    """Compare, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8, help="simulated worlds a block")
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared" / "data", help="real parquet files")
    parser.add_argument("--json", action="store_true", help="print rows as JSON in place of the table")
    parser.add_argument("--plot", type=Path, help="write an HTML page of curves")
    options = parser.parse_args()
    began = time.perf_counter()
    comparisons = [compare(block, options.data, options.seeds) for block in BLOCKS]
    if options.json:
        print(json.dumps([asdict(row) for comparison in comparisons for row in comparison.rows], indent=1))
    else:
        print_table(Console(width=130), comparisons, time.perf_counter() - began)
    if options.plot:
        write_plot(options.plot, comparisons, list(BLOCKS))


if __name__ == "__main__":
    main()
