"""What an algorithm states of itself, so that it can be made by its name.

Contract: each algorithm's file ends with its `LEARNERS`; the registry gathers them and adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from arbitrage.learners.neural.learner import Learner


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerSpec:
    """A learner by name."""

    name: str
    make: Callable[..., Learner]
    """Takes the problem, a configuration, a seed, and the keywords of `Learner`."""
    config: Callable[..., Any]
    """The dataclass of its settings."""
    discrete: bool = True
    """Whether its actions are discrete."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from those of the dataclass."""

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings."""
        return tuple(getattr(self.config, "__dataclass_fields__", {}))
