"""The networks of the minutes: what they are told, by whom they are judged, and that rows do not know each other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from arbitrage.errors import BadInput
from arbitrage.features.encoder import Encoded, MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.minute_fit import MinuteConfig, MinuteRows, fit_minute_heads
from arbitrage.learners.closed_form.network_training import NetworkConfig
from arbitrage.policies.closed_form.minute_heads import Gaps, MinuteHeads, forecast_minutes, minute_inputs
from arbitrage.policies.networks import Network

FULL = MarketFeatures(FeatureSet.FULL)
COUNT = 40


def network(seed: int, size: float) -> Network:
    random = np.random.default_rng(seed)
    inputs = len(FULL.running_names) + 3 + len(FULL.context) + 1
    shapes = ((inputs, 8), 8, (8, 8), 8, (8, 2), 2)
    weights = [(size * random.normal(size=shape)).astype(np.float32) for shape in shapes]
    return Network(np.zeros(inputs, dtype=np.float32), np.ones(inputs, dtype=np.float32), *weights)


def quarters(seed: int = 0) -> tuple[Encoded, Gaps]:
    random = np.random.default_rng(seed)
    features = random.normal(size=(COUNT, len(FULL.quarter_names))).astype(np.float32)
    encoded = Encoded(features, random.uniform(20.0, 90.0, COUNT), random.uniform(50.0, 150.0, COUNT))
    return encoded, Gaps(random.normal(100.0, 50.0, COUNT), *random.normal(size=(2, COUNT)))


def running(seed: int = 1, count: int = COUNT) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(count, len(FULL.running_names))).astype(np.float32)
    values[:, 0] = np.abs(values[:, 0]) + 0.1
    return values


def test_networks_that_say_nothing_leave_the_anchor() -> None:
    encoded, gaps = quarters()
    records = running()
    records[::2] = 0.0
    made = forecast_minutes(MinuteHeads((network(0, 0.0),)), FULL, encoded, gaps, records, np.full(COUNT, 7))
    expected = records[:, FULL.running_names.index("expected_sides")]
    told = encoded.base_eur_mwh + encoded.scale_eur_mwh * expected
    np.testing.assert_allclose(made.price_eur_mwh, np.where(np.arange(COUNT) % 2, told, gaps.price_eur_mwh), rtol=1e-6)
    assert (made.next_gap == 0.0).all()


def test_the_mean_of_the_networks_is_served() -> None:
    encoded, gaps = quarters()
    minute = np.arange(COUNT) % 15
    one, two, both = (
        forecast_minutes(MinuteHeads(networks), FULL, encoded, gaps, running(), minute)
        for networks in ((network(1, 0.5),), (network(2, 0.5),), (network(1, 0.5), network(2, 0.5)))
    )
    np.testing.assert_allclose(both.next_gap, (one.next_gap + two.next_gap) / 2, rtol=1e-5, atol=1e-6)
    assert np.abs(one.next_gap - two.next_gap).max() > 0.1


def test_a_row_alone_is_forecast_to_the_last_bit_as_among_others() -> None:
    encoded, gaps = quarters()
    heads, minute, records = MinuteHeads((network(3, 0.5), network(4, 0.5))), np.arange(COUNT) % 15, running()
    together = forecast_minutes(heads, FULL, encoded, gaps, records, minute)
    for row in range(0, COUNT, 7):
        at = np.array([row])
        alone = forecast_minutes(heads, FULL, encoded.at(at), gaps.at(at), records[at], minute[at])
        assert alone.price_eur_mwh[0] == together.price_eur_mwh[row]
        assert alone.next_gap[0] == together.next_gap[row]


def test_the_minute_and_the_context_are_among_the_inputs() -> None:
    encoded, gaps = quarters()
    inputs = minute_inputs(FULL, encoded, gaps, running(), np.full(COUNT, 6))
    assert (inputs[:, -1] == np.float32(0.4)).all()
    first = len(FULL.running_names)
    np.testing.assert_array_equal(inputs[:, first + 3 : -1], encoded.features[:, FULL.context])
    np.testing.assert_allclose(inputs[:, first + 1], gaps.fast.astype(np.float32))


def lesson_rows() -> MinuteRows:
    encoded, gaps = quarters()
    records = np.stack([running(seed) for seed in range(15)], axis=1)
    target = 2.0 * records[:, 14, FULL.anchor].astype(np.float64)
    return MinuteRows(FULL, encoded, gaps, records, np.arange(COUNT) % 5, target, 3.0 * gaps.fast)


SMALL = MinuteConfig(network=NetworkConfig(width=8, steps=40, batch=64))


@pytest.mark.parametrize("half", [0, 1])
def test_what_a_row_is_told_does_not_rest_on_its_own_half(half: int) -> None:
    rows = lesson_rows()
    own = rows.folds % 2 == half
    changed = dataclasses.replace(rows, price_target=np.where(own, 50.0, rows.price_target))
    (first, told), (second, told_after) = (fit_minute_heads(each, SMALL, seed=0) for each in (rows, changed))
    assert (told.price_eur_mwh[own] == told_after.price_eur_mwh[own]).all()
    assert (told.price_eur_mwh[~own] != told_after.price_eur_mwh[~own]).any()
    assert (first.networks[half].output_bias != second.networks[half].output_bias).any()
    assert (first.networks[1 - half].output_bias == second.networks[1 - half].output_bias).all()


def test_halves_are_taken_of_the_folds_there_are() -> None:
    rows = lesson_rows()
    even = dataclasses.replace(rows, folds=np.where(np.arange(COUNT) % 2, 4, 0))
    heads, told = fit_minute_heads(even, SMALL, seed=0)
    assert len(heads.networks) == 2
    assert np.isfinite(told.price_eur_mwh).all()
    with pytest.raises(BadInput, match="too few"):
        fit_minute_heads(dataclasses.replace(rows, folds=np.zeros(COUNT, dtype=np.int64)), SMALL, seed=0)


def test_rows_that_are_not_used_teach_nothing_and_are_told_all_the_same() -> None:
    rows = lesson_rows()
    unused = dataclasses.replace(rows, folds=np.where(np.arange(COUNT) < 6, -1, rows.folds))
    absurd = dataclasses.replace(unused, price_target=np.where(np.arange(COUNT) < 6, 1e6, rows.price_target))
    (_, told), (_, told_after) = (fit_minute_heads(each, SMALL, seed=0) for each in (unused, absurd))
    np.testing.assert_array_equal(told.price_eur_mwh, told_after.price_eur_mwh)
    assert told.price_eur_mwh.shape == told.next_gap.shape == (COUNT, 15)
    assert np.isfinite(told.price_eur_mwh).all()
