"""Numbers as written in files: the decimal sign, and separators between groups of three digits.

Contract
- With a decimal point, groups may be separated by blanks or apostrophes (1 234.5), and by commas only where a point
  follows (1,234.5). 1,234 alone is refused, since it may mean 1.234.
- With a decimal comma, groups may be separated by points, blanks or apostrophes (1.234,5).
- The decimal sign is detected for the whole file, from the cells that allow one reading only. These must agree.
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
"""For each decimal sign: its pattern, and the pattern of the other sign, which may separate groups."""


def with_point(texts: pa.ChunkedArray, decimal: Decimal) -> tuple[pa.ChunkedArray, Rows]:
    """Cells [n] with a decimal point and without groups, and the rows that are not numbers with this decimal sign.

    Those rows are null. Cells without a decimal sign and without groups are unchanged.
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
    """The decimal signs in columns of text, each with the column and row of its first occurrence.

    The key None stands for ambiguous cells such as 1,234.
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
    """Groups of three digits, separated by blanks or by the other sign; a comma must be followed by a point."""
    sign, other = _SIGNS[decimal]
    decimals = rf"{sign}\d+" if decimal is Decimal.POINT else rf"(?:{sign}\d+)?"
    return rf"{_GROUPED_BY_BLANKS}(?:{sign}\d+)?$|^[+-]?\d{{1,3}}(?:{other}\d{{3}})+{decimals}$"


def _without_groups(trimmed: pa.ChunkedArray, decimal: Decimal) -> pa.ChunkedArray:
    _, other = _SIGNS[decimal]
    grouped = compute.match_substring_regex(trimmed, _grouped(decimal))
    return compute.if_else(grouped, compute.replace_substring_regex(trimmed, rf"{_BLANKS}|{other}", ""), trimmed)


def _unmistakable(decimal: Decimal) -> str:
    """Pattern of numbers that are valid with this decimal sign only."""
    sign, other = _SIGNS[decimal]
    not_three_decimals = rf"\d*{sign}(?:\d{{0,2}}|\d{{4,}})"
    no_group_before = rf"(?:0\d*|\d{{4,}}|){sign}\d+"
    groups_before = rf"\d{{1,3}}(?:(?:{other}\d{{3}})+|(?:{_BLANKS}\d{{3}})+){sign}\d+"
    groups_only = rf"\d{{1,3}}(?:{other}\d{{3}}){{2,}}"
    return rf"^[+-]?(?:{not_three_decimals}|{no_group_before}|{groups_before}|{groups_only}){_EXPONENT}$"
