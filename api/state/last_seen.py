"""What was decided last for each asset, kept for the dashboard and for previews of another risk aversion.

Contract: this process' own decisions and their markets, the newest few; nothing here is written down or acted on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

from api.state.subject import DecisionContext
from arbitrage.live.feed import Snapshot
from arbitrage.market.series import MarketSeries

_MOST = 32
"""Markets are large."""


@dataclass(frozen=True, slots=True)
class Source:
    """The market to decide on: the request's, or what the feed knows."""

    known: MarketSeries | Snapshot
    version: Hashable
    """Another one for other records."""

    @property
    def market(self) -> MarketSeries:
        """The market itself."""
        return self.known.market if isinstance(self.known, Snapshot) else self.known


@dataclass(frozen=True, slots=True)
class Seen:
    """Who was decided for, and on which market."""

    subject: DecisionContext
    source: Source


@dataclass(slots=True)
class LastSeen:
    """The newest decision's ground, by asset."""

    _kept: OrderedDict[str, Seen] = field(default_factory=OrderedDict)

    def note(self, seen: Seen) -> None:
        """Something was decided; a decision for no asset is not kept."""
        asset_id = seen.subject.asset_id
        if asset_id is None:
            return
        self._kept[asset_id] = seen
        self._kept.move_to_end(asset_id)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)

    def of(self, asset_id: str) -> Seen | None:
        """What was decided last for an asset; None where nothing was."""
        return self._kept.get(asset_id)
