"""What one running service holds, and how it starts and stops."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from api.background.backtest_runner import BacktestRunner
from api.background.market_keeper import MarketKeeper
from api.background.reader_threads import Readers
from api.background.retention import RetentionTask, Terms
from api.background.settle_prices import Settler
from api.background.storage_watch import StorageWatch
from api.clock import Clock, JumpWatch
from api.metrics import Metrics
from api.policies import Policies
from api.settings import Settings
from api.state.asset_cache import AssetCache
from api.state.challenger_batteries import Shadows
from api.state.last_seen import LastSeen
from api.state.reading_cache import CachedReading
from api.storage.asset_lists import AssetLists
from api.storage.asset_store import AssetStore
from api.storage.database.database import Database
from api.storage.decision_log import DecisionLog
from api.storage.job_store import JobStore
from api.storage.price_ledger import PriceLedger
from arbitrage.live.decider import Prepared
from arbitrage.market.series import MarketSeries
from arbitrage.market.store.store import Store

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
    jumps: JumpWatch
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "reading"))
    """For reading markets."""
    deciding: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "deciding"))
    """For what a decision asks of the database, and nothing else."""
    helper_threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "cache"))
    """For orders, assets and jobs."""
    background: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "background"))
    """For work that no request waits for."""
    readers: Readers = field(init=False)
    storage_watch: StorageWatch = field(init=False)
    readings: CachedReading[Prepared] = field(init=False)
    previews: CachedReading[Prepared] = field(init=False)
    """Readings for people who look, made on the threads of readers."""
    markets: CachedReading[MarketSeries] = field(init=False)
    log: DecisionLog = field(init=False)
    assets: AssetStore = field(init=False)
    asset_lists: AssetLists = field(init=False)
    asset_cache: AssetCache = field(init=False)
    watched_assets: AssetCache = field(init=False)
    """For people who look."""
    jobs: JobStore = field(init=False)
    runner: BacktestRunner = field(init=False)
    prices: PriceLedger = field(init=False)
    settler: Settler = field(init=False)
    shadows: Shadows = field(default_factory=Shadows)
    keeper: MarketKeeper | None = None
    """None where the service keeps no market."""
    last_seen: LastSeen = field(default_factory=LastSeen)
    retention_task: RetentionTask | None = field(init=False, default=None)
    """None where decisions are kept for ever."""
    unready: dict[str, str] = field(default_factory=dict)
    """Reasons for not being ready, by what they are about."""

    def __post_init__(self) -> None:
        self.readers = Readers(Database(self.settings.database_url), self.settings.request_timeout_s)
        if self.readers.database.file is not None:
            self.readers.database.file.remember()
        self.storage_watch = StorageWatch(self.database, self.readers.database, self.metrics.storage_fit.set)
        self.readings = CachedReading(READINGS_KEPT, self.threads)
        self.previews = CachedReading(MARKETS_KEPT, self.readers.threads)
        self.markets = CachedReading(MARKETS_KEPT, self.threads)
        self.log = DecisionLog(self.database)
        self.assets = AssetStore(self.database)
        self.asset_lists = AssetLists(self.database)
        self.prices = PriceLedger(self.database)
        self.settler = Settler(self.prices, None if self.settings.store is None else Store(self.settings.store))
        self.jobs = JobStore(self.database)
        self.runner = BacktestRunner(self.settings, self.jobs, self.background)
        if self.settings.keep_decisions_days is not None:
            unsettled_days = self.settings.delete_unsettled_after_days
            terms = Terms(
                dt.timedelta(days=self.settings.keep_decisions_days),
                None if unsettled_days is None else dt.timedelta(days=unsettled_days),
            )
            self.retention_task = RetentionTask(self.database, terms, self.clock, self.background, self.metrics)
        self.asset_cache = AssetCache(self.asset_lists, self.clock, self.deciding)
        self.watched_assets = AssetCache(self.readers.assets, self.clock, self.readers.threads)

    async def beside(self, work: Callable[..., Found], *arguments: Any, **named: Any) -> Found:
        """Work on orders, assets and jobs beside the event loop."""
        return await _on(self.helper_threads, partial(work, *arguments, **named))

    async def for_deciding(self, work: Callable[..., Found], *arguments: Any, **named: Any) -> Found:
        """Ask the database what a decision waits for."""
        return await _on(self.deciding, partial(work, *arguments, **named))

    async def behind(self, work: Callable[..., Found], *arguments: Any, **named: Any) -> Found:
        """Work that no request waits for."""
        return await _on(self.background, partial(work, *arguments, **named))

    async def close(self) -> None:
        """Write what was begun, then let go of everything."""
        if self.keeper is not None:
            await self.keeper.stop()
        if self.retention_task is not None:
            await self.retention_task.stop()
        await self.storage_watch.stop()
        await self.runner.stop()
        await self.log.close()
        for threads in (self.threads, self.deciding, self.helper_threads, self.background):
            threads.shutdown(wait=True, cancel_futures=True)
        self.readers.close()
        self.database.close()


async def _on(threads: ThreadPoolExecutor, work: Callable[[], Found]) -> Found:
    return await asyncio.get_running_loop().run_in_executor(threads, work)
