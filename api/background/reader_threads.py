"""Reading the database for those who look: lists, days, exports, reconciliation.

Contract
- Readers have threads and connections of their own. However many there are, deciding and readiness have theirs.
- A reader is refused where too many wait, and its work ends with its time or when no one waits for it any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from starlette.requests import Request

from api.storage.asset_lists import AssetLists
from api.storage.database.database import Database
from api.storage.database.deadline import Deadline, within
from api.storage.database.refusals import ReadTooLong, StorageBusy
from api.storage.log_reader import LogReader
from api.storage.price_ledger import PriceLedger

Found = TypeVar("Found")

THREADS = 1
"""One: what readers make of rows takes the interpreter from deciding, two of them twice as long."""
LONGEST_READ_S = 5.0
"""From asking to the end of reading; less where a request may not take so long."""
_OF_REQUEST = 0.8
MOST_WAITING = 64


class Readers:
    """Belongs to one event loop."""

    def __init__(self, database: Database, request_timeout_s: float) -> None:
        self.database = database
        self.log = LogReader(database)
        self.assets = AssetLists(database)
        self.prices = PriceLedger(database)
        self.threads = ThreadPoolExecutor(THREADS, "readers")
        self._longest_s = min(LONGEST_READ_S, _OF_REQUEST * request_timeout_s)
        self._waiting = 0

    async def read(self, request: Request, work: Callable[..., Found], *arguments: Any, **named: Any) -> Found:
        """Do the work of a request on a thread. Raises StorageBusy, ReadTooLong and what the work raises."""
        if self._waiting >= MOST_WAITING:
            raise StorageBusy(f"{self._waiting} requests already wait to be read for; try again shortly")
        deadline = Deadline(self._longest_s)
        given = partial(work, *arguments, **named)
        reading: asyncio.Future[Any] = asyncio.get_running_loop().run_in_executor(self.threads, _read, deadline, given)
        leaving: asyncio.Future[Any] = asyncio.ensure_future(_left(request))
        self._waiting += 1
        try:
            both = [reading, leaving]
            await asyncio.wait(both, timeout=deadline.left_s, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                if leaving.done():
                    raise ReadTooLong("The request is gone")
                deadline.call_off()  # a timer may be a little early
                deadline.check()
            found: Found = reading.result()
            return found
        finally:
            self._waiting -= 1
            deadline.call_off()
            leaving.cancel()
            reading.cancel()

    def close(self) -> None:
        """Let go of threads and connections."""
        self.threads.shutdown(wait=True, cancel_futures=True)
        self.database.close()


def _read(deadline: Deadline, work: Callable[[], Found]) -> Found:
    with within(deadline):
        return work()


async def _left(request: Request) -> None:
    """Wait until the caller is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
