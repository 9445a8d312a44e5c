"""Recognising the kind of a table by its columns.

Contract
- A table is recognised by its columns, never by its file name. Column names are compared without case, accents, spaces,
  underscores and punctuation, so that portal labels and API names match.
- Unknown columns are not read, but they are reported. They never make a known table unknown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.files.records import quoted
from arbitrage.market.files.schemas import LAYOUTS, Column, Layout

_NAMES_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Recognised:
    """A layout, and the position of each of its columns in the file."""

    layout: Layout
    positions: dict[str, int]
    unread: tuple[str, ...]
    """Columns of the file that are not read, as the file spells them."""


def spelling_key(name: str) -> str:
    """A column name in lower case, without accents, blanks and punctuation; signs and primes are kept as words."""
    signed = re.sub(r"['\u2019\u2032]", "prime", name.lower()).replace("+", "plus").replace("-", "minus")
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", signed))


def recognise(path: str, names: Sequence[str], line: int | None = None) -> Recognised:
    """The layout that these column names match, the most specific one where several match.

    Raises BadInput if none matches, if two kinds match, or if two columns of the file have the same meaning.
    """
    keys = [spelling_key(name) for name in names]
    found = [_match(layout, keys, names) for layout in LAYOUTS]
    fitting = [match for match in found if match.layout.fits(set(match.positions))]
    needed = [_needed(match) for match in fitting]
    best = [match for match, mine in zip(fitting, needed, strict=True) if not any(mine < other for other in needed)]
    if len(best) == 1:
        _refuse_twice_spelled(path, best[0], keys, names, line)
        return best[0]
    if best:
        kinds = " and ".join(match.layout.kind.value for match in best)
        message = f"holds columns of more than one kind of table: {kinds}; give each kind in its own file"
        raise BadInput([Fault(path, message, line)])
    raise BadInput([Fault(path, _unknown_columns(names), line)])


def _needed(match: Recognised) -> frozenset[str]:
    return match.layout.needs | (match.layout.needs_one_of & match.positions.keys())


def _spelled(column: Column) -> set[str]:
    return {spelling_key(spelling) for spelling in (column.name, *column.spellings)}


def _match(layout: Layout, keys: Sequence[str], names: Sequence[str]) -> Recognised:
    column_of = {key: column.name for column in layout.columns for key in _spelled(column)}
    positions: dict[str, int] = {}
    for position, key in enumerate(keys):
        if key in column_of:
            positions.setdefault(column_of[key], position)
    unread = tuple(name for name, key in zip(names, keys, strict=True) if key not in column_of)
    return Recognised(layout, positions, unread)


def _refuse_twice_spelled(
    path: str, match: Recognised, keys: Sequence[str], names: Sequence[str], line: int | None
) -> None:
    faults = []
    for column in match.layout.columns:
        columns = [name for name, key in zip(names, keys, strict=True) if key in _spelled(column)]
        if len(columns) > 1:
            faults.append(Fault(path, f"columns {' and '.join(columns)} both stand for {column.name}", line))
    refuse(faults)


def _unknown_columns(names: Sequence[str]) -> str:
    looked_for = "\n  ".join(f"{layout.kind.value}: {_needs_in_words(layout)}" for layout in LAYOUTS)
    return f"unknown columns: {_shown(names)}; known kinds of tables need\n  {looked_for}"


def _shown(names: Sequence[str]) -> str:
    """The first names, with control characters escaped, and the number of further ones."""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(quoted(name)[1:-1] for name in names[:_NAMES_SHOWN]) + more


def _needs_in_words(layout: Layout) -> str:
    """The columns that a layout needs, in Elia's spelling where there is one."""
    words = {column.name: (*column.spellings, column.name)[0] for column in layout.columns}
    needs = ", ".join(word for name, word in words.items() if name in layout.needs)
    choice = " or ".join(word for name, word in words.items() if name in layout.needs_one_of)
    return f"{needs}, {choice}" if choice else needs
