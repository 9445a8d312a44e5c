"""The pictures of the report: each a pure function of ledgers or daily profits.

Law: a strategy has one colour and one dash in every picture, from the Okabe-Ito palette, which colour-blind readers can tell
apart; the dash says the same again. Every axis names its unit. Clock times are Brussels wall-clock. Strategy names come
from outside and are escaped, because plotly reads markup in them.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from arbitrage.backtest.metrics import TAIL_LEVEL
from arbitrage.backtest.rounding import number
from arbitrage.battery import Battery
from arbitrage.quarter_hour import (
    BRUSSELS,
    MINUTES_PER_HOUR,
    MINUTES_PER_QUARTER_HOUR,
    QUARTER_HOUR_H,
    brussels_minutes_of_day,
    epoch_minutes,
)
from arbitrage.risk import conditional_value_at_risk_eur, value_at_risk_eur

Floats = npt.NDArray[np.float64]

BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#8a8f98"
"""Okabe and Ito (2008), without its yellow, which is too pale on white; grey for what does nothing."""
CHARGE, DISCHARGE, TAIL, OWN = ORANGE, BLUE, VERMILLION, BLUE
FAN_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_INK, _RULE, _ZERO = "#22272e", "#e3e6ea", "#b9bfc7"
_TICKS_H = list(range(0, 25, 3))
_PRICE_GROUPS = 10
_LABELLED_BINS = 4
_QUARTER_HOUR_MS = MINUTES_PER_QUARTER_HOUR * 60_000
_OTHERS = ((GREEN, "solid"), (PURPLE, "dashdot"), (SKY_BLUE, "solid"), (ORANGE, "dashdot"), (VERMILLION, "solid"))
_KNOWN = {"perfect-foresight": (BLACK, "dash"), "idle": (GREY, "dot")}


@dataclass(frozen=True, slots=True)
class Stroke:
    """How a strategy is drawn."""

    colour: str
    dash: str
    """As plotly names it: solid, dash, dot or dashdot."""
    width_px: float


def strokes(strategies: Sequence[str]) -> dict[str, Stroke]:
    """A stroke for each strategy by name; the first is the one the report is about."""
    others = itertools.cycle(_OTHERS)
    chosen = {strategies[0]: Stroke(OWN, "solid", 3.0)}
    for name in strategies[1:]:
        colour, dash = _KNOWN.get(name) or next(others)
        chosen[name] = Stroke(colour, dash, 2.0)
    return chosen


def cumulative_profit(daily_eur: pd.DataFrame) -> go.Figure:
    """Running total of daily profits, shape [days, strategies], from zero; steps, so that days left out stay flat."""
    figure = _blank(440, "Profit since the first day (EUR)")
    start = daily_eur.index[0] - pd.Timedelta(days=1)
    days = daily_eur.index.insert(0, start)
    for name, stroke in strokes([str(name) for name in daily_eur.columns]).items():
        figure.add_scatter(
            x=days,
            y=np.append(0.0, daily_eur[name].cumsum()),
            name=html.escape(name),
            line={"color": stroke.colour, "dash": stroke.dash, "width": stroke.width_px, "shape": "hv"},
            mode="lines",
            hovertemplate="%{y:,.0f} EUR",
        )
    figure.update_layout(hovermode="x unified", xaxis_hoverformat="%d %b %Y")
    figure.update_yaxes(tickformat=",", zeroline=True)
    return figure


def profit_distribution(daily_eur: pd.Series[float]) -> go.Figure:
    """How many days [days] earned how much, the worst tail in its own colour, with VaR, CVaR and mean marked."""
    values = daily_eur.to_numpy()
    edges = _round_edges(values)
    at_risk, mean_at_risk = (
        measure(values, TAIL_LEVEL) for measure in (value_at_risk_eur, conditional_value_at_risk_eur)
    )
    figure = _blank(390, "Days")
    groups = (("VaR or worse", values[values <= at_risk], TAIL), ("better than VaR", values[values > at_risk], OWN))
    for name, group, colour in groups:
        counts, _ = np.histogram(group, edges)
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            width=np.diff(edges),
            name=name,
            marker={"color": colour, "line": {"color": "white", "width": 1}},
            customdata=np.column_stack([edges[:-1], edges[1:]]),
            hovertemplate="%{y} days, %{customdata[0]:,.0f} to %{customdata[1]:,.0f} EUR<extra>%{fullData.name}</extra>",
        )
    for name, value in daily_marks_eur(daily_eur).items():
        figure.add_vline(value, line={"color": _INK, "width": 2, "dash": MARKS[name]})
    figure.update_layout(barmode="stack", bargap=0)
    figure.update_xaxes(
        title="Profit of a day (EUR)", tickformat=",", tick0=0, dtick=_LABELLED_BINS * (edges[1] - edges[0])
    )
    return figure


def profit_by_month_and_hour(ledger: pd.DataFrame) -> go.Figure:
    """Profit booked in each Brussels hour, in EUR per day covered, one row a month."""
    month = ledger["brussels_day"].dt.strftime("%Y-%m").to_numpy()
    total = ledger.groupby([month, _hours_of_day(ledger).astype(int)])["profit_eur"].sum().unstack()
    days = ledger.groupby(month)["brussels_day"].nunique()
    mean = total.div(days, axis=0).reindex(columns=range(24))
    reach = float(np.nanmax(np.abs(mean.to_numpy()))) or 1.0
    figure = _blank(150 + 30 * len(mean), "")
    figure.add_heatmap(
        x=list(range(24)),
        y=[f"{pd.Timestamp(label):%b %Y}" for label in mean.index],
        z=mean.to_numpy(),
        zmin=-reach,
        zmax=reach,
        colorscale=[[0.0, VERMILLION], [0.25, "#f0b48c"], [0.5, "#f7f7f7"], [0.75, "#8fbbdc"], [1.0, BLUE]],
        xgap=1,
        ygap=1,
        colorbar=_colour_bar("EUR per day, in that hour"),
        hovertemplate="%{y}, %{x}:00 to %{x}:59<br>%{z:,.1f} EUR per day<extra></extra>",
    )
    figure.update_xaxes(title="Hour of the Brussels day", tickvals=_TICKS_H[:-1], showgrid=False)
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    figure.update_layout(margin_b=112)
    return figure


def cycles_by_day(ledger: pd.DataFrame, max_cycles_per_day: float | None) -> go.Figure:
    """Equivalent full cycles of each Brussels day against the cap, if there is one."""
    cycles = cycles_of_days(ledger)
    figure = _blank(320, "Full cycles a day")
    figure.add_scatter(
        x=cycles.index,
        y=cycles,
        mode="markers",
        marker={"color": OWN, "size": 6, "opacity": 0.6},
        hovertemplate="%{x|%a %d %b %Y}: %{y:.2f} cycles<extra></extra>",
    )
    top = max(float(cycles.max()), max_cycles_per_day or 0.0)
    if max_cycles_per_day is not None:
        line = {"color": TAIL, "dash": "dash", "width": 2}
        label = f"cap: {max_cycles_per_day:g} cycles a day"
        figure.add_hline(max_cycles_per_day, line=line, annotation={"text": label, "font": {"color": TAIL}})
    figure.update_yaxes(range=[-0.05 * (top or 1.0), 1.15 * (top or 1.0)])
    return figure


def cycles_of_days(ledger: pd.DataFrame) -> pd.Series[float]:
    """Equivalent full cycles of each Brussels day, shape [days]."""
    return ledger.groupby("brussels_day")["cycles_used"].max()


def soc_fan(ledger: pd.DataFrame, battery: Battery) -> go.Figure:
    """Quantiles over days of the energy in store at each quarter-hour of the Brussels day."""
    by_time = ledger["soc_start_mwh"].groupby(_hours_of_day(ledger)).quantile(list(FAN_QUANTILES)).unstack()
    figure = _blank(420, "Energy in store (MWh)")
    hours = by_time.index.to_numpy()
    for low, high, opacity in ((0.05, 0.95, 0.18), (0.25, 0.75, 0.35)):
        edge = {"width": 0, "color": OWN}
        figure.add_scatter(x=hours, y=by_time[low], mode="lines", line=edge, hoverinfo="skip")
        fill = {"fill": "tonexty", "fillcolor": f"rgba(0, 114, 178, {opacity})"}
        figure.add_scatter(x=hours, y=by_time[high], mode="lines", line=edge, hoverinfo="skip", **fill)
    figure.add_scatter(
        x=hours,
        y=by_time[0.5],
        mode="lines",
        line={"color": OWN, "width": 2.5},
        customdata=by_time.to_numpy(),
        hovertemplate="median %{y:.2f} MWh<br>middle half %{customdata[1]:.2f} to %{customdata[3]:.2f} MWh<extra></extra>",
    )
    figure.update_xaxes(title="Hour of the Brussels day", tickvals=_TICKS_H, range=[0, 24])
    for bound_mwh in {battery.law.min_soc_mwh, battery.law.max_soc_mwh} - {0.0, battery.law.capacity_mwh}:
        figure.add_hline(bound_mwh, line={"color": TAIL, "dash": "dash", "width": 1.5})
    pad = 0.04 * battery.capacity_mwh
    figure.update_yaxes(range=[-pad, battery.capacity_mwh + pad])
    return figure


def power_by_price(ledger: pd.DataFrame, ceiling: pd.DataFrame | None) -> go.Figure:
    """Mean power bought and sold in each tenth of the prices, with the ceiling's as diamonds if its ledger is given."""
    settled = ledger[ledger["settled"]]
    groups = pd.qcut(settled["imbalance_price_eur_mwh"], _PRICE_GROUPS, duplicates="drop")
    labels = [f"{number(group.left, 0)} to {number(group.right, 0)}" for group in groups.cat.categories]
    figure = _blank(420, "Imbalance price (EUR/MWh)")
    for flow, sign, colour, word in (
        ("charge_mwh", -1, CHARGE, "charging"),
        ("discharge_mwh", 1, DISCHARGE, "discharging"),
    ):
        mean_mw = settled.groupby(groups, observed=False)[flow].mean() / QUARTER_HOUR_H
        hover = f"{word} %{{customdata:.3f}} MW on average"
        figure.add_bar(
            y=labels,
            x=sign * mean_mw,
            orientation="h",
            marker_color=colour,
            customdata=mean_mw,
            hovertemplate=f"{hover}<extra></extra>",
        )
        if ceiling is not None:
            best_mw = (
                ceiling.loc[settled.index].groupby(groups.to_numpy(), observed=False)[flow].mean() / QUARTER_HOUR_H
            )
            figure.add_scatter(
                y=labels,
                x=sign * best_mw,
                mode="markers",
                customdata=best_mw,
                marker={"symbol": "diamond", "color": BLACK, "size": 8, "line": {"color": "white", "width": 1}},
                hovertemplate=f"perfect foresight: {hover}<extra></extra>",
            )
    figure.update_layout(barmode="relative", bargap=0.25)
    figure.update_xaxes(title="Mean power (MW)", zeroline=True, zerolinecolor=_INK)
    figure.update_yaxes(type="category", showgrid=False)
    return figure


