"""The live market, kept by polls in the background and handed out as snapshots.

Contract
- A snapshot is whole and never changes; taking one costs nothing. Its number grows when there is something new to know.
- A poll that fails is reported with its time, and the next one comes as planned: recovery is automatic. What the
  failure means for deciding is said by the age of the data, not by the failure.
- Clock and sleep are handed in, so that days pass in seconds. A wall clock that jumps against the steady one is not
  believed until a poll brings records that fit it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from arbitrage.errors import BadInput
from arbitrage.live.quality import Finding, Found, Quality
from arbitrage.live.window import Brought, Window, empty_market
from arbitrage.market.fetch.elia_client import FetchFailed
from arbitrage.market.series import MarketSeries

INTERVAL_S = 60.0


class LiveSource(Protocol):
    """Where records come from."""

    def poll(self, now_s: float) -> Brought:
        """What is new at `now_s`, seconds since the epoch. Raises FetchFailed, BadInput or OSError."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The market of the last days as it was known at one moment."""

    version: int = 0
    market: MarketSeries = field(default_factory=empty_market)
    taken_at_s: float | None = None
    """When it was polled last, seconds since the epoch; None: never yet."""
    reported: tuple[tuple[Quality, Finding], ...] = ()
    """What the last poll noticed."""
    failing_since_s: float | None = None


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks that a feed goes by."""

    now_s: Callable[[], float] = time.time
    """Wall clock, seconds since the epoch."""
    steady_s: Callable[[], float] = time.monotonic
    """A clock that is never set."""


class Feed:
    """Keeps a window of the market up to the minute."""

    def __init__(
        self, source: LiveSource, window: Window, *, interval_s: float = INTERVAL_S, clocks: Clocks | None = None
    ) -> None:
        self.interval_s = interval_s
        self._source, self._window = source, window
        self._clocks = clocks or Clocks()
        self._snapshot = Snapshot()
        self._read: tuple[float, float] | None = None
        """Wall and steady clock at the last poll."""
        self._doubted_s = 0.0
        """By how much the wall clock has jumped since it was last believed."""
        self._stopping = threading.Event()

    @property
    def snapshot(self) -> Snapshot:
        """The newest one."""
        return self._snapshot

    def poll(self) -> Snapshot:
        """Ask the source once, and take what it brought into a new snapshot."""
        now_s = self._clocks.now_s()
        jumped_s = self._clock_found(now_s)
        before = self._snapshot
        failing_since_s: float | None = None
        found: Found = []
        market = self._window.market
        try:
            brought = self._source.poll(now_s)
        except (FetchFailed, BadInput, OSError) as failure:
            brought = Brought(failure=str(failure))
        if brought.failure is not None:
            failing_since_s = now_s if before.failing_since_s is None else before.failing_since_s
            found.append((Quality.OK, Finding("silence", {"since_s": failing_since_s, "reason": brought.failure})))
        found += self._window.absorb(brought, now_s)
        new = self._window.market is not market
        found += self._clock_verdict(jumped_s, new and self._window.fits_clock(now_s), found)
        changed = new or tuple(found) != before.reported
        self._snapshot = Snapshot(before.version + changed, self._window.market, now_s, tuple(found), failing_since_s)
        return self._snapshot

    def keep(self) -> None:
        """Poll until `stop` is called; meant for a thread of its own."""
        while not self._stopping.is_set():
            began_s = self._clocks.steady_s()
            self.poll()
            left_s = self.interval_s - (self._clocks.steady_s() - began_s)
            self._stopping.wait(max(0.0, left_s))

    def stop(self) -> None:
        """Let `keep` come to its end."""
        self._stopping.set()

    def _clock_found(self, now_s: float) -> float:
        """By how many seconds the wall clock has left the steady one since the last poll."""
        steady_s, last = self._clocks.steady_s(), self._read
        self._read = (now_s, steady_s)
        return 0.0 if last is None else (now_s - last[0]) - (steady_s - last[1])

    def _clock_verdict(self, jumped_s: float, fits: bool, found: Found) -> Found:
        """Doubt the clock after a jump, until records come that fit it."""
        future = any(quality is Quality.CLOCK for quality, _ in found)
        if abs(jumped_s) > self._window.clock_skew_s:
            self._doubted_s += jumped_s
        elif fits and not future:
            self._doubted_s = 0.0
        if not self._doubted_s:
            return []
        return [(Quality.CLOCK, Finding("clock_jumped", {"seconds": round(self._doubted_s, 3)}))]
