"""By the minute too, nothing that is published later changes an observation; and planted leaks are caught.

When a record is published is worked out here from the law (its end plus the delay), never read from the market under
test: a series that claims to be known earlier than it is must be caught.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.battery import Battery
from arbitrage.env.single import BelgianImbalanceEnv
from arbitrage.features.encoder import Features, MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.market.point_in_time import (
    ALPHA_COMPONENT,
    CUMULATIVE_IMBALANCE,
    DECREMENTAL,
    INCREMENTAL,
    INDICATIVE,
    PRICE,
)
from arbitrage.market.point_in_time import KnownMarket as Known
from arbitrage.market.series import MarketSeries
from arbitrage.quarter_hour import quarter_hour_starts
from tests.examples import examples
from tests.minute_worlds import GENUINE_START, genuine_market, scramble_later, simulated_market
from tests.worlds import SUMMER_MIDNIGHT

SEEDS = st.integers(0, 2**32 - 1)
DELAYS = pytest.mark.parametrize("delay_min", [0, 1, 2])
BATTERY = Battery(max_cycles_per_day=3.0, wear_cost_eur_mwh=5.0)
EARLY = 3 * 60
"""Minutes at the beginning of an episode among which the moment of knowing is drawn."""

MINUTE_TAPES = (INDICATIVE, CUMULATIVE_IMBALANCE, INCREMENTAL, DECREMENTAL, ALPHA_COMPONENT)

Worlds = dict[str, tuple[Callable[[int], MarketSeries], int, str]]
WORLDS: Worlds = {
    "simulated": (simulated_market, SUMMER_MIDNIGHT, "2024-07-01"),
    "genuine": (genuine_market, GENUINE_START, "2024-09-06"),
}


def observed(
    market: MarketSeries, day: str, features: object, minutes: int, seed: int, step_min: int = 1
) -> list[bytes]:
    """The observations of an episode's first minutes under random actions."""
    setting = {"step_min": step_min, "features": features, "partial_days": True}
    env = BelgianImbalanceEnv(market, BATTERY, **setting)
    first, _ = env.reset(seed=0, options={"day": day, "soc_fraction": 0.5})
    actions = np.random.default_rng(seed).integers(0, 3, minutes // step_min)
    return [first.tobytes(), *(env.step(int(action))[0].tobytes() for action in actions)]


def leaks(
    market: MarketSeries, world: str, features: object, delay_min: int, minute: int, seed: int, only: str | None = None
) -> bool:
    """Whether what is published after `minute`, of all series or of one, has changed an observation up to then."""
    _, start, day = WORLDS[world]
    other = scramble_later(market, start + minute, delay_min, seed, only)
    return observed(market, day, features, minute, seed) != observed(other, day, features, minute, seed)


@DELAYS
@pytest.mark.parametrize("world", sorted(WORLDS))
@pytest.mark.parametrize("features", list(FeatureSet))
@examples(8)
@given(minute=st.integers(0, EARLY), seed=SEEDS)
def test_no_observation_by_the_minute_rests_on_what_is_published_later(
    world: str, features: str, delay_min: int, minute: int, seed: int
) -> None:
    assert not leaks(WORLDS[world][0](delay_min), world, features, delay_min, minute, seed)


@DELAYS
@examples(8)
@given(step=st.integers(0, EARLY // 5), step_min=st.sampled_from([3, 5, 15]), seed=SEEDS)
def test_nor_does_one_of_coarser_steps(delay_min: int, step: int, step_min: int, seed: int) -> None:
    market, minute = simulated_market(delay_min), 5 * step
    other = scramble_later(market, SUMMER_MIDNIGHT + minute, delay_min, seed)
    was, is_now = (observed(of, "2024-07-01", "full", minute, seed, step_min) for of in (market, other))
    assert was == is_now


@DELAYS
@pytest.mark.parametrize("features", ["reference", "full"])
def test_what_is_published_at_a_minute_is_seen_at_that_minute(features: str, delay_min: int) -> None:
    # The other half of the law: scrambling what a minute publishes changes the observation of that very minute.
    market = simulated_market(delay_min)
    for minute in range(2 + delay_min, 36):
        other = scramble_later(market, SUMMER_MIDNIGHT + minute - 1, delay_min, seed=3)
        was, is_now = (observed(of, "2024-07-01", features, minute, seed=0) for of in (market, other))
        assert was[:-1] == is_now[:-1]
        newest = minute - 1 - delay_min
        in_running = newest >= minute - minute % 15
        missing = np.isnan(other.known_series[INDICATIVE].values[24 * 60 + newest])
        if in_running and not missing:
            assert was[-1] != is_now[-1]


@dataclasses.dataclass(frozen=True)
class Peeking(MarketFeatures):
    """Describes the running quarter-hour by the records that will be known a minute later."""

    feature_set: FeatureSet = FeatureSet.FULL

    def encode(self, known: Known) -> Features:
        starts = quarter_hour_starts(known.times)
        encoded = self.encode_quarters(known.as_of(starts, starts))
        later = Known(np.minimum(known.times + 1, starts + 14), known.about, known._series)
        return np.concatenate([encoded.features, self.encode_running(later, encoded)], axis=1)


@dataclasses.dataclass(frozen=True)
class Hindsight(MarketFeatures):
    """Describes a quarter-hour by all that is known of the one before at ANY time that is asked about: too late."""

    feature_set: FeatureSet = FeatureSet.FULL

    def encode(self, known: Known) -> Features:
        latest = np.full(len(known.times), known.times.max())
        starts = quarter_hour_starts(known.times)
        encoded = self.encode_quarters(known.as_of(latest, starts))
        return np.concatenate([encoded.features, self.encode_running(known, encoded)], axis=1)


def known_too_early(market: MarketSeries, *names: str) -> MarketSeries:
    """The market with known_series that claim each of their values a minute before it is published."""
    early = {
        name: dataclasses.replace(market.known_series[name], available_at=market.known_series[name].available_at - 1)
        for name in names
    }
    return dataclasses.replace(market, known_series={**market.known_series, **early})


def caught(market: MarketSeries, world: str, features: object, delay_min: int, only: str | None = None) -> bool:
    """Whether any of some early minutes gives a leak away."""
    return any(leaks(market, world, features, delay_min, minute, minute, only) for minute in range(16, 48))


@DELAYS
@pytest.mark.parametrize("world", sorted(WORLDS))
def test_a_price_by_the_minute_that_is_known_a_minute_too_early_is_caught(world: str, delay_min: int) -> None:
    market = WORLDS[world][0](delay_min)
    planted = known_too_early(market, INDICATIVE)
    for features in ("full", "reference"):
        assert caught(planted, world, features, delay_min)
        assert not caught(market, world, features, delay_min)


@pytest.mark.parametrize("world", sorted(WORLDS))
@pytest.mark.parametrize("name", MINUTE_TAPES)
def test_minutes_that_are_all_known_too_early_are_caught_by_each_quantity_alone(world: str, name: str) -> None:
    planted = known_too_early(WORLDS[world][0](1), *MINUTE_TAPES)
    assert caught(planted, world, "full", 1, only=name)


@pytest.mark.parametrize("delay_min", [1, 2])
@pytest.mark.parametrize("world", sorted(WORLDS))
def test_a_final_price_that_counts_towards_profit_a_minute_too_early_is_caught(world: str, delay_min: int) -> None:
    market = known_too_early(WORLDS[world][0](delay_min), PRICE)
    assert caught(market, world, "full", delay_min)


@pytest.mark.parametrize(
    ("peeking", "delay_min"),
    # Without a delay all of the quarter-hour before is known when this one begins: nothing is left to see too early.
    [(Peeking(), 0), (Peeking(), 1), (Peeking(), 2), (Hindsight(), 1), (Hindsight(), 2)],
    ids=lambda value: value if isinstance(value, int) else type(value).__name__,
)
@pytest.mark.parametrize("world", sorted(WORLDS))
def test_features_that_look_ahead_are_caught(world: str, peeking: MarketFeatures, delay_min: int) -> None:
    assert caught(WORLDS[world][0](delay_min), world, peeking, delay_min)
