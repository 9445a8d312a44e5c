"""Ridge regression on random cosine features (Rahimi and Recht, 2007), beside the features themselves.

Contract: what a row maps to depends on that row alone, to the last bit, so that a year encoded at once and one live
decision agree; hence compiled loops over rows here, where a matrix product would depend on the number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from arbitrage.arrays import Floats, Singles

_CLIP = 4.0
"""Standard deviations beyond which a feature is taken as just far."""
CONSTANT = 10.0
"""Size of the constant feature: large, so that the ridge penalty hardly touches the mean."""
_LINEAR_WEIGHT = 3.0
_COSINE_WEIGHT = np.sqrt(20.0)


@dataclass(frozen=True, slots=True)
class RandomFeatures:
    """A fixed random map from market features to regressors."""

    mean: Singles
    """Shape [inputs]; of the training rows."""
    std: Singles
    """Shape [inputs]; of the training rows."""
    frequencies: Singles
    """Shape [inputs, cosines]; in turns per standard deviation."""
    phases: Singles
    """Shape [cosines]; in turns."""

    @property
    def outputs(self) -> int:
        """Number of regressors: a constant, the inputs, the cosines."""
        return 1 + len(self.mean) + len(self.phases)

    def __call__(self, features: Singles) -> Singles:
        """Regressors of each row, shape [n, outputs], from features [n, inputs]."""
        out = np.empty((len(features), self.outputs), dtype=np.float32)
        _map_rows(np.ascontiguousarray(features), self.mean, self.std, self.frequencies, self.phases, out)
        return out


@numba.njit(cache=True, parallel=True)
def _map_rows(
    features: Singles, mean: Singles, std: Singles, frequencies: Singles, phases: Singles, out: Singles
) -> None:
    inputs, cosines = frequencies.shape
    linear = np.float32(_LINEAR_WEIGHT / np.sqrt(inputs))
    wave = np.float32(_COSINE_WEIGHT / np.sqrt(cosines))
    for row in numba.prange(features.shape[0]):
        angle = phases.copy()
        out[row, 0] = CONSTANT
        for i in range(inputs):
            scaled = (features[row, i] - mean[i]) / std[i]
            scaled = min(max(scaled, np.float32(-_CLIP)), np.float32(_CLIP))
            out[row, 1 + i] = linear * scaled
            for j in range(cosines):
                angle[j] += scaled * frequencies[i, j]
        _cosines(angle, wave, out[row, 1 + inputs :])


@numba.njit(cache=True)
def _cosines(turns: Singles, size: np.float32, out: Singles) -> None:
    """Size x cos(2 pi turns), by its Taylor series within half a turn (error 4e-6): a loop that vectorises."""
    for j in range(turns.shape[0]):
        part = turns[j] - np.floor(turns[j] + np.float32(0.5))
        square = part * part
        series = np.float32(-1.7143907)
        series = series * square + np.float32(7.9035364)
        series = series * square - np.float32(26.4262568)
        series = series * square + np.float32(60.2446414)
        series = series * square - np.float32(85.4568172)
        series = series * square + np.float32(64.9393940)
        series = series * square - np.float32(19.7392088)
        out[j] = size * (series * square + np.float32(1.0))


@numba.njit(cache=True)
def row_products(rows: Singles, coefficients: Singles) -> Floats:
    """Rows [n, d] times coefficients [d], each row on its own so that its bits do not depend on the others."""
    out = np.empty(rows.shape[0])
    for i in range(rows.shape[0]):
        total = 0.0
        for j in range(rows.shape[1]):
            total += rows[i, j] * coefficients[j]
        out[i] = total
    return out
