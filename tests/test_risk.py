"""Risk measures on samples whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.errors import BadInput
from arbitrage.risk import (
    RiskMeasure,
    RiskPreference,
    conditional_value_at_risk_eur,
    distortion_weights,
    kl_robust_eur,
    mean_tail_eur,
    outcome_weights,
    risk_eur,
    value_at_risk_eur,
)
from arbitrage.risk_measures import DISTORTIONS, equal_weights
from tests.examples import examples

TEN = [30.0, -50.0, 10.0, 20.0, -10.0, 40.0, 50.0, 60.0, 70.0, 80.0]
"""Sorted: -50, -10, 10, 20, 30, 40, 50, 60, 70, 80; mean 30."""

CASES = [
    (RiskMeasure.VAR, 0.1),
    (RiskMeasure.CVAR, 0.1),
    (RiskMeasure.CVAR, 0.35),
    (RiskMeasure.WANG, -0.75),
    (RiskMeasure.WANG, 0.5),
    (RiskMeasure.CPW, 0.71),
    (RiskMeasure.CPW, 0.3),
    (RiskMeasure.POWER, -2.0),
    (RiskMeasure.POWER, 0.5),
    (RiskMeasure.ENTROPIC, 0.01),
    (RiskMeasure.EVAR, 0.2),
    (RiskMeasure.EVAR, 0.9),
    (RiskMeasure.MEAN_SEMIDEVIATION, 0.8),
    (RiskMeasure.MEAN_VARIANCE, 0.002),
]
SPECTRAL = {RiskMeasure.VAR, RiskMeasure.CVAR, RiskMeasure.WANG, RiskMeasure.CPW, RiskMeasure.POWER}
COHERENT = [
    case
    for case in CASES
    if case[0] in {RiskMeasure.CVAR, RiskMeasure.EVAR, RiskMeasure.MEAN_SEMIDEVIATION}
    or (case[0] in {RiskMeasure.WANG, RiskMeasure.POWER} and case[1] < 0.0)
]
NEUTRAL = {
    RiskMeasure.CVAR: 1.0,
    RiskMeasure.WANG: 0.0,
    RiskMeasure.CPW: 1.0,
    RiskMeasure.POWER: 0.0,
    RiskMeasure.ENTROPIC: 0.0,
    RiskMeasure.EVAR: 1.0,
    RiskMeasure.MEAN_SEMIDEVIATION: 0.0,
    RiskMeasure.MEAN_VARIANCE: 0.0,
}


@pytest.mark.parametrize(
    ("level", "at_risk", "conditional"),
    [
        (0.1, -50.0, -50.0),  # The worst one.
        (0.2, -10.0, -30.0),  # The second worst; mean of -50 and -10.
        (0.25, 10.0, -22.0),  # Two and a half outcomes: (-50 - 10 + 0.5 x 10) / 2.5.
        (0.05, -50.0, -50.0),  # Half an outcome is still the worst one.
        (0.3, 10.0, -50.0 / 3.0),  # 0.3 x 10 is 3 although 0.3 is not exact: (-50 - 10 + 10) / 3.
        (1.0, 80.0, 30.0),  # Risk-neutral: the mean.
    ],
)
def test_the_lower_tail_of_ten_outcomes_is_what_hand_arithmetic_says(
    level: float, at_risk: float, conditional: float
) -> None:
    assert value_at_risk_eur(TEN, level) == at_risk
    assert conditional_value_at_risk_eur(TEN, level) == pytest.approx(conditional, abs=1e-12)


@pytest.mark.parametrize("level", [0.01, 0.1, 0.5, 0.9])
def test_a_normal_sample_has_the_tail_of_the_normal_distribution(level: float) -> None:
    # VaR = mean + std x q, CVaR = mean - std x density(q) / level, q being the quantile of the standard normal.
    q = {0.01: -2.3263479, 0.1: -1.2815516, 0.5: 0.0, 0.9: 1.2815516}[level]
    shares = (np.arange(200_000) + 0.5) / 200_000
    ranks = np.random.default_rng(0).permutation(_normal_quantiles(shares))
    density = math.exp(-q * q / 2.0) / math.sqrt(2.0 * math.pi)
    assert value_at_risk_eur(100.0 + 30.0 * ranks, level) == pytest.approx(100.0 + 30.0 * q, abs=0.05)
    assert conditional_value_at_risk_eur(100.0 + 30.0 * ranks, level) == pytest.approx(
        100.0 - 30.0 * density / level, abs=0.05
    )


def _normal_quantiles(shares: np.ndarray) -> np.ndarray:
    grid = np.linspace(-6.0, 6.0, 4001)
    cumulative = np.array([NormalDist().cdf(x) for x in grid])
    return np.asarray(np.interp(shares, cumulative, grid))


def test_of_a_single_outcome_every_measure_is_that_outcome() -> None:
    assert value_at_risk_eur([-7.0], 0.1) == conditional_value_at_risk_eur([-7.0], 0.1) == -7.0


@pytest.mark.parametrize("measure", [value_at_risk_eur, conditional_value_at_risk_eur])
def test_no_outcomes_a_level_outside_0_to_1_and_what_is_no_number_are_refused(
    measure: Callable[[list[float], float], float],
) -> None:
    with pytest.raises(BadInput, match="there are none"):
        measure([], 0.1)
    with pytest.raises(BadInput, match="not a number"):
        measure([1.0, math.nan], 0.1)
    for level in (0.0, -0.1, 1.1, math.nan):
        with pytest.raises(BadInput, match="must be above 0 and at most 1"):
            measure([1.0], level)


@examples(100)
@given(
    outcomes=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40),
    levels=st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)).map(sorted),
    shift=st.floats(-1e4, 1e4),
)
def test_the_measures_are_ordered_grow_with_the_level_and_follow_a_shift(
    outcomes: list[float], levels: list[float], shift: float
) -> None:
    deep, shallow = levels
    slack = 1e-6
    for measure in (value_at_risk_eur, conditional_value_at_risk_eur):
        assert measure(outcomes, deep) <= measure(outcomes, shallow) + slack
        assert measure(np.add(outcomes, shift), deep) == pytest.approx(measure(outcomes, deep) + shift, abs=slack)
    assert min(outcomes) - slack <= conditional_value_at_risk_eur(outcomes, deep)
    assert conditional_value_at_risk_eur(outcomes, deep) <= value_at_risk_eur(outcomes, deep) + slack
    assert conditional_value_at_risk_eur(outcomes, deep) <= np.mean(outcomes) + slack


# A profit of -10 with probability 0.2 or 30 with 0.8: mean 22, variance 0.2 x 32^2 + 0.8 x 8^2 = 256. A spectral
# measure is worth 30 - 40 g(0.2).
TWO_EUR = [30.0, -10.0]
TWO_PROBABILITIES = [0.8, 0.2]


@pytest.mark.parametrize(
    ("measure", "level", "worth_eur"),
    [
        (RiskMeasure.VAR, 0.2, -10.0),
        (RiskMeasure.VAR, 0.21, 30.0),
        (RiskMeasure.CVAR, 0.1, -10.0),
        (RiskMeasure.CVAR, 0.4, 10.0),  # Half of the worst 0.4 loses 10, half earns 30.
        (RiskMeasure.CVAR, 1.0, 22.0),
        (RiskMeasure.WANG, -0.5, 30.0 - 40.0 * NormalDist().cdf(NormalDist().inv_cdf(0.2) + 0.5)),
        (RiskMeasure.WANG, 0.5, 30.0 - 40.0 * NormalDist().cdf(NormalDist().inv_cdf(0.2) - 0.5)),
        (RiskMeasure.CPW, 0.5, 30.0 - 40.0 * 5**0.5 / 9.0),  # g = (1/sqrt 5) / (1/sqrt 5 + 2/sqrt 5)^2 = sqrt 5 / 9.
        (RiskMeasure.POWER, -1.0, 15.6),  # Both of two draws earn 30 with probability 0.64: g = 0.36.
        (RiskMeasure.POWER, 1.0, 28.4),  # Both of two draws lose with probability 0.04.
        (RiskMeasure.ENTROPIC, 0.1, -10.0 * math.log(0.2 * math.e + 0.8 * math.exp(-3.0))),
        # At probabilities 0.6 and 0.4 the mean is 6, and the divergence 0.6 log(0.6 / 0.2) + 0.4 log(0.4 / 0.8).
        (RiskMeasure.EVAR, 3.0**-0.6 * 2.0**0.4, 6.0),
        (RiskMeasure.EVAR, 0.2, -10.0),
        (RiskMeasure.EVAR, 0.1, -10.0),
        (RiskMeasure.EVAR, 1.0, 22.0),
        (RiskMeasure.MEAN_SEMIDEVIATION, 0.5, 22.0 - 0.5 * math.sqrt(0.2 * 32.0**2)),
        (RiskMeasure.MEAN_VARIANCE, 0.01, 22.0 - 2.56),
    ],
)
def test_two_outcomes_are_worth_what_hand_arithmetic_says(measure: RiskMeasure, level: float, worth_eur: float) -> None:
    assert risk_eur(measure, level, TWO_EUR, TWO_PROBABILITIES) == pytest.approx(worth_eur, abs=1e-9)
    # Five equally likely outcomes say the same.
    assert risk_eur(measure, level, [30.0, 30.0, -10.0, 30.0, 30.0]) == pytest.approx(worth_eur, abs=1e-9)


def normal_cells(count: int) -> np.ndarray:
    """Means of the standard normal within its `count` equally likely cells."""
    edges = [NormalDist().inv_cdf(k / count) for k in range(1, count)]
    density = np.array([0.0, *(NormalDist().pdf(edge) for edge in edges), 0.0])
    return np.asarray(count * (density[:-1] - density[1:]))


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1, 0.5])
def test_cvar_of_a_normal_profit_is_exact_where_the_cells_end_at_the_level(level: float) -> None:
    tail = NormalDist().pdf(NormalDist().inv_cdf(level)) / level
    assert risk_eur(RiskMeasure.CVAR, level, 100.0 + 30.0 * normal_cells(100)) == pytest.approx(100.0 - 30.0 * tail)


@pytest.mark.parametrize("level", [-1.0, -0.5, 0.0, 0.5])
def test_wang_moves_a_normal_profit_by_level_times_std_so_negative_is_averse(level: float) -> None:
    shifted = risk_eur(RiskMeasure.WANG, level, 100.0 + 30.0 * normal_cells(20_000))
    assert shifted == pytest.approx(100.0 + 30.0 * level, abs=0.02)


def hermite(mean_eur: float, std_eur: float) -> tuple[np.ndarray, np.ndarray]:
    """A discrete distribution with the exponential moments of the normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(90)
    return mean_eur + std_eur * nodes, weights / weights.sum()


