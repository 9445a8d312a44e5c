"""The lattice of battery states: where each action leads, by hand and by the battery law."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.battery import Battery, BatteryState
from arbitrage.policies.closed_form.lattice import (
    Lattice,
    LatticeSize,
    begin_day,
    cell,
    interpolate,
    make_lattice,
    node_state,
)
from arbitrage.settling import CHARGE, DISCHARGE
from tests.examples import examples
from tests.worlds import batteries


def lossless(**changes: float) -> Battery:
    return Battery(charge_efficiency=1.0, discharge_efficiency=1.0, **changes)


def led_to(lattice: Lattice, action: int, node: int, values: np.ndarray) -> float:
    """Value of the state in which an action ends."""
    corner, along = int(lattice.corner[action, node]), float(lattice.soc_share[action, node])
    return float(interpolate(values, lattice.cycle_nodes, corner, along, float(lattice.cycle_share[action, node])))


def states(lattice: Lattice) -> list[BatteryState]:
    return [BatteryState(*node_state(lattice, node)) for node in range(lattice.nodes)]


def test_three_nodes_of_a_lossless_battery_are_linked_as_on_paper() -> None:
    # 0.5 MWh in steps of 0.25: what a quarter-hour at 1 MW moves.
    lattice = make_lattice(lossless(capacity_mwh=0.5, wear_cost_eur_mwh=8.0), 15, LatticeSize(3, 12))
    assert states(lattice) == [BatteryState(0.0), BatteryState(0.25), BatteryState(0.5)]
    assert lattice.energy_mwh[CHARGE].tolist() == [-0.25, -0.25, 0.0]
    assert lattice.energy_mwh[DISCHARGE].tolist() == [0.0, 0.25, 0.25]
    assert lattice.wear_eur[DISCHARGE].tolist() == [0.0, 2.0, 2.0]
    assert lattice.wear_eur[CHARGE].tolist() == [0.0, 0.0, 0.0]
    values = np.array([1.0, 10.0, 100.0])
    assert [led_to(lattice, CHARGE, node, values) for node in range(3)] == [10.0, 100.0, 100.0]
    assert [led_to(lattice, DISCHARGE, node, values) for node in range(3)] == [1.0, 1.0, 10.0]


def test_between_nodes_a_value_is_the_share_of_both() -> None:
    # 0.5 MWh in steps of 0.5: charging 0.25 ends half way.
    lattice = make_lattice(lossless(capacity_mwh=0.5), 15, LatticeSize(2, 12))
    assert led_to(lattice, CHARGE, 0, np.array([1.0, 10.0])) == 5.5


def test_a_budget_adds_nodes_of_cycles_and_bounds_the_discharge() -> None:
    # 0.5 MWh and 1 cycle a day, nodes at 0, 0.5 and 1 cycle; discharging 0.25 MWh is half a cycle.
    lattice = make_lattice(lossless(capacity_mwh=0.5, max_cycles_per_day=1.0), 15, LatticeSize(3, 3))
    assert states(lattice)[3:6] == [BatteryState(0.25, 0.0), BatteryState(0.25, 0.5), BatteryState(0.25, 1.0)]
    assert lattice.energy_mwh[DISCHARGE].reshape(3, 3).tolist() == [[0.0] * 3, [0.25, 0.25, 0.0], [0.25, 0.25, 0.0]]
    values = np.arange(9.0)
    # From (0.5 MWh, 0 cycles), node 6, to (0.25, 0.5), node 4. Charging from (0, 0.5), node 1, to (0.25, 0.5).
    assert led_to(lattice, DISCHARGE, 6, values) == 4.0
    assert led_to(lattice, CHARGE, 1, values) == 4.0


def test_at_midnight_every_count_of_cycles_is_worth_what_none_is() -> None:
    lattice = make_lattice(lossless(max_cycles_per_day=1.0), 15, LatticeSize(2, 3))
    values = np.array([5.0, 3.0, 1.0, 9.0, 8.0, 7.0])
    begin_day(lattice, values)
    assert values.tolist() == [5.0, 5.0, 5.0, 9.0, 9.0, 9.0]


@pytest.mark.parametrize("max_cycles_per_day", [None, 0.0])
def test_without_a_budget_or_with_none_left_ever_cycles_have_one_node(max_cycles_per_day: float | None) -> None:
    lattice = make_lattice(Battery(max_cycles_per_day=max_cycles_per_day), 15, LatticeSize(5, 4))
    assert (lattice.cycle_nodes, lattice.nodes) == (1, 5)
    assert (lattice.energy_mwh[DISCHARGE] == 0.0).all() == (max_cycles_per_day == 0.0)


@examples(30)
@given(battery=batteries(), step_min=st.sampled_from([1, 15]), along=st.floats(0.0, 1.0), used=st.floats(0.0, 1.0))
def test_a_lattice_follows_the_battery_law_and_is_exact_for_values_linear_in_the_state(
    battery: Battery, step_min: int, along: float, used: float
) -> None:
    lattice = make_lattice(battery, step_min, LatticeSize(6, 5))
    nodes = states(lattice)
    values = np.array([3.0 + 7.0 * state.soc_mwh - 11.0 * state.cycles_used for state in nodes])
    powers = -battery.law.charge_power_mw, battery.law.discharge_power_mw
    for node, state in enumerate(nodes):
        for action, power_mw in enumerate(powers):
            step = battery.step(state, power_mw, step_min)
            assert lattice.energy_mwh[action, node] == pytest.approx(step.power_mw * step_min / 60, abs=1e-12)
            assert lattice.wear_eur[action, node] == step.wear_eur
            cycles = step.after.cycles_used if lattice.cycle_nodes > 1 else 0.0
            expected = 3.0 + 7.0 * step.after.soc_mwh - 11.0 * cycles
            assert led_to(lattice, action, node, values) == pytest.approx(expected, abs=1e-9)
    law = battery.law
    soc_mwh = law.min_soc_mwh + along * (law.max_soc_mwh - law.min_soc_mwh)
    cycles = used * law.max_cycles_per_day if lattice.cycle_nodes > 1 else 0.0
    corner, soc_share, cycle_share = cell(lattice, soc_mwh, cycles)
    assert 0.0 <= soc_share <= 1.0
    assert 0.0 <= cycle_share <= 1.0
    found = interpolate(values, lattice.cycle_nodes, corner, soc_share, cycle_share)
    assert found == pytest.approx(3.0 + 7.0 * soc_mwh - 11.0 * cycles, abs=1e-9)


def test_a_state_outside_the_lattice_is_taken_to_its_edge() -> None:
    lattice = make_lattice(
        Battery(min_soc_fraction=0.2, max_soc_fraction=0.8, max_cycles_per_day=1.0), 15, LatticeSize(4, 3)
    )
    assert cell(lattice, 0.0, -1.0) == (0, 0.0, 0.0)
    assert cell(lattice, 2.0, 9.0) == (2 * 3 + 1, 1.0, 1.0)
