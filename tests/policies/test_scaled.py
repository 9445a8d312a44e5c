"""A policy at another size: half the power, or a small battery's policy on a large one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery, BatteryState
from arbitrage.market.point_in_time import KnownMarket
from arbitrage.market.simulation.simulator import clear
from arbitrage.market.splits import Span
from arbitrage.policies.minute_rule import MinuteSpreadRule
from arbitrage.policies.protocol import Intent, PlainView, Untrained
from arbitrage.policies.scaled import Enlarged, ScaledPower
from tests.impact_worlds import across_the_rules
from tests.worlds import SUMMER_MIDNIGHT, market_of

SMALL = Battery(power_mw=2.0, capacity_mwh=4.0, max_cycles_per_day=1.1)
LARGE = replace(SMALL, power_mw=50.0, capacity_mwh=100.0)


@dataclass(frozen=True)
class Mirror(PlainView, Untrained):
    """Asks for a tenth of the energy it is told of, and only knows its own battery."""

    name: str = "mirror"

    def bind(self, known: KnownMarket, battery: Battery) -> Mirror:
        assert battery == SMALL
        return self

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        return Intent(state.soc_mwh / 10.0 + state.cycles_used, "mirrored", 3.0, 4.0)

    def outcomes_eur(self, at: int, state: BatteryState) -> np.ndarray:
        return np.full((3, 2), state.soc_mwh)


def test_scaled_power_is_a_fraction_of_what_is_asked_from_the_same_state() -> None:
    view = ScaledPower(Mirror(), 0.25).bind(market_of([1.0]).known_at(SUMMER_MIDNIGHT), SMALL)
    assert view.intent(0, BatteryState(4.0, 0.6)) == Intent(0.25, "mirrored", 3.0, 4.0)
    outcomes = view.outcomes_eur(0, BatteryState(4.0))
    assert outcomes is not None
    assert (outcomes == 4.0).all()
    assert ScaledPower(Mirror(), 0.25).name == "mirror at 25% power"


def test_an_enlarged_policy_is_told_of_its_own_battery_and_answers_for_the_large_one() -> None:
    # 50 of 100 MWh are 2 of 4: it asks for 0.2 + 0.5 cycles, 25 times that.
    view = Enlarged(Mirror(), SMALL).bind(market_of([1.0]).known_at(SUMMER_MIDNIGHT), LARGE)
    assert view.intent(0, BatteryState(50.0, 0.5)).power_mw == pytest.approx(25.0 * 0.7)
    outcomes = view.outcomes_eur(0, BatteryState(50.0))
    assert outcomes is not None
    assert (outcomes == 50.0).all()


def test_an_enlarged_policy_earns_so_many_times_as_much_where_the_price_is_taken() -> None:
    market = clear(across_the_rules()).market(with_minutes=True)
    rule, whole = MinuteSpreadRule(-10.0, 10.0), (Span(0, 96),)
    small = run_backtest(market, SMALL, rule, whole, step_min=1).ledger
    large = run_backtest(market, LARGE, Enlarged(rule, SMALL), whole, step_min=1).ledger
    np.testing.assert_allclose(large["profit_eur"], 25.0 * small["profit_eur"], rtol=1e-9, atol=1e-9)
    assert small["profit_eur"].abs().sum() > 0.0