@pytest.mark.parametrize("aversion", [0.0, 1e-12, 0.001, 0.05, 0.2])
def test_entropic_takes_half_the_aversion_times_the_variance_off_a_normal_profit(aversion: float) -> None:
    outcomes, probabilities = hermite(100.0, 30.0)
    worth = risk_eur(RiskMeasure.ENTROPIC, aversion, outcomes, probabilities)
    assert worth == pytest.approx(100.0 - aversion / 2.0 * 900.0, abs=1e-9)


@pytest.mark.parametrize("level", [0.001, 0.1, 0.5, 0.99, 0.999999, 1.0])
def test_evar_of_a_normal_profit_is_the_mean_less_std_times_sqrt_of_minus_two_log_level(level: float) -> None:
    outcomes, probabilities = hermite(100.0, 30.0)
    worth = risk_eur(RiskMeasure.EVAR, level, outcomes, probabilities)
    assert worth == pytest.approx(100.0 - 30.0 * math.sqrt(-2.0 * math.log(level)), abs=1e-7)


@pytest.mark.parametrize(
    ("measure", "level", "worth"),
    [
        (RiskMeasure.VAR, 0.3, 0.3),
        (RiskMeasure.CVAR, 0.3, 0.15),
        (RiskMeasure.POWER, -2.0, 0.25),  # The least of three draws.
        (RiskMeasure.POWER, 2.0, 0.75),  # The largest of three.
        (RiskMeasure.WANG, -1.0, NormalDist().cdf(-1.0 / math.sqrt(2.0))),
        (
            RiskMeasure.CPW,
            0.5,
            math.log(1.0 + math.sqrt(2.0)) / math.sqrt(2.0),
        ),  # 1 less the integral of g; u = sin^2 x.
        (RiskMeasure.ENTROPIC, 2.0, -0.5 * math.log((1.0 - math.exp(-2.0)) / 2.0)),
        (RiskMeasure.MEAN_SEMIDEVIATION, 1.0, 0.5 - math.sqrt(1.0 / 24.0)),
        (RiskMeasure.MEAN_VARIANCE, 3.0, 0.25),  # Variance 1/12.
    ],
)
def test_a_uniform_profit_is_worth_what_integrals_say(measure: RiskMeasure, level: float, worth: float) -> None:
    middles = (np.arange(100_000) + 0.5) / 100_000
    assert risk_eur(measure, level, middles[::-1]) == pytest.approx(worth, abs=2e-5)


