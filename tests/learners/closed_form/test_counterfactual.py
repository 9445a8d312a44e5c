"""The backward backward_pass, solved by hand on a battery with two states: empty (0) and full (1)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.backtest.hindsight.perfect_foresight import perfect_foresight
from arbitrage.battery import Battery
from arbitrage.learners.closed_form.counterfactual import BackwardPass, backward_pass
from arbitrage.market.path import After, Path, lay_path
from arbitrage.market.splits import SocReset, Span
from arbitrage.policies.closed_form.lattice import Lattice, LatticeSize, make_lattice
from arbitrage.settling import CHARGE, DISCHARGE
from tests.examples import examples
from tests.worlds import market_of, whole

EMPTY, FULL = 0, 1
NAN = float("nan")


def two_states(**changes: float) -> Lattice:
    """0.25 MWh without losses: a quarter-hour fills or empties it."""
    battery = Battery(capacity_mwh=0.25, charge_efficiency=1.0, discharge_efficiency=1.0, **changes)
    return make_lattice(battery, 15, LatticeSize(2, 2))


def path_of(prices: list[float], after: list[int] | None = None) -> Path:
    count = len(prices)
    ends = after or [After.SAME_DAY] * (count - 1) + [After.END_OF_SPAN]
    return Path(np.arange(count), np.array(prices), np.array(ends, dtype=np.int64), np.zeros(count, dtype=np.int64))


def swept(
    path: Path, lattice: Lattice, follow: list[tuple[int, int, int]], end_value: list[float] | None = None
) -> BackwardPass:
    """BackwardPass under the policy that takes the actions listed as (time, action, node), and else idles."""
    advantages = np.full((len(path.rows), 2, lattice.nodes), -1.0, dtype=np.float32)
    for where in follow:
        advantages[where] = 1.0
    ends = np.tile(end_value or [0.0] * lattice.nodes, (len(path.rows), 1))
    return backward_pass(path, lattice, advantages[:, None], ends)


def test_three_quarter_hours_under_the_best_policy_are_those_of_the_hand() -> None:
    # Prices 10, 50, 30; 0.25 MWh each. Backwards, V(empty), V(full) after the last being 0, 0:
    # 30: charging -7.5, discharging 7.5 -> V = 0, 7.5
    # 50: charging -12.5 + 7.5 - 0 = -5, discharging 12.5 + 0 - 7.5 = 5 -> V = 0, 12.5
    # 10: charging -2.5 + 12.5 - 0 = 10, discharging 2.5 + 0 - 12.5 = -10 -> V = 10, 12.5
    follow = [(0, CHARGE, EMPTY), (1, DISCHARGE, FULL), (2, DISCHARGE, FULL)]
    seen = swept(path_of([10.0, 50.0, 30.0]), two_states(), follow)
    assert seen.value_eur.tolist() == [[10.0, 12.5], [0.0, 12.5], [0.0, 7.5]]
    assert seen.advantage_eur[:, CHARGE, EMPTY].tolist() == [10.0, -5.0, -7.5]
    assert seen.advantage_eur[:, DISCHARGE, FULL].tolist() == [-10.0, 5.0, 7.5]
    assert seen.advantage_eur[:, CHARGE, FULL].tolist() == [0.0, 0.0, 0.0]
    assert seen.advantage_eur[:, DISCHARGE, EMPTY].tolist() == [0.0, 0.0, 0.0]


def test_values_are_those_of_the_policy_followed_not_of_the_best() -> None:
    # Nothing is ever done later, so energy is worth nothing: the advantage is the cash of the moment.
    seen = swept(path_of([10.0, 50.0, 30.0]), two_states(), [])
    assert seen.value_eur.tolist() == [[0.0, 0.0]] * 3
    assert seen.advantage_eur[:, CHARGE, EMPTY].tolist() == [-2.5, -12.5, -7.5]
    # A policy that sells at 30 makes losing ones of earlier sales at less; a bad one's losses show.
    bad = swept(
        path_of([10.0, 50.0, 30.0]), two_states(), [(0, CHARGE, EMPTY), (2, DISCHARGE, FULL), (1, CHARGE, EMPTY)]
    )
    # 30: V = 0, 7.5. 50, charging: -12.5 + 7.5 = -5 -> V = -5, 7.5. 10, charging: -2.5 + 7.5 + 5 = 10 -> V = 5, 7.5.
    assert bad.value_eur.tolist() == [[5.0, 7.5], [-5.0, 7.5], [0.0, 7.5]]
    assert bad.advantage_eur[0, CHARGE, EMPTY] == 10.0


def test_several_decisions_in_a_quarter_hour_are_lived_through_one_by_one() -> None:
    # Three decisions of five minutes at 30; full discharges in the last two: 1/6 MWh for 5, and 1/12 MWh is left. With
    # a full store worth 9 after it, a third of that is 3. The target stays that of a whole quarter-hour: 7.5 - 9.
    advantages = np.full((1, 3, 2, 2), -1.0, dtype=np.float32)
    advantages[0, 1:, DISCHARGE, FULL] = 5.0
    advantages[0, 1:, DISCHARGE, EMPTY] = 4.0
    seen = backward_pass(path_of([30.0]), two_states(), advantages, np.array([[0.0, 9.0]]))
    assert seen.value_eur[0].tolist() == pytest.approx([0.0, 8.0], abs=1e-5)
    assert seen.advantage_eur[0, DISCHARGE, FULL] == -1.5


def test_between_nodes_the_policy_weighs_the_advantages_of_both() -> None:
    # Full wants to discharge (+1), empty wants not to (-2.5): with one third of the store gone that is 2/3 - 5/6, so
    # the second decision idles.
    advantages = np.full((1, 3, 2, 2), -9.0, dtype=np.float32)
    advantages[0, :, DISCHARGE] = [-2.5, 1.0]
    seen = backward_pass(path_of([30.0]), two_states(), advantages, np.zeros((1, 2)))
    assert seen.value_eur[0, FULL] == pytest.approx(2.5)


def test_a_gap_holds_the_battery_and_teaches_nothing() -> None:
    seen = swept(
        path_of([10.0, NAN, 30.0]), two_states(), [(0, CHARGE, EMPTY), (1, CHARGE, EMPTY), (2, DISCHARGE, FULL)]
    )
    assert seen.value_eur.tolist() == [[5.0, 7.5], [0.0, 7.5], [0.0, 7.5]]
    assert (seen.advantage_eur[1] == 0.0).all()


def test_wear_is_paid_when_energy_is_drawn() -> None:
    # Discharging at 30 with wear 8: 7.5 - 2.
    seen = swept(path_of([30.0]), two_states(wear_cost_eur_mwh=8.0), [(0, DISCHARGE, FULL)])
    assert seen.value_eur.tolist() == [[0.0, 5.5]]


def test_a_span_ends_with_the_value_given_and_knows_nothing_of_the_next() -> None:
    # Two spans of one quarter-hour at 20; a full store is worth 9 at either end, so selling for 5 loses 4.
    path = path_of([20.0, 20.0], [After.END_OF_SPAN, After.END_OF_SPAN])
    seen = swept(path, two_states(), [(0, CHARGE, EMPTY)], [0.0, 9.0])
    assert seen.value_eur.tolist() == [[4.0, 9.0], [0.0, 9.0]]
    assert seen.advantage_eur[:, DISCHARGE, FULL].tolist() == [-4.0, -4.0]


def test_cycles_used_are_forgotten_at_midnight_and_not_before() -> None:
    # One cycle a day: 0.25 MWh. Nodes: (empty, 0 used), (empty, 1), (full, 0), (full, 1).
    lattice = two_states(max_cycles_per_day=1.0)
    follow = [(1, DISCHARGE, 2)]
    same_day = swept(path_of([0.0, 40.0], [After.SAME_DAY, After.END_OF_SPAN]), lattice, follow)
    next_day = swept(path_of([0.0, 40.0], [After.NEXT_DAY, After.END_OF_SPAN]), lattice, follow)
    assert same_day.value_eur[0].tolist() == [0.0, 0.0, 10.0, 0.0]
    assert next_day.value_eur[0].tolist() == [0.0, 0.0, 10.0, 10.0]


def test_a_path_tells_the_ends_of_days_from_the_ends_of_spans() -> None:
    market = market_of(np.arange(3.0 * 96))
    same, night, end = int(After.SAME_DAY), int(After.NEXT_DAY), int(After.END_OF_SPAN)
    carried = lay_path(market, whole(market))
    assert carried.after[[94, 95, 96, 191, 287]].tolist() == [same, night, same, night, end]
    daily = lay_path(market, whole(market, SocReset.DAILY))
    assert daily.after[[95, 191, 287]].tolist() == [end] * 3
    part = lay_path(market, (Span(90, 100), Span(200, 202)))
    assert part.rows.tolist() == [*range(90, 100), 200, 201]
    assert part.price_eur_mwh.tolist() == [float(row) for row in part.rows]
    assert part.after.tolist() == [same] * 5 + [night] + [same] * 3 + [end, same, end]


@examples(20)
@given(
    prices=st.lists(st.floats(-500.0, 500.0), min_size=2, max_size=10),
    cycles=st.sampled_from([None, 0.5, 1.0]),
)
def test_following_its_own_realised_advantages_a_sweep_ends_at_hindsight(
    prices: list[float], cycles: float | None
) -> None:
    # Nodes lie where full quarter-hours lead, so the lattice is exact; each pass mends the policy one step back.
    battery = Battery(capacity_mwh=0.5, charge_efficiency=1.0, discharge_efficiency=1.0, max_cycles_per_day=cycles)
    lattice, market = make_lattice(battery, 15, LatticeSize(3, 3)), market_of(prices)
    path = lay_path(market, whole(market))
    seen = swept(path, lattice, [])
    for _ in prices:
        seen = backward_pass(path, lattice, seen.advantage_eur[:, None], np.zeros((len(prices), lattice.nodes)))
    best = perfect_foresight(market, battery, whole(market)).profit_eur
    assert seen.value_eur[0, 0] == pytest.approx(best, abs=1e-2)
