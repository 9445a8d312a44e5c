"""Strategies side by side, on the same days.

Law: strategies are compared day by day, never by their means alone. The first one is the reference, and a difference
is the row's profit less the reference's on the same Brussels day. Backtests that do not cover the same quarter-hours at
the same prices with the same battery are refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.metrics import daily_interval_eur, daily_profit_eur, summary
from arbitrage.errors import BadInput, Fault, refuse

_COPIED = (
    "days",
    "profit_eur_per_day",
    "profit_eur_per_day_interval",
    "capture_fraction",
    "cycles_per_day",
    "value_at_risk_eur",
    "conditional_value_at_risk_eur",
    "worst_day_eur",
    "violations",
)


def compare_table(backtests: Sequence[Backtest]) -> list[dict[str, Any]]:
    """One row a strategy in the order given, ready for JSON; the first is the reference.

    Beside figures of `metrics.summary`, a row holds `difference_eur_per_day` (mean over days of its profit less the
    reference's), `difference_eur_per_day_interval` (95 %, bootstrap over days, fixed seed) and `days_ahead_fraction`
    (days on which it earned more); all three are None for the reference. Raises BadInput, see `daily_profits_eur`.
    """
    daily = daily_profits_eur(backtests)
    reference = daily[backtests[0].strategy]
    rows = []
    for position, backtest in enumerate(backtests):
        figures = summary(backtest)
        difference = None if position == 0 else daily[backtest.strategy] - reference
        rows.append(
            {"strategy": backtest.strategy, **{name: figures[name] for name in _COPIED}, **_difference(difference)}
        )
    return rows


def daily_profits_eur(backtests: Sequence[Backtest]) -> pd.DataFrame:
    """Profit of each Brussels day, shape [days, strategies], columns named and ordered as the strategies given.

    Raises BadInput, naming every strategy that is not comparable with the first.
    """
    if not backtests:
        raise BadInput([Fault("strategies", "there are none to compare")])
    refuse(_faults(backtests))
    return pd.DataFrame({backtest.strategy: daily_profit_eur(backtest.ledger) for backtest in backtests})


def _difference(daily_eur: pd.Series[float] | None) -> dict[str, Any]:
    """Figures of the paired differences [days]."""
    if daily_eur is None:
        names = ("difference_eur_per_day", "difference_eur_per_day_interval", "days_ahead_fraction")
        return dict.fromkeys(names)
    return {
        "difference_eur_per_day": float(daily_eur.mean()),
        "difference_eur_per_day_interval": list(daily_interval_eur(daily_eur)),
        "days_ahead_fraction": float((daily_eur > 0.0).mean()),
    }


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
