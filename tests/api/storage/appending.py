"""A process of its own that appends decisions, for tests of several processes on one database and of their death.

    python -m tests.api.storage.appending URL NAME KEYS

Connects, says that it is ready, waits for a line, then appends a decision for each of `KEYS` idempotency keys (k0, k1,
…), eight at a time and in an order of its own, and writes a line `KEY DECISION_ID` for each as soon as its append has
returned: that is what a client would have been answered.
"""

from __future__ import annotations

import asyncio
import random
import sys

from api.storage.database.database import Database
from api.storage.decision_log import DecisionLog
from tests.api.storage.decisions import decision

READY = "ready"
WAITERS = 8


async def append_all(database: Database, name: str, keys: int) -> dict[str, str]:
    """What clients that ask all at once are told, by key."""
    log = DecisionLog(database)
    left = [f"k{number}" for number in range(keys)]
    random.Random(name).shuffle(left)
    told = {}

    async def client() -> None:
        while left:
            key = left.pop()
            appended = await log.append(decision(decision_id=f"{name}-{key}", idempotency_key=key))
            told[key] = appended.record.decision_id
            tell(f"{key} {told[key]}")

    await asyncio.gather(*(client() for _ in range(WAITERS)))
    await log.close()
    return told


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    connected = Database(sys.argv[1])
    DecisionLog(connected).by_idempotency_key("", "")
    tell(READY)
    sys.stdin.readline()
    asyncio.run(append_all(connected, sys.argv[2], int(sys.argv[3])))
