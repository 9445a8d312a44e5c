"""Where the kept market comes from, by the settings.

Contract
- `elia` polls Elia's live sets into a store and decides on that; one process does it. `store` decides on a store that
  another process fills (`arbitrage data watch`), so any number of workers may. `simulator` plays a made-up world, for
  first steps and for demonstrations.
- The delay with which records are published is that of the policy that decides by default.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from api.background.market_keeper import Feed
from api.clock import Clock
from api.policies import Policies
from api.settings import FeedKind, Settings
from arbitrage.live.elia_feed import EliaFeed
from arbitrage.live.feed import Clocks
from arbitrage.live.feed import Feed as LiveFeed
from arbitrage.live.simulated_source import SimulatedSource
from arbitrage.live.window import AHEAD_DAYS, DAYS, Brought, Window
from arbitrage.market.fetch.elia_client import EliaClient, RetryLimits
from arbitrage.market.fetch.fetch import EliaSource
from arbitrage.market.series import MINUTE_PUBLICATION_DELAY_MIN, MinuteSource
from arbitrage.market.simulation.simulator import simulate
from arbitrage.market.store.store import Store
from arbitrage.market.store.stored_market import stored_tables
from arbitrage.quarter_hour import brussels_day_numbers, brussels_midnight

_SIMULATED_DAYS_AHEAD = 60
_POLL_TRIES = 2


@dataclass(slots=True)
class StoreSource:
    """A store that someone else fills."""

    store: Store

    def poll(self, now_s: float) -> Brought:
        """The window as it is stored. Raises BadInput or OSError for a damaged store."""
        today = pd.Timestamp(now_s, unit="s", tz="UTC").floor("D")
        tables = stored_tables(self.store, today - pd.Timedelta(days=DAYS), today + pd.Timedelta(days=AHEAD_DAYS))
        return Brought(tables.prices, tables.minutes, tables.day_ahead, tables.forecasts)


def feed_of(settings: Settings, policies: Policies, clock: Clock) -> Feed | None:
    """The feed of the settings; None where none is kept."""
    if settings.feed is FeedKind.NONE:
        return None
    default = policies.default
    delay_min = None if default is None else default.publication_delay_min
    delay_min = MINUTE_PUBLICATION_DELAY_MIN if delay_min is None else delay_min
    clocks = Clocks(now_s=lambda: clock().timestamp())
    if settings.feed is FeedKind.SIMULATOR:
        window = Window(delay_min, MinuteSource.SIMULATED)
        return LiveFeed(_simulated(settings.simulator_seed, delay_min, clock), window, clocks=clocks)
    store = Store(settings.store or Path())
    if settings.feed is FeedKind.STORE:
        return LiveFeed(StoreSource(store), Window(delay_min), clocks=clocks)
    client = EliaClient(settings.elia_url, RetryLimits(tries=_POLL_TRIES))
    source = EliaFeed(store, EliaSource(client), now_s=clocks.now_s)
    return LiveFeed(source, Window(delay_min), clocks=clocks)


def _simulated(seed: int, delay_min: int, clock: Clock) -> SimulatedSource:
    """A world from some days ago to some time ahead."""
    today = int(brussels_day_numbers([int(clock().timestamp() // 60)])[0])
    world = simulate(brussels_midnight(today - DAYS - 1), brussels_midnight(today + _SIMULATED_DAYS_AHEAD), seed=seed)
    return SimulatedSource(world, delay_min)
