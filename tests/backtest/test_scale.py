"""Batteries of every size, a watt to ten gigawatts: what holds for 1 MW holds for all of them, in proportion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.attribution import gap_by_cause
from arbitrage.backtest.engine import Backtest, backtest_perfect_foresight, run_backtest
from arbitrage.backtest.fleet.fleet import FleetGroup, run_fleet
from arbitrage.backtest.hindsight.perfect_foresight import foresight_value_eur, perfect_foresight
from arbitrage.backtest.impact.shaping import shapes_mw
from arbitrage.backtest.ledger import violations
from arbitrage.battery import Battery, BatteryState
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.fit import fit_closed_form, prepare_training_data
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import SocReset, Span
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.mpc.linear_programme import Aim, best_plan, make_solver
from arbitrage.policies.rules import ThresholdRule
from tests.examples import examples
from tests.worlds import batteries, noisy_market, scripted, whole

SCALES = [1e-6, 1e-5, 1e-3, 1.0, 100.0, 1e4]
MARKET = noisy_market(seed=1, days=3, gaps=5)
SELECTION = whole(MARKET)
CAPPED = Battery(max_cycles_per_day=1.1, wear_cost_eur_mwh=5.0)


def times_as_large(battery: Battery, scale: float) -> Battery:
    limits = {
        name: None if getattr(battery, name) is None else getattr(battery, name) * scale
        for name in ("import_limit_mw", "export_limit_mw")
    }
    return replace(battery, power_mw=battery.power_mw * scale, capacity_mwh=battery.capacity_mwh * scale, **limits)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "battery",
    [
        CAPPED,
        Battery(capacity_mwh=0.01, charge_efficiency=0.95),
        Battery(capacity_mwh=200.0, min_soc_fraction=0.1),
        Battery(max_cycles_per_day=0.05, import_limit_mw=0.02),
        Battery(import_limit_mw=0.0, export_limit_mw=0.0),
    ],
)
def test_perfect_foresight_earns_in_proportion_and_keeps_every_rule(battery: Battery, scale: float) -> None:
    of_one_mw = perfect_foresight(MARKET, battery, SELECTION)
    found = backtest_perfect_foresight(MARKET, times_as_large(battery, scale), SELECTION)
    assert found.violations.empty
    assert found.foresight.profit_eur == pytest.approx(scale * of_one_mw.profit_eur, rel=1e-9, abs=0.0)
    assert found.ledger["profit_eur"].sum() == pytest.approx(scale * of_one_mw.profit_eur, rel=1e-9, abs=0.0)
    for name in ("charge_mwh", "discharge_mwh", "soc_mwh"):
        of_one, own = getattr(of_one_mw, name), getattr(found.foresight, name)
        np.testing.assert_allclose(own, scale * of_one, rtol=1e-9, atol=1e-9 * scale)


@examples(25)
@given(seed=st.integers(0, 2**32 - 1), battery=batteries(), scale=st.sampled_from(SCALES) | st.floats(1e-6, 1e4))
def test_ceiling_and_ledger_of_any_battery_keep_every_rule_at_every_size(
    seed: int, battery: Battery, scale: float
) -> None:
    market = noisy_market(seed, days=2, gaps=5)
    large, selection = times_as_large(battery, scale), whole(market, SocReset.DAILY)
    ceiling = backtest_perfect_foresight(market, large, selection)
    assert ceiling.violations.empty
    of_one_mw = perfect_foresight(market, battery, selection).profit_eur
    assert ceiling.foresight.profit_eur == pytest.approx(scale * of_one_mw, rel=1e-9, abs=1e-9 * scale)
    asked_mw = np.random.default_rng(seed).uniform(-3.0, 3.0, len(market)) * scale
    assert run_backtest(market, large, scripted(market, asked_mw), selection).violations.empty


@pytest.mark.parametrize("export_limit_mw", [1e-2, 1.0, 100.0])
def test_perfect_foresight_keeps_a_connection_that_is_tiny_beside_the_rating(export_limit_mw: float) -> None:
    market = noisy_market(seed=0, days=2, gaps=5)
    plant = Battery(power_mw=2.5e6, capacity_mwh=2.5e6, charge_efficiency=1.0, discharge_efficiency=1.0)
    battery = replace(plant, export_limit_mw=export_limit_mw)
    assert backtest_perfect_foresight(market, battery, whole(market, SocReset.DAILY)).violations.empty


@pytest.mark.parametrize(
    "battery",
    [
        Battery(capacity_mwh=1.8e-8, charge_efficiency=1.0, discharge_efficiency=0.5),
        Battery(
            capacity_mwh=23_718_136.0,
            charge_efficiency=1.0,
            discharge_efficiency=1.0,
            min_soc_fraction=0.1875,
            import_limit_mw=0.0,
            export_limit_mw=0.0625,
        ),
    ],
    ids=["full in a millisecond", "full in millennia"],
)
def test_perfect_foresight_has_an_answer_for_batteries_that_fill_at_once_or_never(battery: Battery) -> None:
    market = noisy_market(seed=0, days=2, gaps=5)
    assert backtest_perfect_foresight(market, battery, whole(market, SocReset.DAILY)).violations.empty


@pytest.mark.parametrize("scale", SCALES)
def test_the_lattice_is_worth_as_much_in_proportion(scale: float) -> None:
    (of_one_mw,) = foresight_value_eur(MARKET, CAPPED, SELECTION)
    (found,) = foresight_value_eur(MARKET, times_as_large(CAPPED, scale), SELECTION)
    assert found == pytest.approx(scale * of_one_mw, rel=1e-6)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("aim", [Aim(), Aim(cvar_weight=2.0)])
def test_a_plan_is_the_same_in_proportion(scale: float, aim: Aim) -> None:
    paths = np.random.default_rng(2).normal(80.0, 150.0, (4, 40))
    small, state = best_plan(make_solver(), CAPPED.law, BatteryState(0.7), paths, 30, 20.0, aim=aim), BatteryState(0.7)
    large = times_as_large(CAPPED, scale)
    found = best_plan(make_solver(), large.law, replace(state, soc_mwh=0.7 * scale), paths, 30, 20.0, aim=aim)
    assert found.power_mw == pytest.approx(scale * small.power_mw, rel=1e-9, abs=0.0)
    assert found.worth_eur == pytest.approx(scale * small.worth_eur, rel=1e-9, abs=0.0)
    assert found.stored_worth_eur_mwh == pytest.approx(small.stored_worth_eur_mwh, rel=1e-9)


def by_rule(scale: float) -> Backtest:
    rule = ThresholdRule()
    return run_backtest(MARKET, times_as_large(CAPPED, scale), rule, SELECTION)


@pytest.mark.parametrize("scale", SCALES)
def test_each_cause_loses_in_proportion(scale: float) -> None:
    of_one_mw, found = gap_by_cause(by_rule(1.0)), gap_by_cause(by_rule(scale))
    total_eur = sum(of_one_mw.values())
    assert total_eur > 100.0
    for cause, lost_eur in of_one_mw.items():
        assert found[cause] == pytest.approx(scale * lost_eur, abs=1e-4 * scale * total_eur)


def moved(backtest: Backtest, name: str, row: int, capacities: float) -> pd.DataFrame:
    cooked = backtest.ledger.copy()
    cooked.iloc[row, cooked.columns.get_loc(name)] += capacities * backtest.battery.capacity_mwh
    return cooked


@pytest.mark.parametrize("scale", [1e-9, *SCALES, 1e9])
@pytest.mark.parametrize("name", ["charge_mwh", "discharge_mwh", "soc_end_mwh", "cash_eur", "wear_eur", "profit_eur"])
def test_the_ledger_is_checked_to_the_same_share_of_the_capacity(scale: float, name: str) -> None:
    honest = by_rule(scale)
    assert honest.violations.empty
    assert not violations(moved(honest, name, 3, 1e-7), honest.battery).empty
    assert violations(moved(honest, name, 3, 1e-13), honest.battery).empty


@pytest.mark.parametrize("scale", [1e-9, *SCALES, 1e9])
def test_a_fleet_is_checked_as_the_ledger_is(scale: float) -> None:
    rule = ThresholdRule()
    result = run_fleet(MARKET, [FleetGroup(rule, [times_as_large(CAPPED, scale)])], SELECTION)
    assert (result.totals["violations"] == 0).all()
    assert result.totals["profit_eur"][0] == pytest.approx(by_rule(scale).ledger["profit_eur"].sum(), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-10, *SCALES])
def test_a_learned_policy_earns_in_proportion(scale: float) -> None:
    of_one_mw, found = (learned_profit_eur(times) for times in (1.0, scale))
    assert of_one_mw > 100.0
    assert found == pytest.approx(scale * of_one_mw, rel=1e-3, abs=0.0)


def learned_profit_eur(scale: float) -> float:
    market, size, battery = sample_market(), LatticeSize(soc_nodes=5, cycle_nodes=4), times_as_large(CAPPED, scale)
    config = ClosedFormConfig(cosines=12, passes=1, network=None, size=size)
    data = prepare_training_data(market, battery, (Span(14 * 96, 28 * 96),), SocReset.NEVER, size)
    member = fit_closed_form(data, config, seed=0).stages[-1]
    policy = ClosedFormPolicy(battery, size, (member,), tuple(sorted(market.known_series)))
    return float(run_backtest(market, battery, policy, (Span(29 * 96, 36 * 96),)).ledger["profit_eur"].sum())


@pytest.mark.parametrize("rated_mw", [1e-9, *SCALES])
def test_minutes_have_the_same_shapes_at_every_rating(rated_mw: float) -> None:
    np.testing.assert_allclose(shapes_mw(0.4 * rated_mw, rated_mw), rated_mw * shapes_mw(0.4, 1.0), rtol=1e-9)
