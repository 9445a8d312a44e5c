"""The distributional critic: how the profit from now to the end of the Brussels day may turn out, for each action.

Contract
- It is learned from realised returns on recorded paths, by quantile regression; nothing is bootstrapped. Training rows
  are rolled out with the ridge correction's advantages from fits that have not seen them, which stand in for the
  served policy's own; its coverage is measured on validation days under the policy that is served.
- It gives the risk of a decision; it does not choose. Advantages choose, because raw returns are far noisier.
- Outcomes are in EUR and ascend: cash from now on, less wear, plus what the policy holds energy left at midnight worth.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats, Singles
from arbitrage.policies.networks import Network, affine, hidden_rows

QUANTILES = 32
QUANTILE_FRACTIONS: Floats = (np.arange(QUANTILES) + 0.5) / QUANTILES
ACTIONS = ("charge", "idle", "discharge")


def outcomes_eur(critic: Network, features: Singles, state: tuple[float, float], scale_eur_mwh: float) -> Floats:
    """Quantiles of the profit from now to the day's end, shape [3 actions, QUANTILES], ascending.

    features: [market features]; state: SoC and cycle shares; the quantile fractions are QUANTILE_FRACTIONS.
    """
    inputs = np.concatenate([features, np.array(state, dtype=np.float32)])[None, :].astype(np.float32)
    raw = affine(hidden_rows(critic, inputs)[0], critic.output_weight, critic.output_bias)
    return np.sort(raw.reshape(len(ACTIONS), QUANTILES).astype(np.float64), axis=1) * scale_eur_mwh


def at_fraction(levels: npt.NDArray[np.floating], fraction: float) -> npt.NDArray[np.floating]:
    """The quantile at a fraction, interpolated between the critic's own along the last axis."""
    position = np.clip(fraction * QUANTILES - 0.5, 0.0, QUANTILES - 1.0)
    low = min(int(position), QUANTILES - 2)
    share = position - low
    return np.asarray((1.0 - share) * levels[..., low] + share * levels[..., low + 1])
