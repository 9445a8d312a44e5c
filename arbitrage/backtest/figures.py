"""The pictures of the report: each a pure function of ledgers or daily profits.

Law: every axis names its unit, and clock times are Brussels wall-clock. Strategy names come from outside and are
escaped, because plotly reads markup in them.
"""

from __future__ import annotations

import html

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from arbitrage.backtest.drawing import (
    BLACK,
    CHARGE,
    DISCHARGE,
    INK,
    LOSS_TO_GAIN,
    OWN,
    PURPLE,
    STORE,
    TAIL,
    blank,
    name_vertical_axis,
    show_days,
    strokes,
    style,
    translucent,
)
from arbitrage.backtest.rounding import number, round_edges, round_step
from arbitrage.backtest.statistics import TAIL_LEVEL
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

MARKS = {"CVaR": "dot", "VaR": "dash", "mean": "solid"}
"""Dashes of the lines in the distribution."""
FAN_OPACITY = ((0.05, 0.95, 0.18), (0.25, 0.75, 0.35))
"""Bands of the fan: lower and upper quantile, opacity."""

_HOUR_TICKS = list(range(0, 25, 3))
_PRICE_GROUPS = 10
_LABELS = 6
_QUARTER_HOUR_MS = MINUTES_PER_QUARTER_HOUR * 60_000


def cumulative_profit(daily_eur: pd.DataFrame) -> go.Figure:
    """Running total of daily profits, shape [days, strategies], from zero; steps, so that days left out stay flat."""
    figure = blank(440, "Profit since the first day (EUR)")
    days = pd.DatetimeIndex(daily_eur.index.insert(0, daily_eur.index[0] - pd.Timedelta(days=1)))
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
    show_days(figure, days)
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


def profit_by_month_and_hour(ledger: pd.DataFrame) -> go.Figure:
    """Profit booked in each Brussels hour, in EUR per day tested, one row a month; the scale is the page's to show."""
    rows = ledger.assign(month=ledger["brussels_day"].dt.strftime("%Y-%m"), hour=_hours_of_day(ledger).astype(int))
    total = rows.pivot_table(index="month", columns="hour", values="profit_eur", aggfunc="sum")
    days = rows.groupby("month")["brussels_day"].nunique()
    mean = total.div(days, axis=0).reindex(columns=range(24))
    reach = float(np.nanmax(np.abs(mean.to_numpy()))) or 1.0
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
    figure = blank(320, "Full cycles a day")
    figure.add_scatter(
        x=cycles.index,
        y=cycles,
        mode="markers",
        marker={"color": OWN, "size": 6, "opacity": 0.6},
        hovertemplate="%{x|%a %d %b %Y}: %{y:.2f} cycles<extra></extra>",
    )
    if max_cycles_per_day is not None:
        figure.add_hline(max_cycles_per_day, line={"color": TAIL, "dash": "dash", "width": 2})
    top = max(float(cycles.max()), max_cycles_per_day or 0.0) or 1.0
    show_days(figure, pd.DatetimeIndex(cycles.index))
    figure.update_yaxes(range=[-0.05 * top, 1.1 * top])
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


def power_by_price(ledger: pd.DataFrame, ceiling: pd.DataFrame | None) -> go.Figure:
    """Mean power bought and sold in each tenth of the prices, with the ceiling's as diamonds if its ledger is given."""
    tenths = pd.qcut(ledger["imbalance_price_eur_mwh"], _PRICE_GROUPS, duplicates="drop")
    labels = [f"{number(tenth.left, 0)} to {number(tenth.right, 0)}" for tenth in tenths.cat.categories]
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


