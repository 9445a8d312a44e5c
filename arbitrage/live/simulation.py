"""The whole loop against a simulated world: feed, decisions, battery, settlement, at any speed.

Contract
- Time is the simulation's. The feed is polled whenever something is decided and whenever a price is published; who
  decides sees what the feed has brought, and nothing of the world beside it.
- A quarter-hour is settled when the feed brings its price. Without faults the profit is that of a backtest of the same
  policy on the same world, to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.live.challenger import Contender, Setpoint
from arbitrage.live.feed import Clocks, Feed, Snapshot
from arbitrage.live.quality import SECONDS_PER_MINUTE
from arbitrage.live.simulated_source import FeedFault, SimulatedSource
from arbitrage.live.window import Window
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.series import MinuteSource
from arbitrage.market.simulation.simulator import SimulatedMarket
from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR, refuse_step

_LONGEST_WAIT_MIN = 6 * MINUTES_PER_HOUR
"""For the last prices, after the last interval."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A world and the part of it that is played through."""

    world: SimulatedMarket
    start: int
    """Epoch minute on the quarter-hour."""
    end: int
    publication_delay_min: int
    with_minutes: bool
    faults: Sequence[FeedFault] = ()

    def __post_init__(self) -> None:
        first, last = self.world.scenario.start, self.world.scenario.end
        rules = {
            "start": (self.start % MINUTES_PER_QUARTER_HOUR == 0, "is not on a quarter-hour"),
            "end": (self.end % MINUTES_PER_QUARTER_HOUR == 0, "is not on a quarter-hour"),
            "span": (first <= self.start < self.end <= last, "does not lie within the world"),
        }
        refuse(Fault(name, message) for name, (holds, message) in rules.items() if not holds)


@dataclass(frozen=True, slots=True)
class Moment:
    """What happened at one minute."""

    time: int
    snapshot: Snapshot
    setpoints: tuple[Setpoint | None, ...]
    """The setpoint of each contender; None where nothing was decided."""


class Simulation:
    """One scene, played through once."""

    def __init__(
        self,
        scene: Scene,
        contenders: Sequence[Contender],
        step_min: int,
        *,
        polled: Callable[[Snapshot, float], None] = lambda snapshot, now_s: None,
        speed: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """The first contender acts, the others are in its shadow; `step_min` is the shortest between decisions.

        polled: called with each snapshot and its time in seconds, before anything is decided on it.
        speed: simulated seconds a second; 0: as fast as it goes.
        Raises BadInput for a negative speed, without contenders, or for a step that is not 1, 3, 5 or 15.
        """
        if speed < 0.0 or not contenders:
            raise BadInput([Fault("simulation", "needs a decider, and a speed of 0 or more")])
        refuse_step(step_min)
        self.scene, self.contenders, self.step_min = scene, contenders, step_min
        self._polled, self._speed, self._sleep = polled, speed, sleep
        self._now_s = 0.0
        source = SimulatedSource(scene.world, scene.publication_delay_min, scene.with_minutes, scene.faults)
        window = Window(scene.publication_delay_min, MinuteSource.SIMULATED)
        self.feed = Feed(source, window, clocks=Clocks(lambda: self._now_s, lambda: self._now_s))

    def run(self) -> Iterator[Moment]:
        """Live through the scene, then wait for the last prices. It may be left at any moment."""
        scene, last = self.scene, self.scene.start
        for now in range(scene.start, scene.end + _LONGEST_WAIT_MIN):
            if now >= scene.end and not any(each.asset.unsettled for each in self.contenders):
                return
            if not self._is_due(now):
                continue
            if self._speed:
                self._sleep((now - last) * SECONDS_PER_MINUTE / self._speed)
            last = now
            yield self._live(now)

    def _is_due(self, now: int) -> bool:
        published = (now - self.scene.publication_delay_min) % MINUTES_PER_QUARTER_HOUR == 0
        return published or now % self.step_min == 0

    def _live(self, now: int) -> Moment:
        self._now_s = float(now * SECONDS_PER_MINUTE)
        snapshot = self.feed.poll()
        prices = known_prices(snapshot, now)
        for each in self.contenders:
            each.settle(prices, now)
        self._polled(snapshot, self._now_s)
        if now >= self.scene.end:
            return Moment(now, snapshot, (None,) * len(self.contenders))
        return Moment(now, snapshot, tuple(each.live(snapshot, now, self._now_s) for each in self.contenders))


def known_prices(snapshot: Snapshot, now: int) -> dict[int, float]:
    """Final prices of the last day that are known at an epoch minute, by start of the quarter-hour."""
    series = snapshot.market.known_series.get(PRICE)
    if series is None:
        return {}
    rows = np.flatnonzero(~np.isnan(series.values) & (series.available_at <= now))[-96:]
    return {int(series.first_minute + series.step_min * row): float(series.values[row]) for row in rows}
