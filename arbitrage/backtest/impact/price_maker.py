"""The backtest of a battery that moves its own price: it trades in a simulated market that responds to it.

Contract
- Its power is added to the imbalance of each minute; the records that it sees, and the final price that it is paid, are
  those of the market so moved. Each decision rests on what was known by its own minute, through `dispatch` as ever.
- A price TAKER's books stand beside it: the same policy with nothing felt (`felt_fraction` 0), paid at unmoved prices.
- Bids stay as drawn. No one else follows the price, so this is the battery's own shadow and no forecast of how a
  market would answer it.

How it is solved: a quarter-hour is decided as a whole on a guess of its records, cleared with the decisions, and
decided again on the records that result, until nothing changes. As no decision can rest on a record of its own minute
or a later one, each round settles at least one more minute, and what it ends with is the path played minute by minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from arbitrage.arrays import Floats
from arbitrage.backtest.ledger import make_ledger, violations
from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Decision, Dispatcher
from arbitrage.errors import BadInput, Fault
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.merit_order import ClearedMinutes
from arbitrage.market.simulation.price_impact import MovedMarket
from arbitrage.market.simulation.simulator import Scenario
from arbitrage.market.splits import Span, new_day_flags
from arbitrage.policies.protocol import Policy
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, energy_mwh, refuse_step
from arbitrage.settling import KnownProfit, settle_eur


@dataclass(frozen=True, slots=True)
class PriceMakerRun:
    """What a policy did in the market that it moved."""

    strategy: str
    battery: Battery
    ledger: pd.DataFrame
    """See `ledger.COLUMNS`; settled at the moved prices."""
    violations: pd.DataFrame
    injection_mw: Floats
    """Shape: minutes of the whole scenario. What the battery injected, whether or not the market felt it."""


def run_price_maker(
    scenario: Scenario,
    battery: Battery,
    policy: Policy,
    start: int,
    *,
    step_min: int = 1,
    felt_fraction: float = 1.0,
    publication_delay_min: int | None = None,
) -> PriceMakerRun:
    """Run a policy from `start` (epoch minute) to the scenario's end, from an empty battery.

    step_min: minutes between decisions; power is constant in between, so 15 holds it for the quarter-hour.
    felt_fraction: how much of the power the market feels; 0 makes a price taker.
    Raises BadInput for a step that does not divide the quarter-hour or a fraction outside 0 to 1, and RuntimeError if
    a policy's decision rests on a record that it cannot have seen.
    """
    refuse_step(step_min)
    if not 0.0 <= felt_fraction <= 1.0:
        raise BadInput([Fault("felt_fraction", f"must lie between 0 and 1, not {felt_fraction}")])
    market = MovedMarket(scenario, start, publication_delay_min=publication_delay_min)
    span = Span(market.row, len(market.series))
    books = _Books(len(span), step_min)
    state, known_profit = battery.empty, KnownProfit(0.0)
    for row, new_day in enumerate(new_day_flags(market.series, span)):
        if new_day:
            state = BatteryState(state.soc_mwh)
            known_profit.begin_day()
        decisions, cleared = _live(market, battery, policy, _Before(state, known_profit), step_min, felt_fraction)
        market.settle(felt_fraction * _powers(decisions, step_min), cleared)
        books.write(row, state, decisions)
        _book(known_profit, market.series, span.first + row, books.net_mwh(row), decisions)
        state = decisions[-1].flow.after
    ledger = make_ledger(market.series, span.rows, np.zeros(len(span), dtype=np.int64), books.columns)
    injection_mw = np.zeros(scenario.end - scenario.start)
    injection_mw[start - scenario.start :] = books.power_mw.ravel()
    return PriceMakerRun(policy.name, battery, ledger, violations(ledger, battery), injection_mw)


class _Before(NamedTuple):
    """With what a quarter-hour begins."""

    state: BatteryState
    known_profit: KnownProfit[float]


def _book(
    known_profit: KnownProfit[float], series: MarketSeries, row: int, net_mwh: float, decisions: list[Decision]
) -> None:
    """Add a quarter-hour that has been settled to the known profit."""
    known_profit.pay_wear(sum(decision.flow.wear_eur for decision in decisions))
    end = int(series.quarter_hours[row]) + MINUTES_PER_QUARTER_HOUR
    settled_eur = float(settle_eur(series.price_eur_mwh[row], net_mwh))
    known_profit.settle(end, int(series.known_series[PRICE].available_at[row]), settled_eur)


def _live(
    market: MovedMarket, battery: Battery, policy: Policy, before: _Before, step_min: int, felt_fraction: float
) -> tuple[list[Decision], ClearedMinutes]:
    """The decisions of the next quarter-hour, each on the records that the ones before it made, and those records."""
    series = market.series
    times = series.quarter_hours[market.row] + np.arange(0, MINUTES_PER_QUARTER_HOUR, step_min)
    power_mw = np.zeros(MINUTES_PER_QUARTER_HOUR)
    for _ in range(MINUTES_PER_QUARTER_HOUR + 1):
        cleared = market.clear(felt_fraction * power_mw[None])
        market.show(cleared)
        dispatcher = Dispatcher(policy, battery, series, times, step_min)
        decisions, after, worn_eur = [], before.state, 0.0
        for at in range(len(times)):
            profit_today_eur = before.known_profit.today_eur(int(times[at])) - worn_eur
            decisions.append(dispatcher.decide(at, after, profit_today_eur))
            after = decisions[-1].flow.after
            worn_eur += decisions[-1].flow.wear_eur
        before_mw, power_mw = power_mw, _powers(decisions, step_min)
        if felt_fraction == 0.0 or np.array_equal(before_mw, power_mw):
            return decisions, cleared
    raise RuntimeError(f"{policy.name} decides on records that it cannot have seen yet")


def _powers(decisions: list[Decision], step_min: int) -> Floats:
    """Power of each minute of the quarter-hour, shape [15]."""
    return np.repeat([decision.power_mw for decision in decisions], step_min)


class _Books:
    """Columns of the ledger while they are being written, one row a quarter-hour."""

    def __init__(self, count: int, step_min: int) -> None:
        names = ("charge_mwh", "discharge_mwh", "soc_start_mwh", "soc_end_mwh", "cycles_used", "wear_eur")
        self.columns: dict[str, Floats] = {name: np.zeros(count) for name in names}
        self.power_mw = np.zeros((count, MINUTES_PER_QUARTER_HOUR))
        self._step_min = step_min

    def write(self, row: int, state: BatteryState, decisions: list[Decision]) -> None:
        columns, after = self.columns, decisions[-1].flow.after
        power_mw = np.array([decision.power_mw for decision in decisions])
        flow_mwh = energy_mwh(power_mw, self._step_min)
        columns["charge_mwh"][row] = np.maximum(-flow_mwh, 0.0).sum()
        columns["discharge_mwh"][row] = np.maximum(flow_mwh, 0.0).sum()
        columns["soc_start_mwh"][row], columns["soc_end_mwh"][row] = state.soc_mwh, after.soc_mwh
        columns["cycles_used"][row] = after.cycles_used
        columns["wear_eur"][row] = sum(decision.flow.wear_eur for decision in decisions)
        self.power_mw[row] = np.repeat(power_mw, self._step_min)

    def net_mwh(self, row: int) -> float:
        """Grid-side energy of a row, discharge positive."""
        return float(self.columns["discharge_mwh"][row] - self.columns["charge_mwh"][row])
