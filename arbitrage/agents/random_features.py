"""Ridge regression on random cosine features (Rahimi and Recht, 2007), beside the features themselves.

Law: what a row maps to depends on that row alone, to the last bit, so that a year encoded at once and one live
decision agree; hence compiled loops over rows here, where a matrix product would depend on the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numpy.linalg import norm, qr, solve

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

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


def draw_random_features(
    features: Singles, gains: Singles, cosines: int, rng: np.random.Generator, *, orthogonal: bool = False
) -> RandomFeatures:
    """Draw a map for training features [n, inputs]; inputs with a larger gain [inputs] vary faster in the cosines.

    orthogonal: before the gains, frequencies stand at right angles to each other, as many at a time as there are
    inputs, with the lengths of independent ones: fewer cosines say as much (Yu et al., 2016).
    """
    spread = gains / np.sqrt((gains**2).sum())
    shape = (len(gains), cosines)
    directions = _orthogonal_directions(shape, rng) if orthogonal else rng.standard_normal(shape)
    frequencies = directions * spread[:, None]
    phases = rng.uniform(0.0, 1.0, cosines)
    std = features.std(axis=0, dtype=np.float64)
    return RandomFeatures(
        mean=features.mean(axis=0, dtype=np.float64).astype(np.float32),
        std=np.where(std > 1e-9, std, 1.0).astype(np.float32),
        frequencies=(frequencies / (2.0 * np.pi)).astype(np.float32),
        phases=phases.astype(np.float32),
    )


def _orthogonal_directions(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Columns at right angles to each other within each square block, each as long as a column of normal numbers."""
    inputs, cosines = shape
    blocks = []
    for _ in range(-(-cosines // inputs)):
        basis = qr(rng.standard_normal((inputs, inputs)))[0]
        blocks.append(basis * norm(rng.standard_normal((inputs, inputs)), axis=0))
    return np.concatenate(blocks, axis=1)[:, :cosines]


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


class Ridge:
    """Ridge regression with rows in folds, so that a training row can be predicted by a fit that has not seen it."""

    def __init__(
        self, regressors: Singles, folds: Numbers, row_map: Callable[[Singles], Singles] | None = None
    ) -> None:
        """regressors: [n, d], or what `row_map` makes them of, row by row; folds: [n], negative = not used."""
        self._rows = {int(fold): np.flatnonzero(folds == fold) for fold in np.unique(folds[folds >= 0])}
        parts = {fold: regressors[rows] for fold, rows in self._rows.items()}
        self._regressors = parts if row_map is None else {fold: row_map(part) for fold, part in parts.items()}
        self._grams = {fold: _gram(part) for fold, part in self._regressors.items()}

    def fit(self, targets: Singles, penalty: float) -> tuple[Singles, Singles]:
        """Coefficients [d, outputs] on all used rows, and out-of-fold predictions [n, outputs] (0 in unused rows)."""
        gram, moments = _total(self._grams), self._moments(targets)
        moment = _total(moments)
        predicted = np.zeros_like(targets)
        for fold, rows in self._rows.items():
            left_out = _solve(gram - self._grams[fold], moment - moments[fold], penalty)
            predicted[rows] = self._regressors[fold] @ left_out
        return _solve(gram, moment, penalty), predicted

    def coefficients(self, targets: Singles, penalty: float) -> Singles:
        """The coefficients of `fit` alone, at a sixth of its cost with five folds."""
        return _solve(_total(self._grams), _total(self._moments(targets)), penalty)

    def _moments(self, targets: Singles) -> dict[int, Singles]:
        return {fold: self._regressors[fold].T @ targets[rows] for fold, rows in self._rows.items()}


def _total(parts: Mapping[int, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Sum of the folds' arrays, one after another."""
    first, *others = parts.values()
    total = first.copy()
    for part in others:
        total += part
    return total


def _gram(rows: Singles) -> Floats:
    return (rows.T @ rows).astype(np.float64)


def _solve(gram: npt.NDArray[np.floating], moment: npt.NDArray[np.floating], penalty: float) -> Singles:
    shifted = gram.copy()
    np.einsum("ii->i", shifted)[:] += penalty
    return solve(shifted, moment.astype(np.float64)).astype(np.float32)
