"""The look that all pictures of the report share: colours, strokes, axes.

Contract: a strategy has one colour and one dash in every picture, from the palette of Okabe and Ito (2008), which
colour-blind readers can distinguish; the dash says the same again. Keys to colours stand beside a picture, in the page,
where they wrap on a narrow screen.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#8a8f98"
"""Without the palette's yellow, which is too pale on white; grey for what does nothing."""
OWN, CHARGE, DISCHARGE, TAIL, STORE = BLUE, ORANGE, BLUE, VERMILLION, GREEN
LOSS_TO_GAIN = ((0.0, VERMILLION), (0.25, "#f0b48c"), (0.5, "#f7f7f7"), (0.75, "#8fbbdc"), (1.0, BLUE))
"""A diverging scale around zero."""
INK = "#22272e"
_FEW_DAYS = 8
_MOST_TICKS = 7
_GRID, _ZERO = "#e3e6ea", "#b9bfc7"

_KNOWN = {"perfect-foresight": (BLACK, "dash"), "idle": (GREY, "dot")}
_OTHERS = ((GREEN, "solid"), (PURPLE, "dashdot"), (SKY_BLUE, "solid"), (ORANGE, "dashdot"), (VERMILLION, "solid"))


@dataclass(frozen=True, slots=True)
class Stroke:
    """How a strategy is drawn."""

    colour: str
    dash: str
    """As plotly names it: solid, dash, dot or dashdot."""
    width_px: float

    @property
    def css_border(self) -> str:
        """The dash as a border style of CSS."""
        return css_border(self.dash)


def css_border(dash: str) -> str:
    """A dash of plotly as a border style of CSS, which has no dash-dot."""
    return {"solid": "solid", "dot": "dotted"}.get(dash, "dashed")


def strokes(strategies: Sequence[str]) -> dict[str, Stroke]:
    """A stroke for each strategy by name; the first is the one the report is about."""
    others = itertools.cycle(_OTHERS)
    chosen = {strategies[0]: Stroke(OWN, "solid", 3.0)}
    for name in strategies[1:]:
        colour, dash = _KNOWN.get(name) or next(others)
        chosen[name] = Stroke(colour, dash, 2.0)
    return chosen


def translucent(colour: str, opacity: float) -> str:
    """A colour such as #0072B2 as CSS with an opacity of 0 to 1."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


def blank(height_px: int, vertical_axis: str = "") -> go.Figure:
    """An empty picture whose vertical axis shows that quantity."""
    figure = go.Figure()
    style(figure, height_px)
    if vertical_axis:
        name_vertical_axis(figure, vertical_axis)
    return figure


def style(figure: go.Figure, height_px: int) -> None:
    """Fonts, margins and grid of a picture."""
    figure.update_layout(
        template=None,
        height=height_px,
        autosize=True,
        showlegend=False,
        font={"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": INK},
        margin={"l": 8, "r": 14, "t": 36, "b": 8},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hoverlabel={"bgcolor": "white", "bordercolor": _GRID},
    )
    axes = {"automargin": True, "gridcolor": _GRID, "zeroline": False, "zerolinecolor": _ZERO, "title_font_size": 13}
    figure.update_xaxes(**axes, linecolor=INK, ticks="outside", tickcolor=_ZERO)
    figure.update_yaxes(**axes)


def name_vertical_axis(figure: go.Figure, text: str, axis: str = "y") -> None:
    """The name stands level above the axis: easier to read than upright, and it costs no width on a telephone."""
    figure.add_annotation(
        text=text,
        font={"size": 13},
        showarrow=False,
        xref="paper",
        x=0,
        xanchor="left",
        yref=f"{axis} domain",
        y=1,
        yanchor="bottom",
        yshift=6,
    )


def show_days(figure: go.Figure, days: pd.DatetimeIndex, first: int = 0) -> None:
    """A horizontal axis of places `first`, `first` + 1, ... for the days tested, side by side.

    Months are named where they begin, the year below its first one; a week or less names its days.
    """
    place = np.arange(len(days)) + first
    if len(days) <= _FEW_DAYS:
        at, words = place, [f"{day.day} {day:%b}" for day in days]
    else:
        begins = np.concatenate(([True], days.month[1:] != days.month[:-1]))
        step = -(-int(begins.sum()) // _MOST_TICKS)
        at = place[begins][::step]
        starts = days[begins][::step]
        years = np.concatenate(([True], starts.year[1:] != starts.year[:-1]))
        words = [f"{day:%b}<br>{day.year}" if new else f"{day:%b}" for day, new in zip(starts, years, strict=True)]
    margin = max(0.5, 0.01 * len(days))
    figure.update_xaxes(range=[-margin, place[-1] + margin], tickvals=at, ticktext=words, tickangle=0)


def label_rows(figure: go.Figure, words: Sequence[str]) -> None:
    """Rows 0, 1, ... from the top, with their names above them: long ones cost no width on a telephone."""
    place = {"xref": "paper", "x": 0, "xanchor": "left", "xshift": 3, "yanchor": "bottom", "yshift": 10}
    look = {"showarrow": False, "bgcolor": "rgba(255, 255, 255, 0.85)", "borderpad": 1}
    for row, text in enumerate(words):
        figure.add_annotation(text=text, y=row, **place, **look)
    figure.update_yaxes(range=[len(words) - 0.5, -0.75], showticklabels=False, showgrid=False)
    figure.update_layout(margin_t=8)


def css_scale() -> str:
    """The diverging scale as a background of CSS."""
    stops = ", ".join(f"{colour} {100.0 * place:g}%" for place, colour in LOSS_TO_GAIN)
    return f"linear-gradient(90deg, {stops})"
