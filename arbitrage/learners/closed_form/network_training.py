"""Fits the small networks with torch; nothing that decides imports this.

Contract: single-threaded and seeded, so that the same data give the same weights on the same machine. A loss that is
not a number stops the training with a message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from arbitrage.arrays import Numbers, Singles
from arbitrage.policies.networks import CLIP, Network

Batch = tuple[Singles, Singles]
"""Inputs [batch, inputs] and targets [batch, ...]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Settings of a fit."""

    width: int = 64
    dropout: float = 0.2
    weight_decay: float = 0.02
    learning_rate: float = 2e-3
    steps: int = 1000
    batch: int = 1024
    check_every: int = 100
    """Steps between looks at the held-out loss, where there is one."""


Sample = Callable[[np.random.Generator, int], Batch]
"""Draws a training batch of a given size."""
Loss = Callable[[Tensor, Tensor], Tensor]
"""Loss of outputs [batch, outputs] against targets."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How inputs are standardised."""

    mean: Singles
    std: Singles

    @classmethod
    def of(cls, inputs: Singles) -> Scaling:
        """From training inputs [n, inputs]."""
        std = inputs.std(axis=0, dtype=np.float64)
        mean = inputs.mean(axis=0, dtype=np.float64)
        return cls(mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32))


def fit_network(
    sample: Sample,
    outputs: int,
    scaling: Scaling,
    loss: Loss,
    config: NetworkConfig,
    seed: int,
    held_out: Batch | None = None,
) -> Network:
    """Minimise the loss over sampled batches; with `held_out`, the weights of the lowest loss there are kept.

    Raises RuntimeError if the loss stops being a number.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return _fit(sample, outputs, scaling, loss, config, seed, held_out)
    finally:
        torch.set_num_threads(threads)


def _fit(
    sample: Sample,
    outputs: int,
    scaling: Scaling,
    loss: Loss,
    config: NetworkConfig,
    seed: int,
    held_out: Batch | None,
) -> Network:
    rng = np.random.default_rng(seed)
    net = _build(len(scaling.mean), outputs, config)
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=config.steps)
    best_loss, best = np.inf, _export(net, scaling)
    for step in range(1, config.steps + 1):
        inputs, targets = sample(rng, config.batch)
        value = loss(net(_standardised(inputs, scaling)), torch.from_numpy(targets))
        if not torch.isfinite(value):
            raise RuntimeError(f"the network's loss is {value.item()} at step {step}; nothing was kept of it")
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimiser.step()
        schedule.step()
        if held_out is not None and step % config.check_every == 0:
            held_out_loss = _evaluate(net, held_out, scaling, loss)
            if held_out_loss < best_loss:
                best_loss, best = held_out_loss, _export(net, scaling)
    return best if held_out is not None else _export(net, scaling)


def _build(inputs: int, outputs: int, config: NetworkConfig) -> nn.Sequential:
    """The last layer starts small, so that training starts from predicting nothing."""
    net = nn.Sequential(
        nn.Linear(inputs, config.width),
        nn.SiLU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.width, config.width),
        nn.SiLU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.width, outputs),
    )
    last = _linear_layers(net)[-1]
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.zero_()
    return net


def _linear_layers(net: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in net if isinstance(layer, nn.Linear)]


def _standardised(inputs: Singles, scaling: Scaling) -> Tensor:
    return torch.from_numpy(np.clip((inputs - scaling.mean) / scaling.std, -CLIP, CLIP))


def _evaluate(net: nn.Sequential, batch: Batch, scaling: Scaling, loss: Loss) -> float:
    net.eval()
    with torch.no_grad():
        value = float(loss(net(_standardised(batch[0], scaling)), torch.from_numpy(batch[1])))
    net.train()
    return value


def _export(net: nn.Sequential, scaling: Scaling) -> Network:
    layers = _linear_layers(net)
    weights = [np.ascontiguousarray(layer.weight.detach().numpy().T).copy() for layer in layers]
    biases = [layer.bias.detach().numpy().copy() for layer in layers]
    pairs = [array for pair in zip(weights, biases, strict=True) for array in pair]
    return Network(scaling.mean, scaling.std, *pairs)


def fit_regression(inputs: Singles, targets: Singles, used: Numbers, config: NetworkConfig, seed: int) -> Network:
    """Least squares of targets [n, outputs] on inputs [n, inputs], over the rows in `used`."""

    def sample(rng: np.random.Generator, size: int) -> Batch:
        rows = used[rng.integers(0, len(used), size)]
        return inputs[rows], targets[rows]

    scaling = Scaling.of(inputs[used])
    return fit_network(sample, targets.shape[1], scaling, nn.functional.mse_loss, config, seed)
