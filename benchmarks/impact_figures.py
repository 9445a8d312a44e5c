"""The picture of `impact.py`: profit per MW and in all against size, and what shape alone earns."""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from arbitrage.backtest.report.figures.drawing import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY_BLUE,
    VERMILLION,
    style,
    translucent,
)

Row = dict[str, Any]

WIDTH_PX, HEIGHT_PX = 1280, 1000
LINES = {
    "ceiling": (BLACK, "dash", "ceiling: perfect foresight, taker's books"),
    "taker": (GREY, "dash", "policy, taker's books"),
    "best shape": (VERMILLION, "dot", "maker, best shapes in hindsight (exploit)"),
    "maker": (BLUE, "solid", "maker: lives in the moved market"),
    "even": (SKY_BLUE, "dashdot", "maker, energy spread evenly (no exploit)"),
    "scaled": (GREEN, "longdash", "maker, power scaled to size"),
}
SHAPES = {
    ("newer bids", "both ways"): (VERMILLION, "solid", "newer bids, power both ways"),
    ("newer bids", "one way"): (VERMILLION, "dot", "newer bids, one way"),
    ("older bids", "both ways"): (ORANGE, "solid", "older bids, power both ways"),
    ("older bids", "one way"): (ORANGE, "dot", "older bids, one way"),
}
TITLES = ("Profit, EUR a day and MW", "Profit, thousand EUR a day", "Gain of shape alone, EUR/MWh")


def draw(sweeps: Sequence[Row], shapes: Sequence[Row]) -> go.Figure:
    """One row of panels a regime."""
    regimes = list(dict.fromkeys(row["regime"] for row in sweeps))
    titles = [f"{title}<br><sub>marginal prices are {regime}</sub>" for regime in regimes for title in TITLES]
    figure = make_subplots(len(regimes), 3, subplot_titles=titles, horizontal_spacing=0.07, vertical_spacing=0.14)
    for number, regime in enumerate(regimes, start=1):
        own = [row for row in sweeps if row["regime"] == regime]
        _add_sweep(figure, number, own)
        _add_shapes(figure, number, [row for row in shapes if row["regime"] == regime])
    style(figure, HEIGHT_PX)
    sizes = [row["size_mw"] for row in sweeps if row["regime"] == regimes[0]]
    edges = [math.log10(sizes[0]) - 0.05, math.log10(sizes[-1]) + 0.05]
    figure.update_xaxes(type="log", range=edges, tickvals=sizes, title_text="Battery, MW (2 h)", title_standoff=4)
    figure.update_yaxes(rangemode="tozero", tickformat=",")
    figure.update_layout(
        margin={"l": 8, "r": 14, "t": 60, "b": 190},
        showlegend=True,
        legend={"tracegroupgap": 1, "x": 0.0, "y": -0.09, "xanchor": "left", "yanchor": "top"},
        legend2={"x": 0.7, "y": -0.09, "xanchor": "left", "yanchor": "top"},
    )
    return figure


def _add_sweep(figure: go.Figure, number: int, rows: Sequence[Row]) -> None:
    sizes = [row["size_mw"] for row in rows]
    low, high = ([row["interval"]["maker"][end] for row in rows] for end in (0, 1))
    band = go.Scatter(
        x=[*sizes, *reversed(sizes)],
        y=[*high, *reversed(low)],
        fill="toself",
        fillcolor=translucent(BLUE, 0.12),
        line={"width": 0},
        mode="lines",
        showlegend=False,
        hoverinfo="skip",
    )
    figure.add_trace(band, row=number, col=1)
    for name, (colour, dash, title) in LINES.items():
        value = [row["eur_per_mw_per_day"][name] for row in rows]
        line = {"color": colour, "dash": dash, "width": 2.5 if name == "maker" else 2.0}
        trace = go.Scatter(x=sizes, y=value, name=title, line=line, mode="lines", legendgroup=name)
        figure.add_trace(trace.update(showlegend=number == 1), row=number, col=1)
        if name not in ("ceiling", "taker"):
            whole = [size * each / 1000.0 for size, each in zip(sizes, value, strict=True)]
            total = go.Scatter(x=sizes, y=whole, name=title, line=line, mode="lines", showlegend=False)
            figure.add_trace(total, row=number, col=2)


def _add_shapes(figure: go.Figure, number: int, rows: Sequence[Row]) -> None:
    for (bids, ways), (colour, dash, title) in SHAPES.items():
        own = [row for row in rows if row["bids"] == bids]
        mean = [(row[f"sell {ways}, EUR/MWh"] + row[f"buy {ways}, EUR/MWh"]) / 2.0 for row in own]
        line = go.Scatter(
            x=[row["size_mw"] for row in own],
            y=mean,
            name=title,
            line={"color": colour, "dash": dash, "width": 2.0},
            mode="lines",
            legend="legend2",
            showlegend=number == 1,
        )
        figure.add_trace(line, row=number, col=3)


def write_picture(figure: go.Figure, path: Path) -> None:
    """A PNG, taken by a headless Chromium. Raises RuntimeError where there is none."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise RuntimeError("no Chromium found to draw the picture with; use --no-picture and --plot")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --hide-scrollbars --virtual-time-budget=8000"
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        figure.write_html(page, include_plotlyjs=True, default_width=f"{WIDTH_PX}px", config={"displayModeBar": False})
        size = f"--window-size={WIDTH_PX + 20},{int(figure.layout.height or HEIGHT_PX) + 20}"
        where = (f"--user-data-dir={folder}/profile", f"--screenshot={path}", size, page.as_uri())
        subprocess.run([browser, *flags.split(), *where], check=True, capture_output=True, timeout=120)
