"""Fits the quantile critic with torch; nothing that decides imports this."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from arbitrage.learners.closed_form.network_training import NetworkConfig, Scaling, fit_network
from arbitrage.learners.closed_form.returns import Returns
from arbitrage.policies.closed_form.quantile_critic import ACTIONS, QUANTILE_FRACTIONS, QUANTILES
from arbitrage.policies.networks import Network

CRITIC_CONFIG = NetworkConfig(dropout=0.1, learning_rate=3e-3, steps=1500, batch=1024)
_SCALING_ROWS = 50_000
_HELD_OUT_ROWS = 20_000


def fit_critic(returns: Returns, held_out: Returns, seed: int, config: NetworkConfig = CRITIC_CONFIG) -> Network:
    """Quantile regression on realised returns; the weights that do best on the held-out days are kept."""
    inputs, _ = returns.draw(np.random.default_rng(seed), _SCALING_ROWS)
    kept = held_out.draw(np.random.default_rng(seed + 1), _HELD_OUT_ROWS)
    outputs = len(ACTIONS) * QUANTILES
    return fit_network(returns.draw, outputs, Scaling.of(inputs), pinball_loss, config, seed, kept)


def pinball_loss(outputs: Tensor, realised: Tensor) -> Tensor:
    """Mean quantile loss of outputs [batch, actions x quantiles] against realised returns [batch, actions].

    Koenker and Bassett (1978): fraction x error above the quantile, (1 - fraction) x error below it.
    """
    fractions = torch.from_numpy(QUANTILE_FRACTIONS.astype(np.float32))
    error = realised[:, :, None] - outputs.reshape(len(outputs), len(ACTIONS), QUANTILES)
    return torch.maximum(fractions * error, (fractions - 1.0) * error).mean()
