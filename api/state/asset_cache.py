"""Assets as decisions need them: kept in memory for a moment, so that the same asset is not looked up for each request.

Contract: what is changed here is looked up again at once; what another process changes is seen within `KEPT_S`. A
decision that rests on something older, a state or an order, is refused by the database when it is written, and made
again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from api.clock import Clock
from api.state.asset import StoredAsset, look_up
from api.storage.asset_lists import AssetLists
from api.storage.database.refusals import AssetUnknown

KEPT_S = 1.0
_MOST = 10_000


class AssetCache:
    """Looks assets up; belongs to one event loop."""

    def __init__(self, lists: AssetLists, clock: Clock, threads: ThreadPoolExecutor) -> None:
        self._lists = lists
        self._clock = clock
        self._threads = threads
        self._kept: OrderedDict[str, tuple[float, StoredAsset | None]] = OrderedDict()

    async def find(self, asset_id: str) -> StoredAsset | None:
        """An asset, as it was at most `KEPT_S` ago; None if there is none."""
        entry = self._kept.get(asset_id)
        if entry is not None and time.monotonic() - entry[0] < KEPT_S:
            return entry[1]
        now_s = time.monotonic()
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, asset_id)
        self._kept[asset_id] = (now_s, found)
        self._kept.move_to_end(asset_id)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return found

    def forget(self, asset_id: str) -> None:
        """The asset was changed."""
        self._kept.pop(asset_id, None)

    def _look_up(self, asset_id: str) -> StoredAsset | None:
        try:
            return look_up(self._lists, asset_id, self._clock())
        except AssetUnknown:
            return None
