"""Numbers as they are written in files: the decimal sign, and signs between groups of three digits.

Contract
- With a decimal point, groups may stand apart by blanks or apostrophes (1 234.5), and by commas only where a point
  follows (1,234.5): 1,234 alone is refused, since it may be meant as 1.234.
- With a decimal comma, groups may stand apart by points, blanks or apostrophes (1.234,5).
- The sign is found for the whole file: cells that could be read in one way only decide, and must agree.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute

from arbitrage.market.files.reading import Decimal
from arbitrage.market.files.records import Rows

_BLANKS = "[ '\u00a0\u2009\u202f\u2019]"
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_GROUPED_BY_BLANKS = rf"^[+-]?\d{{1,3}}(?:{_BLANKS}\d{{3}})+"
_SIGNS = {Decimal.POINT: (r"\.", ","), Decimal.COMMA: (",", r"\.")}
"""Each decimal sign as a pattern, and the one that may stand between groups of digits then."""


def with_point(texts: pa.ChunkedArray, decimal: Decimal) -> tuple[pa.ChunkedArray, Rows]:
    """Cells [n] of numbers as a program writes them, and the rows that are no numbers with this decimal sign.

    Those rows are null. Cells that hold no decimal sign and no groups are left as they are.
    """
    trimmed = _trimmed(texts)
    if decimal is Decimal.POINT:
        return _without_groups(trimmed, decimal), np.zeros(0, dtype=np.intp)
    number = compute.match_substring_regex(trimmed, _plain(decimal))
    grouped = compute.match_substring_regex(trimmed, _grouped(decimal))
    fine = compute.fill_null(compute.or_(compute.or_(number, grouped), compute.equal(trimmed, "")), True)
    without = compute.replace_substring(_without_groups(trimmed, decimal), ",", ".")
    return compute.if_else(fine, without, pa.scalar(None, pa.string())), np.flatnonzero(~fine.to_numpy())


def shown_sign(columns: Iterable[pa.ChunkedArray]) -> dict[Decimal | None, tuple[int, int]]:
    """The decimal signs that columns of text show, each with the column and row that shows it first.

    The key None stands for cells such as 1,234 that could be read with either sign.
    """
    shown: dict[Decimal | None, tuple[int, int]] = {}
    for number, column in enumerate(columns):
        trimmed = _trimmed(column)
        signed = compute.match_substring_regex(trimmed, rf"^[+-]?[\d{_BLANKS[1:-1]}]*[.,][\d.,]*{_EXPONENT}$")
        left = signed.fill_null(False)
        for sign in (Decimal.POINT, Decimal.COMMA):
            decides = compute.match_substring_regex(trimmed, _unmistakable(sign)).fill_null(False)
            _note(shown, sign, number, decides)
            left = compute.and_(left, compute.invert(decides))
        _note(shown, None, number, left)
    return shown


def _note(
    shown: dict[Decimal | None, tuple[int, int]], sign: Decimal | None, column: int, rows: pa.ChunkedArray
) -> None:
    found = np.flatnonzero(rows.to_numpy())
    if len(found):
        shown.setdefault(sign, (column, int(found[0])))


def _trimmed(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return compute.replace_substring(compute.utf8_trim_whitespace(texts), "\u2212", "-")


def _plain(decimal: Decimal) -> str:
    sign, _ = _SIGNS[decimal]
    return rf"^[+-]?(?:\d+(?:{sign}\d*)?|{sign}\d+){_EXPONENT}$"


def _grouped(decimal: Decimal) -> str:
    """Groups of three digits: by blanks, or by the other sign, which must be followed by this one if it is a comma."""
    sign, other = _SIGNS[decimal]
    decimals = rf"{sign}\d+" if decimal is Decimal.POINT else rf"(?:{sign}\d+)?"
    return rf"{_GROUPED_BY_BLANKS}(?:{sign}\d+)?$|^[+-]?\d{{1,3}}(?:{other}\d{{3}})+{decimals}$"


def _without_groups(trimmed: pa.ChunkedArray, decimal: Decimal) -> pa.ChunkedArray:
    _, other = _SIGNS[decimal]
    grouped = compute.match_substring_regex(trimmed, _grouped(decimal))
    return compute.if_else(grouped, compute.replace_substring_regex(trimmed, rf"{_BLANKS}|{other}", ""), trimmed)


def _unmistakable(decimal: Decimal) -> str:
    """Numbers that can be meant with this decimal sign only."""
    sign, other = _SIGNS[decimal]
    not_three_decimals = rf"\d*{sign}(?:\d{{0,2}}|\d{{4,}})"
    no_group_before = rf"(?:0\d*|\d{{4,}}|){sign}\d+"
    groups_before = rf"\d{{1,3}}(?:(?:{other}\d{{3}})+|(?:{_BLANKS}\d{{3}})+){sign}\d+"
    groups_only = rf"\d{{1,3}}(?:{other}\d{{3}}){{2,}}"
    return rf"^[+-]?(?:{not_three_decimals}|{no_group_before}|{groups_before}|{groups_only}){_EXPONENT}$"
