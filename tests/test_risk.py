"""Risk measures on samples whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbitrage.errors import BadInput
from arbitrage.risk import conditional_value_at_risk_eur, value_at_risk_eur

TEN = [30.0, -50.0, 10.0, 20.0, -10.0, 40.0, 50.0, 60.0, 70.0, 80.0]
"""Sorted: -50, -10, 10, 20, 30, 40, 50, 60, 70, 80; mean 30."""


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


@settings(max_examples=100, deadline=None)
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
