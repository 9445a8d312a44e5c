"""Recency in the closed form: what counts less, and that without it nothing changes, to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from arbitrage.battery import Battery
from arbitrage.features.encoder import LEAST_SCALE_EUR_MWH, TrailingScale
from arbitrage.learners.closed_form.chain_fit import fit_chain, with_innovations
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.fit import TrainingData, fit_closed_form, prepare_training_data, recency_weights
from arbitrage.learners.closed_form.ridge import Ridge
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import SocReset, Span
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.price_chain import gap_shift

CONFIG = ClosedFormConfig(cosines=12, passes=1, network=None, size=LatticeSize(5, 4))


@pytest.fixture(scope="module")
def data() -> TrainingData:
    battery = Battery(max_cycles_per_day=1.1)
    return prepare_training_data(sample_market(), battery, (Span(14 * 96, 28 * 96),), SocReset.NEVER, CONFIG.size)


def test_a_day_that_is_a_half_life_older_counts_half() -> None:
    np.testing.assert_allclose(recency_weights(np.array([90, 95, 100, 100]), 5.0), [0.25, 0.5, 1.0, 1.0])


def test_an_endless_half_life_gives_the_unweighted_fit_to_the_last_bit(data: TrainingData) -> None:
    plain, endless = (
        fit_closed_form(data, replace(CONFIG, half_life_days=days), seed=0).stages[-1] for days in (None, np.inf)
    )
    for name in ("plan_coefficients", "forecast_coefficients", "slow_coefficients", "end_value_fraction"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(endless, name))
    np.testing.assert_array_equal(plain.correction_coefficients, endless.correction_coefficients)
    for one, other in zip(plain.chain, endless.chain, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_fit_follows_the_newest_days_more_with_a_half_life(data: TrainingData) -> None:
    plain, recent = (
        fit_closed_form(data, replace(CONFIG, half_life_days=days), seed=0).stages[-1] for days in (None, 2.0)
    )
    for name in ("plan_coefficients", "forecast_coefficients", "slow_coefficients", "correction_coefficients"):
        assert not np.array_equal(getattr(plain, name), getattr(recent, name)), name
    assert not np.array_equal(plain.end_value_fraction, recent.end_value_fraction)
    assert not np.array_equal(plain.chain.transitions, recent.chain.transitions)


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    random = np.random.default_rng(0)
    rows, targets = (random.normal(size=(60, width)).astype(np.float32) for width in (4, 2))
    folds = np.arange(60) % 3
    twice = np.concatenate([np.arange(60), np.arange(30)])
    weights = np.where(np.arange(60) < 30, 2.0, 1.0).astype(np.float32)
    weighted, _ = Ridge(rows, folds, weights=weights).fit(targets, 5.0)
    doubled, _ = Ridge(rows[twice], folds[twice]).fit(targets[twice], 5.0)
    np.testing.assert_allclose(weighted, doubled, rtol=1e-4, atol=1e-5)


def test_a_move_without_weight_is_not_counted() -> None:
    random = np.random.default_rng(0)
    fast, slow = random.normal(size=(2, 400))
    followed = np.append(np.ones(399, dtype=np.bool_), False)
    weights = (random.random(400) < 0.5).astype(np.float64)
    weighted = fit_chain(fast, slow, followed, weights=weights)
    np.testing.assert_array_equal(weighted.transitions, fit_chain(fast, slow, followed & (weights > 0.0)).transitions)
    assert not np.array_equal(weighted.transitions, fit_chain(fast, slow, followed).transitions)


def test_a_fading_prior_is_all_there_is_at_first_and_nothing_in_the_end() -> None:
    scale = TrailingScale(days=4, prior_eur_mwh=60.0, fading=True)
    np.testing.assert_allclose(scale.of(np.array([0.0, 4 * 96.0]), np.array([0.0, 30.0**2])), [60.0, 30.0])
    assert TrailingScale(days=4).of(np.array([4 * 96.0]), np.array([30.0**2]))[0] > 30.0


def test_a_market_that_stands_still_has_a_scale() -> None:
    assert TrailingScale(days=4, fading=True).of(np.array([4 * 96.0]), np.zeros(1))[0] == LEAST_SCALE_EUR_MWH


def test_the_gap_shifts_as_it_did_with_the_news() -> None:
    random = np.random.default_rng(1)
    fast, slow, surprise = random.normal(size=(3, 900))
    chain = fit_chain(fast, slow, np.append(np.ones(899, dtype=np.bool_), False))
    assert gap_shift(chain) == 0.0, "by the quarter-hour there is no news"
    np.testing.assert_allclose(gap_shift(with_innovations(chain, surprise[:, None], 0.4 * surprise[:, None])), 0.4)
