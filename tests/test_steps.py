"""Minutes between decisions: what does not divide the quarter-hour is refused wherever a step is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from arbitrage.backtest.engine import run_backtest, selection_coverage
from arbitrage.backtest.impact.price_maker import run_price_maker
from arbitrage.battery import Battery
from arbitrage.dispatch import Dispatcher, decide
from arbitrage.env.batched import BatchedImbalanceEnv
from arbitrage.env.episode import EpisodeConfig
from arbitrage.env.single import BelgianImbalanceEnv
from arbitrage.errors import BadInput
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.learners.experience.market_path import lay_market_path
from arbitrage.live.decider import LiveDecider
from arbitrage.live.simulation import Simulation
from arbitrage.market.splits import SocReset
from arbitrage.policies.closed_form.lattice import LatticeSize, make_lattice
from arbitrage.policies.minute_rule import MinuteSpreadRule, tune_by_minute
from arbitrage.policies.network_policy import NetworkPolicy
from arbitrage.policies.rules import ThresholdRule
from tests.impact_worlds import FEBRUARY, by_hand
from tests.worlds import Scripted, noisy_market, scripted, whole

MARKET, BATTERY = noisy_market(seed=1, days=1), Battery()
WHOLE = whole(MARKET)


def policy_of(step_min: Any) -> Scripted:
    """A policy that says that it decides so often."""

    class Own(Scripted):
        """Whose step is another one."""

    Own.step_min = step_min
    return Own({}, "own")


def network_of(step_min: Any) -> NetworkPolicy:
    return NetworkPolicy(BATTERY, (), MarketFeatures(), FeatureSet.REFERENCE, step_min)


Entry = Callable[[Any], object]
ENTRIES: dict[str, Entry] = {
    "backtest": lambda step: run_backtest(MARKET, BATTERY, ThresholdRule(), WHOLE, step_min=step),
    "coverage": lambda step: selection_coverage(MARKET, (), WHOLE, step),
    "decision": lambda step: decide(
        ThresholdRule(), BATTERY, MARKET, int(MARKET.quarter_hours[0]), BATTERY.empty, step
    ),
    "lattice": lambda step: make_lattice(BATTERY, step, LatticeSize()),
    "tuning": lambda step: tune_by_minute(MinuteSpreadRule(), MARKET, BATTERY, WHOLE, "", step_min=step),
    "learners": lambda step: lay_market_path(MARKET, WHOLE, MarketFeatures(), step, SocReset.DAILY),
    "environment": lambda step: BelgianImbalanceEnv(MARKET, step_min=step),
    "twin": lambda step: BatchedImbalanceEnv(2, MARKET, step_min=step),
    "episodes": lambda step: EpisodeConfig(step_min=step),
    "price maker": lambda step: run_price_maker(by_hand(FEBRUARY), BATTERY, ThresholdRule(), FEBRUARY, step_min=step),
    "network": network_of,
    "live": lambda step: LiveDecider(policy_of(step), BATTERY, None),
    "simulation": lambda step: Simulation(None, (None,), step),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("step_min", [0, -15, 7, 10, 30, 7.5, 15.0, True, "15", None])
def test_a_step_that_does_not_divide_the_quarter_hour_is_refused_wherever_it_is_given(
    entry: str, step_min: object
) -> None:
    with pytest.raises(BadInput, match=r"(step|duration)_min: must be one of 1, 3, 5, 15 minutes, not"):
        ENTRIES[entry](step_min)


@pytest.mark.parametrize("step_min", [1, 3, 5, 15, np.int64(5)])
def test_a_step_that_divides_it_makes_the_same_money_of_a_constant_power(step_min: int) -> None:
    policy = Scripted(dict.fromkeys(range(int(MARKET.quarter_hours[0]), int(MARKET.quarter_hours[-1]) + 15), -0.1))
    done = run_backtest(MARKET, BATTERY, policy, WHOLE, step_min=step_min)
    whole_quarters = run_backtest(MARKET, BATTERY, policy, WHOLE)
    assert done.ledger["profit_eur"].sum() == pytest.approx(whole_quarters.ledger["profit_eur"].sum(), rel=1e-12)
    assert done.violations.empty


@pytest.mark.parametrize(
    ("minute", "duration_min"), [(0, 16), (0, 30), (5, 15), (14, 2), (0, 0), (0, -1), (0, 7.5), (0, True), (0, None)]
)
def test_no_interval_reaches_beyond_the_quarter_hour_in_which_it_begins(minute: int, duration_min: Any) -> None:
    with pytest.raises(BadInput, match="duration_min: must be whole minutes up to the quarter-hour's end"):
        Dispatcher(ThresholdRule(), BATTERY, MARKET, MARKET.quarter_hours[0] + minute, duration_min)


@pytest.mark.parametrize(("minute", "duration_min"), [(0, 15), (4, 11), (14, 1), (0, 7), (5, np.int64(5))])
def test_what_is_left_of_an_interval_may_be_any_number_of_minutes(minute: int, duration_min: int) -> None:
    Dispatcher(ThresholdRule(), BATTERY, MARKET, MARKET.quarter_hours[0] + minute, duration_min)


def test_a_policy_that_asks_for_what_is_not_a_number_does_not_look_idle() -> None:
    policy = scripted(MARKET, [0.5, math.nan] * 48)
    with pytest.raises(BadInput, match="scripted: asked for nan MW, which is not a number"):
        run_backtest(MARKET, BATTERY, policy, WHOLE)
