"""How many examples a property is tried on.

Contract: `make test` tries the same examples each time (the profile `same-each-time`), `make fuzz` other ones each time
and many times as many (the profile `fuzz`). A property says how many it needs in `make test`; the profile multiplies.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings

SAME_EACH_TIME, FUZZ = "same-each-time", "fuzz"
TIMES_AS_MANY = 25
"""Examples of `make fuzz` for each one of `make test`."""

settings.register_profile(SAME_EACH_TIME, derandomize=True, database=None, deadline=None)
settings.register_profile(FUZZ, deadline=None, max_examples=100 * TIMES_AS_MANY, print_blob=True)


def examples(count: int, **more: Any) -> settings:
    """Settings of a property that `make test` tries on `count` examples; `more` as hypothesis has them."""
    factor = TIMES_AS_MANY if settings.get_current_profile_name() == FUZZ else 1
    return settings(max_examples=count * factor, **more)
