"""The figures of a backtest.

Contract: figures are money and energy over whole Brussels days, computed from the ledger alone; an interval is a block
bootstrap over days, see `bootstrap`. No Sharpe ratio on quarter-hours, no growth rate without a capital base.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.backtest.attribution import gap_by_cause
from arbitrage.backtest.bootstrap import USUAL
from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.plain import plain
from arbitrage.backtest.statistics import TAIL_LEVEL, estimate, tail_estimates
from arbitrage.backtest.valuation import daily_accounts, rainflow_cycles
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR
from arbitrage.risk import conditional_value_at_risk_eur, value_at_risk_eur

_INTERVAL = (0.025, 0.975)
_RESAMPLES = 2000
_SHARES = ("shielded_fraction", "fallback_fraction")
"""Columns of a ledger: share of a quarter-hour in which the battery law cut what was asked, or a fallback decided."""


def daily_profit_eur(ledger: pd.DataFrame) -> pd.Series[float]:
    """Profit (cash less wear) of each Brussels day."""
    return ledger.groupby("brussels_day")["profit_eur"].sum()


def daily_interval_eur(daily_eur: npt.ArrayLike) -> list[float] | None:
    """95 % interval of the mean of a day, by a plain bootstrap over single days with a fixed seed; None for one day.

    It takes days for independent and is the narrower for it; `statistics.estimate` does not.
    """
    sample = np.asarray(daily_eur, dtype=np.float64)
    if len(sample) < 2:
        return None
    draws = np.random.default_rng(0).integers(0, len(sample), (_RESAMPLES, len(sample)))
    bounds: list[float] = np.quantile(sample[draws].mean(axis=1), _INTERVAL).tolist()
    return bounds


def summary(backtest: Backtest) -> dict[str, Any]:
    """All figures by name, ready for JSON; see the README for their meaning. None: it means nothing here."""
    daily = daily_profit_eur(backtest.ledger)
    figures: dict[str, Any] = plain(
        {
            "strategy": backtest.strategy,
            "days": len(daily),
            **_tested(backtest),
            **_money(backtest, daily),
            **_cycles(backtest, len(daily)),
            **_tails(daily),
            **_coverage(backtest),
        }
    )
    return figures


def full_summary(backtest: Backtest) -> dict[str, Any]:
    """`summary`, and `gap_by_cause_eur_per_day`: where the gap to perfect foresight went. Takes seconds for a year."""
    return {**summary(backtest), "gap_by_cause_eur_per_day": gap_by_cause(backtest)}


def _tested(backtest: Backtest) -> dict[str, Any]:
    """The tested span, and what the figures rest on."""
    ledger = backtest.ledger
    settled_by_day = ledger.groupby("brussels_day")["settled"].any()
    return {
        "tested_from": ledger.index[0].isoformat(),
        "tested_until": (ledger.index[-1] + pd.Timedelta(minutes=MINUTES_PER_QUARTER_HOUR)).isoformat(),
        "unsettled_days": int((~settled_by_day).sum()),
        "in_sample_days": backtest.in_sample_days,
        "coverage": {each.source: each.figures() for each in backtest.coverage},
    }


def _money(backtest: Backtest, daily: pd.Series[float]) -> dict[str, Any]:
    ledger, battery, days = backtest.ledger, backtest.battery, len(daily)
    profit, cash = float(daily.sum()), float(ledger["cash_eur"].sum())
    sold_mwh = float(ledger["discharge_mwh"].sum())
    cycles = sold_mwh / battery.discharge_efficiency / battery.capacity_mwh
    ceiling = backtest.foresight.profit_eur
    mean = estimate(daily)
    marked = daily_accounts(ledger, battery)
    return {
        "profit_eur": profit,
        "profit_eur_per_day": profit / days,
        "profit_eur_per_day_interval": mean.interval,
        "interval_confidence_fraction": USUAL.confidence_fraction,
        "interval_block_days": USUAL.block_of(days),
        "profit_eur_per_mw_per_day": profit / days / battery.power_mw,
        "profit_eur_per_mwh_capacity_per_day": profit / days / battery.capacity_mwh,
        "profit_eur_per_mwh_discharged": _ratio(profit, sold_mwh),
        "profit_eur_per_cycle": _ratio(profit, cycles),
        "cash_eur": cash,
        "cash_eur_per_day": cash / days,
        "cash_eur_per_mw_per_day": cash / days / battery.power_mw,
        "cash_eur_per_mwh_capacity_per_day": cash / days / battery.capacity_mwh,
        "cash_eur_per_mwh_discharged": _ratio(cash, sold_mwh),
        "cash_eur_per_cycle": _ratio(cash, cycles),
        "wear_eur": float(ledger["wear_eur"].sum()),
        "marked_eur": float(marked["marked_eur"].sum()),
        "marked_eur_per_day": float(marked["marked_eur"].sum()) / days,
        "perfect_foresight_eur_per_day": ceiling / days,
        "gap_eur_per_day": (ceiling - profit) / days,
        "capture_fraction": _ratio(profit, ceiling),
    }


def _cycles(backtest: Backtest, days: int) -> dict[str, Any]:
    """Cycles a day counted in three ways; see `accounts`."""
    ledger, battery = backtest.ledger, backtest.battery
    drawn_mwh = float(ledger["discharge_mwh"].sum()) / battery.discharge_efficiency
    stored_mwh = float(ledger["charge_mwh"].sum()) * battery.charge_efficiency
    counted = rainflow_cycles(ledger, battery)
    return {
        "cycles_per_day": drawn_mwh / battery.capacity_mwh / days,
        "half_throughput_cycles_per_day": (stored_mwh + drawn_mwh) / 2.0 / battery.capacity_mwh / days,
        "rainflow_cycles_per_day": counted.total / days,
        "rainflow_deep_cycles_per_day": counted.deep / days,
        "rainflow_mean_depth_fraction": counted.mean_depth_fraction,
    }


def _tails(daily: pd.Series[float]) -> dict[str, Any]:
    """VaR and CVaR of a day with their intervals, extremes and the largest drawdown."""
    value_at_risk, conditional = tail_estimates(daily)
    cumulative = daily.cumsum()
    return {
        "tail_level": TAIL_LEVEL,
        "value_at_risk_eur": value_at_risk_eur(daily, TAIL_LEVEL),
        "value_at_risk_eur_interval": value_at_risk.interval,
        "conditional_value_at_risk_eur": conditional_value_at_risk_eur(daily, TAIL_LEVEL),
        "conditional_value_at_risk_eur_interval": conditional.interval,
        "losing_days_fraction": float((daily < 0.0).mean()),
        "worst_day_eur": float(daily.min()),
        "best_day_eur": float(daily.max()),
        "largest_drawdown_eur": float((cumulative.cummax().clip(lower=0.0) - cumulative).max()),
    }


def _coverage(backtest: Backtest) -> dict[str, Any]:
    """What was left in store, what was settled, cut and broken; None where the ledger does not hold it."""
    ledger = backtest.ledger
    shares = {name: float(ledger[name].mean()) if name in ledger else None for name in _SHARES}
    return {
        "end_soc_mwh": float(ledger.groupby("span")["soc_end_mwh"].last().mean()),
        "coverage_fraction": float(ledger["settled"].mean()),
        "unsettled_quarter_hours": int((~ledger["settled"]).sum()),
        **shares,
        "violations": len(backtest.violations),
    }


def _ratio(numerator: float, denominator: float) -> float | None:
    """None where the ratio means nothing."""
    return numerator / denominator if denominator > 0 else None
