"""Fitting of the price chain: bins of the two deviations, their transition counts, and price innovations.

Contract: bins are equally filled; a state that was never left moves to all states alike.
"""

from __future__ import annotations

import numpy as np

from arbitrage.arrays import Flags, Floats, Numbers
from arbitrage.policies.closed_form.price_chain import ChainSize, PriceChain

INNOVATION_BINS = 3


def fit_chain(
    fast: Floats, slow: Floats, followed: Flags, size: ChainSize | None = None, weights: Floats | None = None
) -> PriceChain:
    """Count moves between equally filled bins of the gaps [n]; `followed` marks rows whose next row comes next.

    weights: [n], how much each row counts; None: 1 each. The bins are equally filled without them.
    """
    weights = np.ones(len(fast)) if weights is None else weights
    size = size or ChainSize()
    fast_bin, fast_centres = _bins(fast, size.fast_bins)
    slow_bin, slow_centres = _bins(slow, size.slow_bins)
    state, states = fast_bin * size.slow_bins + slow_bin, size.states
    counts = np.bincount(state, weights=weights, minlength=states)
    sums = np.bincount(state, weights=weights * fast, minlength=states)
    filled = np.where(counts > 0.0, counts, 1.0)
    centres = np.where(counts > 0.0, sums / filled, np.repeat(fast_centres, size.slow_bins))
    origin = np.flatnonzero(followed)
    moves = np.zeros((states, states))
    np.add.at(moves, (state[origin], state[origin + 1]), weights[origin])
    moves[moves.sum(axis=1) == 0.0] = 1.0
    transitions = moves / moves.sum(axis=1, keepdims=True)
    return PriceChain(fast_centres, slow_centres, centres, transitions, np.zeros(1), np.zeros(1))


def with_innovations(chain: PriceChain, surprise: Floats, shift: Floats) -> PriceChain:
    """The chain with its price innovations: surprises [n, moments] and shifts of the gap [n, moments], in bins."""
    surprises, shifts = [], []
    for seen, moved in zip(surprise.T, shift.T, strict=True):
        bins, centres = _bins(seen, INNOVATION_BINS)
        filled = np.maximum(np.bincount(bins, minlength=INNOVATION_BINS), 1)
        surprises.append(centres)
        shifts.append(np.bincount(bins, weights=moved, minlength=INNOVATION_BINS) / filled)
    return chain._replace(surprises=np.concatenate(surprises), shifts=np.concatenate(shifts))


def _bins(values: Floats, count: int) -> tuple[Numbers, Floats]:
    """Equally filled bins of values [n]: the bin of each, and the mean of each bin; an empty bin has its lower edge."""
    edges = np.quantile(values, np.linspace(0.0, 1.0, count + 1)[1:-1])
    bins = np.digitize(values, edges)
    filled = np.bincount(bins, minlength=count)
    means = np.bincount(bins, weights=values, minlength=count) / np.maximum(filled, 1)
    lower_edges = np.concatenate((edges[:1], edges))
    return bins.astype(np.int64), np.maximum.accumulate(np.where(filled > 0, means, lower_edges))
