"""Whether a policy suits the battery and the market that it is asked about."""

from __future__ import annotations

from arbitrage.battery import Battery
from arbitrage.errors import Fault
from arbitrage.market.point_in_time import KnownMarket


def missing_sources(sources: tuple[str, ...], known: KnownMarket) -> list[Fault]:
    """Series that the policy reads and the market does not carry."""
    message = "the policy reads it, and the market does not carry it; give it"
    return [Fault(name, message) for name in sources if not known.has(name)]


def mismatches(trained: Battery, given: Battery) -> list[Fault]:
    """Where the battery differs from the one that the policy was trained for."""
    fields = Battery.__dataclass_fields__
    return [
        Fault(name, f"the policy was trained for {getattr(trained, name)}, not {getattr(given, name)}")
        for name in fields
        if getattr(trained, name) != getattr(given, name)
    ]
