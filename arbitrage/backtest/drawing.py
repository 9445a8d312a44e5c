"""The look that all pictures of the report share: colours, strokes, axes.

Law: a strategy has one colour and one dash in every picture, from the palette of Okabe and Ito (2008), which
colour-blind readers can tell apart; the dash says the same again. Keys to colours stand beside a picture, in the page,
where they wrap on a narrow screen.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#8a8f98"
"""Without the palette's yellow, which is too pale on white; grey for what does nothing."""
OWN, CHARGE, DISCHARGE, TAIL, STORE = BLUE, ORANGE, BLUE, VERMILLION, GREEN
LOSS_TO_GAIN = ((0.0, VERMILLION), (0.25, "#f0b48c"), (0.5, "#f7f7f7"), (0.75, "#8fbbdc"), (1.0, BLUE))
"""A diverging scale around zero."""
_MONTH_TICKS = [{"dtickrange": ["M1", "M6"], "value": "%b\n%Y"}]
"""Where ticks are months, the year stands once, below the first."""
INK = "#22272e"
_FEW_DAYS = pd.Timedelta(days=8)
_DAY_MS = 86_400_000
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


def show_days(figure: go.Figure, days: pd.DatetimeIndex) -> None:
    """A horizontal axis from the first to the last of these days, with ticks no finer than a day."""
    margin = max(pd.Timedelta(hours=12), 0.01 * (days[-1] - days[0]))
    figure.update_xaxes(range=[days[0] - margin, days[-1] + margin], tickformatstops=_MONTH_TICKS)
    if days[-1] - days[0] <= _FEW_DAYS:
        figure.update_xaxes(dtick=_DAY_MS, tickformat="%d %b", tickformatstops=None)


def css_scale() -> str:
    """The diverging scale as a background of CSS."""
    stops = ", ".join(f"{colour} {100.0 * place:g}%" for place, colour in LOSS_TO_GAIN)
    return f"linear-gradient(90deg, {stops})"
