"""The picture of one day: price, power and energy in store.

Contract: clock times are Brussels wall-clock, and every axis names its unit.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from arbitrage.backtest.report.figures.drawing import (
    BLACK,
    CHARGE,
    DISCHARGE,
    PURPLE,
    STORE,
    name_vertical_axis,
    style,
    translucent,
)
from arbitrage.battery import Battery
from arbitrage.quarter_hour import BRUSSELS, MINUTES_PER_QUARTER_HOUR, QUARTER_HOUR_H, epoch_minutes

_QUARTER_HOUR_MS = MINUTES_PER_QUARTER_HOUR * 60_000


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
