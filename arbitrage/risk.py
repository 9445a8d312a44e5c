"""Risk measures of a sample of outcomes. Numpy only; outcomes are profits, so the risk is in the lower tail.

Law: `level` is a share of the lower tail of PROFIT: 0.1 looks at the worst tenth, 1.0 is risk-neutral. Both measures
are in EUR of profit, not of loss: a negative value is money lost.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from arbitrage.errors import BadInput, Fault


def value_at_risk_eur(profits_eur: npt.ArrayLike, level: float) -> float:
    """The profit that the worst `level` share of outcomes does not exceed: the lower quantile of the sample."""
    ordered = _ordered(profits_eur, level)
    return float(ordered[max(0, int(np.ceil(level * len(ordered) - 1e-12)) - 1)])


def conditional_value_at_risk_eur(profits_eur: npt.ArrayLike, level: float) -> float:
    """Mean of the worst `level` share of outcomes; an outcome on the edge counts with the part that falls inside.

    Rockafellar and Uryasev (2000), for a discrete sample.
    """
    ordered = _ordered(profits_eur, level)
    inside = np.clip(level * len(ordered) - np.arange(len(ordered)), 0.0, 1.0)
    return float(np.dot(inside, ordered) / inside.sum())


def _ordered(profits_eur: npt.ArrayLike, level: float) -> npt.NDArray[np.float64]:
    outcomes = np.sort(np.asarray(profits_eur, dtype=np.float64).ravel())
    if not len(outcomes):
        raise BadInput([Fault("outcomes", "there are none")])
    if np.isnan(outcomes[-1]):
        raise BadInput([Fault("outcomes", "hold something that is not a number")])
    if not 0.0 < level <= 1.0:
        raise BadInput([Fault("level", f"must be above 0 and at most 1, not {level}")])
    return outcomes