@pytest.mark.parametrize(
    ("measure", "level", "worth"),
    [
        (RiskMeasure.VAR, 0.1, -math.log(0.9)),
        (RiskMeasure.CVAR, 0.1, 1.0 + 0.9 * math.log(0.9) / 0.1),
        (RiskMeasure.POWER, -3.0, 0.25),  # The least of four draws of mean 1.
        (RiskMeasure.POWER, 1.0, 1.5),  # The larger of two: 1 + 1/2.
        (RiskMeasure.ENTROPIC, 2.0, math.log(3.0) / 2.0),
        # Tilted by t the mean is 1 / (1 + t) at divergence log(1 + t) - t / (1 + t): t = 1.
        (RiskMeasure.EVAR, math.exp(0.5) / 2.0, 0.5),
    ],
)
def test_an_exponential_profit_is_worth_what_integrals_say(measure: RiskMeasure, level: float, worth: float) -> None:
    middles = (np.arange(200_000) + 0.5) / 200_000
    assert risk_eur(measure, level, -np.log1p(-middles)) == pytest.approx(worth, abs=1e-4)


@pytest.mark.parametrize(("measure", "neutral"), NEUTRAL.items())
def test_at_its_neutral_level_a_measure_is_the_mean(measure: RiskMeasure, neutral: float) -> None:
    assert risk_eur(measure, neutral, TEN) == pytest.approx(30.0, abs=1e-12)
    assert risk_eur(measure, neutral, TWO_EUR, TWO_PROBABILITIES) == pytest.approx(22.0, abs=1e-12)


