"""Which bound of the battery law cut a request, on cases worked by hand; and what is no decision."""

from __future__ import annotations

import math

import pytest

from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Dispatcher, NotANumber, ShieldRule
from tests.worlds import SUMMER_MIDNIGHT, Scripted, market_of

BATTERY = Battery(
    power_mw=10.0, capacity_mwh=2.0, min_soc_fraction=0.25, discharge_efficiency=1.0, max_cycles_per_day=1.0
)


@pytest.mark.parametrize(
    ("soc_mwh", "cycles_used", "asked_mw", "rule"),
    [
        (1.0, 0.6, 10.0, ShieldRule.STATE_OF_CHARGE),  # 0.5 MWh above the window's bottom, 0.8 MWh of budget
        (1.0, 0.9, 10.0, ShieldRule.CYCLE_BUDGET),  # 0.2 MWh of budget
        (1.9, 0.0, -10.0, ShieldRule.STATE_OF_CHARGE),
        (2.0, 0.0, 12.0, ShieldRule.STATE_OF_CHARGE),
        (2.0, 0.0, 1.0, None),
    ],
)
def test_the_bound_that_cuts_a_request_is_named(
    soc_mwh: float, cycles_used: float, asked_mw: float, rule: ShieldRule | None
) -> None:
    dispatcher = Dispatcher(Scripted({SUMMER_MIDNIGHT: asked_mw}), BATTERY, market_of([50.0]), SUMMER_MIDNIGHT, 15)
    assert dispatcher.decide(0, BatteryState(soc_mwh, cycles_used)).shield is rule


def test_a_power_that_is_not_a_number_is_no_decision() -> None:
    dispatcher = Dispatcher(Scripted({SUMMER_MIDNIGHT: math.nan}), BATTERY, market_of([50.0]), SUMMER_MIDNIGHT, 15)
    with pytest.raises(NotANumber):
        dispatcher.decide(0, BatteryState(1.0))
