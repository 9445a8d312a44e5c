"""The price forecast: arithmetic by hand, what a market of known law teaches, and how paths hang together."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from arbitrage.errors import BadInput
from arbitrage.features.encoder import MarketFeatures
from arbitrage.learners.mpc.forecast_fit import ForecastConfig, fit_price_forecast
from arbitrage.learners.mpc.path_fit import correlation_of, path_fractions
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import Span
from arbitrage.policies.mpc.horizon import LONGEST_DAY, encode_ahead, input_names, look_ahead
from arbitrage.policies.mpc.price_forecast import PriceForecast, fraction_at, lay_paths, quantile_at
from arbitrage.policies.mpc.trees import LEAF, Trees, tree_sums
from tests.worlds import MIDNIGHTS, noisy_market

SMALL = ForecastConfig(
    near_quarter_hours=2, far_quarter_hours=2, fractions=(0.1, 0.5, 0.9), trees=8, leaf_rows=50, plans_for_paths=150
)
FRACTIONS, QUANTILES = np.array([0.1, 0.5, 0.9]), np.array([-40.0, 0.0, 80.0])


@pytest.fixture(scope="module")
def market() -> MarketSeries:
    return noisy_market(1, 14, gaps=20)


@pytest.fixture(scope="module")
def forecast(market: MarketSeries) -> PriceForecast:
    pytest.importorskip("sklearn", reason="fitting needs scikit-learn (extra compare)")
    return fit_price_forecast(market, (Span(0, 10 * 96),), beyond=8, config=SMALL, seed=3)


def test_trees_are_followed_to_their_leaves() -> None:
    # One tree asks whether the second input is at most 1, and then whether the first is at most 0; one is a leaf.
    trees = Trees(
        baseline=np.array([100.0]),
        roots=np.array([0, 5], dtype=np.int32),
        inputs=np.array([1, 0, LEAF, LEAF, LEAF, LEAF], dtype=np.int32),
        thresholds=np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        left=np.array([1, 2, 0, 0, 0, 0], dtype=np.int32),
        right=np.array([4, 3, 0, 0, 0, 0], dtype=np.int32),
        values=np.array([0.0, 0.0, 1.0, 2.0, 4.0, 8.0]),
    )
    rows = np.array([[0.0, 1.0], [0.5, 1.0], [0.0, 1.5]], dtype=np.float32)
    assert tree_sums(trees, rows).tolist() == [109.0, 110.0, 112.0]


@pytest.mark.parametrize(("fraction", "value"), [(0.1, -40.0), (0.3, -20.0), (0.7, 40.0), (0.95, 90.0), (0.05, -45.0)])
def test_between_and_beyond_quantiles_lines_are_straight(fraction: float, value: float) -> None:
    assert quantile_at(FRACTIONS, QUANTILES, fraction) == pytest.approx(value)
    assert fraction_at(FRACTIONS, QUANTILES, value) == pytest.approx(fraction)


def test_paths_keep_the_mean_and_take_the_quantiles_they_are_told() -> None:
    paths = np.array([[0.1, 0.9], [0.9, 0.1]])
    expected = np.array([50.0, 70.0])
    laid = lay_paths(expected, np.stack([QUANTILES, QUANTILES]), FRACTIONS, paths)
    # Departures of -40 and 80 have a mean of 20, which is taken out.
    assert laid.tolist() == [[50.0 - 60.0, 70.0 + 60.0], [50.0 + 60.0, 70.0 - 60.0]]
    assert laid.mean(axis=0) == pytest.approx(expected)


@pytest.mark.parametrize("day", MIDNIGHTS)
def test_a_plan_reaches_to_the_end_of_its_day_and_so_far_beyond(day: str) -> None:
    midnight, length = MIDNIGHTS[day]
    last = midnight + 15 * (length - 1)
    ahead = look_ahead(np.array([midnight, last]), beyond=2)
    assert ahead.today.tolist() == [length, 1]
    assert ahead.about[ahead.plan == 0].tolist() == [midnight + 15 * k for k in range(length + 2)]
    assert ahead.about[ahead.plan == 1].tolist() == [last, last + 15, last + 30]
    assert ahead.lead[ahead.plan == 1].tolist() == [0, 1, 2]


def test_what_is_encoded_of_a_plan_is_named_and_the_same_alone_and_among_others(market: MarketSeries) -> None:
    features, times = MarketFeatures(), market.quarter_hours[5 * 96 + 40 : 5 * 96 + 44]
    together = encode_ahead(features, market.known_at(times), look_ahead(times, 4))
    assert together.inputs.shape[1] == len(input_names(features))
    alone = encode_ahead(features, market.known_at(times[2:3]), look_ahead(times[2:3], 4))
    rows = look_ahead(times, 4).plan == 2
    assert (together.inputs[rows] == alone.inputs).all()
    assert (together.base_eur_mwh[rows] == alone.base_eur_mwh).all()


def test_a_forecast_of_noise_around_a_wave_finds_the_wave_and_the_size_of_the_noise(
    market: MarketSeries, forecast: PriceForecast
) -> None:
    # Prices are a known wave, which day-ahead prices show, and noise of 120 EUR/MWh.
    times = market.quarter_hours[11 * 96 : 13 * 96 : 7]
    ahead = look_ahead(times, 0)
    encoded = encode_ahead(MarketFeatures(), market.known_at(times), ahead)
    wave = 80.0 + 40.0 * np.sin(((ahead.about - market.quarter_hours[0]) // 15) * 2 * np.pi / 48)
    assert np.abs(forecast.expected_eur_mwh(encoded) - wave).mean() < 40.0
    low, middle, high = forecast.departures_eur_mwh(encoded).T
    assert (low <= middle).all()
    assert (middle <= high).all()
    # The tenth and the ninetieth hundredth of a normal distribution lie 1.28 standard deviations out.
    assert np.median(high - low) == pytest.approx(2 * 1.28 * 120.0, rel=0.2)


def test_every_lead_sees_all_levels_evenly(forecast: PriceForecast) -> None:
    assert forecast.paths.shape == (SMALL.paths, LONGEST_DAY + 8)
    levels = (np.arange(SMALL.paths) + 0.5) / SMALL.paths
    assert (np.sort(forecast.paths, axis=0) == levels[:, None]).all()


def test_paths_rise_and_fall_together_as_the_past_did() -> None:
    random = np.random.default_rng(0)
    # Neighbouring leads hang together by 0.9; those of the other half of the day not at all.
    halves = [np.cumsum(random.normal(size=(400, 10)) * 0.3, axis=1) + 2.0 * random.normal(size=(400, 1)) for _ in "ab"]
    scores = np.concatenate(halves, axis=1)
    ranks = (scores.argsort(axis=0).argsort(axis=0) + 0.5) / 400
    ranks[random.random(ranks.shape) < 0.1] = np.nan
    known = correlation_of(ranks)
    assert known[0, 5] > 0.8
    assert abs(known[0, 15]) < 0.2
    drawn = np.corrcoef(path_fractions(ranks, 300, random).T)
    assert drawn[0, 5] > 0.7
    assert abs(drawn[0, 15]) < 0.25


def test_leads_that_no_two_plans_share_are_taken_to_fade_apart() -> None:
    correlation = correlation_of(np.full((40, 3), np.nan))
    assert correlation[0].tolist() == pytest.approx([1.0, np.exp(-0.25), np.exp(-0.5)])


def test_a_fit_says_the_same_again(market: MarketSeries, forecast: PriceForecast) -> None:
    again = fit_price_forecast(market, (Span(0, 10 * 96),), beyond=8, config=SMALL, seed=3)
    assert (again.coefficients == forecast.coefficients).all()
    assert (again.paths == forecast.paths).all()
    assert all((a.values == b.values).all() for a, b in zip(again.quantiles, forecast.quantiles, strict=True))


def test_too_few_training_days_are_refused(market: MarketSeries) -> None:
    pytest.importorskip("sklearn", reason="fitting needs scikit-learn (extra compare)")
    with pytest.raises(BadInput, match="rows to learn prices from"):
        fit_price_forecast(market, (Span(0, 90),), config=SMALL)


def test_settings_without_sense_are_named_all_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        ForecastConfig(near_quarter_hours=0, fractions=(0.5, 0.4), paths=1)
    assert {fault.where for fault in refused.value.faults} == {"near_quarter_hours", "fractions", "paths"}


def test_without_scikit_learn_a_fit_says_what_to_install(market: MarketSeries, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(BadInput, match=r"pip install 'arbitrage\[compare\]'"):
        fit_price_forecast(market, (Span(0, 10 * 96),), config=SMALL)
