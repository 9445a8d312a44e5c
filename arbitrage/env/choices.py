"""Actions as an agent gives them, read or refused.

Contract: what is no action raises ValueError with the reason. An agent that has diverged, whose actions are not
numbers, must not look like one that idles.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from arbitrage.arrays import Floats, Numbers
from arbitrage.numeric import is_whole


class Action(IntEnum):
    """The discrete actions, each at rated power."""

    CHARGE = 0
    IDLE = 1
    DISCHARGE = 2


class ActionKind(StrEnum):
    """What the agent chooses."""

    DISCRETE = "discrete"
    CONTINUOUS = "continuous"


_FIRST, _LAST = int(Action.CHARGE), int(Action.DISCHARGE)
_ACTIONS_IN_WORDS = "0 charge, 1 idle, 2 discharge"
_WHOLE, _REAL = "iu", "iuf"
"""Kinds of numpy types."""


def action_space(kind: ActionKind) -> spaces.Space[Any]:
    """The space of one battery's action."""
    if kind is ActionKind.DISCRETE:
        return spaces.Discrete(len(Action))
    return spaces.Box(-1.0, 1.0, shape=(1,), dtype=np.float32)


def discrete_action(action: Any) -> int:
    """The number of one battery's action."""
    # Arrays of one cost as much as the rest of a step: a number alone is read without them.
    return int(action) if is_whole(action) and _FIRST <= action <= _LAST else int(_discrete(action, ()))


def discrete_actions(actions: Any, count: int) -> Numbers:
    """The numbers of so many batteries' actions, shape [count]."""
    return _discrete(actions, (count,))


def share_of_rated(action: Any) -> float:
    """One battery's share of rated power, clipped to [-1, 1]; a number or an array of one."""
    return min(max(float(_shares(action, ((1,), ()))[0]), -1.0), 1.0)


def shares_of_rated(actions: Any, count: int) -> Floats:
    """So many batteries' shares of rated power, clipped to [-1, 1], shape [count]; given as [count, 1] or [count]."""
    return np.clip(_shares(actions, ((count, 1), (count,))), -1.0, 1.0)


def _discrete(actions: Any, shape: tuple[int, ...]) -> Numbers:
    given = np.asarray(actions)
    if given.dtype.kind not in _WHOLE or given.shape != shape:
        raise ValueError(_wrong(actions, given, f"whole numbers of shape {shape} ({_ACTIONS_IN_WORDS})"))
    numbers = given.astype(np.int64, copy=False)
    # Read as unsigned numbers, negative ones are the largest: one look finds what is too low and what is too high.
    if numbers.view(np.uint64).max() > _LAST:
        outside = given[(given < _FIRST) | (given > _LAST)]
        raise ValueError(f"{outside.flat[0]} is not a valid Action: {_ACTIONS_IN_WORDS}")
    return numbers


def _shares(actions: Any, shapes: tuple[tuple[int, ...], ...]) -> Floats:
    given = np.asarray(actions)
    if given.dtype.kind not in _REAL or given.shape not in shapes:
        raise ValueError(_wrong(actions, given, f"real numbers of shape {shapes[0]} in [-1, 1]"))
    shares = given.astype(np.float64, copy=False).reshape(-1)
    if not np.isfinite(shares).all():
        at = int(np.flatnonzero(~np.isfinite(shares))[0])
        whose = f" of battery {at}" if len(shares) > 1 else ""
        raise ValueError(f"action {shares[at]}{whose} is not a finite number; the agent may have diverged")
    return shares


def _wrong(actions: Any, given: npt.NDArray[Any], wanted: str) -> str:
    return f"the action must be {wanted}, not {given.dtype} of shape {given.shape}: {str(actions)[:80]}"
