"""Writes of many waiters put into one transaction.

Contract
- An answer leaves after the commit: `write` returns once its item is committed.
- While one transaction is under way all that comes waits and goes into the next one together, so that throughput does
  not fall to one flush of the disk a request. Items keep their order.
- What goes wrong with one item is raised to its own waiter. The queue is bounded: beyond it, waiters are refused.
- An item whose waiter went away before a group took it is dropped. Once it is taken it is committed, waiter or not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from api.storage.database.refusals import StorageBusy, StorageClosed

Item = TypeVar("Item")
Written = TypeVar("Written")
CommitTogether = Callable[[Sequence[Item]], Sequence[Written | Exception]]
"""Commits items in one transaction; says of each what was written, or why it was not."""

LONGEST_QUEUE = 10_000
LARGEST_GROUP = 256


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item, Written]):
    """An item that no group has taken yet."""

    item: Item
    written: asyncio.Future[Written]
    on_taken: Callable[[], None] | None


class GroupCommit(Generic[Item, Written]):
    """A queue of items and one thread that commits them; belongs to the event loop it is first used in."""

    def __init__(self, commit: CommitTogether[Item, Written], longest_queue: int = LONGEST_QUEUE) -> None:
        self._commit = commit
        self._longest_queue = longest_queue
        self._waiting: deque[_Waiting[Item, Written]] = deque()
        self._thread = ThreadPoolExecutor(1, "group-commit")
        self._is_writing = False
        """Whether a group is under way, or about to be."""
        self._done = asyncio.Event()
        """Set once nothing waits any more."""
        self._closed = False

    def __len__(self) -> int:
        """How many items wait for their transaction to begin."""
        return len(self._waiting)

    async def write(self, item: Item, on_taken: Callable[[], None] | None = None) -> Written:
        """Commit an item, together with whatever else waits.

        on_taken: called once the item cannot be taken back any more: a waiter that is cancelled from then on does not
        know whether it is written. Raises StorageBusy if the queue is full, StorageClosed after `close`, and whatever
        kept this item from being written.
        """
        if self._closed:
            raise StorageClosed("the service is stopping: nothing is written any more")
        if len(self._waiting) >= self._longest_queue:
            raise StorageBusy(f"{len(self._waiting)} records already wait to be written; try again shortly")
        loop = asyncio.get_running_loop()
        written: asyncio.Future[Written] = loop.create_future()
        self._waiting.append(_Waiting(item, written, on_taken))
        if not self._is_writing:
            self._is_writing = True
            loop.call_soon(self._write_group, loop)  # after all that is ready to come, which then goes along
        return await written

    async def close(self) -> None:
        """Refuse further items, and wait until all that came before are committed."""
        self._closed = True
        if self._is_writing:
            self._done.clear()
            await self._done.wait()
        self._thread.shutdown()

    def _write_group(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand what waits to the thread, which says in the event loop when it is done: one wake-up a group each way."""
        group: list[_Waiting[Item, Written]] = []
        while self._waiting and len(group) < LARGEST_GROUP:
            waiting = self._waiting.popleft()
            if not waiting.written.cancelled():
                group.append(waiting)
        if not group:
            self._is_writing = False
            self._done.set()
            return
        for each in group:
            if each.on_taken is not None:
                each.on_taken()
        commit = self._thread.submit(self._commit, [each.item for each in group])
        waiters = [each.written for each in group]
        commit.add_done_callback(lambda done: loop.call_soon_threadsafe(self._end_group, loop, waiters, done))

    def _end_group(
        self,
        loop: asyncio.AbstractEventLoop,
        waiters: Sequence[asyncio.Future[Written]],
        commit: Future[Sequence[Written | Exception]],
    ) -> None:
        failure = commit.exception()
        outcomes = [failure] * len(waiters) if failure is not None else commit.result()
        for written, outcome in zip(waiters, outcomes, strict=True):
            _resolve(written, outcome)
        self._write_group(loop)


def _resolve(written: asyncio.Future[Written], outcome: Written | BaseException) -> None:
    if written.done():  # its waiter went away
        return
    if isinstance(outcome, BaseException):
        written.set_exception(outcome)
    else:
        written.set_result(outcome)
