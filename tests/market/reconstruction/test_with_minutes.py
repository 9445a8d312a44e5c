"""A market with reconstructed minutes says so, and keeps everything else."""

from __future__ import annotations

import numpy as np
import pytest

from arbitrage.errors import BadInput
from arbitrage.market.point_in_time import INDICATIVE
from arbitrage.market.reconstruction.with_minutes import SOURCES, with_reconstructed_minutes
from arbitrage.market.simulation.embedded_sample import sample_market
from tests.worlds import market_of


@pytest.mark.parametrize("grade", sorted(SOURCES))
def test_the_grade_is_written_on_the_market(grade: str) -> None:
    market = sample_market()
    drawn = with_reconstructed_minutes(market, grade, 3)
    assert drawn.minute_source == f"reconstructed, {grade}"
    assert (market.minute_source, drawn.minute_seed) == (None, 3)
    np.testing.assert_array_equal(drawn.price_eur_mwh, market.price_eur_mwh)
    series = drawn.known_series[INDICATIVE]
    assert len(series.values) == 15 * len(market)
    last = series.values[14::15]
    assert (np.abs(last - market.price_eur_mwh) < 0.011).mean() > 0.9
    assert series.available_at[0] == market.quarter_hours[0] + 1 + market.publication_delay_min


def test_seeds_draw_other_minutes() -> None:
    first, second = (with_reconstructed_minutes(sample_market(), "matched", seed) for seed in (0, 1))
    assert first.data_hash != second.data_hash


def test_what_cannot_be_reconstructed_is_refused() -> None:
    with pytest.raises(BadInput, match="easy, matched, harsh, severe"):
        with_reconstructed_minutes(sample_market(), "gentle", 0)
    with pytest.raises(BadInput, match="day-ahead"):
        with_reconstructed_minutes(market_of(np.arange(96.0)), "matched", 0)
