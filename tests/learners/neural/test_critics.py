"""The two forms of a distribution: what each tells, and that its loss finds a distribution that is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from arbitrage.errors import BadInput
from arbitrage.learners.neural.critics import CategoricalForm, QuantileForm, scores, select
from arbitrage.learners.neural.risk_weights import sorted_weights
from arbitrage.risk import RiskMeasure, RiskPreference

QUANTILES = QuantileForm(outputs=4)
CATEGORIES = CategoricalForm(lowest=-1.0, highest=3.0, outputs=5)
"""Support -1, 0, 1, 2, 3."""
FORMS = pytest.mark.parametrize("form", [QUANTILES, CATEGORIES], ids=["quantile", "categorical"])
Form = QuantileForm | CategoricalForm


def raw_of(*shape: int) -> Tensor:
    """Raw outputs."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4))


@FORMS
def test_the_mean_is_that_of_the_atoms(form: Form) -> None:
    raw = raw_of(3, 2, form.outputs)
    positions, shares = form.atoms(raw)
    assert positions.shape == shares.shape == raw.shape
    torch.testing.assert_close(shares.sum(-1), torch.ones(3, 2))
    torch.testing.assert_close(form.mean(raw), (positions * shares).sum(-1))


@FORMS
def test_atoms_carry_no_gradient(form: Form) -> None:
    positions, shares = form.atoms(raw_of(3, form.outputs).requires_grad_())
    assert not positions.requires_grad
    assert not shares.requires_grad


def test_outcomes_of_quantiles_are_the_quantiles() -> None:
    raw = raw_of(3, 4)
    assert torch.equal(QUANTILES.outcomes(raw), raw)


def test_outcomes_of_categories_are_the_means_of_equal_slices_of_the_mass() -> None:
    # 0.45 at 0 and 0.55 at 2, in fifths: the third is a quarter at 0 and three quarters at 2.
    raw = torch.log(torch.tensor([1e-9, 0.45, 1e-9, 0.55, 1e-9]))
    torch.testing.assert_close(CATEGORIES.outcomes(raw), torch.tensor([0.0, 0.0, 1.5, 2.0, 2.0]), rtol=0.0, atol=1e-5)


@FORMS
def test_outcomes_have_the_mean_that_the_form_tells(form: Form) -> None:
    raw = raw_of(8, 3, form.outputs)
    torch.testing.assert_close(form.outcomes(raw).mean(-1), form.mean(raw))


def fitted(form: Form, weight: Tensor, uneven: bool) -> Tensor:
    """Raw outputs [K = 2, N] fitted to 0 with a share of 0.7 and 2 with one of 0.3; `uneven`: told as shares."""
    raw = torch.zeros(2, len(weight), form.outputs, requires_grad=True)
    optimiser = torch.optim.Adam([raw], lr=0.05)
    if uneven:
        positions, shares = torch.tensor([0.0, 2.0]), torch.tensor([0.7, 0.3]).expand(len(weight), 2)
    else:
        positions, shares = torch.tensor([0.0] * 7 + [2.0] * 3), None
    for _ in range(400):
        optimiser.zero_grad()
        form.loss(raw, positions.expand(len(weight), -1), shares, weight).backward()
        optimiser.step()
    return raw.detach()


@pytest.mark.parametrize("uneven", [True, False], ids=["shares", "equal atoms"])
def test_quantile_regression_finds_the_quantiles_of_a_known_distribution(uneven: bool) -> None:
    # A straight-line loss from 0.01 on is nearly the plain quantile loss. Fractions 0.1, 0.3, 0.5, 0.7 and 0.9 of
    # 0 (70 %) and 2 (30 %): only the last lies clearly above 0.7, and the one at the step itself may be anywhere.
    form = QuantileForm(outputs=5, threshold=0.01)
    raw = fitted(form, torch.ones(2), uneven)
    expected = torch.tensor([0.0, 0.0, 0.0, 2.0]).expand(2, 2, 4)
    torch.testing.assert_close(raw[..., [0, 1, 2, 4]], expected, rtol=0.0, atol=0.05)


