"""Writes of many waiters put into one transaction.

Law
- An answer leaves after the commit: `write` returns once its item is committed.
- While one transaction is under way all that comes waits and goes into the next one together, so that throughput does
  not fall to one flush of the disk a request. Items keep their order.
- What goes wrong with one item is raised to its own waiter. The queue is bounded: beyond it, waiters are refused.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from api.storage.refusals import StorageBusy, StorageClosed

Item = TypeVar("Item")
Written = TypeVar("Written")
CommitTogether = Callable[[Sequence[Item]], Sequence[Written | Exception]]
"""Commits items in one transaction; says of each what was written, or why it was not."""

LONGEST_QUEUE = 10_000
LARGEST_GROUP = 256


class GroupCommit(Generic[Item, Written]):
    """A queue of items and one thread that commits them; belongs to the event loop it is first used in."""

    def __init__(self, commit: CommitTogether[Item, Written], longest_queue: int = LONGEST_QUEUE) -> None:
        self._commit = commit
        self._longest_queue = longest_queue
        self._waiting: deque[tuple[Item, asyncio.Future[Written]]] = deque()
        self._thread = ThreadPoolExecutor(1, "group-commit")
        self._writer: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many items wait for their transaction to begin."""
        return len(self._waiting)

    async def write(self, item: Item) -> Written:
        """Commit an item, together with whatever else waits.

        A waiter that is cancelled does not take its item back. Raises StorageBusy if the queue is full, StorageClosed
        after `close`, and whatever kept this item from being written.
        """
        if self._closed:
            raise StorageClosed("the service is stopping: nothing is written any more")
        if len(self._waiting) >= self._longest_queue:
            raise StorageBusy(f"{len(self._waiting)} records already wait to be written; try again shortly")
        loop = asyncio.get_running_loop()
        written: asyncio.Future[Written] = loop.create_future()
        self._waiting.append((item, written))
        if self._writer is None:
            self._writer = loop.create_task(self._write_groups())
        return await written

    async def close(self) -> None:
        """Refuse further items, and wait until all that came before are committed."""
        self._closed = True
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()

    async def _write_groups(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_GROUP))]
            commit = loop.run_in_executor(self._thread, self._commit, [item for item, _ in group])
            await asyncio.wait([commit])
            failure = commit.exception()
            outcomes = [failure] * len(group) if failure is not None else commit.result()
            for (_, written), outcome in zip(group, outcomes, strict=True):
                _resolve(written, outcome)
        self._writer = None


def _resolve(written: asyncio.Future[Written], outcome: Written | BaseException) -> None:
    if written.done():  # its waiter went away
        return
    if isinstance(outcome, BaseException):
        written.set_exception(outcome)
    else:
        written.set_result(outcome)
