"""Names of decisions: version 7 of RFC 9562, the millisecond first and then 74 bits of chance.

Contract: no two processes draw the same chance, a forked one included. It makes names unique and keeps no secret.

Names that follow time lie side by side in an index, so that storing one touches the page that was touched before.
"""

from __future__ import annotations

import datetime as dt
import os
import random

_CHANCE = random.Random()
os.register_at_fork(after_in_child=_CHANCE.seed)
_VERSION, _VARIANT = 0x7 << 76, 0x2 << 62


def decision_id(now: dt.datetime) -> str:
    """A new name for what is decided at an aware time."""
    chance = _CHANCE.getrandbits(74)
    number = int(now.timestamp() * 1e3) << 80 | _VERSION | (chance >> 62) << 64 | _VARIANT | chance & (1 << 62) - 1
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
