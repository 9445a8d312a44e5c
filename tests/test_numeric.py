"""What counts as a number."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from arbitrage.numeric import is_whole, percent_remedy, real_number


@pytest.mark.parametrize("value", [2, 2.0, np.int8(2), np.uint64(2), np.float16(2), np.float64(2), Fraction(2)])
def test_numbers_of_all_types_are_numbers(value: Any) -> None:
    assert real_number(value) == 2.0


@pytest.mark.parametrize(
    "value",
    [
        "2",
        b"2",
        None,
        True,
        np.True_,
        2j,
        np.complex128(2),
        Decimal(2),
        [2],
        np.array(2),
        np.timedelta64(2, "m"),
        math.nan,
    ],
)
def test_what_is_no_number_is_nan(value: Any) -> None:
    assert math.isnan(real_number(value))


def test_a_number_beyond_all_floats_is_infinite() -> None:
    assert (real_number(10**400), real_number(-(10**400))) == (math.inf, -math.inf)


def test_whole_is_what_is_whole_by_its_type() -> None:
    assert all(is_whole(value) for value in (2, np.int64(2), np.uint8(2)))
    assert not any(is_whole(value) for value in (2.0, np.float64(2), True, np.True_, "2", None, np.timedelta64(2, "m")))


def test_the_fraction_is_told_where_percent_are_likely() -> None:
    assert percent_remedy(90) == "; did you mean 0.9?"
    assert [percent_remedy(value) for value in (1.1, 100.5, -90, "90", None)] == [""] * 5