def one_day(ledger: pd.DataFrame, battery: Battery, day_ahead_eur_mwh: pd.Series[float] | None) -> go.Figure:
    """Price, power and energy in store through the rows of one Brussels day, on Brussels time."""
    figure = make_subplots(3, 1, shared_xaxes=True, vertical_spacing=0.09, row_heights=[0.42, 0.25, 0.33])
    style(figure, 660)
    clock = _clock(ledger)
    if day_ahead_eur_mwh is not None:
        ahead = day_ahead_eur_mwh.sort_index().reindex(ledger.index, method="ffill", tolerance=pd.Timedelta(minutes=59))
        _add_price(figure, clock, ahead, "day-ahead price", {"color": PURPLE, "dash": "dash"})
    _add_price(figure, clock, ledger["imbalance_price_eur_mwh"], "imbalance price", {"color": BLACK})
    _add_power(figure, clock, ledger)
    _add_store(figure, clock, ledger)
    figure.update_layout(hovermode="x unified", bargap=0)
    figure.update_xaxes(range=[clock[0], clock[-1]], tickformat="%H:%M", hoverformat="%H:%M")
    figure.update_xaxes(title_text="Brussels time", row=3, col=1)
    figure.update_yaxes(tickformat=",", row=1, col=1)
    figure.update_yaxes(range=[-1.1 * battery.power_mw, 1.1 * battery.power_mw], zeroline=True, row=2, col=1)
    figure.update_yaxes(range=[0, 1.05 * battery.capacity_mwh], row=3, col=1)
    name_vertical_axis(figure, "Price (EUR/MWh)")
    name_vertical_axis(figure, "Power (MW), discharge positive", "y2")
    name_vertical_axis(figure, "Energy in store (MWh)", "y3")
    return figure


def _add_price(
    figure: go.Figure, clock: pd.DatetimeIndex, price_eur_mwh: pd.Series[float], name: str, line: dict[str, str]
) -> None:
    """A price [n] as steps, the last of which runs to the end of its interval."""
    values = price_eur_mwh.to_numpy(np.float64)
    figure.add_scatter(
        x=clock,
        y=np.append(values, values[-1:]),
        name=name,
        mode="lines",
        line={**line, "width": 2, "shape": "hv"},
        hovertemplate="%{y:,.2f} EUR/MWh",
    )


def _add_power(figure: go.Figure, clock: pd.DatetimeIndex, ledger: pd.DataFrame) -> None:
    power_mw = ledger["net_energy_mwh"].to_numpy() / QUARTER_HOUR_H
    figure.add_bar(
        x=clock[:-1],
        y=power_mw,
        width=_QUARTER_HOUR_MS,
        offset=0,
        name="power",
        marker={"color": np.where(power_mw > 0.0, DISCHARGE, CHARGE), "line": {"width": 0}},
        hovertemplate="%{y:.2f} MW",
        row=2,
        col=1,
    )


def _add_store(figure: go.Figure, clock: pd.DatetimeIndex, ledger: pd.DataFrame) -> None:
    figure.add_scatter(
        x=clock,
        y=np.append(ledger["soc_start_mwh"].to_numpy()[:1], ledger["soc_end_mwh"].to_numpy()),
        name="in store",
        mode="lines",
        fill="tozeroy",
        fillcolor=translucent(STORE, 0.15),
        line={"color": STORE, "width": 2},
        hovertemplate="%{y:.2f} MWh",
        row=3,
        col=1,
    )


def _clock(ledger: pd.DataFrame) -> pd.DatetimeIndex:
    """Start of each row of one day and the end of the last, shape [n + 1], as time elapsed since the first.

    On the two days a year on which clocks change, times after the change are off by one hour.
    """
    starts = pd.DatetimeIndex(ledger.index)
    first = starts[:1].tz_convert(BRUSSELS).tz_localize(None)
    minutes = epoch_minutes(starts)
    elapsed_min = np.append(minutes, minutes[-1] + MINUTES_PER_QUARTER_HOUR) - minutes[0]
    return pd.DatetimeIndex(first[0] + pd.to_timedelta(elapsed_min, unit="min"))


def _hours_of_day(ledger: pd.DataFrame) -> Floats:
    """Brussels wall-clock hour at which each row starts, shape [n]; 13.25 is 13:15."""
    minutes = brussels_minutes_of_day(epoch_minutes(pd.DatetimeIndex(ledger.index)))
    return np.asarray(minutes / MINUTES_PER_HOUR, dtype=np.float64)