def test_prospect_weighting_gives_both_tails_more_than_their_share() -> None:
    weights = outcome_weights(RiskMeasure.CPW, 0.61, 100)
    assert weights[0] > 0.04
    assert weights[-1] > 0.04
    assert weights[50] < 0.01


def test_cvar_below_a_fifth_needs_weights_that_a_derivative_clamped_at_5_cannot_give() -> None:
    weights = outcome_weights(RiskMeasure.CVAR, 0.1, 100)
    np.testing.assert_allclose(weights, [0.1] * 10 + [0.0] * 90, atol=1e-15)
    clamped = np.minimum(weights * 100, 5.0) / 100
    assert clamped.sum() == pytest.approx(0.5)
    assert risk_eur(RiskMeasure.CVAR, 0.1, np.arange(100.0)) == pytest.approx(4.5)
    # Where the edge falls inside an outcome, dividing by the sum does not mend it: that makes the first two equal.
    np.testing.assert_allclose(outcome_weights(RiskMeasure.CVAR, 0.06, 25)[:3], [2.0 / 3.0, 1.0 / 3.0, 0.0], atol=1e-15)


@pytest.mark.parametrize(("measure", "level"), [case for case in CASES if case[0] in SPECTRAL])
@pytest.mark.parametrize("count", [1, 2, 7, 51, 1000])
def test_weights_are_not_negative_sum_to_one_and_give_the_measure(
    measure: RiskMeasure, level: float, count: int
) -> None:
    weights = outcome_weights(measure, level, count)
    assert weights.shape == (count,)
    assert weights.min() >= 0.0
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    outcomes = np.random.default_rng(count).normal(0.0, 50.0, count)
    assert np.sort(outcomes) @ weights == pytest.approx(float(risk_eur(measure, level, outcomes)), abs=1e-9)
    cumulative = np.arange(1, count + 1) / count
    np.testing.assert_allclose(distortion_weights(measure, level, cumulative), weights, atol=1e-15)


def test_weights_handed_out_may_be_written_to_without_harm() -> None:
    outcome_weights(RiskMeasure.CVAR, 0.5, 4)[:] = 7.0
    assert outcome_weights(RiskMeasure.CVAR, 0.5, 4).tolist() == [0.5, 0.5, 0.0, 0.0]
    assert not equal_weights(RiskMeasure.CVAR, 0.5, 4).flags.writeable  # What is kept is not handed out.


