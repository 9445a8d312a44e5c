"""The battery law: worked by hand, and unbreakable by any sequence of requests."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from arbitrage.battery import Battery, BatteryState, advance, clip_power_mw, step_fleet, unit_warnings
from arbitrage.errors import BadInput
from tests.examples import examples
from tests.worlds import MIDNIGHTS, batteries

PLAIN = Battery()
"""1 MW, 2 MWh, 0.9 each way."""


def test_charging_one_mw_for_a_quarter_hour_stores_what_the_charge_efficiency_leaves() -> None:
    # 1 MW x 0.25 h x 0.9 = 0.225 MWh; no cycles, no wear.
    step = PLAIN.step(PLAIN.empty, -1.0, 15)
    assert step.power_mw == -1.0
    assert step.after.soc_mwh == pytest.approx(0.225, abs=1e-15)
    assert (step.after.cycles_used, step.wear_eur) == (0.0, 0.0)


def test_discharging_draws_more_from_the_store_than_it_injects_and_counts_cycles_there() -> None:
    # 1 MW x 0.25 h / 0.9 = 0.2777... MWh drawn; / 2 MWh = 0.13888... cycles; x 18 EUR/MWh = 5 EUR of wear.
    battery = Battery(wear_cost_eur_mwh=18.0)
    step = battery.step(BatteryState(1.0, 0.5), 1.0, 15)
    assert step.power_mw == 1.0
    assert step.after.soc_mwh == pytest.approx(1.0 - 0.25 / 0.9, abs=1e-15)
    assert step.after.cycles_used == pytest.approx(0.5 + 0.125 / 0.9, abs=1e-15)
    assert step.wear_eur == pytest.approx(5.0, abs=1e-12)


def test_efficiencies_of_the_two_ways_are_separate() -> None:
    # Stores 0.25 x 0.8 = 0.2; draws 0.25 / 0.5 = 0.5.
    battery = Battery(charge_efficiency=0.8, discharge_efficiency=0.5)
    assert battery.step(battery.empty, -1.0, 15).after.soc_mwh == pytest.approx(0.2, abs=1e-15)
    assert battery.step(BatteryState(1.0), 1.0, 15).after.soc_mwh == pytest.approx(0.5, abs=1e-15)


def test_a_minute_moves_a_fifteenth_of_a_quarter_hour() -> None:
    assert PLAIN.step(PLAIN.empty, -1.0, 1).after.soc_mwh == pytest.approx(0.225 / 15, abs=1e-15)


def test_idling_changes_nothing() -> None:
    state = BatteryState(0.7, 0.3)
    step = PLAIN.step(state, 0.0, 15)
    assert (step.power_mw, step.after, step.wear_eur) == (0.0, state, 0.0)


def test_a_full_store_takes_no_more_than_its_room() -> None:
    # Room 0.09 MWh / 0.9 = 0.1 MWh from the grid in 0.25 h = 0.4 MW.
    step = PLAIN.step(BatteryState(1.91), -1.0, 15)
    assert step.power_mw == pytest.approx(-0.4, abs=1e-12)
    assert step.after.soc_mwh == pytest.approx(2.0, abs=1e-15)
    assert step.after.soc_mwh <= 2.0


def test_a_store_gives_no_more_than_it_holds() -> None:
    # 0.1 MWh held x 0.9 / 0.25 h = 0.36 MW.
    step = PLAIN.step(BatteryState(0.1), 1.0, 15)
    assert step.power_mw == pytest.approx(0.36, abs=1e-12)
    assert step.after.soc_mwh == pytest.approx(0.0, abs=1e-15)


def test_the_soc_window_bounds_both_ways() -> None:
    # Window 0.2 to 1.8 MWh. From 0.29: 0.09 drawable x 0.9 / 0.25 h = 0.324 MW. From 1.71: 0.09 / 0.9 / 0.25 = 0.4 MW.
    battery = Battery(min_soc_fraction=0.1, max_soc_fraction=0.9)
    assert battery.empty == BatteryState(0.2)
    assert battery.step(BatteryState(0.29), 1.0, 15).power_mw == pytest.approx(0.324, abs=1e-12)
    assert battery.step(BatteryState(1.71), -1.0, 15).power_mw == pytest.approx(-0.4, abs=1e-12)


def test_drawing_from_a_store_below_the_window_does_not_fill_it() -> None:
    law = Battery(min_soc_fraction=0.25).law
    assert advance(law, 0.3, 0.0, 1.0, 0.0)[0] == 0.3


def test_a_state_outside_the_window_is_not_moved_into_it_for_free() -> None:
    battery = Battery(min_soc_fraction=0.1, max_soc_fraction=0.9)
    for outside, wrong_way in ((0.1, 1.0), (1.9, -1.0)):
        step = battery.step(BatteryState(outside), wrong_way, 15)
        assert abs(step.power_mw) == 0.0
        assert step.after.soc_mwh == outside
    assert battery.step(BatteryState(0.1), -1.0, 15).after.soc_mwh == pytest.approx(0.325, abs=1e-15)


def test_power_beyond_the_rating_is_cut_to_it() -> None:
    assert PLAIN.step(BatteryState(1.0), 7.0, 15).power_mw == 1.0
    assert PLAIN.step(BatteryState(1.0), -math.inf, 15).power_mw == -1.0


def test_grid_limits_bound_each_direction_apart_and_never_exceed_the_rating() -> None:
    battery = Battery(import_limit_mw=0.4, export_limit_mw=5.0)
    assert battery.step(BatteryState(1.0), -1.0, 15).power_mw == -0.4
    assert battery.step(BatteryState(1.0), 1.0, 15).power_mw == 1.0
    assert abs(Battery(export_limit_mw=0.0).step(BatteryState(1.0), 1.0, 15).power_mw) == 0.0


def test_the_daily_budget_leaves_what_is_left_of_it_and_then_nothing() -> None:
    # 0.05 cycles left x 2 MWh = 0.1 MWh to draw x 0.9 / 0.25 h = 0.36 MW.
    battery = Battery(max_cycles_per_day=1.1)
    step = battery.step(BatteryState(2.0, 1.05), 1.0, 15)
    assert step.power_mw == pytest.approx(0.36, abs=1e-12)
    assert step.after.cycles_used == pytest.approx(1.1, abs=1e-12)
    assert step.after.cycles_used <= 1.1
    again = battery.step(BatteryState(2.0, 1.1), 1.0, 15)
    assert (again.power_mw, again.after.cycles_used) == (0.0, 1.1)
    assert battery.step(BatteryState(1.0, 1.1), -1.0, 15).power_mw == -1.0


def test_a_request_that_is_not_a_number_moves_nothing() -> None:
    assert PLAIN.step(BatteryState(1.0), math.nan, 15).after == BatteryState(1.0)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        Battery(
            power_mw=0.0,
            capacity_mwh=-1.0,
            charge_efficiency=1.1,
            discharge_efficiency=math.nan,
            max_cycles_per_day=-0.1,
            min_soc_fraction=1.0,
            max_soc_fraction=1.5,
            wear_cost_eur_mwh=-1.0,
            import_limit_mw=-1.0,
            export_limit_mw=math.nan,
        )
    named = {fault.where for fault in caught.value.faults}
    assert named == set(Battery.__dataclass_fields__) - {"min_soc_fraction"}
    assert "charge_efficiency: must be above 0 and at most 1, not 1.1" in str(caught.value)


@pytest.mark.parametrize("name", sorted(Battery.__dataclass_fields__))
def test_nothing_of_a_battery_may_be_not_a_number(name: str) -> None:
    with pytest.raises(BadInput, match=name):
        Battery(**{name: math.nan})


def test_an_empty_soc_window_is_refused() -> None:
    with pytest.raises(BadInput, match="min_soc_fraction: must be at least 0 and below max_soc_fraction"):
        Battery(min_soc_fraction=0.5, max_soc_fraction=0.5)


@pytest.mark.parametrize("name", sorted(Battery.__dataclass_fields__))
@pytest.mark.parametrize("value", ["1", "", b"1", True, np.True_, 1j, [1.0], {}, np.array(1.0), np.timedelta64(1, "h")])
def test_what_is_not_a_number_is_refused_by_the_name_of_the_field_alone(name: str, value: Any) -> None:
    with pytest.raises(BadInput) as caught:
        Battery(**{name: value})
    assert [fault.where for fault in caught.value.faults] == [name]
    assert str(caught.value).endswith(f"not {value!r}")


def test_what_is_not_a_number_is_named_for_all_fields_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        Battery(**dict.fromkeys(Battery.__dataclass_fields__, "0.5"))  # type: ignore[arg-type]
    assert {fault.where for fault in caught.value.faults} == set(Battery.__dataclass_fields__)


REQUIRED = sorted(name for name, field in Battery.__dataclass_fields__.items() if field.default is not None)


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, 10**400, -(10**400), -math.inf])
def test_nothing_that_is_needed_may_be_missing_or_without_bounds(name: str, value: Any) -> None:
    with pytest.raises(BadInput, match=name):
        Battery(**{name: value})


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, np.float64, np.float32, Fraction])
def test_numbers_of_any_type_make_the_battery_that_floats_make(kind: Any) -> None:
    given = Battery(power_mw=kind(2), capacity_mwh=kind(4), min_soc_fraction=kind(0), max_cycles_per_day=kind(1))
    floats = Battery(power_mw=2.0, capacity_mwh=4.0, min_soc_fraction=0.0, max_cycles_per_day=1.0)
    assert given == floats
    assert given.law == floats.law
    assert {type(value) for value in (*given.law, given.empty.soc_mwh)} == {float}
    assert given.step(given.empty, kind(0), 15) == floats.step(floats.empty, 0.0, 15)
    json.dumps(asdict(given))


@pytest.mark.parametrize(
    ("name", "percent", "meant"),
    [
        ("charge_efficiency", 90, "0.9"),
        ("discharge_efficiency", 92.5, "0.925"),
        ("min_soc_fraction", 10, "0.1"),
        ("max_soc_fraction", 100, "1"),
    ],
)
def test_percent_are_refused_with_the_fraction_that_was_meant(name: str, percent: float, meant: str) -> None:
    with pytest.raises(BadInput, match=rf"{name}: .*, not {percent}; did you mean {meant}\?$"):
        Battery(**{name: percent})


@pytest.mark.parametrize("value", [1.01, 1.5, 101.0, math.inf, -90.0, math.nan])
def test_what_cannot_be_meant_as_percent_is_refused_without_a_guess(value: float) -> None:
    with pytest.raises(BadInput) as caught:
        Battery(charge_efficiency=value)
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    "battery",
    [
        Battery(),
        Battery(power_mw=999.0, capacity_mwh=4_000.0),
        Battery(power_mw=1e-5, capacity_mwh=2e-5),
        Battery(power_mw=10.0, capacity_mwh=0.5),
        Battery(power_mw=0.02),
    ],
)
def test_a_plausible_battery_gets_no_warning(battery: Battery) -> None:
    assert unit_warnings(battery) == ()


@pytest.mark.parametrize(
    ("battery", "warnings"),
    [
        (
            Battery(power_mw=1_000.0, capacity_mwh=2_000.0),
            ["power_mw: 1,000 MW looks like kW; did you mean 1 MW?"],
        ),
        (
            Battery(power_mw=5_000, capacity_mwh=10_000),
            [
                "power_mw: 5,000 MW looks like kW; did you mean 5 MW?",
                "capacity_mwh: 10,000 MWh looks like kWh; did you mean 10 MWh?",
            ],
        ),
        (
            Battery(power_mw=500.0, capacity_mwh=2.0),
            ["capacity_mwh: 2 MWh at 500 MW lasts 0.24 minutes; check the units of both"],
        ),
        (
            Battery(power_mw=1.0, capacity_mwh=2_000.0),
            ["capacity_mwh: 2000 MWh at 1 MW lasts 2,000 hours; check the units of both"],
        ),
    ],
)
def test_what_looks_like_another_unit_is_said_with_the_remedy(battery: Battery, warnings: list[str]) -> None:
    assert list(unit_warnings(battery)) == warnings


@pytest.mark.parametrize("name", ["power_mw", "capacity_mwh"])
@pytest.mark.parametrize("value", [5e-324, 9.9e-13, 1.1e12, 1e308])
def test_sizes_with_which_arithmetic_would_overflow_or_vanish_are_refused(name: str, value: float) -> None:
    with pytest.raises(BadInput, match=rf"{name}: must be from 1e-12 to 1e\+12 MWh?, not "):
        Battery(**{name: value})


@pytest.mark.parametrize("name", ["max_cycles_per_day", "import_limit_mw", "export_limit_mw"])
def test_a_limit_beyond_all_floats_is_none(name: str) -> None:
    assert Battery(**{name: 10**400}).law == Battery(**{name: math.inf}).law == Battery().law


@pytest.mark.parametrize("kind", [np.float16, np.longdouble, np.int8, Fraction])
def test_a_duration_and_a_power_may_be_numbers_of_any_type(kind: Any) -> None:
    assert PLAIN.step(BatteryState(1.0), kind(1), kind(15)) == PLAIN.step(BatteryState(1.0), 1.0, 15)


def test_a_power_beyond_all_floats_is_all_that_there_is() -> None:
    assert PLAIN.step(BatteryState(1.0), 10**400, 15).power_mw == 1.0
    assert PLAIN.step(BatteryState(1.0), -(10**400), 15).power_mw == -1.0


@pytest.mark.parametrize("duration_min", [0, -15, -0.5, 5e-324, math.nan, math.inf, 10**400, None, "15", True])
def test_a_step_without_a_positive_duration_is_refused(duration_min: Any) -> None:
    with pytest.raises(BadInput, match="duration_min: must be a positive number of minutes, not"):
        PLAIN.step(BatteryState(1.0), 1.0, duration_min)


@pytest.mark.parametrize("power_mw", ["1", None, True, 1j, [1.0]])
def test_a_power_that_is_not_of_a_numbers_type_is_refused(power_mw: Any) -> None:
    with pytest.raises(BadInput, match="power_mw: must be a number of MW, not"):
        PLAIN.step(BatteryState(1.0), power_mw, 15)


REQUESTS = hnp.arrays(np.float64, 24, elements=st.floats(-4.0, 4.0) | st.sampled_from([-math.inf, math.inf]))


@examples(60)
@given(
    battery=batteries(),
    requests=REQUESTS,
    day=st.sampled_from(sorted(MIDNIGHTS)),
    step_min=st.sampled_from([1, 3, 5, 15]),
    start=st.floats(0.0, 1.0),
)
def test_no_sequence_of_requests_breaks_window_rating_or_daily_budget(
    battery: Battery, requests: np.ndarray, day: str, step_min: int, start: float
) -> None:
    law, steps = battery.law, MIDNIGHTS[day][1] * 15 // step_min
    low, high = battery.min_soc_fraction * battery.capacity_mwh, battery.max_soc_fraction * battery.capacity_mwh
    state = BatteryState(min(low + start * (high - low), high))
    budget = math.inf if battery.max_cycles_per_day is None else battery.max_cycles_per_day
    drawn_mwh = 0.0
    for at in range(steps):
        before, step = state, battery.step(state, requests[at % len(requests)], step_min)
        state = step.after
        assert low <= state.soc_mwh <= high
        assert -law.charge_power_mw <= step.power_mw <= law.discharge_power_mw
        assert abs(step.power_mw) <= battery.power_mw
        assert np.sign(step.power_mw) in (0.0, np.sign(requests[at % len(requests)]))
        assert before.cycles_used <= state.cycles_used <= budget
        drawn_mwh += max(0.0, step.power_mw) * step_min / 60 / battery.discharge_efficiency
    assert drawn_mwh / battery.capacity_mwh <= budget + 1e-9
    assert drawn_mwh / battery.capacity_mwh == pytest.approx(state.cycles_used, abs=1e-9)


@examples(40)
@given(battery=batteries(), soc=st.floats(0.0, 1.0), cycles=st.floats(0.0, 3.0), asked=st.floats(-4.0, 4.0))
def test_what_the_law_lets_flow_flows_again_unchanged(
    battery: Battery, soc: float, cycles: float, asked: float
) -> None:
    soc_mwh = soc * battery.capacity_mwh
    flow = clip_power_mw(battery.law, soc_mwh, cycles, asked, 0.25)
    assert clip_power_mw(battery.law, soc_mwh, cycles, flow, 0.25) == flow
    assert abs(flow) <= abs(asked)


@examples(40)
@given(battery=batteries(), requests=REQUESTS, seed=st.integers(0, 2**32 - 1), step_min=st.sampled_from([1, 15]))
def test_a_fleet_does_to_the_last_bit_what_each_battery_does_alone(
    battery: Battery, requests: np.ndarray, seed: int, step_min: int
) -> None:
    random = np.random.default_rng(seed)
    soc_mwh, cycles = random.random(24) * battery.capacity_mwh, random.random(24) * 1.5
    alone = [BatteryState(*pair) for pair in zip(soc_mwh.tolist(), cycles.tolist(), strict=True)]
    wear_eur = np.full(24, np.nan)
    for shift in range(4):
        power_mw = np.roll(requests, shift)
        steps = [battery.step(state, power, step_min) for state, power in zip(alone, power_mw, strict=True)]
        step_fleet(battery.law, soc_mwh, cycles, power_mw, step_min / 60, wear_eur)
        alone = [step.after for step in steps]
        np.testing.assert_array_equal(power_mw, [step.power_mw for step in steps])
        np.testing.assert_array_equal(wear_eur, [step.wear_eur for step in steps])
        np.testing.assert_array_equal(soc_mwh, [state.soc_mwh for state in alone])
        np.testing.assert_array_equal(cycles, [state.cycles_used for state in alone])
