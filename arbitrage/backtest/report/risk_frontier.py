"""One policy at several positions of its risk aversion, on the same days.

Contract: nothing is trained here. Every position is a backtest of its own through `dispatch`, the first one
risk-neutral.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from arbitrage.backtest.engine import Backtest, run_backtest
from arbitrage.backtest.metrics import daily_profit_eur, summary
from arbitrage.errors import BadInput, Fault
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import Span
from arbitrage.policies.closed_form.policy import ClosedFormPolicy


@dataclass(frozen=True, slots=True)
class RiskAversionRun:
    """What the policy did at one position."""

    risk_aversion: float
    backtest: Backtest

    @property
    def daily_eur(self) -> pd.Series[float]:
        """Profit of each Brussels day."""
        return daily_profit_eur(self.backtest.ledger)


def run_at_risk_aversions(
    market: MarketSeries, policy: ClosedFormPolicy, selection: Sequence[Span], positions: Sequence[float]
) -> tuple[RiskAversionRun, ...]:
    """Backtest the policy at each position. Raises BadInput where they do not begin at 0 and rise."""
    if not len(positions) or positions[0] != 0.0 or (np.diff(positions) <= 0.0).any():
        raise BadInput([Fault("positions", f"must rise from 0, not {list(positions)}")])
    battery, step_min = policy.battery, policy.step_min
    turned = [(position, policy.with_risk_aversion(position)) for position in positions]
    return tuple(
        RiskAversionRun(position, run_backtest(market, battery, own, selection, step_min=step_min))
        for position, own in turned
    )


def frontier(runs: Sequence[RiskAversionRun]) -> pd.DataFrame:
    """Figures of each position, indexed by risk aversion; all in EUR a day but the cycles."""
    rows = []
    for run in runs:
        figures, daily = summary(run.backtest), run.daily_eur
        rows.append(
            {
                "risk_aversion": run.risk_aversion,
                "mean_eur": figures["profit_eur_per_day"],
                "std_eur": float(daily.std(ddof=0)),
                "cvar_10_eur": figures["conditional_value_at_risk_eur"],
                "worst_day_eur": figures["worst_day_eur"],
                "cycles_per_day": figures["cycles_per_day"],
            }
        )
    return pd.DataFrame(rows).set_index("risk_aversion")
