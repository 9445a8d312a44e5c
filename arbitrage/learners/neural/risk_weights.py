"""A risk preference as the weights that learners put on sorted outcomes."""

from __future__ import annotations

import torch
from torch import Tensor

from arbitrage.errors import BadInput, Fault
from arbitrage.risk import RiskPreference


def sorted_weights(preference: RiskPreference | None, count: int, device: object) -> Tensor | None:
    """Weights [count] of mean + weight x measure on `count` ascending outcomes; None where risk does not matter.

    Raises BadInput for a measure that is no weighting of sorted outcomes.
    """
    if preference is None or preference.weight == 0.0:
        return None
    weights = preference.sorted_weights(count)
    if weights is None:
        raise BadInput([Fault("preference", f"{preference.measure} is no weighting of outcomes; learners need one")])
    return torch.tensor(weights, dtype=torch.float32, device=str(device))
