"""Everything compiled before it is needed: each policy decides once on a market that is made up for it.

Contract
- The first real decision takes no longer than any other. Nothing of the made-up market outlives this.
- A policy that cannot do so is named with the reason, and tried again: the service is not ready before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import structlog

from api.policies import Policies, ServedPolicy
from arbitrage.battery import Battery, BatteryState
from arbitrage.live.decider import LiveDecider
from arbitrage.live.decision import AssetState
from arbitrage.live.window import DAYS, MINUTE_DAYS
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, SOLAR_FORECAST, WIND_FORECAST
from arbitrage.market.series import MINUTE_COLUMNS, MarketSeries, build_market
from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR, epoch_minute, utc_timestamps

_BEGINS = epoch_minute("2024-06-01T00:00Z")
_MINUTES = MINUTE_DAYS * 24 * MINUTES_PER_HOUR
UNREADY = "policies"
"""What the reason for not being ready is about."""
AGAIN_S = (5.0, 15.0, 60.0)
"""Pauses before failed policies are tried again, the last one as often as needed."""
log = structlog.get_logger("api.background.warm_up")


async def warm_up_all(policies: Policies, threads: ThreadPoolExecutor, unready: dict[str, str]) -> None:
    """Let every learned policy decide once; until then `unready` says which cannot, and why."""
    unready[UNREADY] = "are being compiled"
    left, pauses_s = [each for each in policies.all() if each.card], list(AGAIN_S)
    while failures := await _failures(left, threads):
        pause_s = pauses_s.pop(0) if pauses_s[1:] else pauses_s[0]
        named = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
        unready[UNREADY] = f"cannot decide, {named}; tried again in {pause_s:g} s"
        await asyncio.sleep(pause_s)
        left = [each for each in left if each.policy_id in failures]
    del unready[UNREADY]


async def _failures(left: Sequence[ServedPolicy], threads: ThreadPoolExecutor) -> dict[str, str]:
    """Why policies cannot decide, by their ids."""
    failures = {}
    for each in left:
        try:
            await asyncio.get_running_loop().run_in_executor(threads, warm_up, each)
        except Exception as error:  # whatever a policy of someone else's making raises
            log.exception("policy_cannot_decide", policy_id=each.policy_id)
            failures[each.policy_id] = f"{type(error).__name__}: {error}"
    return failures


def warm_up(served: ServedPolicy) -> None:
    """Decide once as the service will, and a step later once more."""
    market = _made_up_market()
    decider = LiveDecider(served.policy, served.battery or Battery(), served.identity)
    end = int(market.quarter_hours[-1])
    for time in (end - MINUTES_PER_QUARTER_HOUR, end - 7):
        prepared = decider.prepare(market, time)
        prepared.decide(AssetState(BatteryState(0.5 * decider.battery.capacity_mwh)))


def _made_up_market() -> MarketSeries:
    random = np.random.default_rng(0)
    starts = _BEGINS + MINUTES_PER_QUARTER_HOUR * np.arange(DAYS * 96)
    index = utc_timestamps(starts)
    wave = 80.0 + 40.0 * np.sin(np.arange(len(starts)) * 2 * np.pi / 96)
    day_before = dict.fromkeys((WIND_FORECAST, SOLAR_FORECAST), 500.0 + wave)
    last = int(starts[-1])
    minutes = utc_timestamps(np.arange(last - _MINUTES, last))
    records = {column: 100.0 + random.normal(0.0, 50.0, _MINUTES) for column in MINUTE_COLUMNS.values()}
    return build_market(
        pd.DataFrame({PRICE: wave + random.normal(0.0, 60.0, len(starts))}, index=index),
        day_ahead=pd.DataFrame({DAY_AHEAD: wave}, index=index),
        forecasts=pd.DataFrame(day_before, index=index),
        minutes=pd.DataFrame(records, index=minutes),
    )
