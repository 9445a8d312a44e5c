"""The mathematics of the learners, on numbers worked by hand and against the plain way to write it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Independent, Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from arbitrage.learners.neural.dsac_t import refined_pulls
from arbitrage.learners.neural.losses import (
    clipped_value_loss,
    cross_entropy,
    entropy,
    equal_slices,
    gaussian_pull,
    huber,
    midpoints,
    project,
    pseudo_loss,
    quantile_huber_gradient,
    soft_value,
    squashed_gaussian,
)
from tests.examples import examples

SEEDS = st.integers(0, 10_000)
SUPPORT = torch.linspace(-2.0, 3.0, 11)
"""Half a unit apart."""


def noise_of(seed: int, *shape: int) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shares_of(seed: int, *shape: int) -> Tensor:
    """Positive shares that add up to 1 over the last axis."""
    return torch.softmax(noise_of(seed, *shape), -1)


def test_huber_is_half_the_square_inside_and_a_straight_line_outside() -> None:
    errors = torch.tensor([0.0, 0.5, -0.5, 1.0, 3.0, -3.0])
    # Threshold 1: 3 is worth 1 x (3 - 0.5).
    assert huber(errors).tolist() == [0.0, 0.125, 0.125, 0.5, 2.5, 2.5]
    # Threshold 2: 3 is worth 2 x (3 - 1).
    assert huber(errors, 2.0).tolist() == [0.0, 0.125, 0.125, 0.5, 4.0, 4.0]


def test_midpoints_lie_in_the_middle_of_equal_shares() -> None:
    assert midpoints(4, torch.device("cpu")).tolist() == [0.125, 0.375, 0.625, 0.875]


def test_pseudo_loss_hands_over_the_gradient_and_lets_none_into_it() -> None:
    values, gradient = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, -4.0], requires_grad=True)
    pseudo_loss(values, gradient).backward()
    assert values.grad is not None
    assert values.grad.tolist() == [3.0, -4.0]
    assert gradient.grad is None


def test_the_quantile_gradient_on_one_pair_of_numbers() -> None:
    # One quantile at 0, level 0.25; targets -0.5 and 3. Errors -0.5 and 3, the latter cut to 1.
    # Pulls 0.75 x -0.5 = -0.375 and 0.25 x 1 = 0.25; their mean is -0.0625, and the gradient is against it.
    value, targets, fractions = torch.tensor([0.0]), torch.tensor([-0.5, 3.0]), torch.tensor([0.25])
    assert quantile_huber_gradient(value, targets, fractions).tolist() == [0.0625]
    # Weighed 0.2 and 0.8: -(0.2 x -0.375 + 0.8 x 0.25) = -0.125.
    shares = torch.tensor([0.2, 0.8])
    assert quantile_huber_gradient(value, targets, fractions, shares).item() == pytest.approx(-0.125)
    # Threshold 2: pulls 0.75 x -0.5 / 2 and 0.25 x 2 / 2.
    assert quantile_huber_gradient(value, targets, fractions, None, 2.0).item() == pytest.approx(-0.03125)


@given(seed=SEEDS, weighed=st.booleans(), threshold=st.sampled_from([0.3, 1.0, 4.0]))
@examples(30)
def test_the_quantile_gradient_is_that_of_the_loss_written_out(seed: int, weighed: bool, threshold: float) -> None:
    values = (2.0 * noise_of(seed, 3, 5)).requires_grad_()
    targets, fractions = 2.0 * noise_of(seed + 1, 3, 7), midpoints(5, torch.device("cpu"))
    shares = shares_of(seed + 2, 3, 7) if weighed else torch.full((3, 7), 1.0 / 7.0)
    loss = torch.zeros(())
    for row in range(3):
        for i in range(5):
            for j in range(7):
                error = targets[row, j] - values[row, i]
                level = (fractions[i] - float(error < 0.0)).abs()
                loss = loss + shares[row, j] * level * huber(error, threshold) / threshold
    loss.backward()
    found = quantile_huber_gradient(values.detach(), targets, fractions, shares if weighed else None, threshold)
    torch.testing.assert_close(found, values.grad)


def test_projection_splits_mass_between_neighbours_and_stops_at_the_ends() -> None:
    support = torch.tensor([0.0, 1.0, 2.0])
    # 0.25 gives three quarters of its 0.4 to 0 and one to 1; 5 lies beyond the end, and 1 on an atom.
    shares = project(torch.tensor([0.25, 5.0, 1.0]), torch.tensor([0.4, 0.5, 0.1]), support)
    torch.testing.assert_close(shares, torch.tensor([0.3, 0.2, 0.5]))


def scattered(atoms: Tensor, shares: Tensor, support: Tensor) -> Tensor:
    """The projection as C51's algorithm 1 writes it."""
    result, spacing = torch.zeros(len(support)), (support[-1] - support[0]) / (len(support) - 1)
    for position, share in zip(atoms, shares, strict=True):
        place = ((position.clamp(support[0], support[-1]) - support[0]) / spacing).item()
        low = min(int(place), len(support) - 2)
        result[low] += share * (low + 1 - place)
        result[low + 1] += share * (place - low)
    return result


