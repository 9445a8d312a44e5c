"""A real market that never had minute records at hand, given reconstructed ones, and labelled so."""

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
"""Grades of reconstruction, and the label that each leaves on a market."""


def with_reconstructed_minutes(market: MarketSeries, grade: str, seed: int) -> MarketSeries:
    """The market with minute records drawn around its final prices, published as late as its prices are.

    Quarter-hourly day-ahead prices enter as the mean of their hour.

    grade: easy, matched, harsh or severe. Raises BadInput for another grade and for a market without day-ahead prices.
    """
    if grade not in SOURCES:
        raise BadInput([Fault("minutes", f"no grade is called {grade}; there are {', '.join(SOURCES)}")])
    if DAY_AHEAD not in market.known_series:
        raise BadInput([Fault("minutes", "are reconstructed around day-ahead prices; give them")])
    hourly = market.known_series[DAY_AHEAD].series().resample("h").mean().to_frame(DAY_AHEAD)
    minutes = reconstruct_minutes(market.frame[[PRICE]], hourly, grade=grade, seed=seed)
    return with_minutes(market, minutes, SOURCES[grade], seed)
