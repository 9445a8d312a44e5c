"""The exploit, worked by hand: the same energy in another shape, and what it gains."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.impact.price_maker import run_price_maker
from arbitrage.backtest.impact.shaping import shape_gains, shape_in_hindsight, shapes_mw, spread_evenly
from arbitrage.battery import Battery
from arbitrage.policies.minute_rule import MinuteSpreadRule
from tests.examples import examples
from tests.impact_worlds import FEBRUARY, JULY, across_the_rules, by_hand

LOSSLESS = Battery(power_mw=50.0, capacity_mwh=100.0, charge_efficiency=1.0, discharge_efficiency=1.0)
EAGER = MinuteSpreadRule(charge_below_eur_mwh=-10.0, discharge_above_eur_mwh=10.0)


@examples(60)
@given(share=st.floats(-1.0, 1.0), rated_mw=st.sampled_from([1.0, 200.0]))
def test_every_shape_has_the_same_energy_and_keeps_to_the_rating(share: float, rated_mw: float) -> None:
    shapes = shapes_mw(share * rated_mw, rated_mw)
    np.testing.assert_array_equal(shapes[0], np.full(15, share * rated_mw))
    np.testing.assert_allclose(shapes.mean(axis=1), share * rated_mw, atol=1e-9 * rated_mw)
    assert np.abs(shapes).max() <= rated_mw + 1e-9


def test_shapes_have_blocks_of_every_place_and_length_at_idle_and_full_power_either_way() -> None:
    # Mean 0.4: a block may idle for up to 9 minutes, or the rest could not make up for it; charge for up to 4; and run
    # at full power for up to 10, or the rest could not undo it.
    shapes = shapes_mw(0.4, 1.0)
    idling, running, charging = (sum(16 - n for n in range(1, longest + 1)) for longest in (9, 10, 4))
    assert len(shapes) == 1 + idling + running + charging
    assert any(np.allclose(shape, [-1.0, *[0.5] * 14]) for shape in shapes)
    assert any(np.allclose(shape, [*[0.0] * 9, *[1.0] * 6]) for shape in shapes)


def test_what_shape_alone_gains_under_extremes_by_hand() -> None:
    # 100 MW short, 20 MW sold on average, 5 MWh: 80 MW are called, the fourth bid, 200. Idling for a minute calls the
    # same bid. Charging 50 for a minute calls 150: 225 for all 5 MWh.
    gains = shape_gains(by_hand(FEBRUARY), LOSSLESS, 0.4, FEBRUARY)
    np.testing.assert_allclose(gains.one_way_eur, 0.0, atol=1e-9)
    np.testing.assert_allclose(gains.both_ways_eur, 25.0 * 5.0, atol=1e-9)
    # 30 MW sold on average: 70 MW are called, 187.5; idling for a minute calls 100: 200 for 7.5 MWh.
    gains = shape_gains(by_hand(FEBRUARY), LOSSLESS, 0.6, FEBRUARY)
    np.testing.assert_allclose(gains.one_way_eur, 12.5 * 7.5, atol=1e-9)
    np.testing.assert_allclose(gains.both_ways_eur, 37.5 * 7.5, atol=1e-9)


def test_energy_lost_in_conversion_is_bought_back_at_the_day_ahead_price_by_hand() -> None:
    # Charging for one minute takes 0.8333 MWh, of which 0.0833 are lost; discharging 5.8333 in place of 5 loses 0.0926
    # more: 0.1759 stored, for which 0.1955 are bought at 60. Efficiency 0.9 each way.
    battery = Battery(power_mw=50.0, capacity_mwh=100.0)
    gains = shape_gains(by_hand(FEBRUARY), battery, 0.4, FEBRUARY)
    lost_mwh = 50.0 / 60.0 * 0.1 + 50.0 / 60.0 * (1.0 / 0.9 - 1.0)
    np.testing.assert_allclose(gains.both_ways_eur, 125.0 - 60.0 * lost_mwh / 0.9, atol=1e-9)
    worn = Battery(power_mw=50.0, capacity_mwh=100.0, wear_cost_eur_mwh=7.0)
    less = shape_gains(by_hand(FEBRUARY), worn, 0.4, FEBRUARY).both_ways_eur - gains.both_ways_eur
    np.testing.assert_allclose(less, -7.0 * 50.0 / 60.0 / 0.9, atol=1e-9)


def test_averages_give_way_to_shapes_as_well_by_hand() -> None:
    # 20 MW sold on average: 80 MW called at 200 in every minute. Charging for m minutes calls 150 at 225 in them and
    # leaves (300 + 50 m) / (15 - m) to sell in each of the others, which is within the rating up to m = 4.
    def average(minutes: int) -> float:
        rest_mw = 100.0 - (300.0 + 50.0 * minutes) / (15 - minutes)
        bid = 100.0 + 50.0 * (1.0 + 25.0 * np.ceil(rest_mw / 25.0) / 100.0)
        called = minutes * 150.0 + (15 - minutes) * rest_mw
        return round((minutes * 150.0 * 225.0 + (15 - minutes) * rest_mw * bid) / called, 3)

    gains = shape_gains(by_hand(JULY), LOSSLESS, 0.4, JULY)
    best = max(average(minutes) for minutes in range(1, 5))
    assert best > 200.0
    assert gains.both_ways_eur.min() >= (best - 200.0) * 5.0 - 1e-9


@pytest.mark.parametrize("fraction", [0.4, -0.4])
def test_more_freedom_never_gains_less_and_even_power_is_always_open(fraction: float) -> None:
    scenario = across_the_rules(hours=6)
    gains = shape_gains(scenario, Battery(power_mw=100.0, capacity_mwh=200.0), fraction, scenario.start)
    assert (gains.one_way_eur >= 0.0).all()
    assert (gains.both_ways_eur >= gains.one_way_eur).all()
    assert (gains.both_ways_eur > gains.one_way_eur).any()


def test_spreading_evenly_keeps_the_energy_of_each_quarter_hour() -> None:
    injection_mw = np.arange(30.0)
    np.testing.assert_array_equal(spread_evenly(injection_mw), np.repeat([7.0, 22.0], 15))


def test_a_run_shaped_in_hindsight_keeps_its_energies_and_the_state_of_charge_in_its_window() -> None:
    scenario = across_the_rules()
    battery = Battery(power_mw=100.0, capacity_mwh=60.0)
    run = run_price_maker(scenario, battery, EAGER, scenario.start)
    soc_mwh = run.ledger["soc_start_mwh"].to_numpy()
    shaped, lost_eur = shape_in_hindsight(scenario, battery, run.injection_mw, soc_mwh, scenario.start)
    np.testing.assert_allclose(spread_evenly(shaped), spread_evenly(run.injection_mw), atol=1e-9)
    assert (shaped != spread_evenly(run.injection_mw)).any()
    assert (lost_eur >= -1e-9).all()
    stored = np.where(shaped < 0.0, -shaped * 0.9, -shaped / 0.9).reshape(-1, 15) / 60.0
    # Even power is always let through: it loses less than a run that charged and discharged in one quarter-hour.
    uneven = np.ptp(shaped.reshape(-1, 15), axis=1) > 0.0
    path = (soc_mwh[:, None] + np.cumsum(stored, axis=1))[uneven]
    assert path.min() >= -1e-6
    assert path.max() <= 60.0 + 1e-6


def test_a_quarter_hour_is_shaped_as_it_pays_by_hand() -> None:
    # The 20 MW of the first test: 225 in place of 200 where charging is possible; nothing where the battery is full
    # from the first minute on is lost by charging later, and an idle quarter-hour stays idle.
    scenario = by_hand(FEBRUARY)
    sold = np.concatenate([np.full(15, 20.0), np.zeros(15)])
    shaped, lost_eur = shape_in_hindsight(scenario, LOSSLESS, sold, np.array([100.0, 95.0]), FEBRUARY)
    assert shaped[:15].min() == -50.0
    assert shaped[0] > 0.0
    np.testing.assert_array_equal(shaped[15:], 0.0)
    np.testing.assert_array_equal(lost_eur, 0.0)


def test_what_a_shaped_run_loses_beyond_even_power_is_paid_by_hand() -> None:
    # One minute of charging at 50 MW: the loss of the test above, at 60 EUR/MWh.
    sold = np.concatenate([np.full(15, 20.0), np.zeros(15)])
    battery = Battery(power_mw=50.0, capacity_mwh=100.0)
    _, lost_eur = shape_in_hindsight(by_hand(FEBRUARY), battery, sold, np.array([50.0, 40.0]), FEBRUARY)
    lost_mwh = 50.0 / 60.0 * 0.1 + 50.0 / 60.0 * (1.0 / 0.9 - 1.0)
    np.testing.assert_allclose(lost_eur, [60.0 * lost_mwh / 0.9, 0.0], atol=1e-9)
