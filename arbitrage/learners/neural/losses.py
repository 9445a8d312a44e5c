"""The mathematics of the learners as pure functions of tensors.

Contract
- Nothing here knows a network, an optimiser or an environment. Leading axes are free; the last axis is what is named.
- Quantile losses come as gradients: the loss of every pair of quantile and target is summed as it is computed, so
  that no tensor [batch, quantiles, targets] has to exist once compiled. `pseudo_loss` hands a gradient to autograd.
- Targets are data: no gradient flows through them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def huber(error: Tensor, threshold: float = 1.0) -> Tensor:
    """Half the square within the threshold, and the straight line that continues it outside (Huber, 1964)."""
    size = error.abs()
    inner = size.clamp(max=threshold)
    return inner * (size - 0.5 * inner)


def midpoints(count: int, device: torch.device) -> Tensor:
    """Fractions of `count` equally likely quantiles, (k + 1/2) / count, shape [count]."""
    return (torch.arange(count, dtype=torch.float32, device=device) + 0.5) / count


def pseudo_loss(values: Tensor, gradient: Tensor) -> Tensor:
    """A number whose gradient with respect to `values` is `gradient`; of the same shape both."""
    return (values * gradient.detach()).sum()


def quantile_huber_gradient(
    values: Tensor, targets: Tensor, fractions: Tensor, shares: Tensor | None = None, threshold: float = 1.0
) -> Tensor:
    """Gradient of the quantile Huber loss with respect to the quantiles, shape [..., N] (Dabney and others, 2018).

    The loss is the sum over quantiles i of the mean over targets j of |fraction_i - (u < 0)| huber(u) / threshold with
    u = target_j - value_i.

    values: [..., N]; targets: [..., M]; fractions: [N]; shares: [..., M], adding up to 1 over the targets, or None
    where all targets count the same.
    """
    error = targets[..., None, :] - values[..., :, None]
    level = fractions[:, None]
    pull = torch.where(error < 0.0, 1.0 - level, level) * error.clamp(-threshold, threshold) / threshold
    if shares is None:
        return -pull.mean(-1)
    return -(pull * shares[..., None, :]).sum(-1)


def project(atoms: Tensor, shares: Tensor, support: Tensor) -> Tensor:
    """Categorical projection: shares of mass moved to the two neighbours on an even support, shape [..., N].

    The projection of C51 (Bellemare and others, 2017), written as a triangular kernel instead of a scatter.

    atoms: [..., M], positions of the mass; shares: [..., M]; support: [N], evenly spaced, ascending.
    """
    spacing = support[1] - support[0]
    inside = torch.minimum(torch.maximum(atoms, support[0]), support[-1])
    distance = (inside[..., None, :] - support[:, None]).abs() / spacing
    return ((1.0 - distance).clamp(min=0.0) * shares[..., None, :]).sum(-1)


def cross_entropy(logits: Tensor, target_shares: Tensor) -> Tensor:
    """Cross-entropy of a categorical distribution [..., N] against target shares [..., N]; shape [...]."""
    return -(target_shares * torch.log_softmax(logits, -1)).sum(-1)


def equal_slices(shares: Tensor, support: Tensor) -> Tensor:
    """Mean position of each N-th of the mass, lowest first, shape [..., N]: equally likely outcomes of the same mean.

    shares: [..., N], adding up to 1, of a categorical distribution on the support [N], ascending. Neither the mean nor
    the tails are rounded to the support.
    """
    count = support.shape[0]
    edges = torch.arange(count + 1, dtype=torch.float32, device=support.device) / count
    before = shares.cumsum(-1) - shares
    taken = torch.minimum((edges[:, None] - before[..., None, :]).clamp(min=0.0), shares[..., None, :])
    worth = (taken * support).sum(-1)
    return (worth[..., 1:] - worth[..., :-1]) * count


def clipped_value_loss(value: Tensor, anchor: Tensor, target: Tensor, reach: float) -> Tensor:
    """The larger of two squared errors, of the value and of the value kept within `reach` of an anchor.

    Q-clip of stable discrete SAC (2209.10081).
    """
    near = anchor + (value - anchor).clamp(-reach, reach)
    return torch.maximum((value - target).square(), (near - target).square())


def soft_value(values: Tensor, policy_log: Tensor, temperature: Tensor | float) -> Tensor:
    """Expectation under the policy of value less temperature x log-probability, over the last axis (1910.07207)."""
    return (policy_log.exp() * (values - temperature * policy_log)).sum(-1)


def entropy(policy_log: Tensor) -> Tensor:
    """Entropy of log-probabilities [..., actions]; shape [...]."""
    return -(policy_log.exp() * policy_log).sum(-1)


def gaussian_pull(
    mean: Tensor, std: Tensor, mean_target: Tensor, std_target: Tensor, floor: float
) -> tuple[Tensor, Tensor]:
    """Gradients of a Gaussian critic's mean and standard deviation, as in DSAC-T (2310.05858) without its weight.

    -(y - Q) / (std^2 + floor) and -((Q - y_b)^2 - std^2) / (std^3 + floor), each coefficient taken as data.
    """
    mean_pull = -(mean_target - mean) / (std.square() + floor)
    std_pull = -((mean - std_target).square() - std.square()) / (std.pow(3) + floor)
    return mean_pull, std_pull


def squashed_gaussian(outputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions in (-1, 1) and their log-probabilities, from mean and log standard deviation (1801.01290, appendix C).

    outputs: [..., 2 x actions]; noise: [..., actions], standard normal; returns [..., actions] and [...].
    """
    mean, log_std = outputs.chunk(2, dim=-1)
    log_std = log_std.clamp(_LOG_STD_LEAST, _LOG_STD_MOST)
    raw = mean + log_std.exp() * noise
    density = -0.5 * noise.square() - log_std - _HALF_LOG_TWO_PI
    correction = 2.0 * (_LOG_TWO - raw - torch.nn.functional.softplus(-2.0 * raw))
    return torch.tanh(raw), (density - correction).sum(-1)


_LOG_STD_LEAST, _LOG_STD_MOST = -20.0, 2.0
_HALF_LOG_TWO_PI = 0.9189385332046727
_LOG_TWO = 0.6931471805599453