def test_rounding_of_cumulative_probabilities_changes_nothing() -> None:
    tenths, outcomes = [*[0.1] * 10, 0.0], np.arange(1000.0, 1011.0)
    assert 0.1 + 0.2 > 0.3
    assert risk_eur(RiskMeasure.VAR, 0.1 + 0.2, outcomes[:10]) == 1002.0
    assert risk_eur(RiskMeasure.VAR, 0.1 + 0.2, outcomes, tenths) == 1002.0
    assert np.cumsum(tenths)[-1] < 1.0
    # The weighting is infinitely steep at 1: the 1e-16 that is missing there has a weight of 5e-5.
    steep = risk_eur(RiskMeasure.CPW, 0.3, outcomes, tenths)
    assert steep == pytest.approx(float(risk_eur(RiskMeasure.CPW, 0.3, outcomes[:10])), abs=1e-6)
    assert risk_eur(RiskMeasure.VAR, 1e-13, [-5.0, 1.0, 2.0], [0.0, 0.5, 0.5]) == 1.0


@pytest.mark.parametrize("cut", [0.3, 0.55])
def test_weights_of_unequal_outcomes_are_increments_of_the_distortion(cut: float) -> None:
    rows = distortion_weights(RiskMeasure.POWER, -1.0, [[0.25, 0.5, 1.0], [cut, cut, 1.0]])
    hand = [[0.4375, 0.3125, 0.25], [1.0 - (1.0 - cut) ** 2, 0.0, (1.0 - cut) ** 2]]
    np.testing.assert_allclose(rows, hand, atol=1e-15)


@pytest.mark.parametrize(("measure", "level"), CASES)
def test_an_outcome_of_probability_0_counts_for_nothing(measure: RiskMeasure, level: float) -> None:
    ghosts = risk_eur(measure, level, [1e6, 30.0, -1e6, -10.0, 1e5], [0.0, 0.8, 0.0, 0.2, 0.0])
    assert ghosts == pytest.approx(float(risk_eur(measure, level, TWO_EUR, TWO_PROBABILITIES)), abs=1e-9)


@pytest.mark.parametrize(("measure", "level"), CASES)
def test_probabilities_that_miss_1_as_single_precision_does_are_divided_by_their_total(
    measure: RiskMeasure, level: float
) -> None:
    worth = risk_eur(measure, level, TWO_EUR, np.multiply(TWO_PROBABILITIES, 1.000005))
    assert worth == pytest.approx(float(risk_eur(measure, level, TWO_EUR, TWO_PROBABILITIES)), abs=1e-9)


@pytest.mark.parametrize(("measure", "level"), CASES)
def test_equal_outcomes_are_worth_just_that(measure: RiskMeasure, level: float) -> None:
    assert risk_eur(measure, level, [[7.0, 7.0, 7.0], [-3.0, -3.0, -3.0]]) == pytest.approx([7.0, -3.0], abs=1e-12)
    assert risk_eur(measure, level, [7.0]) == pytest.approx(7.0)


