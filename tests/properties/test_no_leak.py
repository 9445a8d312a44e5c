"""Nothing that is not yet available changes a decision or an observation; and a leak is caught by the same means."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Decision, Dispatcher, decide
from arbitrage.env.single import BelgianImbalanceEnv
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.fit import fit_closed_form, prepare_training_data
from arbitrage.learners.closed_form.network_training import NetworkConfig
from arbitrage.market.point_in_time import PRICE, KnownMarket, PointInTimeSeries
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import SocReset, Span, spans
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.closed_form.quantile_critic import QUANTILES
from arbitrage.policies.network_policy import Head, NetworkPolicy, PlainNetwork
from arbitrage.policies.networks import Network
from arbitrage.policies.protocol import Intent, Policy, Untrained
from arbitrage.policies.rules import Idle, SpreadRule, ThresholdRule
from arbitrage.quarter_hour import brussels_midnight
from tests.examples import examples
from tests.worlds import Clueless

BATTERY = Battery(max_cycles_per_day=1.1)
STATES = (BatteryState(0.0), BatteryState(0.9, 0.4), BatteryState(1.3, 1.1), BatteryState(2.0))
SEEDS = st.integers(0, 2**32 - 1)
MOMENTS = st.integers(0, 3 * 24 * 60)
"""Minutes into the three days that are decided, which include the one on which clocks go forward."""


@pytest.fixture(scope="module")
def market() -> MarketSeries:
    """The embedded sample, which is simulated."""
    return sample_market()


@pytest.fixture(scope="module")
def policies(market: MarketSeries) -> dict[str, Policy]:
    """Every rule, and a small learned policy taught on the two weeks before."""
    size = LatticeSize(soc_nodes=5, cycle_nodes=4)
    config = ClosedFormConfig(cosines=12, passes=1, network=NetworkConfig(width=8, steps=60), size=size)
    data = prepare_training_data(market, BATTERY, (Span(14 * 96, 28 * 96),), SocReset.NEVER, size)
    fitted = fit_closed_form(data, config, seed=0)
    learned = ClosedFormPolicy(BATTERY, size, fitted.stages[-1:], tuple(market.known_series), critic=random_critic())
    return {policy.name: policy for policy in (Idle(), ThresholdRule(), SpreadRule(), learned, random_network(market))}


def random_critic() -> Network:
    """A critic that knows nothing, but says something else of every state of the market."""
    random = np.random.default_rng(0)
    inputs, width, outputs = len(MarketFeatures().quarter_names) + 2, 8, 3 * QUANTILES
    shapes = ((inputs, width), width, (width, width), width, (width, outputs), outputs)
    weights = [random.normal(size=shape).astype(np.float32) for shape in shapes]
    return Network(np.zeros(inputs, dtype=np.float32), np.ones(inputs, dtype=np.float32), *weights)


def random_network(market: MarketSeries) -> NetworkPolicy:
    """A network that knows nothing, but decides and says something else of every state of the market."""
    random, inputs = np.random.default_rng(1), len(MarketFeatures().names) + 3
    shapes = ((inputs, 32), (32, 32), (32, 3 * 5))
    weights = tuple(random.normal(size=shape).astype(np.float32) for shape in shapes)
    biases = tuple(np.zeros(shape[1], dtype=np.float32) for shape in shapes)
    scale = np.ones(inputs, dtype=np.float32)
    critic = PlainNetwork(np.zeros(inputs, dtype=np.float32), scale, 4.0, weights, biases)
    seen = {"features": MarketFeatures(), "state_features": FeatureSet.REFERENCE, "step_min": 15}
    return NetworkPolicy(BATTERY, tuple(market.known_series), **seen, critics=(critic,), head=Head.QUANTILE)


def decided_times(market: MarketSeries) -> np.ndarray:
    start = int(market.quarter_hours[29 * 96])
    return np.arange(start, start + 3 * 24 * 60, 15)


def scramble(market: MarketSeries, now: int, seed: int, *, gaps: bool = True) -> MarketSeries:
    """The same market with everything that becomes available after `now` replaced by noise, and by gaps if asked."""
    random = np.random.default_rng(seed)

    def noise(series: PointInTimeSeries) -> PointInTimeSeries:
        values = random.normal(50.0, 300.0, len(series.values))
        values[random.random(len(values)) < (0.2 if gaps else 0.0)] = np.nan
        return dataclasses.replace(series, values=np.where(series.available_at > now, values, series.values))

    known_series = {name: noise(series) for name, series in market.known_series.items()}
    price = known_series[PRICE].values
    return dataclasses.replace(
        market, frame=market.frame.assign(**{PRICE: price}), price_eur_mwh=price, known_series=known_series
    )


Answer = tuple[Decision, bytes]


def answer(dispatcher: Dispatcher, at: int, state: BatteryState) -> Answer:
    """The decision, and what is said of how the day may turn out."""
    outcomes = dispatcher.outcomes_eur(at, state)
    return dispatcher.decide(at, state), b"" if outcomes is None else outcomes.tobytes()


def decisions(policy: Policy, market: MarketSeries, now: int) -> list[Answer]:
    """What is decided up to `now` in several states, all three days being read at once."""
    times = decided_times(market)
    dispatcher = Dispatcher(policy, BATTERY, market, times, 15)
    return [answer(dispatcher, at, state) for at in range(int((times <= now).sum())) for state in STATES]


def leaks(policy: Policy, market: MarketSeries, now: int, seed: int) -> bool:
    """Whether what is published after `now` has changed any decision up to `now`."""
    return decisions(policy, market, now) != decisions(policy, scramble(market, now, seed), now)


@pytest.mark.parametrize("name", ["idle", "threshold", "spread", "learned", "network"])
@examples(12)
@given(minute=MOMENTS, seed=SEEDS)
def test_no_decision_rests_on_what_is_published_later(
    policies: dict[str, Policy], market: MarketSeries, name: str, minute: int, seed: int
) -> None:
    assert not leaks(policies[name], market, int(decided_times(market)[0]) + minute, seed)


@pytest.mark.parametrize("name", ["threshold", "spread", "learned", "network"])
def test_the_policies_that_are_tried_do_move_energy_both_ways(
    policies: dict[str, Policy], market: MarketSeries, name: str
) -> None:
    answers = decisions(policies[name], market, 10**9)
    assert {decision.action for decision, _ in answers} == {"charge", "idle", "discharge"}
    assert len({outcomes for _, outcomes in answers}) == (len(answers) if name in ("learned", "network") else 1)


@dataclasses.dataclass(frozen=True)
class Peeking(Untrained):
    """Reads final prices past what is known: those of the quarter-hours `ahead` of now."""

    ahead: int
    name: str = "peeking"

    def bind(self, known: KnownMarket, battery: Battery) -> Peeked:
        series = known._series[PRICE]
        rows = (known.times - series.first_minute) // 15 + self.ahead
        return Peeked(series.values[rows].tolist())


@dataclasses.dataclass(frozen=True)
class Peeked(Clueless):
    price_eur_mwh: Sequence[float]

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        return Intent(1.0 if self.price_eur_mwh[at] > 100.0 else -1.0, "peeked")


@dataclasses.dataclass(frozen=True)
class Standardising(Untrained):
    """Compares the newest price with the mean over ALL times it is asked about: a leak by batch."""

    name: str = "standardising"

    def bind(self, known: KnownMarket, battery: Battery) -> Peeked:
        newest = known.gather(PRICE, [-15])[:, 0]
        return Peeked((100.0 + newest - np.nanmean(newest)).tolist())


def test_a_planted_leak_is_caught(market: MarketSeries) -> None:
    now = int(decided_times(market)[200]) + 7
    planted: tuple[Policy, ...] = (Peeking(ahead=0), Peeking(ahead=1), Standardising())
    for leaking in planted:
        assert any(leaks(leaking, market, now, seed) for seed in range(5))
    assert not any(leaks(Peeking(ahead=-1), market, now, seed) for seed in range(5))


@pytest.mark.parametrize("name", ["idle", "threshold", "spread", "learned", "network"])
def test_a_time_read_alone_is_decided_to_the_last_bit_as_in_a_batch(
    policies: dict[str, Policy], market: MarketSeries, name: str
) -> None:
    batch = decisions(policies[name], market, 10**9)
    times = decided_times(market)
    for at in range(0, len(times), 23):
        for number, state in enumerate(STATES):
            alone = Dispatcher(policies[name], BATTERY, market, times[at], 15)
            assert answer(alone, 0, state) == batch[at * len(STATES) + number]
            assert decide(policies[name], BATTERY, market, int(times[at]), state) == answer(alone, 0, state)[0]


@examples(6)
@given(minute=MOMENTS, seed=SEEDS)
@pytest.mark.parametrize("name", ["threshold", "learned", "network"])
def test_no_power_asked_for_in_a_backtest_rests_on_what_is_published_later(
    policies: dict[str, Policy], market: MarketSeries, name: str, minute: int, seed: int
) -> None:
    # Where a price is missing the engine holds the battery, which is settlement and not deciding: no gaps here.
    times = decided_times(market)
    chosen = np.isin(market.quarter_hours, times)
    now = int(times[0]) + minute

    def asked(of: MarketSeries) -> list[float]:
        ledger = run_backtest(of, BATTERY, policies[name], spans(of, chosen, SocReset.NEVER)).ledger
        return [float(power) for power in ledger["asked_mw"].to_numpy()[times <= now]]

    assert asked(market) == asked(scramble(market, now, seed, gaps=False))


@examples(8)
@given(minute=st.integers(0, 2 * 23 * 60), seed=SEEDS, step_min=st.sampled_from([5, 15]))
def test_no_observation_of_the_environment_rests_on_what_is_published_later(
    market: MarketSeries, minute: int, seed: int, step_min: int
) -> None:
    day = int(market.day_numbers[29 * 96])
    now = brussels_midnight(day) + minute

    def observed(of: MarketSeries) -> list[bytes]:
        env = BelgianImbalanceEnv(of, BATTERY, step_min=step_min, episode_days=2)
        first, _ = env.reset(seed=0, options={"day": "2025-03-30", "soc_fraction": 0.5})
        actions = np.random.default_rng(seed).integers(0, 3, minute // step_min)
        return [first.tobytes(), *(env.step(int(action))[0].tobytes() for action in actions)]

    assert market.quarter_hours[market.day_numbers == day][0] == brussels_midnight(day)
    assert observed(market) == observed(scramble(market, now, seed, gaps=False))
