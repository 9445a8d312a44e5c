"""A simulated world played as a live feed by a clock that a test turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from arbitrage.live.feed import Clocks, Feed
from arbitrage.live.simulated_source import FeedFault, SimulatedSource
from arbitrage.live.window import Window
from arbitrage.market.series import MinuteSource
from arbitrage.market.simulation.simulator import SimulatedMarket, simulate
from arbitrage.quarter_hour import epoch_minute

DELAY_MIN = 1
START = epoch_minute("2025-03-10T00:00+01:00")
FROM = epoch_minute("2025-03-29T22:00+01:00")
"""When tests begin to live: two hours before the Brussels day on which clocks go forward."""


@cache
def world() -> SimulatedMarket:
    """Three weeks over the night on which clocks go forward."""
    return simulate(START, START + 22 * 24 * 60, seed=3)


@dataclass
class Turned:
    """Wall and steady clock, both turned by hand."""

    now_s: float
    steady_s: float = 0.0

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds
        self.steady_s += seconds

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: self.now_s, lambda: self.steady_s)


def feed_of(
    clock: Turned, faults: Sequence[FeedFault] = (), *, with_minutes: bool = True, source: SimulatedSource | None = None
) -> Feed:
    playing = source or SimulatedSource(world(), DELAY_MIN, with_minutes, faults)
    return Feed(playing, Window(DELAY_MIN, MinuteSource.SIMULATED), clocks=clock.clocks)
