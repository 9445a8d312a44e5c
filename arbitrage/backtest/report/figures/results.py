"""The pictures of what a strategy earned: each a pure function of daily profits, leads or causes.

Contract: every axis names its unit. Strategy names come from outside and are escaped, because plotly reads markup in
them. Days that were tested stand side by side, whatever lies between them.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from arbitrage.arrays import Floats
from arbitrage.backtest.attribution import CAUSE_IN_WORDS, CAUSES
from arbitrage.backtest.bootstrap import Estimate
from arbitrage.backtest.report.figures.drawing import (
    BLACK,
    GREY,
    INK,
    OWN,
    SKY_BLUE,
    TAIL,
    blank,
    label_rows,
    show_days,
    strokes,
    translucent,
)
from arbitrage.backtest.report.figures.rounding import number, round_edges, round_step, sensible_decimals
from arbitrage.backtest.statistics import TAIL_LEVEL
from arbitrage.risk import conditional_value_at_risk_eur, value_at_risk_eur

MARKS = {"CVaR": "dot", "VaR": "dash", "mean": "solid"}
"""Dashes of the lines in the distribution."""
_LABELS = 6
_ROW_PX = 50


def cumulative_profit(daily_eur: pd.DataFrame) -> go.Figure:
    """Running total of daily profits, shape [days, strategies], from zero before the first day."""
    figure = blank(420, "Profit since the first day (EUR)")
    days = pd.DatetimeIndex(daily_eur.index)
    for name, stroke in strokes([str(name) for name in daily_eur.columns]).items():
        figure.add_scatter(
            x=np.arange(len(days) + 1),
            y=np.append(0.0, daily_eur[name].cumsum()),
            name=html.escape(name),
            line={"color": stroke.colour, "dash": stroke.dash, "width": stroke.width_px},
            mode="lines",
            customdata=["before", *days.strftime("%d %b %Y")],
            hovertemplate="%{customdata}: %{y:,.0f} EUR",
        )
    figure.update_layout(hovermode="x unified")
    show_days(figure, days, first=1)
    figure.update_yaxes(tickformat=",", zeroline=True)
    return figure


def profit_distribution(daily_eur: pd.Series[float]) -> go.Figure:
    """How many days [days] earned how much, the worst tail in its own colour, with VaR, CVaR and mean marked."""
    values: Floats = np.asarray(daily_eur, dtype=np.float64)
    marks = daily_marks_eur(daily_eur)
    edges = round_edges(values)
    tail = values <= marks["VaR"]
    figure = blank(380, "Days")
    for group, colour in ((values[tail], TAIL), (values[~tail], OWN)):
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2.0,
            y=np.histogram(np.clip(group, edges[0], edges[-1]), edges)[0],
            width=np.diff(edges),
            marker={"color": colour, "line": {"color": "white", "width": 1}},
            customdata=np.column_stack([edges[:-1], edges[1:]]),
            hovertemplate="%{y} days earned %{customdata[0]:,.0f} to %{customdata[1]:,.0f} EUR<extra></extra>",
        )
    for name, value in marks.items():
        figure.add_vline(value, line={"color": INK, "width": 2, "dash": MARKS[name]})
    figure.update_layout(barmode="stack", bargap=0)
    ticks = {"tick0": 0.0, "dtick": round_step(float(np.ptp(edges)) / _LABELS)}
    figure.update_xaxes(title_text="Profit of a day (EUR)", tickformat=",", range=[edges[0], edges[-1]], **ticks)
    return figure


def daily_marks_eur(daily_eur: pd.Series[float]) -> dict[str, float]:
    """CVaR, VaR and mean of daily profits [days]."""
    return {
        "CVaR": conditional_value_at_risk_eur(daily_eur, TAIL_LEVEL),
        "VaR": value_at_risk_eur(daily_eur, TAIL_LEVEL),
        "mean": float(daily_eur.mean()),
    }


def drawdown(daily_eur: pd.Series[float]) -> go.Figure:
    """How far the running total lies below its highest point so far, or below zero at the start, after each day."""
    total = daily_eur.cumsum()
    below = total - total.cummax().clip(lower=0.0)
    figure = blank(230, "Below the highest total so far (EUR)")
    days = pd.DatetimeIndex(daily_eur.index)
    figure.add_scatter(
        x=np.arange(len(days)) + 1,
        y=below,
        mode="lines",
        line={"color": TAIL, "width": 1.5, "shape": "hv"},
        fill="tozeroy",
        fillcolor=translucent(TAIL, 0.25),
        customdata=days.strftime("%d %b %Y"),
        hovertemplate="%{customdata}: %{y:,.0f} EUR<extra></extra>",
    )
    show_days(figure, days, first=1)
    figure.update_yaxes(tickformat=",", rangemode="tozero")
    return figure


@dataclass(frozen=True, slots=True)
class Bracket:
    """A figure with a narrow interval and a wider one, each where there is one."""

    name: str
    estimate: Estimate
    wide: Sequence[float] | None = None
    colour: str = OWN


def brackets(rows: Sequence[Bracket], axis: str, lines: Mapping[str, float]) -> go.Figure:
    """Figures in EUR a day with their intervals, one row each from the top; `lines` are upright and named."""
    figure = blank(70 + _ROW_PX * len(rows))
    for place, row in enumerate(rows):
        for bounds, width_px in ((row.estimate.interval, 7.0), (row.wide, 2.0)):
            if bounds is not None:
                line = {"color": row.colour, "width": width_px}
                figure.add_scatter(x=list(bounds), y=[place, place], mode="lines", line=line, hoverinfo="skip")
        figure.add_scatter(
            x=[row.estimate.value_eur],
            y=[place],
            mode="markers",
            marker={"color": "white", "size": 9, "line": {"color": row.colour, "width": 2.5}},
            hovertemplate=f"{html.escape(row.name)}<br>%{{x:,.1f}} EUR a day<extra></extra>",
        )
    decimals = sensible_decimals(max(abs(row.estimate.value_eur) for row in rows))
    words = [
        f"{html.escape(row.name)}: <b>{number(row.estimate.value_eur, decimals, signed='0' in lines)}</b>"
        for row in rows
    ]
    label_rows(figure, words)
    for name, value in lines.items():
        figure.add_vline(value, line={"color": INK, "width": 1, "dash": "solid" if name == "0" else "dot"})
    figure.update_xaxes(title_text=axis, tickformat=",")
    return figure


def gap_waterfall(ceiling_eur: float, causes_eur: Mapping[str, float], profit_eur: float) -> go.Figure:
    """From perfect foresight down to what was earned, cause by cause, in EUR a day."""
    names = ["perfect foresight", *(CAUSE_IN_WORDS[cause] for cause in CAUSES), "earned"]
    values = [ceiling_eur, *(-causes_eur[cause] for cause in CAUSES), profit_eur]
    ends = np.cumsum(values[:-1])
    starts = np.array([0.0, *ends[:-1], 0.0])
    figure = blank(70 + _ROW_PX * len(names))
    figure.add_bar(
        x=values,
        base=starts,
        y=np.arange(len(names)),
        orientation="h",
        width=0.42,
        marker={"color": [BLACK, *([TAIL] * (len(CAUSES) - 1)), GREY, OWN]},
        hovertemplate="%{customdata}<extra></extra>",
        customdata=[f"{name}: {number(value)} EUR a day" for name, value in zip(names, values, strict=True)],
    )
    decimals = sensible_decimals(ceiling_eur)
    words = [
        f"{name}: <b>{number(value, decimals, signed=0 < place < len(names) - 1)}</b>"
        for place, (name, value) in enumerate(zip(names, values, strict=True))
    ]
    label_rows(figure, words)
    figure.update_xaxes(title_text="EUR a day", tickformat=",", zeroline=True, zerolinecolor=INK)
    return figure


def causes_side_by_side(causes_eur: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """What each strategy lost to each cause, in EUR a day: one stacked bar a strategy."""
    figure = blank(70 + _ROW_PX * len(causes_eur))
    shades = dict(zip(CAUSES, CAUSE_COLOURS, strict=True))
    for cause in CAUSES:
        figure.add_bar(
            x=[max(0.0, lost[cause]) for lost in causes_eur.values()],
            y=np.arange(len(causes_eur)),
            orientation="h",
            width=0.42,
            marker={"color": shades[cause], "line": {"color": "white", "width": 1}},
            hovertemplate=f"{CAUSE_IN_WORDS[cause]}: %{{x:,.1f}} EUR a day<extra></extra>",
        )
    label_rows(figure, [html.escape(name) for name in causes_eur])
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title_text="Lost against perfect foresight (EUR a day)", tickformat=",")
    return figure


CAUSE_COLOURS = (TAIL, "#E69F00", "#F0D58C", SKY_BLUE, OWN, GREY)
"""Of the causes, in order."""
