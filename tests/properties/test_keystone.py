"""The keystone: environment, ledger and decision path tell the same euros."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery
from arbitrage.env.single import BelgianImbalanceEnv
from tests.examples import examples
from tests.worlds import MIDNIGHTS, Scripted, batteries, market_of, whole

PRICES = hnp.arrays(np.float64, 2 * 100, elements=st.floats(-3000.0, 5000.0) | st.just(np.nan), fill=st.nothing())
SHARES = hnp.arrays(np.float64, 37, elements=st.floats(-1.0, 1.0) | st.sampled_from([-1.0, 0.0, 1.0]))


@examples(25)
@given(
    prices=PRICES.filter(lambda prices: not np.isnan(prices[:92]).all()),
    shares=SHARES,
    battery=batteries(),
    day=st.sampled_from(sorted(MIDNIGHTS)),
    step_min=st.sampled_from([1, 3, 5, 15]),
)
def test_the_rewards_of_the_environment_are_the_euros_of_the_ledger(
    prices: np.ndarray, shares: np.ndarray, battery: Battery, day: str, step_min: int
) -> None:
    midnight, first_day = MIDNIGHTS[day]
    market = market_of(prices[: first_day + 96], midnight)
    env = BelgianImbalanceEnv(market, battery, step_min=step_min, episode_days=2, actions="continuous")
    env.reset(options={"day": day, "soc_fraction": 0.0})
    limits = battery.law.discharge_power_mw, battery.law.charge_power_mw
    script: dict[int, float] = {}
    rewards: list[float] = []
    truncated = False
    while not truncated:
        share = shares[len(rewards) % len(shares)]
        script[midnight + step_min * len(rewards)] = share * limits[0 if share > 0 else 1]
        _, reward, _, truncated, info = env.step(np.array([share]))
        rewards.append(reward)
    backtest = run_backtest(market, battery, Scripted(script), whole(market), step_min=step_min)
    assert backtest.ledger["profit_eur"].sum() == pytest.approx(sum(rewards), abs=1e-9, rel=0)
    assert backtest.ledger["soc_end_mwh"].iloc[-1] == info["soc_mwh"]
    assert backtest.violations.empty
