"""Actions: what an agent may give, and that what is no action never looks like idling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from arbitrage.battery import Battery
from arbitrage.env.batched import BatchedImbalanceEnv
from arbitrage.env.choices import Action
from arbitrage.env.single import BelgianImbalanceEnv
from tests.worlds import market_of

PRICES = [50.0, math.nan, *[50.0] * 94]
"""The second quarter-hour is a gap, in which actions move nothing."""
MARKET, BATTERY = market_of(PRICES), Battery(capacity_mwh=10.0)
HALF = {"soc_fraction": 0.5}


def single(actions: str) -> BelgianImbalanceEnv:
    env = BelgianImbalanceEnv(MARKET, BATTERY, actions=actions)
    env.reset(seed=0, options=HALF)
    return env


def twin(actions: str) -> BatchedImbalanceEnv:
    env = BatchedImbalanceEnv(2, MARKET, BATTERY, actions=actions)
    env.reset(seed=0, options=HALF)
    return env


@pytest.mark.parametrize(
    "action", [2, Action.DISCHARGE, np.int64(2), np.uint8(2), np.array(2), np.array(2, dtype=np.int32)]
)
def test_whole_numbers_of_any_type_are_discrete_actions(action: Any) -> None:
    assert single("discrete").step(action)[4]["power_mw"] == 1.0
    assert twin("discrete").step(np.array([action, action]))[4]["power_mw"].tolist() == [1.0, 1.0]
    assert twin("discrete").step([action, 0])[4]["power_mw"].tolist() == [1.0, -1.0]


@pytest.mark.parametrize("share", [0.5, np.float32(0.5), [0.5], np.array(0.5), np.array([0.5], dtype=np.float16)])
def test_real_numbers_of_any_type_are_shares(share: Any) -> None:
    assert single("continuous").step(share)[4]["power_mw"] == 0.5
    assert twin("continuous").step(np.array([share, share]))[4]["power_mw"].tolist() == [0.5, 0.5]


def test_a_whole_number_is_a_share_too() -> None:
    assert single("continuous").step(-1)[4]["power_mw"] == -1.0
    assert twin("continuous").step([[1], [-3]])[4]["power_mw"].tolist() == [1.0, -1.0]


WRONG_DISCRETE = [
    *(-1, 3, 10**30, np.uint64(2**63), 1.0, 1.7, math.nan, math.inf, True, np.False_, "1", None, 1j, b"1"),
    *([1], [[1]], [], {}, {1}, np.array([1]), np.array([1, 1, 1]), np.array(1.0), np.datetime64(1, "D"), object()),
]
WRONG_CONTINUOUS = [
    *(math.nan, math.inf, -math.inf, True, "0.5", None, 1j, b"1", [], {}, [math.nan], [math.inf], [None], ["0.5"]),
    *([[0.5]], [0.5, 0.5], [True], np.array([np.nan], np.float32), np.zeros((1, 1)), np.zeros(3), object()),
]


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize(
    ("kind", "action"),
    [("discrete", action) for action in WRONG_DISCRETE] + [("continuous", action) for action in WRONG_CONTINUOUS],
)
def test_what_is_no_action_is_a_value_error_even_in_a_gap(kind: str, action: Any, gap: bool) -> None:
    env = single(kind)
    if gap:
        env.step(1 if kind == "discrete" else 0.0)
    with pytest.raises(ValueError, match=r"[aA]ction"):
        env.step(action)


TWO_WRONG_DISCRETE = [
    *(1, [1], [1, 1, 1], [[1], [1]], [1.0, 1.0], [1, 1.5], [1, math.nan], [1, -1], [3, 1], [True, False], ["1", "1"]),
    *([1, None], None, [], np.array([0, 2**63], dtype=np.uint64), [0, 10**30], {}),
]
TWO_WRONG_CONTINUOUS = [
    *(0.5, [0.5], [0.5] * 3, [[0.5, 0.5]], [0.5, math.nan], [math.inf, 0.5], [[0.5], [-math.inf]], [True, True]),
    *(["0.5", "0.5"], [0.5, None], None, [], np.zeros((2, 2)), np.zeros((2, 1, 1)), [0.5, 1j]),
]


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize(
    ("kind", "actions"),
    [("discrete", each) for each in TWO_WRONG_DISCRETE] + [("continuous", each) for each in TWO_WRONG_CONTINUOUS],
)
def test_what_are_no_actions_of_all_batteries_is_a_value_error_even_in_a_gap(
    kind: str, actions: Any, gap: bool
) -> None:
    env = twin(kind)
    if gap:
        env.step([1, 1] if kind == "discrete" else [0.0, 0.0])
    with pytest.raises(ValueError, match=r"[aA]ction"):
        env.step(actions)


def test_an_agent_that_has_diverged_is_told_so_with_the_battery_it_decided_for() -> None:
    with pytest.raises(ValueError, match="action nan of battery 1 is not a finite number; the agent may have diverged"):
        twin("continuous").step([[0.5], [math.nan]])


def test_after_a_refused_action_the_step_can_be_made_again() -> None:
    refused, untouched = single("continuous"), single("continuous")
    with pytest.raises(ValueError, match="diverged"):
        refused.step(math.nan)
    np.testing.assert_array_equal(refused.step(0.3)[0], untouched.step(0.3)[0])


def test_the_step_that_only_resets_ignores_whatever_it_is_given() -> None:
    env = twin("discrete")
    for _ in range(96):
        env.step([1, 1])
    assert env.step(None)[1].tolist() == [0.0, 0.0]
