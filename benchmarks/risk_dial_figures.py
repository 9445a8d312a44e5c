"""Figures and picture of `risk_dial.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from arbitrage.arrays import Floats
from arbitrage.backtest.report.figures.drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, style
from arbitrage.risk import mean_tail_eur
from benchmarks.impact_figures import write_picture

__all__ = ["draw", "figures_of", "write_picture"]

Row = dict[str, Any]

NEUTRAL = "dial 0.0"
BLOCK_DAYS = 7
RESAMPLES = 2000
INTERVAL = (0.05, 0.95)
WAYS = {"dial": BLUE, "margin": ORANGE, "power": GREEN, "per-step": PURPLE}
_BOOKS = ("cash", "marked to market")


def figures_of(results: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """A row for each market, information, cap, books and way; and shares of energy by minute along the dial."""
    rows: list[Row] = []
    shares: list[Row] = []
    for key in dict.fromkeys((r["source"], r["feature_set"], r["cap"]) for r in results):
        runs = [r for r in results if (r["source"], r["feature_set"], r["cap"]) == key]
        about = dict(zip(("source", "sees", "cap"), key, strict=True))
        for books, column in zip(_BOOKS, ("cash_eur", "marked_eur"), strict=True):
            ways = [name for name in runs[0]["variants"] if name != "bare"]
            daily = {way: np.array([run["variants"][way][column] for run in runs]) for way in ways}
            cycles = {way: float(np.mean([run["variants"][way]["cycles_per_day"] for run in runs])) for way in ways}
            rows += [{**about, "books": books, **row, "cycles": cycles[row["way"]]} for row in _rows(daily)]
        if key[1] != "quarter_hour":
            for way in (way for way in runs[0]["variants"] if way.startswith("dial")):
                share = np.mean([run["variants"][way]["minute_shares"] for run in runs], axis=0)
                shares.append({**about, "way": way, "minute_shares": share.tolist()})
    return rows, shares


def _rows(daily: dict[str, Floats]) -> list[Row]:
    """Figures of each way from its daily profits [runs, days]; of all runs together, tails of each run averaged."""
    draws = _draws(daily[NEUTRAL].shape[1])
    rows = []
    for way, profits in daily.items():
        rivals = {}
        if way.startswith("dial") and way != NEUTRAL:
            for kind in ("margin", "power"):
                rival = _nearest(daily, kind, float(profits.mean()))
                label = rival if rival != NEUTRAL else f"{kind} unchanged"
                rivals[label] = _difference(profits, daily[rival], draws, _tail)
        base = None if way == NEUTRAL else daily[NEUTRAL]
        rows.append(
            {
                "way": way,
                "runs": len(profits),
                "mean": float(profits.mean()),
                "mean_by_run": profits.mean(axis=1).tolist(),
                "std": float(profits.std(axis=1).mean()),
                "cvar_5": float(mean_tail_eur(profits, (0.05,)).mean()),
                "cvar_10": float(_tail(profits)),
                "worst": float(profits.min(axis=1).mean()),
                "mean_difference": None if base is None else _difference(profits, base, draws, _mean),
                "std_difference": None if base is None else _difference(profits, base, draws, _std),
                "cvar_10_difference": None if base is None else _difference(profits, base, draws, _tail),
                "rivals": rivals,
            }
        )
    return rows


def _mean(profits: Floats) -> float:
    return float(profits.mean())


def _std(profits: Floats) -> float:
    return float(profits.std(axis=1).mean())


def _tail(profits: Floats) -> float:
    return float(mean_tail_eur(profits, (0.1,)).mean())


def _draws(days: int) -> npt.NDArray[np.int64]:
    """Days drawn in blocks, shape [RESAMPLES, days]; blocks run round the end."""
    blocks = -(-days // BLOCK_DAYS)
    first = np.random.default_rng(0).integers(0, days, (RESAMPLES, blocks))
    return (first[:, :, None] + np.arange(BLOCK_DAYS)).reshape(RESAMPLES, -1)[:, :days] % days


def _difference(profits: Floats, base: Floats, draws: npt.NDArray[np.int64], statistic: Any) -> list[float]:
    """Statistic less that of the base, and its interval, from the same days."""
    spread = [statistic(profits[:, drawn]) - statistic(base[:, drawn]) for drawn in draws]
    return [statistic(profits) - statistic(base), *np.quantile(spread, INTERVAL).tolist()]


def _nearest(daily: dict[str, Floats], kind: str, mean: float) -> str:
    """The margin or power, doing nothing included, whose mean profit is nearest."""
    own = [way for way in daily if way.startswith(kind)]
    return min([*own, NEUTRAL], key=lambda way: abs(float(daily[way].mean()) - mean))


def draw(rows: Sequence[Row], shares: Sequence[Row]) -> go.Figure:
    """Mean against CVaR 10 % for each market, information and cap; below, energy by the minute along the dial.

    Axes show what lies near the dial; lines to worse points leave the frame.
    """
    panels = list(dict.fromkeys((row["source"], row["sees"], row["cap"]) for row in rows))
    last = list(dict.fromkeys((share["source"], share["cap"]) for share in shares))
    columns = len(_BOOKS)
    titles = [f"{source}, {sees}, {_cap(cap)}: {books}" for source, sees, cap in panels for books in _BOOKS]
    titles += [f"{source}, {_cap(cap)}: share of energy by minute" for source, cap in last]
    count = len(panels) + -(-len(last) // columns)
    figure = make_subplots(count, columns, subplot_titles=titles, vertical_spacing=0.35 / count)
    for number, panel in enumerate(panels, start=1):
        for column, books in enumerate(_BOOKS, start=1):
            own = [r for r in rows if (r["source"], r["sees"], r["cap"]) == panel and r["books"] == books]
            _add_frontier(figure, own, number, column)
    for number, key in enumerate(last):
        own = [share for share in shares if (share["source"], share["cap"]) == key]
        _add_shares(figure, own, len(panels) + 1 + number // columns, number % columns + 1, first=number == 0)
    style(figure, 360 * count)
    figure.update_layout(showlegend=True)
    return figure


def _cap(cap: float | None) -> str:
    return "no cap" if cap is None else f"cap {cap}"


def _strength(row: Row, kind: str) -> float:
    """The number in a way's name, by which its points are joined; doing nothing is no margin, or all of the power."""
    if row["way"] == NEUTRAL:
        return 1.0 if kind == "power" else 0.0
    return float(row["way"].split()[1])


