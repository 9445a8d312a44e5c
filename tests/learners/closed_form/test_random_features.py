"""Random cosine features by hand, and a ridge regression that truly leaves its folds out."""

from __future__ import annotations

import numpy as np
import pytest

from arbitrage.learners.closed_form.ridge import Ridge, draw_random_features
from arbitrage.policies.closed_form.random_features import RandomFeatures

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def singles(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_a_row_becomes_a_constant_the_scaled_inputs_and_the_cosines() -> None:
    # (3 - 1) / 2 = 1; 10, then 3 x 1, then sqrt(20) x the cosine of 1/12 x 1 + 1/12 turns, which is 60 degrees.
    mapped = RandomFeatures(singles(1.0), singles(2.0), singles(1 / 12)[None], singles(1 / 12))
    assert mapped.outputs == 3
    np.testing.assert_allclose(mapped(singles(3.0)[None]), [[10.0, 3.0, np.sqrt(20.0) * 0.5]], atol=2e-5)
    # What lies further out than 4 standard deviations is at 4.
    np.testing.assert_array_equal(mapped(singles(1e6)[None]), mapped(singles(9.0)[None]))
    np.testing.assert_allclose(mapped(singles(-1e6)[None])[0, 1], -12.0, rtol=1e-6)


def test_the_cosine_is_one_at_every_angle() -> None:
    turns = np.linspace(-3.0, 3.0, 997, dtype=np.float32)
    mapped = RandomFeatures(singles(0.0), singles(1.0), np.zeros((1, 997), dtype=np.float32), turns)
    cosines = mapped(singles(0.0)[None])[0, 2:] / np.sqrt(20.0 / 997)
    np.testing.assert_allclose(cosines, np.cos(2.0 * np.pi * turns.astype(np.float64)), atol=1e-5)


@pytest.fixture(scope="module")
def data() -> Arrays:
    """Features, targets of two outputs and folds of 300 rows, the last 20 of which are not used."""
    random = np.random.default_rng(0)
    features = random.normal(size=(300, 7)).astype(np.float32)
    targets = np.stack([features[:, 0] - features[:, 1] ** 2, np.sin(features[:, 2])], axis=1).astype(np.float32)
    folds = np.repeat(np.arange(6), 50) % 3
    folds[280:] = -1
    return features, targets, folds


def regressors(data: Arrays) -> np.ndarray:
    mapped = draw_random_features(data[0], np.ones(7, dtype=np.float32), 20, np.random.default_rng(1))
    return mapped(data[0])


def test_what_a_row_maps_to_does_not_depend_on_the_other_rows(data: Arrays) -> None:
    mapped = draw_random_features(data[0], np.ones(7, dtype=np.float32), 20, np.random.default_rng(1))
    together = mapped(data[0])
    alone = np.concatenate([mapped(row[None]) for row in data[0][:40]])
    np.testing.assert_array_equal(together[:40], alone)
    np.testing.assert_array_equal(mapped(np.asfortranarray(data[0])), together)


def test_the_map_is_drawn_from_the_generator_and_standardises_by_its_rows(data: Arrays) -> None:
    features = data[0].copy()
    features[:, 6] = 5.0
    gains = np.ones(7, dtype=np.float32)
    first, again = (draw_random_features(features, gains, 20, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first.frequencies, again.frequencies)
    np.testing.assert_allclose(first.mean, features.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(first.std[:6], features[:, :6].std(axis=0), rtol=1e-5)
    assert first.std[6] == 1.0  # A feature that never varies is not blown up.
    assert first.frequencies.shape == (7, 20)


def test_an_input_with_a_larger_gain_varies_faster() -> None:
    features = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    mapped = draw_random_features(features, singles(1.0, 3.0), 20_000, np.random.default_rng(1))
    ratio = mapped.frequencies[1].std() / mapped.frequencies[0].std()
    assert ratio == pytest.approx(3.0, rel=0.05)


def test_orthogonal_frequencies_stand_at_right_angles_block_by_block_and_are_as_long_as_independent_ones() -> None:
    features = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    even = np.ones(7, dtype=np.float32)
    mapped = draw_random_features(features, even, 10, np.random.default_rng(1), orthogonal=True)
    assert mapped.frequencies.shape == (7, 10)
    for block in (mapped.frequencies[:, :7], mapped.frequencies[:, 7:]):
        angles = block.T @ block
        np.testing.assert_allclose(angles, np.diag(np.diag(angles)), atol=1e-6)
    # Mean square length: 7 independent normal numbers of spread 1 / sqrt(7), in turns.
    many = draw_random_features(features, even, 7000, np.random.default_rng(1), orthogonal=True).frequencies
    assert (many**2).sum(axis=0).mean() * (2.0 * np.pi) ** 2 == pytest.approx(1.0, rel=0.03)


def normal_equations(rows: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    rows, targets = rows.astype(np.float64), targets.astype(np.float64)
    return np.linalg.solve(rows.T @ rows + penalty * np.eye(rows.shape[1]), rows.T @ targets)


def test_the_coefficients_solve_the_normal_equations_of_the_used_rows(data: Arrays) -> None:
    rows, used = regressors(data), data[2] >= 0
    fit, _ = Ridge(rows, data[2]).fit(data[1], 3.0)
    np.testing.assert_array_equal(Ridge(rows, data[2]).coefficients(data[1], 3.0), fit)
    np.testing.assert_allclose(fit, normal_equations(rows[used], data[1][used], 3.0), atol=2e-4)


def test_a_row_is_predicted_by_the_fit_that_leaves_its_fold_out(data: Arrays) -> None:
    rows, (_, targets, folds) = regressors(data), data
    _, predicted = Ridge(rows, folds).fit(targets, 3.0)
    for fold in range(3):
        others = (folds >= 0) & (folds != fold)
        expected = rows[folds == fold] @ normal_equations(rows[others], targets[others], 3.0)
        np.testing.assert_allclose(predicted[folds == fold], expected, atol=5e-3)
    assert (predicted[folds < 0] == 0.0).all()


def test_rows_that_are_mapped_fold_by_fold_fit_as_those_mapped_at_once(data: Arrays) -> None:
    mapped = draw_random_features(data[0], np.ones(7, dtype=np.float32), 20, np.random.default_rng(1))
    by_fold, at_once = Ridge(data[0], data[2], mapped), Ridge(mapped(data[0]), data[2])
    for first, second in zip(by_fold.fit(data[1], 3.0), at_once.fit(data[1], 3.0), strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_targets_of_a_fold_do_not_reach_its_own_predictions(data: Arrays) -> None:
    rows, (_, targets, folds) = regressors(data), data
    ridge = Ridge(rows, folds)
    _, before = ridge.fit(targets, 3.0)
    altered = targets.copy()
    altered[folds == 1] += 100.0
    altered[folds < 0] -= 100.0
    fit, after = ridge.fit(altered, 3.0)
    np.testing.assert_allclose(after[folds == 1], before[folds == 1], atol=5e-2)
    assert np.abs(after[folds == 0] - before[folds == 0]).min() > 1.0
    used = folds >= 0
    np.testing.assert_allclose(fit, normal_equations(rows[used], altered[used], 3.0), atol=2e-2)
