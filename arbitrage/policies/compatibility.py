"""Whether a policy suits the battery and the market that it is asked about."""

from __future__ import annotations

from arbitrage.battery import Battery
from arbitrage.errors import Fault
from arbitrage.market.point_in_time import KnownMarket


def missing_sources(sources: tuple[str, ...], knowledge: KnownMarket) -> list[Fault]:
    """Quantities that the policy was trained on and the market does not carry."""
    return [Fault(name, "the policy was trained with it; give it") for name in sources if not knowledge.has(name)]


def mismatches(trained: Battery, given: Battery) -> list[Fault]:
    """Where the battery differs from the one that the policy was trained for."""
    fields = Battery.__dataclass_fields__
    return [
        Fault(name, f"the policy was trained for {getattr(trained, name)}, not {getattr(given, name)}")
        for name in fields
        if getattr(trained, name) != getattr(given, name)
    ]
