"""The search for the risk head: whole days as the backtest lives them, the objective, and a method that finds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.metrics import daily_profit_eur
from arbitrage.battery import Battery
from arbitrage.features.encoder import Encoded
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.fit import Fitted, TrainingData, fit_closed_form, prepare_training_data
from arbitrage.learners.closed_form.returns import Returns
from arbitrage.learners.closed_form.risk_rollout import DailyProfits, roll_out
from arbitrage.learners.closed_form.risk_search import (
    RiskSearchConfig,
    cross_entropy,
    fit_risk_aversion,
    fit_risk_head,
    fit_size,
    record,
    whole_day_score,
)
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import SocReset, Span
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.closed_form.risk_head import NAMES, HeadParameters, RiskHead

BATTERY = Battery(max_cycles_per_day=1.1, wear_cost_eur_mwh=5.0)
SIZE = LatticeSize(soc_nodes=5, cycle_nodes=4)
TAUGHT, TESTED = (Span(14 * 96, 28 * 96),), (Span(29 * 96, 36 * 96),)
HEAD = HeadParameters(0.1, 0.05, 0.3, 0.2, 0.3, -0.25, 0.0)


@pytest.fixture(scope="module", params=[0, 20], ids=["published at once", "published late"])
def market(request: pytest.FixtureRequest) -> MarketSeries:
    """The embedded sample, its records published so many minutes late."""
    sample = sample_market()
    known_series = {
        n: dataclasses.replace(t, available_at=t.available_at + request.param) for n, t in sample.known_series.items()
    }
    return dataclasses.replace(sample, known_series=known_series)


def a_lesson(market: MarketSeries, days: tuple[Span, ...]) -> TrainingData:
    return prepare_training_data(market, BATTERY, days, SocReset.NEVER, SIZE)


@pytest.fixture(scope="module")
def fitted(market: MarketSeries) -> Fitted:
    config = ClosedFormConfig(cosines=12, passes=1, network=None, size=SIZE)
    return fit_closed_form(a_lesson(market, TAUGHT), config, seed=0)


def test_days_are_rolled_out_as_a_backtest_of_the_policy_lives_them(market: MarketSeries, fitted: Fitted) -> None:
    # Wear, late prices and a clock change (2025-03-30) included; the table of advantages is single precision.
    assert fitted.returns is not None
    size = fit_size(fitted.returns, 100.0)
    head = RiskHead(size, np.array([HEAD]) / 0.5)
    policy = ClosedFormPolicy(BATTERY, SIZE, fitted.stages[-1:], tuple(sorted(market.known_series)), head=head)
    data = a_lesson(market, TESTED)
    view = policy.bind(market.known_at(market.quarter_hours[data.path.rows]), BATTERY)
    recording = record(market, data, view.node_advantages_eur()[:, None], fitted.stages[-1], size)
    rolled = roll_out(data.lattice, recording, np.array([HeadParameters(), HEAD]))
    for number, turned in enumerate((policy, policy.with_risk_aversion(0.5))):
        ledger = run_backtest(market, BATTERY, turned, TESTED).ledger
        np.testing.assert_allclose(rolled.cash_eur[number], daily_profit_eur(ledger), rtol=1e-6, atol=1e-6)
    assert np.abs(rolled.cash_eur[0] - rolled.cash_eur[1]).max() > 10.0
    # What is in store at midnight is marked, and the marks of all days telescope.
    assert (rolled.marked_eur != rolled.cash_eur).any()
    left = (rolled.marked_eur - rolled.cash_eur).sum(axis=1)
    assert (left >= -1e-9).all()


def test_every_head_is_rolled_out_as_if_it_were_alone(market: MarketSeries, fitted: Fitted) -> None:
    assert fitted.advantages_eur is not None
    assert fitted.returns is not None
    data = a_lesson(market, TAUGHT)
    recording = record(market, data, fitted.advantages_eur, fitted.stages[-1], fit_size(fitted.returns, 100.0))
    heads = np.random.default_rng(0).normal(0.0, 0.2, (19, len(NAMES)))
    together = roll_out(data.lattice, recording, heads)
    for number in (0, 7, 18):
        alone = roll_out(data.lattice, recording, heads[number : number + 1])
        np.testing.assert_array_equal(alone.cash_eur[0], together.cash_eur[number])
        np.testing.assert_array_equal(alone.marked_eur[0], together.marked_eur[number])


def test_the_objective_weighs_the_mean_against_three_tails() -> None:
    # Twenty days of 1 to 20 EUR: mean 10.5; worst twentieth 1, worst tenth 1.5, worst fifth 2.5.
    days = np.arange(1.0, 21.0)[None, :]
    profits = DailyProfits(cash_eur=days, marked_eur=days + 100.0)
    tails = (1.0 + 1.5 + 2.5) / 3.0
    np.testing.assert_allclose(whole_day_score(profits, 0.0, 0.0), [10.5])
    np.testing.assert_allclose(whole_day_score(profits, 0.25, 0.0), [0.75 * 10.5 + 0.25 * tails])
    np.testing.assert_allclose(whole_day_score(profits, 0.25, 0.5), [0.75 * 10.5 + 0.25 * tails + 50.0])


def test_the_search_finds_the_top_of_a_known_hill_and_keeps_off_what_cannot_be() -> None:
    top = np.array([0.1, -0.2, 0.3, 0.0, 0.25, 0.4, 0.0])
    config = RiskSearchConfig(samples=100, elite=15, rounds=25)

    def score(heads: np.ndarray) -> np.ndarray:
        return np.asarray(-np.square(heads - top).sum(axis=1))

    spreads = np.array([0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.0])
    found = cross_entropy(score, np.zeros(7), spreads, config, np.random.default_rng(0))
    reachable = np.where(np.array(NAMES) == "power_change", 0.0, top)
    np.testing.assert_allclose(found, reachable, atol=0.02)
    assert found[6] == 0.0


def test_the_dial_goes_through_what_a_quadratic_can_and_through_nothing_at_zero() -> None:
    points = np.array([0.25, 0.5, 0.75, 0.9, 0.95])
    slope, bend = np.arange(7.0), np.arange(7.0)[::-1]
    found = points[:, None] * slope + points[:, None] ** 2 * bend
    np.testing.assert_allclose(fit_risk_aversion(points, found), [slope, bend], atol=1e-12)


def test_the_size_of_advantages_is_read_off_the_features_that_drive_it() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(2.0, 3.0, (4000, 3)).astype(np.float32)
    size = np.exp(0.5 * (features[:, 1] - 2.0) / 3.0 - 1.0)
    advantage = (size[:, None, None] * rng.choice([-1.0, 1.0], (4000, 2, 5))).astype(np.float32)
    returns = Returns(features, np.zeros((4000, 5), dtype=np.float32), advantage, np.zeros((5, 2), dtype=np.float32))
    fitted = fit_size(returns, 1e-3)
    some = Encoded(features[:50], np.zeros(50), np.full(50, 7.0))
    np.testing.assert_allclose(fitted.size_eur(some), 7.0 * size[:50], rtol=0.02)


def test_a_head_is_found_for_a_fit_and_only_for_one_that_kept_what_it_takes(
    market: MarketSeries, fitted: Fitted
) -> None:
    data, config = a_lesson(market, TAUGHT), RiskSearchConfig(points=(0.5, 0.9), samples=12, elite=4, rounds=2)
    head = fit_risk_head(market, data, fitted, config, seed=0)
    again = fit_risk_head(market, data, fitted, config, seed=0)
    assert head.parameters(0.9) == again.parameters(0.9) != fit_risk_head(market, data, fitted, config, seed=1)
    assert head.parameters(0.9) != HeadParameters()
    assert head.parameters(0.9).early_margin == 0.0
    for bare in (dataclasses.replace(fitted, advantages_eur=None), dataclasses.replace(fitted, returns=None)):
        with pytest.raises(ValueError, match="has not kept"):
            fit_risk_head(market, data, bare, config, seed=0)
