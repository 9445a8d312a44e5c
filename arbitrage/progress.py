"""How a long piece of work reports how far it is: one type, whatever the work.

Contract: reports change nothing of what is done. A callback may raise, which ends the work as an interruption does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work is."""

    doing: str
    """What is being done, in words."""
    completed: float
    """So much of `total`."""
    total: float = 1.0
    task: str = ""
    """Which of several pieces of work side by side, such as `seed 3`."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Figures by name, where the work has some, such as the loss."""
    remark: str | None = None
    """What has just happened, if it deserves a line of its own."""

    @property
    def fraction(self) -> float:
        """The part that is completed, 0 to 1."""
        return self.completed / self.total if self.total else 1.0


ProgressCallback = Callable[[Progress], None]


def silent(_progress: Progress) -> None:
    """The callback that shows nothing."""