def one_day(ledger: pd.DataFrame, battery: Battery, day_ahead_eur_mwh: pd.Series[float] | None) -> go.Figure:
    """Price, power and energy in store through the rows of one Brussels day, on Brussels time."""
    clock = _clock(ledger)
    figure = make_subplots(3, 1, shared_xaxes=True, vertical_spacing=0.09, row_heights=[0.42, 0.25, 0.33])
    _style(figure, 660)
    steps = {"mode": "lines", "hovertemplate": "%{y:,.2f} EUR/MWh"}
    if day_ahead_eur_mwh is not None:
        ahead = day_ahead_eur_mwh.reindex(ledger.index, method="ffill", tolerance=pd.Timedelta(minutes=59))
        line = {"color": PURPLE, "width": 2, "dash": "dash", "shape": "hv"}
        figure.add_scatter(x=clock, y=_held(ahead), name="day-ahead price", line=line, **steps)
    line = {"color": BLACK, "width": 2, "shape": "hv"}
    figure.add_scatter(x=clock, y=_held(ledger["imbalance_price_eur_mwh"]), name="imbalance price", line=line, **steps)
    power_mw = ledger["net_energy_mwh"].to_numpy() / QUARTER_HOUR_H
    colours = np.where(power_mw > 0, DISCHARGE, CHARGE)
    figure.add_bar(
        x=clock[:-1],
        y=power_mw,
        width=_QUARTER_HOUR_MS,
        offset=0,
        name="power",
        row=2,
        col=1,
        marker={"color": colours, "line": {"width": 0}},
        hovertemplate="%{y:.2f} MW",
    )
    soc_mwh = np.append(ledger["soc_start_mwh"].to_numpy()[:1], ledger["soc_end_mwh"].to_numpy())
    figure.add_scatter(
        x=clock,
        y=soc_mwh,
        name="in store",
        mode="lines",
        fill="tozeroy",
        fillcolor="rgba(0, 158, 115, 0.15)",
        line={"color": GREEN, "width": 2},
        hovertemplate="%{y:.2f} MWh",
        row=3,
        col=1,
    )
    figure.update_layout(hovermode="x unified", bargap=0)
    figure.update_xaxes(range=[clock[0], clock[-1]], tickformat="%H:%M", hoverformat="%H:%M")
    figure.update_yaxes(tickformat=",", row=1, col=1)
    figure.update_yaxes(range=[-1.1 * battery.power_mw, 1.1 * battery.power_mw], zeroline=True, row=2, col=1)
    figure.update_yaxes(range=[0, 1.05 * battery.capacity_mwh], row=3, col=1)
    for row, quantity in enumerate(
        ("Price (EUR/MWh)", "Power (MW), discharge positive", "Energy in store (MWh)"), start=1
    ):
        _name_vertical_axis(figure, quantity, "y" if row == 1 else f"y{row}")
    return figure


