"""How often callers may ask: one limiter for all processes of the service.

Contract
- A caller has one number, the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371): memory does
  not grow with the callers, and a clock that steps back blocks no caller.
- The numbers lie in a file that the processes map. They take no lock: two requests within the same microsecond may both
  pass where one should.
"""

from __future__ import annotations

import ipaddress
import math
import mmap
import os
import secrets
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

LIMITS_VARIABLE = "ARBITRAGE_LIMITS_FILE"
"""Where worker processes find the file that they share."""
_SLOTS = 65536
_SALT_BYTES = 16


def make_limits_file(path: Path) -> None:
    """A file for the limiters of several processes; which callers share a number cannot be foreseen from outside."""
    path.write_bytes(secrets.token_bytes(_SALT_BYTES) + bytes(_SLOTS * 8))


class RateLimiter:
    """So many requests at once, and so many a second in the long run, for each caller."""

    def __init__(self, requests_per_s: float, burst: int, purpose: str = "requests") -> None:
        """`purpose`: keeps the numbers of one limiter apart from those of another in the same file."""
        self._interval_s = 1.0 / requests_per_s
        self._slack_s = (burst - 1) * self._interval_s
        self._furthest_s = (burst + 1) * self._interval_s
        """No number lies further ahead, unless the clock was set back."""
        self._purpose = purpose.encode()
        self._salt, self._due_s = _table()

    def wait_s(self, caller: str, now_s: float) -> float:
        """0 where a request may pass, which is counted; else seconds until one may. `now_s`: this machine's uptime."""
        slot = self._slot(caller)
        due_s = self._due_s[slot]
        if not now_s <= due_s <= now_s + self._furthest_s:
            due_s = now_s
        wait_s = due_s - self._slack_s - now_s
        # Times are rounded.
        if wait_s > 1e-6 * self._interval_s:
            return wait_s
        self._due_s[slot] = due_s + self._interval_s
        return 0.0

    def _slot(self, caller: str) -> int:
        digest = blake2b(caller.encode(), digest_size=4, key=self._salt, person=self._purpose[:16]).digest()
        return int.from_bytes(digest, "little") % _SLOTS


def _table() -> tuple[bytes, memoryview[float]]:
    """Salt and numbers: of the file that processes share, else of this process alone."""
    shared = os.environ.get(LIMITS_VARIABLE)
    if shared is None:
        return secrets.token_bytes(_SALT_BYTES), memoryview(bytearray(_SLOTS * 8)).cast("d")
    with Path(shared).open("r+b") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0))
    return bytes(mapped[:_SALT_BYTES]), mapped[_SALT_BYTES:].cast("d")


@lru_cache(4096)
def neighbourhood(address: str) -> str:
    """Whom an address is counted as: itself, and of IPv6 the network of 64 bits, which one subscriber has whole."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))


def retry_after(wait_s: float) -> dict[str, str]:
    """The header that says when to ask again."""
    return {"Retry-After": str(max(1, math.ceil(wait_s)))}
