"""Adding reconstructed minute records to a real market without minute records.

Contract: the market is labelled with the grade of the reconstruction, so that reports can state it.
"""

from __future__ import annotations

from arbitrage.errors import BadInput, Fault
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE
from arbitrage.market.reconstruction.minutes import reconstruct_minutes
from arbitrage.market.series import MarketSeries, MinuteSource, with_minutes

SOURCES = {
    "easy": MinuteSource.RECONSTRUCTED_EASY,
    "matched": MinuteSource.RECONSTRUCTED_MATCHED,
    "harsh": MinuteSource.RECONSTRUCTED_HARSH,
    "severe": MinuteSource.RECONSTRUCTED_SEVERE,
}
"""Grades of reconstruction, and the label of each on a market."""


def with_reconstructed_minutes(market: MarketSeries, grade: str, seed: int) -> MarketSeries:
    """The market with minute records drawn around its final prices, published with the delay of its prices.

    Quarter-hourly day-ahead prices are averaged by hour.

    grade: easy, matched, harsh or severe. Raises BadInput for another grade and for a market without day-ahead prices.
    """
    if grade not in SOURCES:
        raise BadInput([Fault("minutes", f"unknown grade {grade!r}; choose one of {', '.join(SOURCES)}")])
    if DAY_AHEAD not in market.known_series:
        raise BadInput([Fault("minutes", "cannot be reconstructed without day-ahead prices; give them")])
    hourly = market.known_series[DAY_AHEAD].series().resample("h").mean().to_frame(DAY_AHEAD)
    minutes = reconstruct_minutes(market.frame[[PRICE]], hourly, grade=grade, seed=seed)
    return with_minutes(market, minutes, SOURCES[grade], seed)
