"""The account that a backtest keeps says what the environment says: profit of the day, as far as it is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery, BatteryState
from arbitrage.env.single import BelgianImbalanceEnv
from arbitrage.market.point_in_time import PRICE, KnownMarket
from arbitrage.market.series import MarketSeries
from arbitrage.policies.protocol import Intent, Untrained
from arbitrage.settling import KnownProfit
from tests.worlds import SUMMER_MIDNIGHT, Clueless, noisy_market, whole

BATTERY = Battery(wear_cost_eur_mwh=12.5, max_cycles_per_day=1.5)
MIDNIGHT = SUMMER_MIDNIGHT


def test_money_counts_from_its_publication_wear_at_once_and_midnight_begins_anew() -> None:
    account = KnownProfit(0.0)
    account.pay_wear(2.0)
    assert account.today_eur(15) == -2.0
    account.settle(15, 17, 50.0)
    assert [account.today_eur(now) for now in (15, 16, 17, 29)] == [-2.0, -2.0, 48.0, 48.0]
    # Asking does not change what is known: a minute earlier is still a minute earlier.
    assert account.today_eur(16) == -2.0
    account.settle(30, 32, -8.0)
    assert [account.today_eur(now) for now in (30, 31, 32)] == [48.0, 48.0, 40.0]
    account.begin_day()
    assert account.today_eur(60) == 0.0


@dataclasses.dataclass
class Listening(Clueless, Untrained):
    """Asks for what is written down, and writes down what profit it is told."""

    asked_mw: list[float]
    told_eur: list[float] = dataclasses.field(default_factory=list)
    name: str = "listening"

    def bind(self, known: KnownMarket, battery: Battery) -> Listening:
        return self

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        self.told_eur.append(profit_today_eur)
        return Intent(self.asked_mw[at], "written down")


def published_late(market: MarketSeries, late_min: int) -> MarketSeries:
    series = market.known_series[PRICE]
    return dataclasses.replace(
        market,
        known_series={
            **market.known_series,
            PRICE: dataclasses.replace(series, available_at=series.available_at + late_min),
        },
    )


@pytest.mark.parametrize("late_min", [0, 1, 8, 20])
@pytest.mark.parametrize("step_min", [5, 15])
def test_a_policy_is_told_the_profit_that_the_environment_knows(late_min: int, step_min: int) -> None:
    market = published_late(noisy_market(3, days=2), late_min)
    steps = 2 * 24 * 60 // step_min
    asked = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], steps)
    policy = Listening(asked.tolist())
    run_backtest(market, BATTERY, policy, whole(market), step_min=step_min)
    env = BelgianImbalanceEnv(market, BATTERY, step_min=step_min, episode_days=2, features="quarter_hour")
    env.reset(options={"day": "2024-07-01", "soc_fraction": 0.0})
    known = []
    for share in asked:
        known.append(env._known_profit.today_eur(env._at))
        env.step(int(1 + share))
    np.testing.assert_array_equal(policy.told_eur, known)
    assert len(set(known)) > steps // 5
