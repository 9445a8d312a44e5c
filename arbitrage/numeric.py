"""What counts as a number where one is given.

Contract: text, None, truth values, complex numbers and durations are not numbers, whatever could be made of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TypeGuard

import numpy as np

_NOT_NUMBERS = (bool, np.bool_, np.timedelta64)
_LEAST_PERCENT, _MOST_PERCENT = 2.0, 100.0


def is_real(value: object) -> TypeGuard[float]:
    """Whether the value is a real number by its type, NaN included."""
    return isinstance(value, Real) and not isinstance(value, _NOT_NUMBERS)


def real_number(value: object) -> float:
    """The value as a float: NaN where it is not a real number, infinite where it is too large for one."""
    if not is_real(value):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def is_whole(value: object) -> TypeGuard[int]:
    """Whether the value is a whole number by its type: 1.0 is not."""
    return isinstance(value, Integral) and not isinstance(value, _NOT_NUMBERS)


def plain(value: object) -> float:
    """A real number as Python has it: an int as it is, where floats reach as far, any other as a float."""
    number = real_number(value)
    return value if type(value) is int and math.isfinite(number) else number


def as_written(value: object) -> str:
    """The value as a message shows it: numbers as they are written, everything else with quotes or brackets."""
    return str(value) if isinstance(value, np.number) and is_real(value) else repr(value)


def percent_remedy(value: object) -> str:
    """The fraction that was meant, where one that is refused looks like percent; else nothing."""
    number = real_number(value)
    return f"; did you mean {number / 100.0:g}?" if _LEAST_PERCENT <= number <= _MOST_PERCENT else ""


def is_named(value: object, names: Iterable[str]) -> bool:
    """Whether the value is text, or a member of an enumeration of text, that is among the names."""
    return isinstance(value, str) and value in tuple(names)
