"""Flat, stacked networks and their optimiser against torch's own layers and Adam."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from arbitrage.learners.neural.nets import Layout, Standard, Trained, as_they_are, descend, forward, trained

WIDTHS = (3, 7, 5, 2)


def weights_of(stacked: int, seed: int = 0) -> tuple[Layout, Tensor]:
    """A layout and weights in it."""
    layout = Layout(WIDTHS, stacked)
    return layout, layout.initial(torch.Generator().manual_seed(seed))


def in_torch(layout: Layout, flat: Tensor) -> nn.Sequential:
    """The first network, of torch's layers."""
    parts = [part[0] for part in layout.unpack(flat)]
    layers: list[nn.Module] = []
    for weight, bias in zip(parts[0::2], parts[1::2], strict=True):
        layer = nn.Linear(*weight.shape)
        layer.weight.data, layer.bias.data = weight.T.clone(), bias[0].clone()
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def inputs_of(*shape: int) -> Tensor:
    """Observations."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(9))


def test_a_layout_counts_its_numbers() -> None:
    # 3 x 7 + 7, 7 x 5 + 5, 5 x 2 + 2.
    layout, flat = weights_of(2)
    assert layout.sizes == [21, 7, 35, 5, 10, 2]
    assert flat.shape == (2, 80)


def test_unpacked_weights_are_views_of_the_flat_ones() -> None:
    layout, flat = weights_of(2)
    flat.zero_()
    assert all((part == 0.0).all() for part in layout.unpack(flat))


def test_a_network_computes_what_torchs_layers_compute() -> None:
    layout, flat = weights_of(1)
    inputs = inputs_of(6, 3)
    torch.testing.assert_close(forward(layout.unpack(flat), inputs)[0], in_torch(layout, flat)(inputs))


@pytest.mark.parametrize("shape", [(6, 3), (2, 6, 3)], ids=["shared inputs", "own inputs"])
def test_stacked_networks_compute_what_each_computes_alone(shape: tuple[int, ...]) -> None:
    layout, flat = weights_of(2)
    inputs = inputs_of(*shape)
    both = forward(layout.unpack(flat), inputs)
    single = Layout(WIDTHS)
    for k in range(2):
        own = inputs if inputs.dim() == 2 else inputs[k]
        torch.testing.assert_close(both[k], forward(single.unpack(flat[k : k + 1]), own)[0])
    assert not torch.equal(both[0], both[1])


def test_first_weights_fill_the_bounds_of_torchs_linear_layers() -> None:
    layout = Layout((100, 400, 25), 2)
    parts = layout.unpack(layout.initial(torch.Generator().manual_seed(0)))
    # 1 / sqrt(100) for the first layer's weights and biases, 1 / sqrt(400) for the second's.
    for part, bound in zip(parts, (0.1, 0.1, 0.05, 0.05), strict=True):
        assert 0.9 * bound < part.abs().max().item() <= bound
        assert part.mean().item() == pytest.approx(0.0, abs=0.25 * bound)


def test_first_weights_follow_the_generator() -> None:
    assert torch.equal(weights_of(2, 5)[1], weights_of(2, 5)[1])
    assert not torch.equal(weights_of(2, 5)[1], weights_of(2, 6)[1])


def moved(weights: Trained, longest: float | None = None, steps: int = 8) -> list[Tensor]:
    """Weights after each step down the same changing slope."""
    path = []
    for step in range(steps):
        gradient = torch.cos(weights.flat * (step + 1)) * 3.0
        descend(weights, [gradient[:, :4].reshape(-1, 2, 2), gradient[:, 4:]], 0.01, longest)
        path.append(weights.flat.clone())
    return path


def test_descent_is_that_of_torchs_adam() -> None:
    begin = inputs_of(1, 6)
    own = moved(trained(begin.clone()))
    parameter = nn.Parameter(begin.clone())
    optimiser = torch.optim.Adam([parameter], lr=0.01)
    for step, expected in enumerate(own):
        parameter.grad = torch.cos(parameter.detach() * (step + 1)) * 3.0
        optimiser.step()
        torch.testing.assert_close(parameter.data, expected, rtol=1e-4, atol=1e-5)


def test_stacked_networks_descend_each_as_it_would_alone() -> None:
    begin = inputs_of(2, 6)
    both = moved(trained(begin.clone()), longest=1.0)[-1]
    for k in range(2):
        alone = moved(trained(begin[k : k + 1].clone()), longest=1.0)[-1]
        torch.testing.assert_close(both[k : k + 1], alone)


def test_a_gradient_is_cut_to_the_longest_norm_for_each_network() -> None:
    # Norms 5 and 0.5; the first is cut to 1, the second left. Adam's first moment after one step is a tenth of it.
    weights = trained(torch.zeros(2, 2))
    descend(weights, [torch.tensor([[3.0, 4.0], [0.3, 0.4]])], 0.1, 1.0)
    torch.testing.assert_close(weights.first_moment, torch.tensor([[0.06, 0.08], [0.03, 0.04]]))
    # The first step of Adam is the learning rate whatever the gradient's size.
    torch.testing.assert_close(weights.flat, torch.full((2, 2), -0.1), rtol=1e-3, atol=0.0)
    assert weights.steps.item() == 1.0


def test_a_gradient_of_nothing_stays_nothing_when_cut() -> None:
    weights = trained(torch.ones(1, 2))
    descend(weights, [torch.zeros(1, 2)], 0.1, 1.0)
    assert weights.flat.tolist() == [[1.0, 1.0]]


def test_observations_are_standardised_and_clipped() -> None:
    standard = Standard(torch.tensor([1.0, -2.0]), torch.tensor([2.0, 0.5]), torch.tensor(3.0))
    # (2 - 1) / 2 and (-2 + 2) / 0.5; (101 - 1) / 2 and (-12 + 2) / 0.5 are far.
    found = standard(torch.tensor([[2.0, -2.0], [101.0, -12.0]]))
    assert found.tolist() == [[0.5, 0.0], [3.0, -3.0]]


def test_observations_as_they_are_are_left_alone_however_far() -> None:
    far = torch.tensor([[1e30, -3.0]])
    assert torch.equal(as_they_are(2)(far), far)
    assert math.isinf(as_they_are(2).limit.item())
