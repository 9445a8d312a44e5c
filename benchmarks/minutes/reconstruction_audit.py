"""Whether reconstructed records foretell more than they should; needs scikit-learn.

The same learner foretells final price and side from the records after some minutes: on simulated minutes, whose prices
follow from the imbalance, and on minutes rebuilt from the final prices of that same world. Were something leaked, what
is rebuilt would be foretold better than what is simulated.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from arbitrage.market.point_in_time import DAY_AHEAD, DECREMENTAL, INCREMENTAL, PRICE
from arbitrage.market.reconstruction.minutes import GRADES, reconstruct_minutes
from arbitrage.market.simulation.simulator import simulate
from arbitrage.quarter_hour import epoch_minute
from benchmarks.minutes.reconstruction_figures import IMBALANCE, Floats, Row, by_quarter_hour

_AUDITED_MINUTES = (0, 4, 9)


def audit_rows() -> list[Row]:
    """How well records foretell what settles: simulated minutes (as real), and those rebuilt from final prices."""
    world = simulate(epoch_minute("2022-01-01T00:00+01:00"), epoch_minute("2022-07-01T00:00+02:00"), seed=3)
    hours = pd.DatetimeIndex(world.prices.index).floor("h")
    hourly = world.day_ahead[DAY_AHEAD].reindex(hours).to_numpy(np.float64)
    rebuilt = {grade: reconstruct_minutes(world.prices, world.day_ahead, grade=grade, seed=5) for grade in GRADES}
    rows = []
    for k in _AUDITED_MINUTES:
        # Several threads that wait for each other on a busy machine take ten times as long.
        with threadpool_limits(1):
            real = _foretold(world.minutes, hourly, k)
            drawn = {grade: _foretold(table, hourly, k) for grade, table in rebuilt.items()}
        for name, value in real.items():
            means = {grade: figures[name] for grade, figures in drawn.items()}
            rows.append(Row(block="audit: simulated", figure=f"{name}, minute {k}", real=value, **means))
    return rows


def _foretold(minutes: pd.DataFrame, hourly: Floats, k: int) -> dict[str, float]:
    """Share explained of the variance of (final price - day-ahead), and how well the side is told; second half."""
    price, imbalance = by_quarter_hour(minutes, PRICE), by_quarter_hour(minutes, IMBALANCE)
    marginal = [by_quarter_hour(minutes, name) for name in (INCREMENTAL, DECREMENTAL)]
    earlier = np.stack([np.concatenate([np.full(lag, np.nan), price[:-lag, -1]]) for lag in (1, 2, 3, 4)], axis=1)
    before = np.concatenate([[np.nan], imbalance[:-1, -1]])
    plain = np.column_stack([price[:, k], imbalance[:, k], hourly, earlier, before])
    steps = [values[1:, k] - values[:-1, -1] for values in marginal]
    sides = [np.concatenate([[np.nan], step]) for step in steps]
    known = {
        "price, SI, earlier prices": plain,
        "the same and marginal prices": np.column_stack([plain, *(values[:, k] for values in marginal), *sides]),
    }
    target, surplus, half = price[:, -1] - hourly, imbalance[:, -1] > 0.0, len(price) // 2
    figures = {}
    for name, table in known.items():
        fitted = HistGradientBoostingRegressor(max_iter=150, max_leaf_nodes=15).fit(table[:half], target[:half])
        missed = target[half:] - fitted.predict(table[half:])
        figures[f"R2 of the price from {name}"] = float(1.0 - (missed**2).mean() / target[half:].var())
        sorted_out = HistGradientBoostingClassifier(max_iter=120, max_leaf_nodes=15).fit(table[:half], surplus[:half])
        chance = sorted_out.predict_proba(table[half:])[:, 1]
        figures[f"AUC of the side from {name}"] = float(roc_auc_score(surplus[half:], chance))
    return figures