_FARTHEST = 0.1
"""Share of the mean at w = 0 by which a point in the picture may earn less; lines lead out to others."""


def _add_frontier(figure: go.Figure, rows: Sequence[Row], number: int, column: int) -> None:
    neutral = next(row for row in rows if row["way"] == NEUTRAL)
    for kind, colour in WAYS.items():
        own = [row for row in rows if row["way"].startswith(kind)]
        if kind != "dial":
            own = sorted([neutral, *own], key=lambda row: _strength(row, kind))
        figure.add_trace(
            go.Scatter(
                x=[row["mean"] for row in own],
                y=[row["cvar_10"] for row in own],
                text=[row["way"].removeprefix("dial ") if kind == "dial" else "" for row in own],
                hovertext=[row["way"] for row in own],
                textposition="top center",
                mode="lines+markers+text",
                line={"color": colour},
                name=kind,
                legendgroup=kind,
                showlegend=number == 1 and column == 1,
            ),
            row=number,
            col=column,
        )
    least = neutral["mean"] - _FARTHEST * abs(neutral["mean"])
    seen = [row for row in rows if row["mean"] >= least]
    for axis, name, update in (
        ("mean", "mean", figure.update_xaxes),
        ("cvar_10", "CVaR 10 %", figure.update_yaxes),
    ):
        low, high = (extreme(row[axis] for row in seen) for extreme in (min, max))
        room = 0.12 * (high - low)
        update(title_text=f"{name}, EUR a day", range=[low - room, high + room], row=number, col=column)


def _add_shares(figure: go.Figure, shares: Sequence[Row], number: int, column: int, *, first: bool) -> None:
    for place, share in enumerate(shares):
        part = place / max(len(shares) - 1, 1)
        figure.add_trace(
            go.Scatter(
                x=list(range(len(share["minute_shares"]))),
                y=share["minute_shares"],
                mode="lines",
                line={"color": GREY if place == 0 else BLUE, "width": 1.0 + 2.0 * part},
                opacity=0.3 + 0.7 * part,
                name=share["way"],
                legendgroup=share["way"],
                showlegend=first,
            ),
            row=number,
            col=column,
        )
    figure.update_xaxes(title_text="minute of the quarter-hour", row=number, col=column)
