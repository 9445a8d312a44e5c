"""Strategies side by side, on the same days.

Contract: strategies are compared day by day, never by their means alone. The first one is the reference, and a
difference is the row's profit less the reference's on the same Brussels day. Backtests that do not cover the same
quarter-hours at the same prices with the same battery are refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.metrics import daily_profit_eur, summary
from arbitrage.backtest.plain import plain
from arbitrage.backtest.statistics import AHEAD, BEHIND, UNDECIDED, compare_daily
from arbitrage.errors import BadInput, Fault, refuse

_COPIED = (
    "days",
    "tested_from",
    "tested_until",
    "in_sample_days",
    "coverage",
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
_OF_THE_ROW = {AHEAD: BEHIND, BEHIND: AHEAD, UNDECIDED: UNDECIDED}


def compare_table(backtests: Sequence[Backtest], other_seeds: Sequence[Backtest] = ()) -> list[dict[str, Any]]:
    """One row a strategy in the order given, ready for JSON; the first is the reference.

    other_seeds: the reference as it came out of other training seeds; differences are then to the mean over seeds, and
    their intervals know how seeds differ. The row's own figures stay those of the one backtest.

    Beside figures of `metrics.summary`, a row holds `difference_eur_per_day` (mean over days of its profit less the
    reference's), `difference_eur_per_day_interval` (95 %, block bootstrap over days), `days_ahead_fraction` (days on
    which it earned more), `p_value_adjusted` (two-sided, by Holm over all rows) and `verdict` (of the row:
    ahead, behind or undecided); all are None for the reference, and intervals are None where there is one day.
    Raises BadInput, see `daily_profits_eur`.
    """
    daily = daily_profits_eur([*backtests, *other_seeds])
    reference = backtests[0].strategy
    leads = leads_of(daily, reference, [seed.strategy for seed in other_seeds]).to_dict(orient="index")
    mean = daily[[reference, *(seed.strategy for seed in other_seeds)]].mean(axis=1)
    rows = []
    for backtest in backtests:
        figures, own = summary(backtest), backtest.strategy
        ahead = float((daily[own] > mean).mean())
        reported = dict.fromkeys(_DIFFERENCES) if own == reference else _difference(leads[own], ahead)
        rows.append(plain({"strategy": own, **{name: figures[name] for name in _COPIED}, **reported}))
    return rows


def leads_of(daily_eur: pd.DataFrame, reference: str, other_seeds: Sequence[str]) -> pd.DataFrame:
    """`statistics.compare_daily` of daily profits [days, strategies], some of them other seeds of the reference."""
    seeds = daily_eur[[reference, *other_seeds]].to_numpy().T
    rivals = {str(name): daily_eur[name] for name in daily_eur if name not in {reference, *other_seeds}}
    return compare_daily({reference: seeds, **rivals}, reference)


def other_seeds_among(backtests: Sequence[Backtest]) -> list[Backtest]:
    """Those whose names differ from the first only by the seed: `learned (seed-3)` and `learned (seed-0)`."""
    first = _without_seed(backtests[0].strategy)
    return [one for one in backtests[1:] if first is not None and _without_seed(one.strategy) == first]


def _without_seed(strategy: str) -> str | None:
    """None where the name bears no seed."""
    replaced, count = re.subn(r"\bseed-\d+", "seed", strategy)
    return replaced if count else None


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
    bounds = [0.0 - float(lead["lead_high_eur"]), 0.0 - float(lead["lead_low_eur"])]
    values = (
        0.0 - float(lead["lead_eur"]),
        bounds if np.isfinite(bounds).all() else None,
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
