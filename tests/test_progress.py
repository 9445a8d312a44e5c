"""Progress of any piece of work."""

from __future__ import annotations

from arbitrage.progress import Progress


def test_the_fraction_is_what_is_completed_of_the_total() -> None:
    assert Progress("training", 0.25).fraction == 0.25
    assert Progress("updating", 3, 12).fraction == 0.25
    assert Progress("nothing to do", 0, 0).fraction == 1.0
