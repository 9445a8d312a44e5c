"""How reconstructed minutes compare with genuine ones: profiles side by side for the three grades, and the misses.

    python benchmarks/minutes/reconstruction.py [--draws 50] [--json] [--plot OUT.html] [--audit]

The genuine part-day 2024-09-06 is rebuilt from its final prices alone. No day-ahead price of that day is at hand: a
flat 80 EUR/MWh stands in for it. Real figures come with a 90 % interval from drawing its quarter-hours anew
(bootstrap), reconstructed ones with the 5 % and 95 % points of the draws. A figure of the grade `matched` is missed
where its mean lies outside the real interval.

2022 has no genuine minutes: its block shows checks, and the profile relative to the spread of the prices.
`--audit` asks how well final price and side are foretold from the records after some minutes, by the same learner, on
simulated minutes and on minutes rebuilt from their final prices: a leak would make the latter the more foretold. It
needs scikit-learn.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from arbitrage.market.reconstruction.minutes import GRADES
from benchmarks.minutes.reconstruction_figures import (
    PROFILES,
    Row,
    imbalance_rows,
    minute_day_rows,
    year_rows,
)

COLOURS = {"real": "black", "easy": "seagreen", "matched": "royalblue", "harsh": "crimson"}


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def print_table(console: Console, rows: Sequence[Row], wall_s: float) -> None:
    """Rows as a table, and what the grade `matched` misses."""
    table = Table(title="Reconstructed against genuine")
    for title in ("block", "figure", "real", "5 % .. 95 %", *GRADES, "matched 5 % .. 95 %", ""):
        table.add_column(title, justify="left" if title in ("block", "figure") else "right")
    for row in rows:
        real_range = "" if row.real_low is None else f"{number(row.real_low)} .. {number(row.real_high)}"
        drawn_range = "" if row.matched_low is None else f"{number(row.matched_low)} .. {number(row.matched_high)}"
        means = (number(row.easy), number(row.matched), number(row.harsh))
        colour = {"hit": "[green]hit[/]", "miss": "[red]miss[/]"}.get(row.verdict, "")
        table.add_row(row.block, row.figure, number(row.real), real_range, *means, drawn_range, colour)
    console.print(table)
    judged = [row for row in rows if row.verdict]
    missed = [row for row in judged if row.verdict == "miss"]
    console.print(f"{len(judged) - len(missed)} of {len(judged)} figures within the real interval, in {wall_s:.0f} s.")
    for row in missed:
        console.print(f"  missed: {row.block}: {row.figure}: {number(row.matched)} against {number(row.real)}")


def write_plot(path: Path, rows: Sequence[Row]) -> None:
    """The profiles of the genuine day and of the three grades, with the real interval as a band."""
    figure = make_subplots(rows=2, cols=2, subplot_titles=list(PROFILES))
    for place, profile in enumerate(PROFILES):
        own = [row for row in rows if row.block == "2024-09-06" and row.profile == profile]
        k = [row.minute for row in own]
        at = {"row": place // 2 + 1, "col": place % 2 + 1}
        band = [row.real_high for row in own] + [row.real_low for row in reversed(own)]
        shade = {"fill": "toself", "fillcolor": "rgba(0,0,0,0.12)", "line": {"width": 0}, "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(x=k + k[::-1], y=band, name="real, 90 %", showlegend=place == 0, **shade), **at)
        for kind, colour in COLOURS.items():
            values = [getattr(row, kind) for row in own]
            line = go.Scatter(x=k, y=values, name=kind, line={"color": colour}, showlegend=place == 0)
            figure.add_trace(line, **at)
        figure.update_xaxes(title_text="after minute", **at)
    figure.update_layout(height=800, template="plotly_white")
    figure.write_html(path, include_plotlyjs=True)


def main() -> None:
    """Compare, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=50, help="times the genuine day is rebuilt a grade")
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared" / "data", help="real parquet files")
    parser.add_argument("--json", action="store_true", help="print rows as JSON in place of the table")
    parser.add_argument("--plot", type=Path, help="write an HTML page of the profiles")
    parser.add_argument("--audit", action="store_true", help="also ask what the records foretell (half a minute)")
    options = parser.parse_args()
    began = time.perf_counter()
    rows = minute_day_rows(options.data, options.draws) + imbalance_rows(options.data) + year_rows(options.data)
    if options.audit:
        # Here, because nothing else needs a learning library.
        from benchmarks.minutes.reconstruction_audit import audit_rows

        rows += audit_rows()
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        print_table(Console(width=170), rows, time.perf_counter() - began)
    if options.plot:
        write_plot(options.plot, rows)


if __name__ == "__main__":
    main()
