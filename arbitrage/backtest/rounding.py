"""Numbers and days as people read them.

Law: rounding is for reading only; nothing is computed from a rounded number. Thousands are parted by commas, a negative
number bears a true minus sign, zero is never negative, and a figure that does not exist is a dash.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

NO_FIGURE = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


def number(value: float | None, decimals: int = 1, *, signed: bool = False) -> str:
    """A rounded number; `signed` puts a plus before positive ones."""
    if value is None or not np.isfinite(value):
        return NO_FIGURE
    rounded = round(float(value), decimals) + 0.0
    sign = "+" if signed and rounded > 0.0 else ""
    return sign + f"{rounded:,.{decimals}f}".replace("-", _MINUS)


def percent(fraction: float | None, decimals: int = 1) -> str:
    """A share of one in hundredths."""
    return NO_FIGURE if fraction is None else f"{number(100.0 * fraction, decimals)}\N{NO-BREAK SPACE}%"


def interval(bounds: Sequence[float] | None, decimals: int = 1, *, signed: bool = False) -> str:
    """Two bounds as "low to high"; nothing if there are none."""
    return "" if bounds is None else " to ".join(number(bound, decimals, signed=signed) for bound in bounds)


def sensible_decimals(scale: float) -> int:
    """Decimals for all numbers of one column whose size is about `scale`: none above 10,000, three below 1."""
    if scale == 0.0:
        return 1
    limits = (10_000.0, 100.0, 1.0)
    return next((decimals for decimals, limit in enumerate(limits) if abs(scale) >= limit), len(limits))


def calendar_date(day: pd.Timestamp) -> str:
    """A day such as 3 Mar 2022."""
    return f"{day.day} {day:%b %Y}"
