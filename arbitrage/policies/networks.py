"""Small networks as they are served: plain arrays and compiled loops over rows, without torch.

Contract: a row's outputs depend on that row alone, to the last bit. Two hidden layers with SiLU, then a linear output.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from arbitrage.arrays import Singles

CLIP = 4.0
"""Standard deviations beyond which an input is taken as just far."""


class Network(NamedTuple):
    """Weights; inputs are standardised and clipped first."""

    mean: Singles
    """Shape [inputs]."""
    std: Singles
    """Shape [inputs]."""
    first_weight: Singles
    """Shape [inputs, width]."""
    first_bias: Singles
    second_weight: Singles
    """Shape [width, width]."""
    second_bias: Singles
    output_weight: Singles
    """Shape [width, outputs]."""
    output_bias: Singles


@numba.njit(cache=True)
def hidden_rows(network: Network, inputs: Singles) -> Singles:
    """The second hidden layer of each row, shape [n, width], for inputs [n, inputs]."""
    out = np.empty((inputs.shape[0], network.second_bias.shape[0]), dtype=np.float32)
    for row in range(inputs.shape[0]):
        out[row] = _hidden(network, inputs[row])
    return out


@numba.njit(cache=True)
def _hidden(network: Network, values: Singles) -> Singles:
    """The second hidden layer, shape [width], for inputs [inputs]."""
    scaled = (values - network.mean) / network.std
    scaled = np.minimum(np.maximum(scaled, np.float32(-CLIP)), np.float32(CLIP))
    first = _silu(affine(scaled, network.first_weight, network.first_bias))
    return _silu(affine(first, network.second_weight, network.second_bias))


@numba.njit(cache=True, parallel=True)
def output_rows(network: Network, inputs: Singles) -> Singles:
    """The outputs of each row, shape [n, outputs], for inputs [n, inputs]."""
    out = np.empty((inputs.shape[0], network.output_bias.shape[0]), dtype=np.float32)
    for row in numba.prange(inputs.shape[0]):
        hidden = _hidden(network, inputs[row])
        out[row] = affine(hidden, network.output_weight, network.output_bias)
    return out


@numba.njit(cache=True)
def affine(values: Singles, weight: Singles, bias: Singles) -> Singles:
    """Values [inputs] times weight [inputs, outputs], plus bias."""
    total = bias.copy()
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            total[j] += values[i] * weight[i, j]
    return total


@numba.njit(cache=True)
def _silu(values: Singles) -> Singles:
    for j in range(values.shape[0]):
        values[j] = values[j] / (np.float32(1.0) + np.exp(-values[j]))
    return values