def _clock(ledger: pd.DataFrame) -> pd.DatetimeIndex:
    """Start of each row of one day and the end of the last, shape [n + 1], as time elapsed since Brussels midnight.

    On the two days on which clocks change, the hours after the change are off by one.
    """
    start = pd.DatetimeIndex(ledger.index[:1]).tz_convert(BRUSSELS).tz_localize(None)[0]
    elapsed_min = epoch_minutes(pd.DatetimeIndex(ledger.index)) - epoch_minutes(pd.DatetimeIndex(ledger.index[:1]))
    ends_min = np.append(elapsed_min, elapsed_min[-1] + MINUTES_PER_QUARTER_HOUR)
    return pd.DatetimeIndex(start + pd.to_timedelta(ends_min, unit="min"))


def _hours_of_day(ledger: pd.DataFrame) -> Floats:
    """Brussels wall-clock hour at which each row starts, shape [n]; 13.25 is 13:15."""
    minutes = brussels_minutes_of_day(epoch_minutes(pd.DatetimeIndex(ledger.index)))
    return np.asarray(minutes / MINUTES_PER_HOUR, dtype=np.float64)


def _round_edges(values: Floats) -> Floats:
    """Edges of at most some sixty bins of one round width; zero is an edge, so gains and losses share no bin."""
    reach = float(np.ptp(values)) or 1.0
    wanted = 0.7 * reach / min(40.0, max(8.0, 1.5 * np.sqrt(len(values))))
    power = 10.0 ** np.floor(np.log10(wanted))
    width = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= wanted)
    first, last = np.floor(values.min() / width), np.floor(values.max() / width) + 1.0
    return np.asarray(width * np.arange(first, last + 1.0), dtype=np.float64)


