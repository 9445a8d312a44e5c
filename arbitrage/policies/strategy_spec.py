"""What the registry knows of a strategy before it is made.

Contract: a spec holds all that callers ask by name. What a strategy needs and how often it decides is stated by its
class and read from there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from arbitrage.battery import Battery
from arbitrage.errors import Fault, refuse
from arbitrage.market.coverage import IN_WORDS, Need
from arbitrage.market.point_in_time import DAY_AHEAD, SOLAR_FORECAST, WIND_FORECAST
from arbitrage.market.series import MINUTE_COLUMNS, MarketSeries
from arbitrage.market.splits import Span
from arbitrage.policies.protocol import Policy

Tuner = Callable[[MarketSeries, Battery, Sequence[Span], str], Policy]
"""Chooses a strategy's numbers on the spans, which must not be tested; the text names these days in reports."""

_DIGITS = 8
_OPTIONS = {
    DAY_AHEAD: "--day-ahead",
    **dict.fromkeys((WIND_FORECAST, SOLAR_FORECAST), "--forecasts"),
    **dict.fromkeys(MINUTE_COLUMNS, "--minutes"),
}
"""Options of the command line that give each series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySpec:
    """A strategy that is made from code: a rule, or a user's own."""

    name: str
    """As users name it."""
    description: str
    """One line."""
    make: Callable[[], Policy]
    """With its untuned numbers."""
    tune: Tuner | None = None
    """None: there is nothing to tune."""
    code_sha256: str | None = None
    """Digest of the file that defines a user's own strategy; None for one of this program."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """The series that it reads."""
        return self.make().needs

    @property
    def step_min(self) -> int:
        """Minutes between its decisions."""
        return self.make().step_min

    def tuned(self, market: MarketSeries, battery: Battery, selection: Sequence[Span], description: str) -> Policy:
        """The strategy tuned on these spans, untuned where it has nothing to tune or there are no spans."""
        if self.tune is None or not selection:
            return self.make()
        return self.tune(market, battery, selection, description)

    def source_faults(self, market: MarketSeries) -> list[Fault]:
        """A fault for every series that it needs and the market does not carry."""
        absent = [need.series for need in self.needs if need.series not in market.known_series]
        return [Fault("strategy", f"{self.name} needs {IN_WORDS.get(each, each)}{_remedy(each)}") for each in absent]

    def refuse_without_sources(self, market: MarketSeries) -> None:
        """Raise BadInput, naming every series that it needs and the market does not carry."""
        refuse(self.source_faults(market))


def folder_name(strategy: str) -> str:
    """The name of one folder for a strategy: its own, or letters of it and a digest where it holds other signs."""
    safe = re.sub(r"[^\w.-]+", "-", strategy).strip("-.")
    return strategy if safe == strategy else f"{safe}-{hashlib.sha256(strategy.encode()).hexdigest()[:_DIGITS]}"


def policy_facts(policy: Policy) -> dict[str, Any]:
    """The numbers of a strategy, ready for JSON; its name alone where it is not a dataclass."""
    return asdict(policy) if is_dataclass(policy) else {"name": policy.name}


def _remedy(series: str) -> str:
    return f"; give them with {_OPTIONS[series]}" if series in _OPTIONS else ""
