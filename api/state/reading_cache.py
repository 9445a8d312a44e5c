"""Markets read once for all requests of the same interval.

Contract
- Reading a market takes tens of milliseconds and rests on market, interval, policy, battery and risk alone; adding a
  battery's state takes microseconds. What was read is kept, and of several who ask for the same reading one makes it.
- Reading happens on threads beside the event loop, so that other requests do not wait for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Made = TypeVar("Made")


class CachedReading(Generic[Made]):
    """The newest results of a slow function, by key; belongs to one event loop."""

    def __init__(self, most: int, threads: ThreadPoolExecutor) -> None:
        self._most = most
        self._threads = threads
        self._kept: OrderedDict[Hashable, asyncio.Future[Made]] = OrderedDict()

    def ready(self, key: Hashable) -> Made | None:
        """The result, if it is there already."""
        future = self._kept.get(key)
        return future.result() if future is not None and future.done() and future.exception() is None else None

    async def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """The result for that key, made by `make` if it is not there yet; what it raises is raised to all who wait."""
        future = self._kept.get(key)
        if future is None:
            future = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(self._threads, make))
            self._kept[key] = future
            future.add_done_callback(lambda future: self._forget_failure(key, future))
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return await asyncio.shield(future)

    def _forget_failure(self, key: Hashable, future: asyncio.Future[Made]) -> None:
        if (future.cancelled() or future.exception() is not None) and self._kept.get(key) is future:
            del self._kept[key]