def _held(values: pd.Series[float]) -> Floats:
    """Values [n] with the last repeated, so that a step line runs to the end of its last interval."""
    array = values.to_numpy(np.float64)
    return np.append(array, array[-1:])


def _colour_bar(title: str) -> dict[str, object]:
    """A colour bar at the bottom, where it leaves the width to the picture."""
    return {
        "orientation": "h",
        "y": 0,
        "yref": "container",
        "yanchor": "bottom",
        "thickness": 12,
        "len": 0.9,
        "title": {"text": title, "side": "bottom"},
        "tickformat": ",",
        "nticks": 5,
    }


def _blank(height_px: int, vertical_axis: str) -> go.Figure:
    """An empty picture whose vertical axis shows that quantity."""
    figure = go.Figure()
    _style(figure, height_px)
    if vertical_axis:
        _name_vertical_axis(figure, vertical_axis, "y")
    return figure


def _name_vertical_axis(figure: go.Figure, text: str, axis: str) -> None:
    """The name stands level above the axis: easier to read than upright, and it costs no width on a telephone."""
    figure.add_annotation(
        text=text,
        xref="paper",
        x=0,
        xanchor="left",
        yref=f"{axis} domain",
        y=1,
        yanchor="bottom",
        yshift=6,
        showarrow=False,
    )


def _style(figure: go.Figure, height_px: int) -> None:
    """One look for all pictures; keys to colours stand beside the picture, in the page."""
    figure.update_layout(
        template=None,
        height=height_px,
        autosize=True,
        showlegend=False,
        font={"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": _INK},
        margin={"l": 8, "r": 12, "t": 36, "b": 8},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hoverlabel={"bgcolor": "white", "bordercolor": _RULE},
    )
    figure.update_xaxes(
        automargin=True, gridcolor=_RULE, linecolor=_INK, zeroline=False, ticks="outside", tickcolor=_RULE
    )
    figure.update_yaxes(automargin=True, gridcolor=_RULE, zeroline=False, zerolinecolor=_ZERO)