@given(seed=SEEDS, inside=st.booleans())
@examples(40)
def test_projection_scatters_and_keeps_mass_and_inside_the_support_the_mean(seed: int, inside: bool) -> None:
    atoms, shares = 3.0 * noise_of(seed, 4, 9), shares_of(seed + 1, 4, 9)
    if inside:
        atoms = atoms.clamp(-2.0, 3.0)
    projected = project(atoms, shares, SUPPORT)
    expected = torch.stack([scattered(a, s, SUPPORT) for a, s in zip(atoms, shares, strict=True)])
    torch.testing.assert_close(projected, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(projected.sum(-1), torch.ones(4))
    if inside:
        torch.testing.assert_close((projected * SUPPORT).sum(-1), (atoms * shares).sum(-1), rtol=1e-4, atol=1e-5)


def test_equal_slices_of_the_mass_lie_at_their_mean_positions() -> None:
    # Cumulative 0.2, 0.8, 1 on -1, 0, 4. The first third is 0.2 at -1 and the rest at 0, the second all at 0, and the
    # last 0.2 at 4 and the rest at 0: times three, -0.6, 0 and 2.4. All of the mass on one atom: that atom, thrice.
    support, shares = torch.tensor([-1.0, 0.0, 4.0]), torch.tensor([[0.2, 0.6, 0.2], [0.0, 0.0, 1.0]])
    expected = torch.tensor([[-0.6, 0.0, 2.4], [4.0, 4.0, 4.0]])
    torch.testing.assert_close(equal_slices(shares, support), expected)


@given(seed=SEEDS)
@examples(30)
def test_equal_slices_keep_the_mean_and_ascend(seed: int) -> None:
    shares = torch.softmax(4.0 * noise_of(seed, 6, 11), -1)
    slices = equal_slices(shares, SUPPORT)
    torch.testing.assert_close(slices.mean(-1), (shares * SUPPORT).sum(-1), rtol=1e-4, atol=1e-5)
    assert (slices.diff(dim=-1) >= -1e-4).all()
    assert slices.min() >= SUPPORT[0] - 1e-4
    assert slices.max() <= SUPPORT[-1] + 1e-4


def test_cross_entropy_is_the_mean_surprise_and_least_at_the_target() -> None:
    # Shares 1/4 and 3/4 against a target of one half each.
    logits = torch.tensor([0.0, math.log(3.0)])
    half = torch.tensor([0.5, 0.5])
    assert cross_entropy(logits, half).item() == pytest.approx(-0.5 * (math.log(0.25) + math.log(0.75)))
    assert cross_entropy(torch.zeros(2), half).item() == pytest.approx(math.log(2.0))


def test_the_clipped_loss_is_the_larger_of_the_free_and_the_held_error() -> None:
    # Anchor 1, reach 0.5. A value of 3 is held at 1.5. Target 4: free 1, held 6.25. Target 1: free 4, held 0.25.
    value, anchor = torch.tensor([3.0, 3.0, 1.2]), torch.tensor([1.0, 1.0, 1.0])
    loss = clipped_value_loss(value, anchor, torch.tensor([4.0, 1.0, 2.2]), 0.5)
    # The last is within reach: both errors are 1.
    torch.testing.assert_close(loss, torch.tensor([6.25, 4.0, 1.0]))


def test_the_clipped_loss_does_not_pull_a_value_further_from_its_anchor() -> None:
    value = torch.tensor([3.0, 3.0], requires_grad=True)
    clipped_value_loss(value, torch.tensor([1.0, 1.0]), torch.tensor([4.0, 1.0]), 0.5).sum().backward()
    assert value.grad is not None
    # Towards 4 it would move away from the anchor: held. Back to 1: the gradient of the square, 2 x 2.
    assert value.grad.tolist() == [0.0, 4.0]


def test_soft_value_adds_the_price_of_entropy_to_the_expectation() -> None:
    log = torch.log(torch.tensor([[0.25, 0.75], [0.5, 0.5]]))
    values = torch.tensor([[4.0, 8.0], [1.0, 3.0]])
    torch.testing.assert_close(soft_value(values, log, 0.0), torch.tensor([7.0, 2.0]))
    even = math.log(2.0)
    uneven = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    torch.testing.assert_close(entropy(log), torch.tensor([uneven, even]))
    torch.testing.assert_close(soft_value(values, log, 0.5), torch.tensor([7.0 + 0.5 * uneven, 2.0 + 0.5 * even]))


def test_the_gaussian_pulls_are_those_of_the_paper() -> None:
    # Mean 1, std 2, floor 0.1. Mean's target 3: -(3 - 1) / 4.1. Spread's target 4: -((1 - 4)^2 - 4) / 8.1.
    mean, std = gaussian_pull(torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0), torch.tensor(4.0), 0.1)
    assert mean.item() == pytest.approx(-2.0 / 4.1)
    assert std.item() == pytest.approx(-5.0 / 8.1)


