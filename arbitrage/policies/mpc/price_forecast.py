"""A probabilistic forecast of imbalance prices: their mean, quantiles of what is left, and how paths hang together.

Contract
- The mean is linear in what is known (ridge); quantiles of the departure from it are boosted trees. On unseen days of
  2022 both parts beat trees alone, and a linear quantile regression.
- How the departures of one day's quarter-hours follow each other is distinguished from how large they are: fixed paths
  of probabilities, whose order comes from the correlation of past departures and whose values are evenly spread at
  every lead (a Schaake shuffle of draws from a Gaussian copula). A path says which quantile each quarter-hour takes.
- Plain arrays; what is said of one quarter-hour rests on its own inputs alone, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from arbitrage.arrays import Floats, Singles
from arbitrage.policies.mpc.horizon import EncodedAhead
from arbitrage.policies.mpc.trees import Trees, tree_sums

CLIP = 4.0
"""Standard deviations beyond which an input is taken as just far."""


@dataclass(frozen=True, slots=True)
class PriceForecast:
    """A fitted forecast; see the module's head."""

    mean: Singles
    """Shape [inputs]; of the training rows."""
    std: Singles
    """Shape [inputs]."""
    coefficients: Floats
    """Shape [1 + inputs]; a constant first. Expected price less base, in units of the scale."""
    fractions: Floats
    """Shape [quantiles], ascending."""
    quantiles: tuple[Trees, ...]
    """Quantiles of the departure from the mean, in units of the scale."""
    paths: Floats
    """Shape [paths, leads]; the fraction of the quantile that each path takes at each lead."""

    def expected_eur_mwh(self, encoded: EncodedAhead) -> Floats:
        """Mean price of each pair, shape [n]."""
        linear = _linear(encoded.inputs, self.mean, self.std, self.coefficients)
        return np.asarray(encoded.base_eur_mwh + encoded.scale_eur_mwh * linear)

    def departures_eur_mwh(self, encoded: EncodedAhead) -> Floats:
        """Quantiles of price less its mean at `fractions`, ascending, shape [n, quantiles]."""
        columns = np.column_stack([tree_sums(trees, encoded.inputs) for trees in self.quantiles])
        return np.asarray(np.sort(columns, axis=1) * encoded.scale_eur_mwh[:, None])


@numba.njit(cache=True)
def _linear(inputs: Singles, mean: Singles, std: Singles, coefficients: Floats) -> Floats:
    """Constant plus standardised and clipped inputs [n, inputs] times coefficients, row by row, shape [n]."""
    out = np.empty(inputs.shape[0])
    for row in range(inputs.shape[0]):
        total = coefficients[0]
        for j in range(inputs.shape[1]):
            value = (inputs[row, j] - mean[j]) / std[j]
            total += min(max(value, np.float32(-CLIP)), np.float32(CLIP)) * coefficients[1 + j]
        out[row] = total
    return out


@numba.njit(cache=True)
def quantile_at(fractions: Floats, quantiles: Floats, fraction: float) -> float:
    """The quantile at a fraction, straight lines between and beyond those given, both ascending, shape [quantiles]."""
    high = min(max(int(np.searchsorted(fractions, fraction)), 1), len(fractions) - 1)
    share = (fraction - fractions[high - 1]) / (fractions[high] - fractions[high - 1])
    return float(quantiles[high - 1] + share * (quantiles[high] - quantiles[high - 1]))


@numba.njit(cache=True)
def fraction_at(fractions: Floats, quantiles: Floats, value: float) -> float:
    """The inverse of `quantile_at`, kept within the lowest and highest half steps, for learning paths from."""
    least, most = fractions[0] / 2.0, (1.0 + fractions[-1]) / 2.0
    high = min(max(int(np.searchsorted(quantiles, value)), 1), len(fractions) - 1)
    width = quantiles[high] - quantiles[high - 1]
    share = (value - quantiles[high - 1]) / width if width > 0.0 else 0.5
    fraction = fractions[high - 1] + share * (fractions[high] - fractions[high - 1])
    return float(min(max(fraction, least), most))


@numba.njit(cache=True)
def lay_paths(expected: Floats, departures: Floats, fractions: Floats, paths: Floats) -> Floats:
    """Prices of one plan along each path, shape [paths, n]; their mean is the expected price of each quarter-hour.

    expected: [n]; departures: [n, quantiles]; paths: [paths, n or more].
    """
    count, length = paths.shape[0], expected.shape[0]
    out = np.empty((count, length))
    for k in range(length):
        total = 0.0
        for path in range(count):
            out[path, k] = quantile_at(fractions, departures[k], paths[path, k])
            total += out[path, k]
        for path in range(count):
            out[path, k] += expected[k] - total / count
    return out
