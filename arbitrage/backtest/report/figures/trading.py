"""The pictures of how a strategy trades: each a pure function of ledgers.

Contract: every axis names its unit, and clock times are Brussels wall-clock.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from arbitrage.arrays import Floats
from arbitrage.backtest.report.figures.drawing import (
    BLACK,
    CHARGE,
    DISCHARGE,
    INK,
    LOSS_TO_GAIN,
    OWN,
    TAIL,
    blank,
    show_days,
    translucent,
)
from arbitrage.backtest.report.figures.rounding import number
from arbitrage.backtest.valuation import Rainflow
from arbitrage.battery import Battery
from arbitrage.quarter_hour import MINUTES_PER_HOUR, QUARTER_HOUR_H, brussels_minutes_of_day, epoch_minutes

FAN_OPACITY = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.35))
"""Bands of the fan: lower and upper quantile, opacity."""

_HOUR_TICKS = list(range(0, 25, 3))
PRICE_GROUPS = 10
"""Groups of equally many quarter-hours from the cheapest to the dearest."""
_FINEST_DECIMALS = 6


def profit_by_month_and_hour(ledger: pd.DataFrame) -> go.Figure:
    """Profit booked in each Brussels hour, in EUR per day tested, one row a month; the scale is the page's to show."""
    rows = ledger.assign(month=ledger["brussels_day"].dt.strftime("%Y-%m"), hour=_hours_of_day(ledger).astype(int))
    total = rows.pivot_table(index="month", columns="hour", values="profit_eur", aggfunc="sum")
    days = rows.groupby("month")["brussels_day"].nunique()
    mean = total.div(days, axis=0).reindex(columns=range(24))
    reach = float(np.nanmax(np.abs(mean.to_numpy())))
    figure = blank(100 + 30 * len(mean))
    figure.add_heatmap(
        x=list(range(24)),
        y=[f"{pd.Timestamp(label):%b %Y}" for label in mean.index],
        z=mean.to_numpy(),
        zmin=-reach,
        zmax=reach,
        colorscale=LOSS_TO_GAIN,
        xgap=1,
        ygap=1,
        showscale=False,
        hovertemplate="%{y}, %{x}:00 to %{x}:59<br>%{z:,.1f} EUR per day<extra></extra>",
    )
    figure.update_xaxes(title_text="Hour of the Brussels day", tickvals=_HOUR_TICKS[:-1], showgrid=False)
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    figure.update_layout(margin_t=12)
    return figure


def cycles_by_day(ledger: pd.DataFrame, max_cycles_per_day: float | None) -> go.Figure:
    """Equivalent full cycles of each Brussels day against the cap, if there is one."""
    cycles = cycles_of_days(ledger)
    days = pd.DatetimeIndex(cycles.index)
    figure = blank(280, "Full cycles a day")
    figure.add_bar(
        x=np.arange(len(days)),
        y=cycles,
        marker={"color": OWN, "line": {"width": 0}},
        customdata=days.strftime("%a %d %b %Y"),
        hovertemplate="%{customdata}: %{y:.2f} cycles<extra></extra>",
    )
    if max_cycles_per_day is not None:
        figure.add_hline(max_cycles_per_day, line={"color": TAIL, "dash": "dash", "width": 2})
    top = max(float(cycles.max()), max_cycles_per_day or 0.0) or 1.0
    show_days(figure, days)
    figure.update_layout(bargap=0.15)
    figure.update_yaxes(range=[0.0, 1.1 * top])
    return figure


def cycles_of_days(ledger: pd.DataFrame) -> pd.Series[float]:
    """Equivalent full cycles of each Brussels day, shape [days]."""
    return ledger.groupby("brussels_day")["cycles_used"].max()


def soc_fan(ledger: pd.DataFrame, battery: Battery) -> go.Figure:
    """Quantiles over days of the energy in store at each quarter-hour of the Brussels day."""
    by_time = ledger["soc_start_mwh"].groupby(_hours_of_day(ledger))
    hours = by_time.median().index
    figure = blank(420, "Energy in store (MWh)")
    hidden = {"x": hours, "mode": "lines", "line": {"width": 0, "color": OWN}, "hoverinfo": "skip"}
    for low, high, opacity in FAN_OPACITY:
        figure.add_scatter(y=by_time.quantile(low), **hidden)
        figure.add_scatter(y=by_time.quantile(high), fill="tonexty", fillcolor=translucent(OWN, opacity), **hidden)
    figure.add_scatter(
        x=hours,
        y=by_time.median(),
        mode="lines",
        line={"color": OWN, "width": 2.5},
        customdata=np.column_stack([by_time.quantile(0.25), by_time.quantile(0.75)]),
        hovertemplate="median %{y:.2f} MWh<br>half in %{customdata[0]:.2f} to %{customdata[1]:.2f}<extra></extra>",
    )
    for bound_mwh in {battery.law.min_soc_mwh, battery.law.max_soc_mwh} - {0.0, battery.law.capacity_mwh}:
        figure.add_hline(bound_mwh, line={"color": TAIL, "dash": "dash", "width": 1.5})
    figure.update_xaxes(title_text="Hour of the Brussels day", tickvals=_HOUR_TICKS, range=[0, 24])
    figure.update_yaxes(range=[-0.04 * battery.capacity_mwh, 1.04 * battery.capacity_mwh])
    return figure


