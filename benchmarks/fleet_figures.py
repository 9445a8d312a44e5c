"""The picture of `fleet.py`: time and memory against the number of batteries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from arbitrage.backtest.report.figures.drawing import BLUE, GREY, VERMILLION, style

HEIGHT_PX = 460
LIMIT_S, LIMIT_MIB = 30.0, 2048.0
"""What 10,000 batteries through a year may take."""
TITLES = ("Time for a year of quarter-hours, s", "Largest memory held, MiB")


def draw(rows: Sequence[dict[str, Any]]) -> go.Figure:
    """Two panels; dashed: the limit for 10,000 batteries; dotted: what the process held before the fleet set out."""
    figure = make_subplots(1, 2, subplot_titles=TITLES, horizontal_spacing=0.09)
    sizes = [row["batteries"] for row in rows]
    for column, (name, limit) in enumerate((("seconds", LIMIT_S), ("peak_rss_mib", LIMIT_MIB)), start=1):
        values = [row[name] for row in rows]
        labels = [f"{value:,.1f}" if value < 100.0 else f"{value:,.0f}" for value in values]
        line = go.Scatter(x=sizes, y=values, text=labels, mode="lines+markers+text", textposition="top left")
        figure.add_trace(line.update(line={"color": BLUE, "width": 3.0}), row=1, col=column)
        figure.add_hline(limit, line={"color": VERMILLION, "dash": "dash"}, row=1, col=column)
    before = [row["peak_rss_mib_before"] for row in rows]
    figure.add_trace(go.Scatter(x=sizes, y=before, mode="lines", line={"color": GREY, "dash": "dot"}), row=1, col=2)
    style(figure, HEIGHT_PX)
    ticks = {"tickvals": sizes, "ticktext": [f"{size:,}" for size in sizes]}
    figure.update_xaxes(type="log", title_text="Batteries", title_standoff=4, **ticks)
    figure.update_yaxes(type="log", row=1, col=1)
    figure.update_yaxes(rangemode="tozero", row=1, col=2)
    figure.update_layout(showlegend=False, margin={"t": 60, "l": 70, "r": 30, "b": 60})
    return figure
