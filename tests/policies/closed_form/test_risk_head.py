"""The risk head: what each of its numbers does, what it may know, and that at zero it is not there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Decision, Dispatcher
from arbitrage.errors import BadInput
from arbitrage.features.encoder import MarketFeatures
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.fit import fit_closed_form, prepare_training_data
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import SocReset, Span
from arbitrage.policies.checkpoint.closed_form import save_policy
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.checkpoint.risk_setting import SETTING_FILE, write_setting
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.closed_form.risk_head import (
    MOST_RISK_AVERSE,
    AdvantageSize,
    HeadParameters,
    RiskHead,
    adjusted_advantages,
    power_fraction,
    read_context,
    surplus_of,
    usual_spreads_eur_mwh,
)
from arbitrage.quarter_hour import epoch_minute
from arbitrage.risk import RiskMeasure, RiskPreference
from tests.examples import examples
from tests.properties.test_no_leak import random_critic, scramble
from tests.worlds import SUMMER_MIDNIGHT, market_of

BATTERY = Battery(max_cycles_per_day=1.1)
SIZE = LatticeSize(soc_nodes=5, cycle_nodes=4)
STATES = (BatteryState(0.0), BatteryState(0.9, 0.4), BatteryState(2.0))
PROFITS = (-50.0, 0.0, 400.0)
NOTHING = HeadParameters()
CONTEXT = (10.0, 200.0, 0.5, 0.2)
"""Size in EUR, usual in EUR, evening, share of the quarter-hour to come."""


def adjusted(soc_fraction: float = 0.5, profit: float = 200.0, context: tuple[float, ...] = CONTEXT, **numbers: float):
    """What becomes of advantages 30 and 20 EUR."""
    return adjusted_advantages(NOTHING._replace(**numbers), context, profit, soc_fraction, (30.0, 20.0))


def a_head(*numbers: float) -> RiskHead:
    """The same numbers, times the dial."""
    names = MarketFeatures().quarter_names
    zero, one = np.zeros(len(names), dtype=np.float32), np.ones(len(names), dtype=np.float32)
    dial = np.array([HeadParameters(*numbers)], dtype=np.float64)
    coefficients = np.append(np.float32(-1.0), np.full(len(names), 0.01)).astype(np.float32)
    return RiskHead(AdvantageSize(zero, one, coefficients), dial)


def test_each_number_does_what_its_name_says() -> None:
    # Size 10 EUR: a number of 0.3 is worth 3 EUR times what it is multiplied with.
    assert adjusted() == (30.0, 20.0)
    assert adjusted(charge_margin=0.3) == pytest.approx((27.0, 20.0))
    assert adjusted(discharge_margin=0.3) == pytest.approx((30.0, 17.0))
    # 300 of the usual 200 is a surplus of one half; nothing made is one of -1.
    assert adjusted(profit=300.0, profit_response=0.4) == pytest.approx((28.0, 18.0))
    assert adjusted(profit=0.0, profit_response=0.4) == pytest.approx((34.0, 24.0))
    # Three quarters full is a quarter above the middle: charge less, discharge more.
    assert adjusted(0.75, soc_pull=0.4) == pytest.approx((29.0, 21.0))
    # Halfway through the evening: a full battery wants out.
    assert adjusted(1.0, night_pull=0.4) == pytest.approx((27.0, 22.0))
    assert adjusted(0.0, night_pull=0.4) == pytest.approx((29.0, 20.0))
    assert adjusted(early_margin=0.5) == pytest.approx((29.0, 19.0))


def test_power_is_cut_to_a_share_of_what_is_rated_and_never_raised() -> None:
    assert [power_fraction(NOTHING._replace(power_change=r)) for r in (0.0, -0.3, 0.4, -2.0)] == [1.0, 0.7, 1.0, 0.05]


def test_surplus_is_bounded_and_nothing_where_no_usual_day_is_known() -> None:
    assert [surplus_of(p, 100.0) for p in (100.0, 150.0, 0.0, 1000.0, -1000.0)] == [0.0, 0.5, -1.0, 1.5, -1.5]
    assert surplus_of(500.0, 0.0) == 0.0


def test_the_usual_spread_is_the_mean_over_the_days_before_as_known_at_midnight() -> None:
    # Day 1 runs from 0 to 40, day 2 from -10 to 100; day 3 is not over at its own midnight.
    prices = np.concatenate([np.linspace(0.0, 40.0, 96), np.linspace(-10.0, 100.0, 96), np.full(96, 999.0)])
    market = market_of(prices)
    midnights = SUMMER_MIDNIGHT + 24 * 60 * np.arange(3)
    known = market.known_at(midnights)
    np.testing.assert_allclose(usual_spreads_eur_mwh(known, midnights), [0.0, 40.0, (40.0 + 110.0) / 2.0])
    late = dataclasses.replace(market.known_series["imbalance_price_eur_mwh"])
    unpublished = dataclasses.replace(late, available_at=late.available_at + 15)
    told = dataclasses.replace(market, known_series={"imbalance_price_eur_mwh": unpublished}).known_at(midnights)
    # Published a quarter-hour late, the day's last price, its highest, is not known at midnight.
    assert usual_spreads_eur_mwh(told, midnights)[1] == pytest.approx(40.0 * 94.0 / 95.0)


def test_the_evening_rises_from_seven_to_midnight_brussels_time_also_when_clocks_change() -> None:
    market = sample_market()
    for day in ("2025-03-29T{}+01:00", "2025-03-30T{}+02:00"):
        times = np.array([epoch_minute(day.format(clock)) for clock in ("18:45", "19:00", "21:30", "23:45")])
        context = read_context(market.known_at(times), np.ones(4), 1.0, 15)
        np.testing.assert_allclose(context.evening, [0.0, 0.0, 0.5, 0.95])
        assert (context.to_come == 0.0).all()
    minutes = epoch_minute("2025-03-29T12:00+01:00") + np.arange(15)
    context = read_context(market.known_at(minutes), np.ones(15), 1.0, 1)
    np.testing.assert_allclose(context.to_come, np.arange(14, -1, -1) / 15.0)


def test_the_dial_is_zero_at_zero_and_ends_before_one() -> None:
    head = RiskHead(a_head().size, np.array([np.arange(7.0), np.ones(7)]))
    assert head.parameters(0.0) == NOTHING
    np.testing.assert_allclose(head.parameters(0.5), 0.5 * np.arange(7.0) + 0.25)
    head.parameters(MOST_RISK_AVERSE)
    for off in (-0.01, 0.96, float("nan")):
        with pytest.raises(BadInput, match="must be between 0"):
            head.parameters(off)


@pytest.fixture(scope="module")
def market() -> MarketSeries:
    return sample_market()


@pytest.fixture(scope="module")
def policy(market: MarketSeries) -> ClosedFormPolicy:
    """A small learned policy with a head that minds everything."""
    config = ClosedFormConfig(cosines=12, passes=1, network=None, size=SIZE)
    data = prepare_training_data(market, BATTERY, (Span(14 * 96, 28 * 96),), SocReset.NEVER, SIZE)
    stages = fit_closed_form(data, config, seed=0).stages
    head = a_head(0.1, 0.2, 0.5, 0.4, 0.5, -0.3, 0.1)
    return ClosedFormPolicy(BATTERY, SIZE, stages[-1:], tuple(market.known_series), critic=random_critic(), head=head)


def decided(policy: ClosedFormPolicy, market: MarketSeries, now: int = 10**9) -> list[Decision]:
    start = int(market.quarter_hours[29 * 96])
    times = np.arange(start, start + 24 * 60, 15)
    dispatcher = Dispatcher(policy, BATTERY, market, times, 15)
    cases = [(state, profit) for state in STATES for profit in PROFITS]
    return [dispatcher.decide(at, *case) for at in range(int((times <= now).sum())) for case in cases]


def test_a_dial_at_zero_and_a_head_of_zeros_are_the_risk_neutral_policy_to_the_last_bit(
    policy: ClosedFormPolicy, market: MarketSeries
) -> None:
    bare = dataclasses.replace(policy, head=None)
    zeros = dataclasses.replace(policy, head=a_head()).with_risk_aversion(0.7)
    weightless = bare.with_risk_preference(RiskPreference(RiskMeasure.CVAR, 0.1, 0.0))
    expected = decided(bare, market)
    for same in (policy.with_risk_aversion(0.0), zeros, weightless):
        assert decided(same, market) == expected
    turned = decided(policy.with_risk_aversion(0.7), market)
    assert turned != expected
    assert {decision.intent.reason for decision in turned} >= {"risk_aversion_idles", "idling_is_best"}


def test_the_head_minds_the_days_profit_and_the_neutral_policy_does_not(
    policy: ClosedFormPolicy, market: MarketSeries
) -> None:
    def powers(of: ClosedFormPolicy) -> np.ndarray:
        return np.array([decision.power_mw for decision in decided(of, market)]).reshape(-1, len(STATES), len(PROFITS))

    neutral, averse = powers(policy), powers(policy.with_risk_aversion(0.9))
    assert (neutral == neutral[:, :, :1]).all()
    # A positive response: the more has been made, the less is done.
    moved = (averse != 0.0).sum(axis=(0, 1))
    assert moved[0] > moved[2]
    # Risk aversion of 0.9 times -0.3 leaves 73 % of the power.
    assert np.abs(averse).max() == pytest.approx(0.73)


def test_a_preference_adds_its_weight_times_the_measure_of_what_may_come(
    policy: ClosedFormPolicy, market: MarketSeries
) -> None:
    time = int(market.quarter_hours[30 * 96])
    view = policy.bind(market.known_at(time), BATTERY)
    state = BatteryState(0.9, 0.4)
    outcomes, neutral = view.outcomes_eur(0, state), view.intent(0, state)
    assert outcomes is not None
    worst = outcomes[:, 0]
    # So heavy a weight leaves nothing of the advantages: the least quantile of each action chooses.
    heavy = policy.with_risk_preference(RiskPreference(RiskMeasure.VAR, 1.0 / 32.0, 1e9))
    asked = heavy.bind(market.known_at(time), BATTERY).intent(0, state)
    assert np.sign(asked.power_mw) == int(np.argmax(worst)) - 1
    assert (asked.charge_advantage_eur, asked.discharge_advantage_eur) == (
        neutral.charge_advantage_eur,
        neutral.discharge_advantage_eur,
    )


@examples(8)
@given(minute=st.integers(0, 24 * 60), seed=st.integers(0, 2**32 - 1))
def test_no_turned_decision_rests_on_what_is_published_later(
    policy: ClosedFormPolicy, market: MarketSeries, minute: int, seed: int
) -> None:
    averse = policy.with_risk_aversion(0.9)
    now = int(market.quarter_hours[29 * 96]) + minute
    assert decided(averse, market, now) == decided(averse, scramble(market, now, seed), now)


@pytest.mark.parametrize("late_min", [0, 7, 25])
def test_a_backtest_tells_the_head_what_is_published_and_nothing_more(
    policy: ClosedFormPolicy, market: MarketSeries, late_min: int
) -> None:
    known_series = {
        n: dataclasses.replace(t, available_at=t.available_at + late_min) for n, t in market.known_series.items()
    }
    late = dataclasses.replace(market, known_series=known_series)
    selection = (Span(29 * 96, 30 * 96),)
    averse = policy.with_risk_aversion(0.9)

    def asked(of: MarketSeries, count: int) -> list[float]:
        return run_backtest(of, BATTERY, averse, selection).ledger["asked_mw"].to_numpy()[:count].tolist()

    for step in (40, 70, 90):
        now = int(late.quarter_hours[29 * 96 + step])
        assert asked(late, step + 1) == asked(scramble(late, now, step, gaps=False), step + 1)


def test_head_and_setting_come_back_from_their_files_and_policies_without_them_still_load(
    policy: ClosedFormPolicy, market: MarketSeries, tmp_path: Path
) -> None:
    about = {"publication_delay_min": 0, "seed": 0, "split": {}, "minute_source": None}
    save_policy(tmp_path / "with", policy, about)
    save_policy(tmp_path / "without", dataclasses.replace(policy, head=None), about)
    loaded = load_policy(tmp_path / "with")
    assert isinstance(loaded, ClosedFormPolicy)
    assert decided(loaded.with_risk_aversion(0.8), market) == decided(policy.with_risk_aversion(0.8), market)
    bare = load_policy(tmp_path / "without")
    assert isinstance(bare, ClosedFormPolicy)
    assert bare.head is None
    with pytest.raises(BadInput, match="no risk head"):
        bare.with_risk_aversion(0.5)
    preference = RiskPreference(RiskMeasure.CVAR, 0.1, 0.5)
    write_setting(tmp_path / "with", policy.with_risk_aversion(0.8).with_risk_preference(preference))
    setting = load_policy(tmp_path / "with")
    assert isinstance(setting, ClosedFormPolicy)
    assert (setting.risk_aversion, setting.preference) == (0.8, preference)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a risk setting"),
        ('{"risk_aversion": 0.5}', "is not a risk setting"),
        ('{"risk_aversion": "a", "risk_preference": 3}', "risk_preference is not text"),
        ('{"risk_aversion": 0.99, "risk_preference": null}', "must be between 0"),
        ('{"risk_aversion": 0, "risk_preference": "cvar"}', "measure:level:weight"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(
    policy: ClosedFormPolicy, tmp_path: Path, text: str, message: str
) -> None:
    save_policy(tmp_path, policy, {"publication_delay_min": 0, "seed": 0, "split": {}, "minute_source": None})
    (tmp_path / SETTING_FILE).write_text(text)
    with pytest.raises(BadInput, match=message):
        load_policy(tmp_path)
