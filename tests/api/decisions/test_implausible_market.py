"""Values in a request that no market has are faults of the request, each at its field."""

from __future__ import annotations

import pytest

from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.quarter_hour import utc_timestamps
from tests.api.local_client import LocalClient
from tests.api.markets import market_in
from tests.live.policies import NIGHT

FIELDS = (
    ("imbalance_price_eur_mwh", "values"),
    ("day_ahead_price_eur_mwh", "values"),
    ("wind_forecast_day_ahead_mw", "values"),
    ("minutes", "indicative_price_eur_mwh"),
    ("minutes", "cumulative_imbalance_mw"),
)


def body_with(value: float, *fields: tuple[str, str]) -> dict:
    """A request for the minute rule, whose third record of each field has that value."""
    records = market_in(sample_market(with_minutes=True), NIGHT - 24 * 60, NIGHT)
    wind = {"start": records["day_ahead_price_eur_mwh"]["start"], "step_min": 15, "values": [100.0] * 8}
    records = {"wind_forecast_day_ahead_mw": wind} | records
    for name, column in fields:
        records[name][column][2] = value
    state = {"soc_fraction": 0.5, "cycles_used_today": 0.0}
    at = utc_timestamps([NIGHT])[0].isoformat()
    return {"policy_id": "minute-spread", "at": at, "battery": {}, "state": state, "market": records}


@pytest.mark.parametrize("value", [1e300, -1e300, 1.01e6])
def test_implausible_values_are_refused_all_at_once(client: LocalClient, value: float) -> None:
    answer = client.post("/v1/decisions", body_with(value, *FIELDS))
    assert answer.status_code == 422
    faults = {fault["field"]: fault["message"] for fault in answer.json()["faults"]}
    assert set(faults) == {f"market.{name}.{column}" for name, column in FIELDS}
    assert set(faults.values()) == {"holds 1 values beyond 1,000,000 in size, the first at 2; send null there"}


@pytest.mark.parametrize("value", [-4574.0, 3456.0])
def test_genuine_extremes_are_decided_on(client: LocalClient, value: float) -> None:
    answer = client.post("/v1/decisions", body_with(value, ("imbalance_price_eur_mwh", "values")))
    assert answer.status_code == 200, answer.text