def test_a_wide_threshold_pulls_quantiles_to_expectiles() -> None:
    # All errors within the threshold: the fraction f of 0 (70 %) and 2 (30 %) is where
    # 0.7 (1 - f) q = 0.3 f (2 - q); for one half q = 0.6, the mean, and for 0.1 q = 0.06 / (0.63 + 0.03).
    raw = fitted(QuantileForm(outputs=5, threshold=3.0), torch.ones(1), True)
    assert raw[0, 0, 2].item() == pytest.approx(0.6, abs=0.02)
    assert raw[0, 0, 0].item() == pytest.approx(0.06 / 0.66, abs=0.02)


@pytest.mark.parametrize("uneven", [True, False], ids=["shares", "equal atoms"])
def test_cross_entropy_finds_the_shares_of_a_known_distribution(uneven: bool) -> None:
    raw = fitted(CATEGORIES, torch.ones(2), uneven)
    expected = torch.tensor([0.0, 0.7, 0.0, 0.3, 0.0]).expand(2, 2, 5)
    torch.testing.assert_close(torch.softmax(raw, -1), expected, rtol=0.0, atol=0.02)


@FORMS
def test_a_transition_of_no_weight_does_not_pull(form: Form) -> None:
    raw = fitted(form, torch.tensor([1.0, 0.0]), True)
    assert (raw[:, 1] == 0.0).all()
    assert (raw[:, 0] != 0.0).any()


@FORMS
def test_a_loss_is_the_mean_over_the_batch_and_the_sum_over_the_twins(form: Form) -> None:
    def pull(raw: Tensor, count: int) -> Tensor:
        raw = raw.expand(-1, count, -1).clone().requires_grad_()
        positions = torch.tensor([[0.3, 1.7]]).expand(count, 2)
        form.loss(raw, positions, None, torch.ones(count)).backward()
        assert raw.grad is not None
        return raw.grad

    raw = raw_of(2, 1, form.outputs)
    both = pull(raw, 1)
    torch.testing.assert_close(pull(raw[:1], 1), both[:1])
    torch.testing.assert_close(pull(raw, 4), (both / 4.0).expand(-1, 4, -1))


def test_selection_picks_the_outputs_of_the_action() -> None:
    raw, actions = raw_of(5, 3, 4), torch.tensor([2, 0, 1, 1, 2])
    picked = raw.gather(1, actions[:, None, None].expand(-1, 1, 4))[:, 0]
    assert torch.equal(select(raw, torch.nn.functional.one_hot(actions, 3)), picked)


def test_scores_are_the_mean_where_risk_does_not_matter() -> None:
    outcomes = torch.tensor([[3.0, -1.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    assert scores(outcomes, None).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        # Half of -1, 0, 2, 3 are -1 and 0.
        (0.5, 1.0 + 0.5 * -0.5),
        # A quarter is -1 alone; three eighths are -1 and one half of 0.
        (0.25, 1.0 + 0.5 * -1.0),
        (0.375, 1.0 + 0.5 * (-1.0 * 2.0 / 3.0)),
    ],
)
def test_scores_of_cvar_are_the_mean_and_the_weighed_tail(level: float, expected: float) -> None:
    weights = sorted_weights(RiskPreference(RiskMeasure.CVAR, level, 0.5), 4, "cpu")
    assert weights is not None
    # The order in which outcomes come does not matter.
    for outcomes in ([3.0, -1.0, 2.0, 0.0], [0.0, 2.0, 3.0, -1.0]):
        assert scores(torch.tensor(outcomes), weights).item() == pytest.approx(expected)


def test_no_preference_and_one_of_no_weight_are_no_weights() -> None:
    assert sorted_weights(None, 4, "cpu") is None
    assert sorted_weights(RiskPreference(RiskMeasure.MEAN_VARIANCE, 1.0, 0.0), 4, "cpu") is None


@pytest.mark.parametrize("measure", [RiskMeasure.ENTROPIC, RiskMeasure.MEAN_VARIANCE, RiskMeasure.MEAN_SEMIDEVIATION])
def test_a_measure_that_is_no_weighting_is_refused_by_name(measure: RiskMeasure) -> None:
    with pytest.raises(BadInput, match=f"{measure} is no weighting"):
        sorted_weights(RiskPreference(measure, 0.5, 1.0), 4, "cpu")
