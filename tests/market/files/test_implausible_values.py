"""A value of a size that no market has is refused or left out wherever it comes from; genuine extremes are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from arbitrage.errors import BadInput
from arbitrage.live.window import Brought, Window
from arbitrage.market.files.read import read_answer
from arbitrage.market.point_in_time import DAY_AHEAD, MOST_SIZE, PRICE, WIND_FORECAST
from arbitrage.market.series import build_market
from arbitrage.quarter_hour import utc_timestamps
from tests.worlds import SUMMER_MIDNIGHT, market_of

GENUINE = [-4574.0, 3456.0, -MOST_SIZE, MOST_SIZE]
IMPLAUSIBLE = [1e300, -1e300, 1.01e6]
INDEX = utc_timestamps(SUMMER_MIDNIGHT + 15 * np.arange(96))


def table(name: str, value: float = 50.0) -> pd.DataFrame:
    """A day of 50, but for the tenth quarter-hour."""
    values = np.full(96, 50.0)
    values[10] = value
    return pd.DataFrame({name: values}, index=INDEX)


@pytest.mark.parametrize("price", GENUINE)
def test_genuine_extremes_are_taken(price: float) -> None:
    assert market_of(table(PRICE, price)[PRICE]).price_eur_mwh[10] == price


@pytest.mark.parametrize("value", IMPLAUSIBLE)
@pytest.mark.parametrize("name", [PRICE, DAY_AHEAD, WIND_FORECAST, "system_imbalance_mw"])
def test_implausible_values_of_every_table_are_refused_with_their_time(name: str, value: float) -> None:
    given = {PRICE: "prices", DAY_AHEAD: "day_ahead", WIND_FORECAST: "forecasts"}.get(name, "minutes")
    tables = {"prices": table(PRICE)}
    if given == "minutes":
        minutes = utc_timestamps(SUMMER_MIDNIGHT + np.arange(96))
        tables["minutes"] = table(name, value).assign(**{PRICE: 50.0}).set_axis(minutes)
    else:
        tables[given] = table(name, value)
    with pytest.raises(BadInput, match=rf"{given}: {name} is beyond 1,000,000 1 times, first at 2024-0"):
        build_market(tables.pop("prices"), **tables)


@pytest.mark.parametrize("price", IMPLAUSIBLE)
def test_an_implausible_price_in_a_file_is_refused_with_its_line(price: float) -> None:
    text = f"datetime,imbalanceprice\n2024-06-01T00:00Z,-4573.9\n2024-06-01T00:15Z,{price:.0f}\n"
    with pytest.raises(BadInput, match=r":3: imbalanceprice is beyond 1,000,000 EUR/MWh") as refused:
        read_answer("file", text.encode())
    assert len(refused.value.faults) == 1


@pytest.mark.parametrize("value", [*IMPLAUSIBLE, np.inf])
def test_a_feed_leaves_an_implausible_record_out_says_so_and_takes_what_follows(value: float) -> None:
    window, prices = Window(publication_delay_min=0), table(PRICE, value)
    now_s = 60.0 * (SUMMER_MIDNIGHT + 15 * 96)
    found = window.absorb(Brought(prices=prices.iloc[:50]), now_s)
    assert [(finding.code, finding.params) for _, finding in found] == [
        ("implausible", {"table": "prices", "records": 1})
    ]
    assert window.absorb(Brought(prices=prices.iloc[50:]), now_s) == []
    assert np.flatnonzero(np.isnan(window.market.price_eur_mwh)).tolist() == [10]
    assert len(window.market) == 96
