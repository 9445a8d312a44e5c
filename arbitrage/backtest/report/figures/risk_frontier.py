"""Pictures of risk aversion: the frontier, a day and the days' change with a slider, the outcomes of each action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from arbitrage.arrays import Floats
from arbitrage.backtest.report.figures.drawing import BLACK, BLUE, CHARGE, DISCHARGE, GREY, STORE, TAIL, blank, style
from arbitrage.backtest.report.risk_frontier import RiskAversionRun, frontier
from arbitrage.errors import BadInput, Fault
from arbitrage.policies.closed_form.quantile_critic import ACTIONS

_ACTION_COLOURS = dict(zip(ACTIONS, (CHARGE, GREY, DISCHARGE), strict=True))


def draw_frontier(runs: Sequence[RiskAversionRun]) -> go.Figure:
    """Mean daily profit against the mean of the worst tenth of days, one point a position."""
    table = frontier(runs)
    figure = blank(380, "Mean of the worst tenth of days, EUR")
    figure.add_scatter(
        x=table["mean_eur"],
        y=table["cvar_10_eur"],
        text=[f"{position:g}" for position in table.index],
        textposition="top center",
        mode="lines+markers+text",
        line={"color": BLUE},
    )
    figure.update_xaxes(title_text="Mean, EUR a day")
    return figure


def draw_day(runs: Sequence[RiskAversionRun], day: str) -> go.Figure:
    """Price, power and energy in store of one Brussels day (YYYY-MM-DD); a slider sets the risk aversion.

    Raises BadInput where the day was not tested.
    """
    figure = make_subplots(3, 1, shared_xaxes=True, vertical_spacing=0.07)
    first = _day_of(runs[0], day)
    figure.add_scatter(x=first.index, y=first["imbalance_price_eur_mwh"], line={"color": BLACK, "shape": "hv"})
    figure.update_traces(row=1, col=1)
    fixed = len(figure.data)
    for run in runs:
        rows = _day_of(run, day)
        net_mw = 4.0 * rows["net_energy_mwh"]
        colours = [CHARGE if power < 0.0 else DISCHARGE for power in net_mw]
        figure.add_trace(go.Bar(x=rows.index, y=net_mw, marker_color=colours), row=2, col=1)
        figure.add_trace(go.Scatter(x=rows.index, y=rows["soc_end_mwh"], line={"color": STORE}), row=3, col=1)
    style(figure, 520)
    for row, text in enumerate(("Price, EUR/MWh", "Power, MW", "In store, MWh"), start=1):
        figure.update_yaxes(title_text=text, row=row, col=1)
    _add_slider(figure, [run.risk_aversion for run in runs], fixed)
    return figure


def draw_daily_change(runs: Sequence[RiskAversionRun]) -> go.Figure:
    """Each day's profit at the risk-neutral position, in ascending order, and at the position of the slider."""
    order = np.argsort(runs[0].daily_eur.to_numpy(), kind="stable")
    place = np.arange(len(order))
    figure = blank(400, "Daily profit, EUR; days in the order of the risk-neutral policy's")
    figure.add_scatter(x=place, y=runs[0].daily_eur.to_numpy()[order], line={"color": GREY, "shape": "hvh"})
    for run in runs:
        figure.add_bar(x=place, y=run.daily_eur.to_numpy()[order], marker_color=BLUE, opacity=0.6)
    _add_slider(figure, [run.risk_aversion for run in runs], 1)
    return figure


def draw_outcomes(outcomes_eur: Floats) -> go.Figure:
    """What may come of each action to midnight: quantiles [3 actions, n] as a distribution function."""
    figure = blank(360, "Share of outcomes below")
    fractions = (np.arange(outcomes_eur.shape[1]) + 0.5) / outcomes_eur.shape[1]
    for action, levels in zip(ACTIONS, outcomes_eur, strict=True):
        line = {"color": _ACTION_COLOURS[action], "shape": "hv"}
        figure.add_scatter(x=levels, y=fractions, line=line, name=action)
    figure.add_hline(0.1, line={"color": TAIL, "dash": "dot"})
    figure.update_xaxes(title_text="Profit to midnight, EUR")
    figure.update_layout(showlegend=True)
    return figure


def _day_of(run: RiskAversionRun, day: str) -> pd.DataFrame:
    ledger = run.backtest.ledger
    rows = ledger[ledger["brussels_day"] == pd.Timestamp(day)]
    if rows.empty:
        first, last = (f"{edge:%Y-%m-%d}" for edge in (ledger["brussels_day"].min(), ledger["brussels_day"].max()))
        raise BadInput([Fault("day", f"{day} was not tested; the days tested lie in {first} to {last}")])
    return rows


def _add_slider(figure: go.Figure, positions: Sequence[float], fixed: int) -> None:
    """Show the first `fixed` traces always, and of the rest those of one position, an equal number each."""
    each = (len(figure.data) - fixed) // len(positions)
    steps: list[dict[str, Any]] = []
    for number, position in enumerate(positions):
        shown = [at < fixed or (at - fixed) // each == number for at in range(len(figure.data))]
        steps.append({"method": "restyle", "label": f"{position:g}", "args": [{"visible": shown}]})
    for trace, visible in zip(figure.data, steps[0]["args"][0]["visible"], strict=True):
        trace.visible = visible
    figure.update_layout(sliders=[{"steps": steps, "currentvalue": {"prefix": "risk aversion "}, "pad": {"t": 40}}])
