"""Nothing published later moves a rival: not its forecasts, scalers, paths, plans or networks; and planted leaks show.

The ceiling that knows the running quarter-hour leaks exactly that price, and nothing later.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.engine import KNOWN_QUARTER_HOUR
from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Decision, Dispatcher
from arbitrage.errors import BadInput
from arbitrage.experiments.known_quarter_hour import RUNNING_PRICE, KnownQuarterHour, fit_known_quarter_hour, reveal
from arbitrage.features.encoder import Encoded, MarketFeatures
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.mpc.forecast_fit import ForecastConfig, fit_price_forecast
from arbitrage.market.point_in_time import PRICE, KnownMarket
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import DaysOfMonth, SocReset, Span, spans
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.mpc.policy import Form, MpcConfig, MpcPolicy
from arbitrage.policies.mpc.price_forecast import PriceForecast
from arbitrage.policies.protocol import Policy
from tests.examples import examples
from tests.properties.test_no_leak import MOMENTS, SEEDS, decided_times, scramble

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "rivals"))
from library_policies import CONTINUOUS, FEATURES, LibraryPolicy, Scaling

BATTERY = Battery(max_cycles_per_day=1.1)
STATES = (BatteryState(0.0), BatteryState(0.9, 0.4), BatteryState(2.0))
TRAINING = (Span(0, 14 * 96),)
SMALL = ForecastConfig(
    near_quarter_hours=2, far_quarter_hours=1, fractions=(0.1, 0.5, 0.9), trees=3, leaf_rows=100, plans_for_paths=60,
    paths=4,
)  # fmt: skip
LOOKED_AT = 17
"""Every so many decisions are compared."""
NAMES = ["mpc", "mpc-scenarios", "dqn", "sac"]


@pytest.fixture(scope="module")
def market() -> MarketSeries:
    """The embedded sample, which is simulated."""
    return sample_market()


def small_forecast(market: MarketSeries, training: tuple[Span, ...] = TRAINING) -> PriceForecast:
    pytest.importorskip("sklearn", reason="fitting needs scikit-learn (extra compare)")
    return fit_price_forecast(market, training, 8, SMALL)


@pytest.fixture(scope="module")
def forecast(market: MarketSeries) -> PriceForecast:
    return small_forecast(market)


@pytest.fixture(scope="module")
def policies(market: MarketSeries, forecast: PriceForecast) -> dict[str, Policy]:
    rolling = [
        MpcPolicy(BATTERY, tuple(market.known_series), forecast, MpcConfig(form=form, beyond_quarter_hours=8))
        for form in Form
    ]
    networks = [random_library_policy(kind, scaling_of(market)) for kind in ("dqn", "sac")]
    return {policy.name: policy for policy in (*rolling, *networks)}


def scaling_of(market: MarketSeries, last: int = 14 * 96) -> Scaling:
    return Scaling.of(FEATURES.encode(market.known_at(market.quarter_hours[:last])))


def random_library_policy(kind: str, scaling: Scaling) -> LibraryPolicy:
    """A network that knows nothing, but decides something else of every state of the market."""
    random, outputs = np.random.default_rng(4), 1 if kind in CONTINUOUS else 3
    shapes = ((len(FEATURES.names) + 4, 16), (16, outputs))
    layers = tuple(
        (random.normal(size=shape).astype(np.float32) / 4.0, np.zeros(shape[1], dtype=np.float32)) for shape in shapes
    )
    return LibraryPolicy(kind, scaling, layers, kind in CONTINUOUS)


def decisions(policy: Policy, market: MarketSeries, now: int) -> list[Decision]:
    """Some of what is decided up to `now` in several states, all three days being read at once."""
    times = decided_times(market)
    dispatcher = Dispatcher(policy, BATTERY, market, times, 15)
    chosen = range((int((times <= now).sum()) - 1) % LOOKED_AT, int((times <= now).sum()), LOOKED_AT)
    return [dispatcher.decide(at, state) for at in chosen for state in STATES]


@pytest.mark.parametrize("name", NAMES)
@examples(4)
@given(minute=MOMENTS, seed=SEEDS)
def test_no_decision_of_a_rival_rests_on_what_is_published_later(
    policies: dict[str, Policy], market: MarketSeries, name: str, minute: int, seed: int
) -> None:
    now = int(decided_times(market)[0]) + minute
    assert decisions(policies[name], market, now) == decisions(policies[name], scramble(market, now, seed), now)


@pytest.mark.parametrize("name", NAMES)
def test_the_rivals_that_are_tried_do_move_energy_both_ways(
    policies: dict[str, Policy], market: MarketSeries, name: str
) -> None:
    actions = {decision.action for decision in decisions(policies[name], market, 10**9)}
    assert actions >= {"charge", "discharge"}


@pytest.mark.parametrize("name", NAMES)
def test_a_rival_decides_a_time_alone_as_among_others(
    policies: dict[str, Policy], market: MarketSeries, name: str
) -> None:
    times = decided_times(market)
    together = Dispatcher(policies[name], BATTERY, market, times, 15)
    for at in range(3, len(times), 61):
        for state in STATES:
            alone = Dispatcher(policies[name], BATTERY, market, times[at], 15)
            assert alone.decide(0, state) == together.decide(at, state)


def after_training(market: MarketSeries) -> MarketSeries:
    """The market with all that is published after the training days scrambled."""
    return scramble(market, int(market.quarter_hours[TRAINING[-1].last - 1]) + 15, 11)


def same(one: PriceForecast, other: PriceForecast) -> bool:
    arrays = ("mean", "std", "coefficients", "fractions", "paths")
    plain = all((getattr(one, name) == getattr(other, name)).all() for name in arrays)
    trees = zip(one.quantiles, other.quantiles, strict=True)
    return plain and all((a == b).all() for ours, theirs in trees for a, b in zip(ours, theirs, strict=True))


def test_a_forecast_is_fitted_on_training_days_alone(market: MarketSeries, forecast: PriceForecast) -> None:
    scrambled = after_training(market)
    assert same(forecast, small_forecast(scrambled))
    # A planted leak: one day more than there is to learn from.
    leaking = (Span(0, 15 * 96),)
    assert not same(small_forecast(market, leaking), small_forecast(scrambled, leaking))


def test_scalers_are_of_training_days_alone(market: MarketSeries) -> None:
    scrambled, kept = after_training(market), scaling_of(market)
    assert (scaling_of(scrambled).mean == kept.mean).all()
    assert (scaling_of(scrambled).std == kept.std).all()
    # A planted leak, the published rival's: scalers of all days.
    everything = len(market)
    assert (scaling_of(market, everything).mean != scaling_of(scrambled, everything).mean).any()


@dataclass(frozen=True)
class PeekingFeatures(MarketFeatures):
    """A planted leak: the forecast's inputs look at the price of the quarter-hour that they are about."""

    def encode_quarters(self, known: KnownMarket) -> Encoded:
        encoded = MarketFeatures().encode_quarters(known)
        series = known._series[PRICE]
        rows = np.clip((known.about - series.first_minute) // 15, 0, len(series.values) - 1)
        return replace(encoded, base_eur_mwh=np.nan_to_num(series.values[rows]))


@pytest.mark.parametrize("form", list(Form))
def test_a_forecast_that_peeks_is_caught(policies: dict[str, Policy], market: MarketSeries, form: Form) -> None:
    honest = policies[form.value]
    assert isinstance(honest, MpcPolicy)
    leaking, now = replace(honest, features=PeekingFeatures()), int(decided_times(market)[100])
    scrambled = scramble(market, now, 5)
    assert decisions(leaking, market, now) != decisions(leaking, scrambled, now)
    assert decisions(honest, market, now) == decisions(honest, scrambled, now)


@pytest.fixture(scope="module")
def ceiling(market: MarketSeries) -> KnownQuarterHour:
    size = LatticeSize(soc_nodes=5, cycle_nodes=4)
    config = replace(ClosedFormConfig.quick(), cosines=12, plan_cosines=12, size=size)
    return fit_known_quarter_hour(market, BATTERY, (Span(14 * 96, 28 * 96),), SocReset.NEVER, config=config)


@examples(4)
@given(quarter_hour=st.integers(1, 250), seed=SEEDS)
def test_the_ceiling_leaks_the_running_quarter_hour_and_nothing_later(
    ceiling: KnownQuarterHour, market: MarketSeries, quarter_hour: int, seed: int
) -> None:
    now = int(decided_times(market)[quarter_hour])
    day = np.isin(market.quarter_hours, decided_times(market))
    selection = spans(market, day, SocReset.NEVER)

    def asked(known_until: int) -> list[float]:
        # No gaps: in one the engine holds the battery, which is settlement and not deciding.
        of = market if known_until < 0 else scramble(market, known_until, seed, gaps=False)
        ledger = ceiling.backtest(of, BATTERY, selection).ledger
        return [float(power) for power in ledger["asked_mw"].to_numpy()[: quarter_hour + 1]]

    whole = asked(-1)
    # The running quarter-hour's price is published when it ends: what comes after that changes nothing.
    assert asked(now + 15) == whole
    # Without it all decisions before are the same.
    assert asked(now)[:-1] == whole[:-1]


def test_the_ceiling_does_leak_the_running_quarter_hour(ceiling: KnownQuarterHour, market: MarketSeries) -> None:
    day = np.isin(market.quarter_hours, decided_times(market))
    selection = spans(market, day, SocReset.NEVER)
    asked = ceiling.backtest(market, BATTERY, selection).ledger["asked_mw"].to_numpy()
    moved = 0
    for quarter_hour in range(30, 240, 40):
        scrambled = scramble(market, int(decided_times(market)[quarter_hour]), quarter_hour, gaps=False)
        otherwise = ceiling.backtest(scrambled, BATTERY, selection).ledger["asked_mw"].to_numpy()
        moved += asked[quarter_hour] != otherwise[quarter_hour]
    assert moved >= 1


def test_the_ceiling_decides_nowhere_but_in_its_own_backtest(ceiling: KnownQuarterHour, market: MarketSeries) -> None:
    assert not hasattr(ceiling, "read")
    with pytest.raises(BadInput, match=RUNNING_PRICE):
        Dispatcher(ceiling._policy, BATTERY, market, decided_times(market)[:1], 15)


def test_ceilings_in_turn_are_one_life(ceiling: KnownQuarterHour, market: MarketSeries) -> None:
    times = decided_times(market)
    selection = spans(market, np.isin(market.quarter_hours, times), SocReset.NEVER)
    turns = [(int(times[0]), ceiling), (int(times[130]), ceiling)]
    in_turn = KnownQuarterHour.backtest_in_turn(market, BATTERY, selection, turns)
    assert in_turn.ledger.equals(ceiling.backtest(market, BATTERY, selection).ledger)
    assert in_turn.strategy == KNOWN_QUARTER_HOUR


def test_a_revealed_market_tells_one_price_more_and_no_other(market: MarketSeries) -> None:
    row = 500
    known = reveal(market).known_at(market.quarter_hours[row : row + 1])
    told = known.gather(RUNNING_PRICE, [-15, 0, 15])[0]
    assert told[:2].tolist() == market.price_eur_mwh[row - 1 : row + 1].tolist()
    assert np.isnan(told[2])
    assert np.isnan(known.gather(PRICE, [0])[0, 0])


@pytest.mark.parametrize("kind", ["dqn", "sac"])
def test_a_library_agent_lives_through_training_days_alone(market: MarketSeries, kind: str) -> None:
    pytest.importorskip("stable_baselines3", reason="agents of libraries need the extra compare")
    from library_rivals import Contest

    def lived(of: MarketSeries) -> list[bytes]:
        first, after = int(of.quarter_hours[0]), int(of.quarter_hours[TRAINING[-1].last])
        days = (DaysOfMonth(1, 20), DaysOfMonth(21, 25), first, after)
        contest = Contest(of, BATTERY, *days, SocReset.NEVER)
        env = contest.make_env(3, contest.scaling(), continuous=kind in CONTINUOUS)
        seen, random = [env.reset()[0].tobytes()], np.random.default_rng(0)
        for _ in range(120):
            action = random.uniform(-1.0, 1.0, 1) if kind in CONTINUOUS else int(random.integers(0, 3))
            observed, reward, terminated, truncated, _ = env.step(action)
            seen += [observed.tobytes(), str(reward).encode()]
            if terminated or truncated:
                seen.append(env.reset()[0].tobytes())
        return seen

    assert lived(market) == lived(after_training(market))