def price_groups(price_eur_mwh: pd.Series[float]) -> pd.Series[Any]:
    """The tenth of the prices [n] in which each lies, as a category labelled "80 to 120"; NaN without a price.

    Where prices repeat there are fewer groups, and they are not equally large. Prices must not all be equal.
    """
    distinct = min(PRICE_GROUPS, price_eur_mwh.nunique())
    groups = pd.qcut(price_eur_mwh, distinct, duplicates="drop")
    bounds = groups.cat.categories
    labels: list[str] = []
    for decimals in range(_FINEST_DECIMALS + 1):
        labels = [f"{number(group.left, decimals)} to {number(group.right, decimals)}" for group in bounds]
        if len(set(labels)) == len(labels):
            return groups.cat.rename_categories(labels)
    return groups.cat.rename_categories([f"{place + 1}: {label}" for place, label in enumerate(labels)])


def power_by_price(ledger: pd.DataFrame, ceiling: pd.DataFrame | None) -> go.Figure:
    """Mean power bought and sold in each tenth of the prices, with the ceiling's as diamonds if its ledger is given."""
    tenths = price_groups(ledger["imbalance_price_eur_mwh"])
    labels = tenths.cat.categories
    figure = blank(420, "Imbalance price (EUR/MWh)")
    diamond = {"symbol": "diamond", "color": BLACK, "size": 8, "line": {"color": "white", "width": 1}}
    for flow, sign, colour in (("charge_mwh", -1.0, CHARGE), ("discharge_mwh", 1.0, DISCHARGE)):
        hover = f"%{{y}} EUR/MWh<br>{flow.removesuffix('_mwh')} %{{customdata:.3f}} MW on average<extra></extra>"
        mean_mw = ledger.groupby(tenths, observed=False)[flow].mean() / QUARTER_HOUR_H
        bar = {"x": sign * mean_mw, "y": labels, "customdata": mean_mw, "orientation": "h"}
        figure.add_bar(**bar, marker={"color": colour}, hovertemplate=hover)
        if ceiling is not None:
            best_mw = ceiling.groupby(tenths, observed=False)[flow].mean() / QUARTER_HOUR_H
            point = {"x": sign * best_mw, "y": labels, "customdata": best_mw, "mode": "markers"}
            figure.add_scatter(**point, marker=diamond, hovertemplate=f"perfect foresight, {hover}")
    figure.update_layout(barmode="relative", bargap=0.25)
    figure.update_xaxes(title_text="Mean power (MW)", zeroline=True, zerolinecolor=INK)
    figure.update_yaxes(type="category", showgrid=False)
    return figure


def cash_by_price(ledger: pd.DataFrame, ceiling: pd.DataFrame | None) -> go.Figure:
    """What was paid and received in each tenth of the prices, in EUR a day, the ceiling's as diamonds."""
    tenths = price_groups(ledger["imbalance_price_eur_mwh"])
    labels = tenths.cat.categories
    days = ledger["brussels_day"].nunique()
    figure = blank(420, "Imbalance price (EUR/MWh)")
    own_eur = ledger.groupby(tenths, observed=False)["cash_eur"].sum() / days
    colours = np.where(own_eur < 0.0, CHARGE, DISCHARGE)
    hover = "%{y} EUR/MWh<br>%{x:,.1f} EUR a day<extra></extra>"
    figure.add_bar(x=own_eur, y=labels, orientation="h", marker={"color": colours}, hovertemplate=hover)
    if ceiling is not None:
        best_eur = ceiling.groupby(tenths, observed=False)["cash_eur"].sum() / days
        diamond = {"symbol": "diamond", "color": BLACK, "size": 8, "line": {"color": "white", "width": 1}}
        hover_text = f"perfect foresight, {hover}"
        figure.add_scatter(x=best_eur, y=labels, mode="markers", marker=diamond, hovertemplate=hover_text)
    figure.update_layout(bargap=0.25)
    figure.update_xaxes(title_text="Cash (EUR a day)", tickformat=",", zeroline=True, zerolinecolor=INK)
    figure.update_yaxes(type="category", showgrid=False)
    return figure


def cycle_depths(cycles: Rainflow, days: int) -> go.Figure:
    """Rainflow cycles a day by their depth, in tenths of the capacity."""
    edges = np.linspace(0.0, 1.0, 11)
    counts = np.histogram(np.clip(cycles.depth_fraction, 0.0, 1.0), edges, weights=cycles.count)[0] / days
    figure = blank(280, "Rainflow cycles a day")
    figure.add_bar(
        x=100.0 * (edges[:-1] + edges[1:]) / 2.0,
        y=counts,
        marker={"color": OWN},
        customdata=[f"{100.0 * low:.0f} to {100.0 * high:.0f} %" for low, high in itertools.pairwise(edges)],
        hovertemplate="depth %{customdata}<br>%{y:.2f} a day<extra></extra>",
    )
    figure.update_layout(bargap=0.2)
    figure.update_xaxes(title_text="Depth of the cycle (% of capacity)", range=[0, 100], dtick=20)
    return figure


def _hours_of_day(ledger: pd.DataFrame) -> Floats:
    """Brussels wall-clock hour at which each row starts, shape [n]; 13.25 is 13:15."""
    minutes = brussels_minutes_of_day(epoch_minutes(pd.DatetimeIndex(ledger.index)))
    return np.asarray(minutes / MINUTES_PER_HOUR, dtype=np.float64)
