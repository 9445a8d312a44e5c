"""Boosted regression trees as plain arrays: what a library has grown, evaluated without the library.

Contract: no code in them, so they can be stored as tensors; what they say of a row depends on that row alone, to the
last bit. A row goes left where its input is at most the threshold; inputs are never NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats, Singles

Indices = npt.NDArray[np.int32]

LEAF = -1


class Trees(NamedTuple):
    """The sum of a baseline and of one leaf of each tree; nodes of all trees stand one after another."""

    baseline: Floats
    """Shape [1]."""
    roots: Indices
    """Shape [trees]."""
    inputs: Indices
    """Shape [nodes]; the input that a node asks about, LEAF where it asks nothing."""
    thresholds: Floats
    """Shape [nodes]."""
    left: Indices
    """Shape [nodes]; where a row goes whose input is at most the threshold."""
    right: Indices
    """Shape [nodes]."""
    values: Floats
    """Shape [nodes]; of a leaf."""


@numba.njit(cache=True)
def tree_sums(trees: Trees, rows: Singles) -> Floats:
    """What the trees say of rows [n, inputs], shape [n]."""
    out = np.empty(rows.shape[0])
    for row in range(rows.shape[0]):
        total = trees.baseline[0]
        for root in trees.roots:
            node = root
            while trees.inputs[node] != LEAF:
                low = rows[row, trees.inputs[node]] <= trees.thresholds[node]
                node = trees.left[node] if low else trees.right[node]
            total += trees.values[node]
        out[row] = total
    return out
