"""Recorded days step by step: what a step knows, what it settles at, what follows, and the profit of living them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.arrays import Floats, Singles
from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.metrics import daily_profit_eur
from arbitrage.battery import Battery
from arbitrage.errors import BadInput
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.learners.experience.market_path import MarketPath, lay_market_path, profit_by_span, state_features
from arbitrage.learners.neural.learner import Learner, LearningProblem
from arbitrage.learners.neural.registry import LEARNERS, make_learner
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import SocReset, Span
from arbitrage.training.neural import shares_of
from tests.examples import examples
from tests.minute_worlds import scramble_later, simulated_market
from tests.policies.test_network_policy import opinionated, policy_of, standard_of
from tests.worlds import MIDNIGHTS, batteries, market_of, noisy_market, whole

BY_QUARTER = MarketFeatures()
REFERENCE = MarketFeatures(FeatureSet.REFERENCE)
NAN = float("nan")


def laid(market: MarketSeries, soc_reset: SocReset = SocReset.DAILY, step_min: int = 15) -> MarketPath:
    return lay_market_path(market, whole(market, soc_reset), BY_QUARTER, step_min, soc_reset)


def test_each_quarter_hour_is_laid_out_in_steps_that_share_its_price() -> None:
    path = laid(market_of([10.0, NAN, -30.0]), step_min=5)
    assert path.price_eur_mwh.tolist()[:3] + path.price_eur_mwh.tolist()[6:] == [10.0] * 3 + [-30.0] * 3
    assert np.isnan(path.price_eur_mwh[3:6]).all()
    assert path.minute_fraction.tolist() == pytest.approx([0.0, 1 / 3, 2 / 3] * 3)
    assert path.steps_left.tolist() == [3, 2, 1] * 3
    assert path.last_of_quarter.tolist() == [2, 2, 2, 5, 5, 5, 8, 8, 8]
    assert path.starts_day.tolist() == [True] + [False] * 8
    assert path.ends.tolist() == [False] * 8 + [True]
    assert path.inputs == len(BY_QUARTER.names) + 3


@pytest.mark.parametrize("day", sorted(MIDNIGHTS))
def test_days_of_every_length_begin_at_midnight_and_end_only_where_they_stand_alone(day: str) -> None:
    start, count = MIDNIGHTS[day]
    market = market_of(np.arange(count + 96.0), start)
    alone, carried = laid(market), laid(market, SocReset.NEVER)
    for path in (alone, carried):
        assert np.flatnonzero(path.starts_day).tolist() == [0, count]
    assert np.flatnonzero(alone.ends).tolist() == [count - 1, count + 95]
    assert np.flatnonzero(carried.ends).tolist() == [count + 95]


@pytest.mark.parametrize("step_min", [5, 15])
def test_gaps_teach_nothing_nor_does_the_last_quarter_hour_of_a_span_whose_future_is_unknown(step_min: int) -> None:
    market, steps = market_of([10.0, NAN, 30.0, 40.0]), 15 // step_min
    quarters = [laid(market, reset, step_min).teaching // steps for reset in (SocReset.DAILY, SocReset.NEVER)]
    assert quarters[0].tolist() == [quarter for quarter in (0, 2, 3) for _ in range(steps)]
    assert quarters[1].tolist() == [quarter for quarter in (0, 2) for _ in range(steps)]


def test_what_a_step_sees_is_what_is_known_when_it_begins() -> None:
    market, selection = simulated_market(1), (Span(130, 136),)
    path = lay_market_path(market, selection, REFERENCE, 1, SocReset.DAILY)
    start = int(market.quarter_hours[130])
    for step in (0, 7, 44, 89):
        alone = REFERENCE.encode(market.known_at(start + step))
        assert path.features[step].tobytes() == alone[0].tobytes()
        later = scramble_later(market, start + step, 1, seed=step)
        other = lay_market_path(later, selection, REFERENCE, 1, SocReset.DAILY)
        assert path.features[: step + 1].tobytes() == other.features[: step + 1].tobytes()
        assert (path.features[step + 1 :] != other.features[step + 1 :]).any() == (step < 89)


def test_a_battery_is_seen_as_charge_cycles_and_a_minute_to_be_filled_in() -> None:
    seen = state_features(Battery(capacity_mwh=4.0), np.array([0.0, 1.0, 4.0]), np.array([0.0, 0.5, 2.0]))
    assert seen.tolist() == [[0.0, 0.0, 0.0], [0.25, 0.5, 0.0], [1.0, 2.0, 0.0]]


def following(script: Sequence[float]) -> tuple[list[Singles], object]:
    """An agent that plays a script, the same for all spans, and what it was shown."""
    shown: list[Singles] = []

    def act(observations: Singles) -> Floats:
        shown.append(observations)
        return np.full(len(observations), script[len(shown) - 1])

    return shown, act


def test_the_profit_of_a_day_is_that_of_the_hand() -> None:
    # 1 MW, 2 MWh, 0.9 each way, wear 10 EUR/MWh drawn. Charging a quarter-hour at -10 earns 2.5 and stores 0.225 MWh.
    # The gap holds. Discharging at 100 draws all of it: 0.2025 MWh for 20.25, less 2.25 of wear; then there is nothing.
    market = market_of([-10.0, NAN, 100.0, 500.0])
    shown, act = following([-1.0, -1.0, 1.0, 1.0])
    profit = profit_by_span(laid(market), Battery(wear_cost_eur_mwh=10.0), act)  # type: ignore[arg-type]
    assert profit.tolist() == pytest.approx([2.5 + 20.25 - 2.25])
    assert np.array([row[0, -3:] for row in shown]) == pytest.approx(
        np.array([[0, 0, 0], [0.1125, 0, 0], [0.1125, 0, 0], [0, 0.1125, 0]])
    )


def test_a_quarter_hour_lived_by_the_minute_shows_its_minutes_and_pays_them_all_at_one_price() -> None:
    shown, act = following([-1.0] * 10 + [0.0] * 5)
    profit = profit_by_span(laid(market_of([60.0]), step_min=1), Battery(), act)  # type: ignore[arg-type]
    assert profit.tolist() == pytest.approx([-10.0])
    assert [float(row[0, -1]) for row in shown] == pytest.approx([minute / 15 for minute in range(15)])


def test_shares_are_of_the_power_that_the_connection_allows_in_that_direction() -> None:
    battery = Battery(power_mw=1.0, import_limit_mw=0.4, export_limit_mw=0.2, discharge_efficiency=1.0)
    _, act = following([-0.5, 1.0])
    # 0.2 MW at 10 in, 0.2 MW at 100 out but for what is in store: 0.05 MWh x 0.9.
    profit = profit_by_span(laid(market_of([10.0, 100.0])), battery, act)  # type: ignore[arg-type]
    assert profit.tolist() == pytest.approx([-0.5 + 4.5])


@examples(25)
@given(battery=batteries(), seed=st.integers(0, 2**32 - 1), step_min=st.sampled_from([5, 15]))
def test_days_of_unlike_length_lived_side_by_side_earn_what_the_battery_law_gives_each(
    battery: Battery, seed: int, step_min: int
) -> None:
    start, count = MIDNIGHTS["2024-10-27"]
    random = np.random.default_rng(seed)
    prices = random.normal(50.0, 200.0, count + 96)
    prices[random.random(len(prices)) < 0.1] = NAN
    path = laid(market_of(prices, start), step_min=step_min)
    steps = 15 // step_min
    script = random.uniform(-1.0, 1.0, steps * count)
    _, act = following(script.tolist())
    expected = []
    for day in (prices[:count], prices[count:]):
        state, profit = battery.empty, 0.0
        for step, share in enumerate(script[: steps * len(day)]):
            price, law = day[step // steps], battery.law
            if not np.isnan(price):
                asked = share * (law.discharge_power_mw if share > 0 else law.charge_power_mw)
                flow = battery.step(state, asked, step_min)
                profit += price * flow.power_mw * step_min / 60 - flow.wear_eur
                state = flow.after
        expected.append(profit)
    assert profit_by_span(path, battery, act) == pytest.approx(np.array(expected), abs=1e-9)  # type: ignore[arg-type]


def random_agent(algorithm: str, path: MarketPath, seed: int) -> Learner:
    problem = LearningProblem(
        inputs=path.inputs, actions=3 if LEARNERS[algorithm].discrete else 1, discrete=LEARNERS[algorithm].discrete
    )
    made = {"hidden": (8, 8)}
    learner = make_learner(algorithm, problem, made, seed, standard=standard_of(path), compiled=False)
    return opinionated(learner, path.features)


@pytest.mark.parametrize("algorithm", ["dqn", "quantile-discrete-sac", "sac"])
@pytest.mark.parametrize("cycles", [None, 0.6])
def test_each_day_earns_what_the_backtest_books_for_the_same_agent(algorithm: str, cycles: float | None) -> None:
    market, battery = noisy_market(3, 4, gaps=9), Battery(max_cycles_per_day=cycles, wear_cost_eur_mwh=2.0)
    path, selection = laid(market), whole(market, SocReset.DAILY)
    agent = random_agent(algorithm, path, seed=4)
    served = policy_of(agent, market, battery)
    booked = daily_profit_eur(run_backtest(market, battery, served, selection).ledger).to_numpy()
    near = 1e-6 if LEARNERS[algorithm].discrete else 1e-2
    assert profit_by_span(path, battery, shares_of(agent)) == pytest.approx(booked, abs=near)
    assert len(booked) == 4
    assert np.abs(booked).max() > 1.0


def test_each_day_by_the_minute_earns_what_the_backtest_books_for_the_same_agent() -> None:
    market, battery = simulated_market(1), Battery(max_cycles_per_day=1.1)
    selection = whole(market, SocReset.DAILY)[1:]
    path = lay_market_path(market, selection, REFERENCE, 1, SocReset.DAILY)
    agent = random_agent("quantile-dqn", path, seed=1)
    served = policy_of(agent, market, battery, features=REFERENCE, step_min=1)
    booked = daily_profit_eur(run_backtest(market, battery, served, selection, step_min=1).ledger).to_numpy()
    assert profit_by_span(path, battery, shares_of(agent)) == pytest.approx(booked, abs=1e-6)
    assert np.abs(booked).max() > 1.0


def test_days_that_carry_energy_on_are_refused() -> None:
    market = noisy_market(0, 2)
    with pytest.raises(BadInput, match="each on its own"):
        profit_by_span(laid(market, SocReset.NEVER), Battery(), lambda seen: np.zeros(len(seen)))
