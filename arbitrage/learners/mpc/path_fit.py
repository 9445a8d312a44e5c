"""Paths of probabilities for a price forecast, from how past departures hung together in time.

Contract: draws from a Gaussian copula with the correlation of the past give each lead an order of the paths, and the
evenly spread fractions take that order (Schaake shuffle). So few paths still cover every quarter-hour's distribution
evenly, and which paths lie high together is as it was. The same paths serve every plan: what is drawn is drawn once.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from arbitrage.arrays import Floats

_FEWEST_PAIRS = 30
"""Plans that two leads must share before their correlation counts; else it fades with their distance."""
_FADING_LEADS = 4.0


def path_fractions(past: Floats, paths: int, rng: np.random.Generator) -> Floats:
    """Fractions of each path at each lead, shape [paths, leads]; past: [plans, leads], NaN where nothing is known."""
    root = _root_of(correlation_of(past))
    drawn = rng.standard_normal((paths, root.shape[1])) @ root.T
    ranks = drawn.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return np.asarray((ranks + 0.5) / paths)


def correlation_of(past: Floats) -> Floats:
    """Correlation between leads of the normal scores of past fractions, shape [leads, leads]."""
    known = ~np.isnan(past)
    score = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])
    scores = np.zeros_like(past)
    scores[known] = score(past[known]) if known.any() else 0.0
    counts = known.astype(np.float64).T @ known
    sums, squares = scores.T @ known, (scores**2).T @ known
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = squares / counts - (sums / counts) ** 2
        together = scores.T @ scores / counts - (sums / counts) * (sums.T / counts)
        correlation = together / np.sqrt(spread * spread.T)
    lead = np.arange(past.shape[1])
    fading = np.exp(-np.abs(lead[:, None] - lead) / _FADING_LEADS)
    enough = (counts >= _FEWEST_PAIRS) & np.isfinite(correlation)
    correlation = np.where(enough, correlation, fading)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation)


def _root_of(correlation: Floats) -> Floats:
    """A square root of the nearest matrix without negative variances, rows of unit length, shape [leads, leads]."""
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2.0)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(root / np.linalg.norm(root, axis=1, keepdims=True))
