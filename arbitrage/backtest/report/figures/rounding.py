"""Numbers and days as people read them.

Contract: rounding is for reading only; nothing is computed from a rounded number. Thousands are parted by commas, a
negative number bears a true minus sign, zero is never negative, and a figure that does not exist is a dash.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from arbitrage.arrays import Floats

NO_FIGURE = "\N{EM DASH}"
_MINUS = "\N{MINUS SIGN}"
_ALL_BUT_EQUAL = 1e-9
"""Differences of values, as a share of their size, that are rounding."""
_NOTHING_EUR = 1e-9


def number(value: float | None, decimals: int = 1, *, signed: bool = False) -> str:
    """A rounded number; `signed` puts a plus before positive ones."""
    if value is None or not np.isfinite(value):
        return NO_FIGURE
    rounded = round(float(value), decimals) + 0.0
    sign = "+" if signed and rounded > 0.0 else ""
    return sign + f"{rounded:,.{decimals}f}".replace("-", _MINUS)


def percent(fraction: float | None, decimals: int = 1) -> str:
    """A share of one in hundredths."""
    if fraction is None or not np.isfinite(fraction):
        return NO_FIGURE
    return f"{number(100.0 * fraction, decimals)}\N{NO-BREAK SPACE}%"


def interval(bounds: Sequence[float] | None, decimals: int = 1, *, signed: bool = False) -> str:
    """Two bounds as "low to high"; nothing if there are none."""
    return "" if bounds is None else " to ".join(number(bound, decimals, signed=signed) for bound in bounds)


def sensible_decimals(scale: float) -> int:
    """Decimals for all numbers of one column whose size is about `scale`: none above 10,000, three below 1.

    Below 0.01 there are as many as two digits need, down to a billionth.
    """
    size = abs(scale)
    if not size >= _NOTHING_EUR:
        return 1
    limits = (10_000.0, 100.0, 1.0, 0.01)
    needed = 1 - int(np.floor(np.log10(size))) if size < limits[-1] else len(limits) - 1
    return next((decimals for decimals, limit in enumerate(limits[:-1]) if size >= limit), needed)


def interval_in_words(bounds: Sequence[float] | None, decimals: int = 1, *, signed: bool = False) -> str:
    """The 95 % interval, or that there is none."""
    return "no interval" if bounds is None else f"95 % interval {interval(bounds, decimals, signed=signed)}"


def counted(count: int, noun: str) -> str:
    """A number of things, such as 1 day or 1,200 days."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def calendar_date(day: pd.Timestamp) -> str:
    """A day such as 3 Mar 2022."""
    return f"{day.day} {day:%b %Y}"


def round_edges(values: Floats) -> Floats:
    """Edges for a histogram of values [n]: at most some sixty bins of one round width.

    Zero is an edge or lies outside, so gains and losses share no bin. Values that are all but equal share one bin of
    a width that suits their size.
    """
    reach, size = float(np.ptp(values)), float(np.abs(values).max())
    if reach <= _ALL_BUT_EQUAL * size or reach < _NOTHING_EUR:
        reach = size if size >= _NOTHING_EUR else 1.0
    width = round_step(0.7 * reach / min(40.0, max(8.0, 1.5 * np.sqrt(len(values)))))
    first, last = np.floor(values.min() / width), np.floor(values.max() / width) + 1.0
    return np.asarray(width * np.arange(first, last + 1.0), dtype=np.float64)


def round_step(at_least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below."""
    power = 10.0 ** np.floor(np.log10(at_least))
    return float(next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= at_least))
