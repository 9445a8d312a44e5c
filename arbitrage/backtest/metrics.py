"""The figures of a backtest.

Law: figures are money and energy over whole Brussels days, computed from the ledger alone; an interval is a bootstrap
over days. No Sharpe ratio on quarter-hours, no growth rate without a capital base.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.statistics import TAIL_LEVEL
from arbitrage.risk import conditional_value_at_risk_eur, value_at_risk_eur

_INTERVAL = (0.025, 0.975)
_RESAMPLES = 2000


def daily_profit_eur(ledger: pd.DataFrame) -> pd.Series[float]:
    """Profit (cash less wear) of each Brussels day."""
    return ledger.groupby("brussels_day")["profit_eur"].sum()


def daily_interval_eur(daily_eur: npt.ArrayLike) -> tuple[float, float]:
    """95 % interval of the mean of a day, by a bootstrap over days with a fixed seed."""
    sample = np.asarray(daily_eur, dtype=np.float64)
    draws = np.random.default_rng(0).integers(0, len(sample), (_RESAMPLES, len(sample)))
    low, high = np.quantile(sample[draws].mean(axis=1), _INTERVAL)
    return float(low), float(high)


def summary(backtest: Backtest) -> dict[str, Any]:
    """All figures by name, ready for JSON; see the README for their meaning."""
    ledger, battery = backtest.ledger, backtest.battery
    daily = daily_profit_eur(ledger)
    profit = float(daily.sum())
    days = len(daily)
    drawn_mwh = float(ledger["discharge_mwh"].sum()) / battery.discharge_efficiency
    cycles = drawn_mwh / battery.capacity_mwh
    stored_mwh = float(ledger["charge_mwh"].sum()) * battery.charge_efficiency
    low, high = daily_interval_eur(daily)
    cumulative = daily.cumsum()
    ceiling = backtest.foresight.profit_eur
    return {
        "strategy": backtest.strategy,
        "days": days,
        "profit_eur": profit,
        "profit_eur_per_day": profit / days,
        "profit_eur_per_day_interval": [low, high],
        "profit_eur_per_mw_per_day": profit / days / battery.power_mw,
        "profit_eur_per_mwh_discharged": _ratio(profit, float(ledger["discharge_mwh"].sum())),
        "profit_eur_per_cycle": _ratio(profit, cycles),
        "cash_eur": float(ledger["cash_eur"].sum()),
        "wear_eur": float(ledger["wear_eur"].sum()),
        "cycles_per_day": cycles / days,
        "half_throughput_cycles_per_day": (stored_mwh + drawn_mwh) / 2.0 / battery.capacity_mwh / days,
        "perfect_foresight_eur_per_day": ceiling / days,
        "capture_fraction": _ratio(profit, ceiling),
        "tail_level": TAIL_LEVEL,
        "value_at_risk_eur": value_at_risk_eur(daily, TAIL_LEVEL),
        "conditional_value_at_risk_eur": conditional_value_at_risk_eur(daily, TAIL_LEVEL),
        "worst_day_eur": float(daily.min()),
        "best_day_eur": float(daily.max()),
        "largest_drawdown_eur": float((cumulative.cummax().clip(lower=0.0) - cumulative).max()),
        "end_soc_mwh": float(ledger.groupby("span")["soc_end_mwh"].last().mean()),
        "coverage_fraction": float(ledger["settled"].mean()),
        "violations": len(backtest.violations),
    }


def _ratio(numerator: float, denominator: float) -> float | None:
    """None where the ratio means nothing."""
    return numerator / denominator if denominator > 0 else None