@pytest.mark.parametrize(("measure", "level"), CASES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_row_is_worth_the_same_to_the_last_bit_alone_and_among_others(
    measure: RiskMeasure, level: float, weighted: bool
) -> None:
    rng = np.random.default_rng(3)
    outcomes = rng.standard_t(2, (40, 3, 37)) * rng.uniform(0.1, 100.0, (40, 3, 1))
    probabilities = rng.dirichlet(np.ones(37), (40, 3)) if weighted else None
    preference = RiskPreference(measure, level, 0.7)
    together = preference.score_eur(outcomes, probabilities)
    assert together.shape == (40, 3)
    upset = preference.score_eur(
        np.asfortranarray(outcomes), None if probabilities is None else np.asfortranarray(probabilities)
    )
    np.testing.assert_array_equal(upset, together)
    for at in ((0, 0), (17, 2), (39, 1)):
        alone = preference.score_eur(outcomes[at], None if probabilities is None else probabilities[at])
        assert alone == together[at]
    np.testing.assert_array_equal(
        preference.score_eur(outcomes[5:7], None if probabilities is None else probabilities[5:7]), together[5:7]
    )


@pytest.mark.parametrize(("measure", "level"), CASES)
def test_what_is_no_number_spoils_its_own_row_only(measure: RiskMeasure, level: float) -> None:
    worth = risk_eur(measure, level, [[1.0, math.nan, 2.0], [5.0, 5.0, 5.0]])
    assert math.isnan(worth[0])
    assert worth[1] == pytest.approx(5.0)


def test_one_support_serves_many_distributions() -> None:
    worth = risk_eur(RiskMeasure.CVAR, 0.5, [-1.0, 0.0, 1.0], [[0.25, 0.5, 0.25], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
    assert worth == pytest.approx([-0.5, -1.0, 0.0])


OUTCOMES = st.lists(st.integers(-(10**6), 10**6).map(lambda cents: cents / 100.0), min_size=1, max_size=12)


@examples(200)
@given(data=st.data(), outcomes=OUTCOMES, shift=st.floats(-1e4, 1e4), scale=st.floats(0.01, 100.0))
def test_coherent_measures_shift_scale_and_grow_with_profit_and_like_to_diversify(
    data: st.DataObject, outcomes: list[float], shift: float, scale: float
) -> None:
    measure, level = data.draw(st.sampled_from(COHERENT))
    others = data.draw(st.lists(st.floats(-1e4, 1e4), min_size=len(outcomes), max_size=len(outcomes)))
    first, second = np.array(outcomes), np.array(others)

    def worth(profits: np.ndarray) -> float:
        return float(risk_eur(measure, level, profits))

    slack = 1e-6
    assert worth(first + shift) == pytest.approx(worth(first) + shift, abs=slack)
    assert worth(scale * first) == pytest.approx(scale * worth(first), abs=slack)
    assert worth(first + np.abs(second)) >= worth(first) - slack
    assert worth(first + second) >= worth(first) + worth(second) - slack
    assert first.min() - slack <= worth(first) <= first.mean() + slack


@examples(100)
@given(
    case=st.sampled_from(CASES),
    outcomes=OUTCOMES,
    shift=st.floats(-1e4, 1e4),
    gain=st.lists(st.floats(0.0, 1e3), min_size=12, max_size=12),
)
def test_every_measure_follows_a_shift_and_all_but_mean_variance_grow_with_profit(
    case: tuple[RiskMeasure, float], outcomes: list[float], shift: float, gain: list[float]
) -> None:
    worth = float(risk_eur(*case, outcomes))
    # A variance of 1e8 is known to 1e-8 only.
    assert risk_eur(*case, np.add(outcomes, shift)) == pytest.approx(worth + shift, abs=1e-5)
    if case[0] is not RiskMeasure.MEAN_VARIANCE:
        assert risk_eur(*case, np.add(outcomes, gain[: len(outcomes)])) >= worth - 1e-6


def test_where_a_measure_is_not_coherent_there_is_a_case_that_shows_it() -> None:
    # Two bets that each lose 100 in one of twenty cases: the worst tenth of either ends at 0, of both together at -100.
    first, second = np.zeros(20), np.zeros(20)
    first[0], second[1] = -100.0, -100.0
    assert risk_eur(RiskMeasure.VAR, 0.1, first) == risk_eur(RiskMeasure.VAR, 0.1, second) == 0.0
    assert risk_eur(RiskMeasure.VAR, 0.1, first + second) == -100.0
    # More profit in the better case only, and yet worth less.
    assert risk_eur(RiskMeasure.MEAN_VARIANCE, 0.1, [0.0, 100.0]) < risk_eur(RiskMeasure.MEAN_VARIANCE, 0.1, [0.0, 0.0])
    assert risk_eur(RiskMeasure.ENTROPIC, 0.1, [0.0, 20.0]) < 2.0 * risk_eur(RiskMeasure.ENTROPIC, 0.1, [0.0, 10.0])


@pytest.mark.parametrize("measure", [RiskMeasure.WANG, RiskMeasure.POWER])
def test_a_positive_level_of_wang_and_power_seeks_risk(measure: RiskMeasure) -> None:
    averse, neutral, seeking = (float(risk_eur(measure, level, TEN)) for level in (-0.5, 0.0, 0.5))
    assert averse < neutral - 1.0 < neutral + 1.0 < seeking


def tilted(outcomes: np.ndarray, probabilities: np.ndarray, radius: float) -> float:
    """The least mean by the primal: bisect the exponential tilt until its divergence is the radius."""
    low, high = 0.0, 1e4 / np.ptp(outcomes)
    for _ in range(200):
        tilt = (low + high) / 2.0
        mass = probabilities * np.exp(-tilt * (outcomes - outcomes.min()))
        mass /= mass.sum()
        divergence = float(np.sum(mass * np.log(np.maximum(mass, 1e-300) / probabilities)))
        low, high = (tilt, high) if divergence < radius else (low, tilt)
    return float(mass @ outcomes)


def dual(outcomes: np.ndarray, probabilities: np.ndarray, level: float) -> float:
    """EVaR by its definition, over a fine grid of b."""
    b = np.geomspace(1e-3, 1e6, 60_001)[:, None] * np.ptp(outcomes)
    worst = outcomes.min()
    log_mean = np.log(np.sum(probabilities * np.exp(-(outcomes - worst) / b), axis=1))
    return float(worst + np.max(b[:, 0] * (math.log(level) - log_mean)))


@pytest.mark.parametrize("radius", [0.001, 0.1, 0.5, 1.0, 2.0])
def test_the_kl_robust_mean_is_evar_at_exp_of_minus_the_radius(radius: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(3):
        outcomes, probabilities = 50.0 * rng.standard_t(3, 30), rng.dirichlet(np.ones(30))
        probabilities[np.argmin(outcomes)] = 0.01
        probabilities /= probabilities.sum()
        primal = tilted(outcomes, probabilities, radius)
        assert dual(outcomes, probabilities, math.exp(-radius)) == pytest.approx(primal, abs=1e-4)
        assert kl_robust_eur(outcomes, radius, probabilities) == pytest.approx(primal, abs=1e-7)
        evar = risk_eur(RiskMeasure.EVAR, math.exp(-radius), outcomes, probabilities)
        assert evar == pytest.approx(primal, abs=1e-7)


def test_the_kl_robust_mean_of_two_outcomes_is_what_hand_arithmetic_says() -> None:
    radius = 0.6 * math.log(3.0) - 0.4 * math.log(2.0)
    assert kl_robust_eur(TWO_EUR, radius, TWO_PROBABILITIES) == pytest.approx(6.0, abs=1e-9)
    assert kl_robust_eur(TWO_EUR, 0.0, TWO_PROBABILITIES) == pytest.approx(22.0)
    assert kl_robust_eur(TWO_EUR, math.log(5.0), TWO_PROBABILITIES) == -10.0  # All mass on the worst lies at log 5.
    assert kl_robust_eur([[5.0, 5.0], [0.0, 1e300]], 800.0).tolist() == [5.0, 0.0]


@pytest.mark.parametrize(
    "outcomes",
    [
        [-1e6, 0.0, 1e-9, 1.0, 2.0, 3.0, 4.0, 5.0],
        [0.0, 1e-12, 1.0, 1.0],
        [0.0, 0.0, 0.0, 1e-300],
        [1e300, -1e300, 0.0],
        [1e15, 1e15 + 1.0, 1e15 + 2.0],
        [-5e-324, 0.0, 5e-324],
    ],
)
@pytest.mark.parametrize("level", [1e-300, 0.01, 0.2500001, 0.34, 0.7500001, 0.999, 1.0 - 1e-12, math.nextafter(1, 0)])
def test_evar_of_awkward_outcomes_stays_between_the_worst_and_cvar(outcomes: list[float], level: float) -> None:
    worth, slack = float(risk_eur(RiskMeasure.EVAR, level, outcomes)), 1e-9 * max(np.abs(outcomes))
    assert min(outcomes) - slack <= worth <= float(risk_eur(RiskMeasure.CVAR, level, outcomes)) + slack


def test_mean_tail_is_the_mean_of_cvar_at_each_level() -> None:
    # Of TEN: the worst -50; the mean of the worst two -30; the mean of all 30.
    assert mean_tail_eur(TEN, [0.1, 0.2, 1.0]) == pytest.approx(-50.0 / 3.0)
    assert mean_tail_eur(np.add(TEN, [[0.0], [5.0]]), [0.1, 0.2]) == pytest.approx([-40.0, -35.0])


def test_weight_0_is_the_plain_mean_bit_for_bit_under_every_measure() -> None:
    outcomes = np.random.default_rng(1).normal(0.0, 50.0, (20, 33))
    for measure, level in CASES:
        np.testing.assert_array_equal(RiskPreference(measure, level).score_eur(outcomes), outcomes.mean(axis=-1))
    np.testing.assert_array_equal(RiskPreference().score_eur(outcomes), outcomes.mean(axis=-1))


def test_a_preference_scores_the_mean_plus_its_weight_times_the_measure() -> None:
    assert RiskPreference(RiskMeasure.CVAR, 0.4, 0.5).score_eur(TWO_EUR, TWO_PROBABILITIES) == pytest.approx(27.0)
    assert RiskPreference(RiskMeasure.VAR, 0.1, 3.0).score_eur(TEN) == pytest.approx(30.0 - 150.0)


@pytest.mark.parametrize(("measure", "level"), CASES)
def test_sorted_weights_score_as_the_preference_does_where_the_measure_has_weights(
    measure: RiskMeasure, level: float
) -> None:
    preference = RiskPreference(measure, level, 0.5)
    weights = preference.sorted_weights(10)
    if measure not in SPECTRAL:
        assert weights is None
        return
    assert weights is not None
    assert weights.sum() == pytest.approx(1.5)
    assert np.sort(TEN) @ weights == pytest.approx(float(preference.score_eur(TEN)))


def test_a_risk_neutral_preference_weighs_all_alike_under_every_measure() -> None:
    for measure, level in CASES:
        weights = RiskPreference(measure, level).sorted_weights(4)
        assert weights is not None
        assert weights.tolist() == [0.25] * 4


def test_a_preference_is_read_from_text_and_written_back() -> None:
    assert RiskPreference.parse("cvar:0.1:0.5") == RiskPreference(RiskMeasure.CVAR, 0.1, 0.5)
    for measure, level in CASES:
        preference = RiskPreference(measure, level, 1.0 / 3.0)
        assert RiskPreference.parse(str(preference)) == preference


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("cvar:0.1", ["written measure:level:weight"]),
        ("cvar:0:-1", ["level: must be above 0 and at most 1, not 0.0", "weight: must be a finite number, at least 0"]),
        ("es:x:y", ["measure: must be one of var, cvar, wang", "level: must be a number", "weight: must be a number"]),
        ("es:0.1:-1", ["measure: must be one of", "weight: must be a finite number"]),
        ("cvar:nan:inf", ["level: must be above 0", "weight: must be a finite number"]),
    ],
)
def test_a_preference_that_cannot_be_read_is_refused_with_everything_wrong(text: str, faults: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        RiskPreference.parse(text)
    assert len(refused.value.faults) == len(faults)
    assert all(fault in str(refused.value) for fault in faults)


@pytest.mark.parametrize(
    ("measure", "levels"),
    [
        (RiskMeasure.VAR, [0.0, 1.1, -0.1]),
        (RiskMeasure.CVAR, [0.0, 1.1, -0.1]),
        (RiskMeasure.EVAR, [0.0, 1.1, -0.1]),
        (RiskMeasure.WANG, [math.inf]),
        (RiskMeasure.POWER, [-math.inf]),
        (RiskMeasure.CPW, [0.29, 1.01]),
        (RiskMeasure.ENTROPIC, [-0.1, math.inf]),
        (RiskMeasure.MEAN_SEMIDEVIATION, [-0.1, 1.1]),
        (RiskMeasure.MEAN_VARIANCE, [-0.1, math.inf]),
    ],
)
def test_a_level_outside_the_range_of_its_measure_is_refused(measure: RiskMeasure, levels: list[float]) -> None:
    for level in [*levels, math.nan]:
        with pytest.raises(BadInput, match="level: must be"):
            risk_eur(measure, level, TEN)
        with pytest.raises(BadInput, match="level: must be"):
            RiskPreference(measure, level)


def test_the_lowest_level_of_prospect_weighting_is_still_monotone_and_a_lower_one_is_not() -> None:
    shares = np.arange(1.0, 2001.0) / 2000
    assert np.diff(DISTORTIONS[RiskMeasure.CPW](shares, 0.3)).min() >= 0.0
    assert np.diff(DISTORTIONS[RiskMeasure.CPW](shares, 0.25)).min() < 0.0


def test_all_faults_of_a_call_are_named_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        risk_eur(RiskMeasure.CVAR, 0.0, [1.0, 2.0], [0.5, 0.6])
    assert [fault.where for fault in refused.value.faults] == ["level", "probabilities"]
    with pytest.raises(BadInput, match="do not fit outcomes"):
        risk_eur(RiskMeasure.CVAR, 0.5, [1.0, 2.0], [0.5, 0.25, 0.25])
    with pytest.raises(BadInput, match="at least 0 and sum to 1"):
        risk_eur(RiskMeasure.CVAR, 0.5, [1.0, 2.0], [1.5, -0.5])
    with pytest.raises(BadInput, match="outcomes: there are none"):
        risk_eur(RiskMeasure.EVAR, 0.5, np.zeros((3, 0)))
    with pytest.raises(BadInput, match="radius: must be a finite number, at least 0"):
        kl_robust_eur(TEN, -0.1)
    with pytest.raises(BadInput, match="levels: there are none"):
        mean_tail_eur(TEN, [])
    with pytest.raises(BadInput, match="no weighting of sorted outcomes"):
        outcome_weights(RiskMeasure.EVAR, 0.5, 4)
    with pytest.raises(BadInput, match="outcomes: there are none"):
        RiskPreference().sorted_weights(0)
