"""The price rule: numbers worked by hand, and every published quarter-hour of early 2024."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.arrays import Floats
from arbitrage.errors import BadInput
from arbitrage.market.files.read import read_table
from arbitrage.market.settlement import alpha_component_eur_mwh, imbalance_price_eur_mwh
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, epoch_minute, epoch_minutes
from tests.shared_data import shared_file

IN_FORCE = epoch_minute("2024-01-01T00:00Z")
BEFORE_FADING = epoch_minute("2022-02-13T22:45Z")
FIRST_FADING = epoch_minute("2022-02-13T23:00Z")
FIRST_OF_ALL = epoch_minute("2019-12-31T23:00Z")
AMOUNTS = st.floats(-5000.0, 5000.0)


def alpha(
    imbalance_mw: float, before_mw: float, incremental: float, decremental: float, start: int = IN_FORCE
) -> float:
    return float(
        alpha_component_eur_mwh(np.array([start]), [imbalance_mw], [before_mw], [incremental], [decremental])[0]
    )


# Worked by hand


def test_alpha_is_half_its_limit_where_the_mean_imbalance_is_450_mw() -> None:
    # x = (500 + 400) / 2 = 450, so exp(0) = 1 and 200 / 2 = 100; a marginal incremental price of 80 takes nothing off
    assert alpha(-500.0, -400.0, 80.0, -50.0) == 100.0
    assert alpha(-500.0, 400.0, 80.0, -50.0) == 100.0  # the sign of either imbalance does not matter


def test_alpha_is_nothing_up_to_150_mw_whatever_came_before() -> None:
    assert alpha(150.0, 2000.0, 80.0, 20.0) == 0.0
    assert alpha(-150.0, -2000.0, 80.0, 20.0) == 0.0
    # x = (150.001 + 749.999) / 2 = 450
    assert alpha(150.001, 749.999, 80.0, 20.0) == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("marginal_incremental_price", "expected"),
    [(199.0, 100.0), (200.0, 100.0), (250.0, 75.0), (300.0, 50.0), (400.0, 0.0), (900.0, 0.0)],
)
def test_in_shortage_alpha_fades_from_200_to_400(marginal_incremental_price: float, expected: float) -> None:
    assert alpha(-450.0, -450.0, marginal_incremental_price, -500.0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("marginal_decremental_price", "expected"),
    [(50.0, 100.0), (0.0, 100.0), (-50.0, 75.0), (-100.0, 50.0), (-200.0, 0.0), (-700.0, 0.0)],
)
def test_in_surplus_alpha_fades_from_0_to_minus_200(marginal_decremental_price: float, expected: float) -> None:
    assert alpha(450.0, 450.0, 900.0, marginal_decremental_price) == pytest.approx(expected)


def test_alpha_fades_from_the_14th_of_february_2022_in_brussels() -> None:
    assert alpha(-450.0, -450.0, 400.0, 0.0, BEFORE_FADING) == 100.0
    assert alpha(-450.0, -450.0, 400.0, 0.0, FIRST_FADING) == 0.0


def test_alpha_is_unknown_where_the_imbalance_before_is_unless_it_is_nothing_anyway() -> None:
    assert np.isnan(alpha(-300.0, np.nan, 80.0, 20.0))
    assert alpha(-100.0, np.nan, 80.0, 20.0) == 0.0


def test_shortage_settles_at_the_incremental_price_plus_and_surplus_at_the_decremental_price_minus() -> None:
    price = imbalance_price_eur_mwh(
        np.full(4, IN_FORCE),
        system_imbalance_mw=[-200.0, 200.0, 0.0, np.nan],
        marginal_incremental_price_eur_mwh=[150.0] * 4,
        marginal_decremental_price_eur_mwh=[-40.0] * 4,
        alpha_component_eur_mwh=[5.0, 5.0, 0.0, 0.0],
        alpha_prime_component_eur_mwh=1.5,
    )
    # 150 + 5 + 1.5; -40 - 5 - 1.5; an imbalance of 0 as a surplus, -40 - 0 - 1.5; unknown
    np.testing.assert_array_equal(price, [156.5, -46.5, -41.5, np.nan])


def test_times_before_2020_are_refused() -> None:
    assert alpha(-450.0, -450.0, 100.0, 0.0, FIRST_OF_ALL) == 100.0
    too_early = np.array([IN_FORCE, FIRST_OF_ALL - MINUTES_PER_QUARTER_HOUR])
    with pytest.raises(BadInput, match="2019-12-31T22:45Z lies before 2020"):
        alpha_component_eur_mwh(too_early, [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0])
    with pytest.raises(BadInput, match="2019-12-31T22:45Z lies before 2020"):
        imbalance_price_eur_mwh(too_early, [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [0.0, 0.0])


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)
def test_alpha_lies_between_0_and_200_and_always_sharpens_the_incentive(
    imbalance_mw: float, before_mw: float, incremental: float, decremental: float
) -> None:
    component = alpha(imbalance_mw, before_mw, incremental, decremental)
    assert 0.0 <= component <= 200.0
    price = imbalance_price_eur_mwh(np.array([IN_FORCE]), [imbalance_mw], [incremental], [decremental], [component])[0]
    assert price >= incremental if imbalance_mw < 0.0 else price <= decremental


# As published


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    """10,000 validated quarter-hours of 2024 with everything that their price is made of."""
    return read_table(shared_file("imbalance_qh_2024q1_all_columns.parquet")).frame


def recomputed(frame: pd.DataFrame, price_shift: float = 0.0, now_mw: float = 0.0, before_mw: float = 0.0) -> Floats:
    """Alpha [0] and price [1] of every row but the first, with inputs moved by these amounts."""
    imbalance_mw = frame["system_imbalance_mw"].to_numpy()
    now, before = imbalance_mw[1:] + now_mw, imbalance_mw[:-1] + before_mw
    incremental = frame["marginal_incremental_price_eur_mwh"].to_numpy()[1:] + price_shift
    decremental = frame["marginal_decremental_price_eur_mwh"].to_numpy()[1:] + price_shift
    starts = epoch_minutes(pd.DatetimeIndex(frame.index))[1:]
    component = alpha_component_eur_mwh(starts, now, before, incremental, decremental)
    return np.stack([component, imbalance_price_eur_mwh(starts, now, incremental, decremental, component)])


def test_alpha_comes_out_as_published_for_all_but_19_of_10_000_rows(published: pd.DataFrame) -> None:
    difference = np.abs(recomputed(published)[0].round(2) - published["alpha_component_eur_mwh"].to_numpy()[1:])
    assert (difference > 0.005).sum() == 19
    assert difference.max() == pytest.approx(0.01)


def test_prices_come_out_as_published_in_97_of_100_rows_and_within_a_cent_in_all(published: pd.DataFrame) -> None:
    difference = np.abs(recomputed(published)[1] - published["imbalance_price_eur_mwh"].to_numpy()[1:])
    assert (difference.round(2) > 0.0).sum() == 294
    assert difference.max() < 0.01


@pytest.mark.parametrize(("which", "name"), [(0, "alpha_component_eur_mwh"), (1, "imbalance_price_eur_mwh")])
def test_what_differs_is_explained_by_the_rounding_of_the_published_inputs(
    published: pd.DataFrame, which: int, name: str
) -> None:
    # Prices are published to 0.01 and imbalances to 0.001: what Elia computed with lies within half of that. The
    # published figure, itself rounded to 0.01, must meet the range of what such inputs give.
    corners = np.stack(
        [
            recomputed(published, 0.005 * a, 0.0005 * b, 0.0005 * c)[which]
            for a, b, c in product((-1, 0, 1), (-1, 0, 1), (-1, 0, 1))
        ]
    )
    figures = published[name].to_numpy()[1:]
    slack = 0.005 + 1e-9
    unexplained = (figures + slack < corners.min(axis=0)) | (figures - slack > corners.max(axis=0))
    assert unexplained.sum() == 0


def test_the_price_of_the_first_row_follows_from_its_published_alpha(published: pd.DataFrame) -> None:
    # Its own alpha cannot be computed: the imbalance of the quarter-hour before is not in the set.
    first = published.iloc[:1]
    price = imbalance_price_eur_mwh(
        epoch_minutes(pd.DatetimeIndex(first.index)),
        first["system_imbalance_mw"],
        first["marginal_incremental_price_eur_mwh"],
        first["marginal_decremental_price_eur_mwh"],
        first["alpha_component_eur_mwh"],
    )
    assert price.round(2).tolist() == [211.86]


def test_every_published_minute_of_a_day_of_2024_follows_from_its_components() -> None:
    frame = read_table(shared_file("imbalance_minute_2024-09-06.parquet")).frame
    price = imbalance_price_eur_mwh(
        epoch_minutes(pd.DatetimeIndex(frame.index)),
        frame["system_imbalance_mw"],
        frame["marginal_incremental_price_eur_mwh"],
        frame["marginal_decremental_price_eur_mwh"],
        frame["alpha_component_eur_mwh"],
        frame["alpha_prime_component_eur_mwh"],
    )
    assert np.abs(price - frame["imbalance_price_eur_mwh"]).max() < 0.0011
