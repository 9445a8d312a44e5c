"""What one running service holds, and how it starts and stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from api.clock import Clock
from api.metrics import Metrics
from api.policies import Policies
from api.preparing import Kept
from api.settings import Settings
from api.storage.asset_store import AssetStore
from api.storage.database import Database
from api.storage.decision_log import DecisionLog
from arbitrage.live.decider import Prepared
from arbitrage.market.series import MarketSeries

Found = TypeVar("Found")

READINGS_KEPT = 512
MARKETS_KEPT = 32


@dataclass(slots=True)
class Service:
    """The parts that routes work with; made once a process, inside its event loop."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    policies: Policies
    database: Database
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "reading"))
    """For reading markets."""
    desk: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "desk"))
    """For asking the database."""
    readings: Kept[Prepared] = field(init=False)
    markets: Kept[MarketSeries] = field(init=False)
    log: DecisionLog = field(init=False)
    assets: AssetStore = field(init=False)
    unready: dict[str, str] = field(default_factory=dict)
    """Reasons for not being ready, by what they are about."""

    def __post_init__(self) -> None:
        self.readings = Kept(READINGS_KEPT, self.threads)
        self.markets = Kept(MARKETS_KEPT, self.threads)
        self.log = DecisionLog(self.database)
        self.assets = AssetStore(self.database)

    async def beside(self, work: Callable[..., Found], *arguments: Any, **named: Any) -> Found:
        """Ask the database beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.desk, partial(work, *arguments, **named))

    async def close(self) -> None:
        """Write what was begun, then let go of everything."""
        await self.log.close()
        for threads in (self.threads, self.desk):
            threads.shutdown(wait=True, cancel_futures=True)
        self.database.close()