@given(seed=SEEDS)
@examples(20)
def test_without_a_floor_the_gaussian_pulls_are_the_gradient_of_the_likelihood(seed: int) -> None:
    mean, target = noise_of(seed, 6).double().requires_grad_(), noise_of(seed + 1, 6).double()
    std = (noise_of(seed + 2, 6).double().abs() + 0.3).requires_grad_()
    (-Normal(mean, std).log_prob(target)).sum().backward()
    pulls = gaussian_pull(mean.detach(), std.detach(), target, target, 0.0)
    torch.testing.assert_close(pulls[0], mean.grad)
    torch.testing.assert_close(pulls[1], std.grad)


@given(seed=SEEDS)
@examples(20)
def test_the_squashed_gaussian_is_that_of_torch(seed: int) -> None:
    # Moderate numbers in double precision, for torch inverts tanh, which is lost far out.
    outputs, noise = noise_of(seed, 5, 6).double().clamp(-1.0, 1.0), noise_of(seed + 1, 5, 3).double()
    action, log = squashed_gaussian(outputs, noise)
    mean, log_std = outputs.chunk(2, -1)
    torch.testing.assert_close(action, torch.tanh(mean + log_std.exp() * noise))
    squashed = TransformedDistribution(Normal(mean, log_std.exp()), TanhTransform())
    torch.testing.assert_close(log, Independent(squashed, 1).log_prob(action), rtol=1e-6, atol=1e-6)


def test_the_squashed_gaussian_stays_finite_far_out_and_bounds_its_spread() -> None:
    # Means of 30 saturate tanh; log standard deviations of 50 and -50 are kept at 2 and -20.
    outputs = torch.tensor([[30.0, 0.0], [0.0, 50.0], [0.0, -50.0]])
    action, log = squashed_gaussian(outputs, torch.tensor([[0.5], [0.1], [0.1]]))
    assert torch.isfinite(log).all()
    assert action[1].item() == pytest.approx(math.tanh(0.1 * math.exp(2.0)))
    assert action[2].item() == pytest.approx(0.1 * math.exp(-20.0))


def pulls_of(std: float, sampled: float, spread: float, mean: float = 1.0) -> tuple[float, float]:
    """Pulls of DSAC-T on one transition of the first twin: mean target 3, floor 0.1; the second twin is at rest."""
    found = refined_pulls(
        torch.tensor([[mean], [3.0]]),
        torch.tensor([[std], [1.0]]),
        torch.tensor([3.0]),
        torch.tensor([sampled]),
        torch.tensor([spread, 1.0]),
        0.1,
    )
    assert found[0][1].item() == 0.0
    return found[0][0].item(), found[1][0].item()


def test_the_refined_pulls_follow_the_critics_own_spread() -> None:
    # b = 2, std 1, weight 4 / 1.1. The mean goes from 1 to 3; the sample 5 is within 3 b = 6 of the mean:
    # -(16 - 1) / 1.1 on the spread.
    weight = 4.0 / 1.1
    assert pulls_of(1.0, 5.0, 2.0) == pytest.approx((weight * -2.0, -weight * 15.0 / 1.1))
    # A sample of 50 counts as 1 + 6, and one of -50 as 1 - 6: -(36 - 1) / 1.1 both.
    for far in (50.0, -50.0):
        assert pulls_of(1.0, far, 2.0) == pytest.approx((weight * -2.0, -weight * 35.0 / 1.1))


def test_the_weight_of_the_refined_pulls_lies_between_a_tenth_and_ten() -> None:
    # b = 10: 100 / 1.1 is kept at 10. The sample 2 is one away from the mean, as the std is: no pull on the spread.
    assert pulls_of(1.0, 2.0, 10.0) == pytest.approx((10.0 * -2.0, 0.0))
    # b = 0.1, std 2: 0.01 / 4.1 is kept at 0.1; the sample 5 counts as 1.3: -0.1 x (0.09 - 4) / 2.1.
    assert pulls_of(2.0, 5.0, 0.1) == pytest.approx((0.1 * -2.0, 0.1 * 3.91 / 2.1), rel=1e-4)
