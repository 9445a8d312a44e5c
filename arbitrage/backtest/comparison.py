"""Strategies side by side, on the same days.

Law: strategies are compared day by day, never by their means alone. The first one is the reference, and a difference
is the row's profit less the reference's on the same Brussels day. Backtests that do not cover the same quarter-hours at
the same prices with the same battery are refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.metrics import daily_profit_eur, summary
from arbitrage.backtest.statistics import AHEAD, BEHIND, NOT_TOLD_APART, compare_daily
from arbitrage.errors import BadInput, Fault, refuse

_COPIED = (
    "days",
    "profit_eur_per_day",
    "profit_eur_per_day_interval",
    "capture_fraction",
    "cycles_per_day",
    "value_at_risk_eur",
    "conditional_value_at_risk_eur",
    "conditional_value_at_risk_eur_interval",
    "marked_eur_per_day",
    "worst_day_eur",
    "violations",
)
_DIFFERENCES = (
    "difference_eur_per_day",
    "difference_eur_per_day_interval",
    "days_ahead_fraction",
    "p_value_adjusted",
    "verdict",
)
_OF_THE_ROW = {AHEAD: BEHIND, BEHIND: AHEAD, NOT_TOLD_APART: NOT_TOLD_APART}


def compare_table(backtests: Sequence[Backtest]) -> list[dict[str, Any]]:
    """One row a strategy in the order given, ready for JSON; the first is the reference.

    Beside figures of `metrics.summary`, a row holds `difference_eur_per_day` (mean over days of its profit less the
    reference's), `difference_eur_per_day_interval` (95 %, block bootstrap over days), `days_ahead_fraction` (days on
    which it earned more), `p_value_adjusted` (two-sided, by Holm over all rows) and `verdict` (of the row:
    ahead, behind or not told apart); all are None for the reference. Raises BadInput, see `daily_profits_eur`.
    """
    daily = daily_profits_eur(backtests)
    reference = backtests[0].strategy
    leads = compare_daily(daily, reference).to_dict(orient="index")
    rows = []
    for backtest in backtests:
        figures, own = summary(backtest), backtest.strategy
        ahead = float((daily[own] > daily[reference]).mean())
        told = dict.fromkeys(_DIFFERENCES) if own == reference else _difference(leads[own], ahead)
        rows.append({"strategy": own, **{name: figures[name] for name in _COPIED}, **told})
    return rows


def daily_profits_eur(backtests: Sequence[Backtest]) -> pd.DataFrame:
    """Profit of each Brussels day, shape [days, strategies], columns named and ordered as the strategies given.

    Raises BadInput, naming every strategy that is not comparable with the first.
    """
    if not backtests:
        raise BadInput([Fault("strategies", "there are none to compare")])
    refuse(_faults(backtests))
    return pd.DataFrame({backtest.strategy: daily_profit_eur(backtest.ledger) for backtest in backtests})


def _difference(lead: Mapping[Any, Any], ahead_fraction: float) -> dict[str, Any]:
    """The row's figures less the reference's, from the reference's lead over it."""
    values = (
        -float(lead["lead_eur"]),
        [-float(lead["lead_high_eur"]), -float(lead["lead_low_eur"])],
        ahead_fraction,
        float(lead["p_value_adjusted"]),
        _OF_THE_ROW[str(lead["verdict"])],
    )
    return dict(zip(_DIFFERENCES, values, strict=True))


def _faults(backtests: Sequence[Backtest]) -> Iterator[Fault]:
    for name, count in Counter(backtest.strategy for backtest in backtests).items():
        if count > 1:
            yield Fault(name, f"{count} strategies bear this name; give each its own")
    reference = backtests[0]
    for backtest in backtests[1:]:
        if not backtest.ledger.index.equals(reference.ledger.index):
            yield Fault(backtest.strategy, f"covers other quarter-hours than {reference.strategy}")
        elif not _same_prices(backtest.ledger, reference.ledger):
            yield Fault(backtest.strategy, f"was settled at other prices than {reference.strategy}")
        if backtest.battery != reference.battery:
            yield Fault(backtest.strategy, f"was run with another battery than {reference.strategy}")


def _same_prices(ledger: pd.DataFrame, other: pd.DataFrame) -> bool:
    name = "imbalance_price_eur_mwh"
    return bool(np.array_equal(ledger[name].to_numpy(), other[name].to_numpy(), equal_nan=True))
