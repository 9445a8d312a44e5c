"""Errors that a user can act on.

Contract: bad input is reported whole. Anyone who finds one fault goes on looking and raises once, with every
fault named, so that the user mends a file in one pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the input: where it stands and what it is."""

    where: str
    """A file, a field or an option."""
    message: str
    line: int | None = None
    """Line in the file, the header being line 1; None where lines mean nothing."""

    def __str__(self) -> str:
        place = self.where if self.line is None else f"{self.where}:{self.line}"
        return f"{place}: {self.message}"


class BadInput(ValueError):
    """The input cannot be used; `faults` holds everything that is wrong with it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def refuse(faults: Iterable[Fault]) -> None:
    """Raise `BadInput` if there are any faults."""
    found = tuple(faults)
    if found:
        raise BadInput(found)
