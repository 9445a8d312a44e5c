"""The backtest: decide, let the battery law act, settle, and write it down.

Contract: every decision goes through `dispatch`. The engine keeps the clock and the books; it has no opinion on power.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from arbitrage.arrays import Floats
from arbitrage.backtest.hindsight.perfect_foresight import Foresight, perfect_foresight
from arbitrage.backtest.ledger import make_ledger, violations
from arbitrage.battery import Battery, BatteryState, wear_cost_eur
from arbitrage.dispatch import Decision, Dispatcher
from arbitrage.market.coverage import Need, SourceCoverage, source_coverage
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import Span, new_day_flags, rows_of
from arbitrage.policies.protocol import Policy
from arbitrage.progress import Progress, ProgressCallback, silent
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, energy_mwh, refuse_step
from arbitrage.settling import KnownProfit, settle_eur

PERFECT_FORESIGHT = "perfect-foresight"
KNOWN_QUARTER_HOUR = "known-quarter-hour"
"""Ceilings, as strategies are called; the second is made in `known_quarter_hour`."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a strategy did on the selected spans, with the ceiling on the same spans beside it."""

    strategy: str
    battery: Battery
    ledger: pd.DataFrame
    """See `ledger.COLUMNS`."""
    violations: pd.DataFrame
    foresight: Foresight
    """The optimum of the same spans."""
    coverage: tuple[SourceCoverage, ...] = ()
    """How many records of each series were there when the strategy decided; empty for one that reads none."""
    in_sample_days: int | None = 0
    """Tested days that the strategy learned from, or that chose it; None where its card does not say."""


def run_backtest(
    market: MarketSeries,
    battery: Battery,
    policy: Policy,
    selection: Sequence[Span],
    *,
    step_min: int = MINUTES_PER_QUARTER_HOUR,
    progress: ProgressCallback = silent,
) -> Backtest:
    """Run a policy through the spans, each from an empty battery, deciding every `step_min` minutes.

    A quarter-hour without a price is held and not settled. Raises BadInput for a step that is not 1, 3, 5 or 15.
    """
    refuse_step(step_min)
    books, completed, total = _Books(len(rows_of(selection))), 0, sum(len(span) for span in selection)
    for span in selection:
        _run_span(market, battery, policy, span, step_min, books)
        completed += len(span)
        progress(Progress(f"backtesting {policy.name}", completed, total))
    foresight = perfect_foresight(market, battery, selection)
    closed = _close(policy.name, market, battery, selection, books.columns, foresight)
    return replace(closed, coverage=selection_coverage(market, policy.needs, selection, step_min))


def selection_coverage(
    market: MarketSeries, needs: Iterable[Need], selection: Sequence[Span], step_min: int
) -> tuple[SourceCoverage, ...]:
    """How many records of each needed series are there for decisions every `step_min` minutes of the spans."""
    refuse_step(step_min)
    starts = market.quarter_hours[rows_of(selection)]
    times = (starts[:, None] + np.arange(0, MINUTES_PER_QUARTER_HOUR, step_min)).ravel()
    return source_coverage(market, needs, times)


def backtest_perfect_foresight(market: MarketSeries, battery: Battery, selection: Sequence[Span]) -> Backtest:
    """The ceiling itself, as a strategy in the same ledger."""
    foresight = perfect_foresight(market, battery, selection)
    law = battery.law
    begins = np.concatenate([np.arange(len(span)) == 0 for span in selection])
    soc_start = np.where(begins, law.min_soc_mwh, np.concatenate(([0.0], foresight.soc_mwh[:-1])))
    drawn = foresight.discharge_mwh / law.discharge_efficiency
    day_starts = np.flatnonzero(np.concatenate([new_day_flags(market, span) for span in selection]))
    lengths = np.diff(np.append(day_starts, len(drawn)))
    total = np.cumsum(drawn)
    before_day = np.repeat(np.concatenate(([0.0], total))[day_starts], lengths)
    columns = {
        "charge_mwh": foresight.charge_mwh,
        "discharge_mwh": foresight.discharge_mwh,
        "soc_start_mwh": soc_start,
        "soc_end_mwh": foresight.soc_mwh,
        "cycles_used": (total - before_day) / law.capacity_mwh,
        "wear_eur": wear_cost_eur(law, drawn),
    }
    return _close(PERFECT_FORESIGHT, market, battery, selection, columns, foresight)


class _Books:
    """Columns of the ledger while they are being written, one row a quarter-hour."""

    def __init__(self, count: int) -> None:
        names = ("charge_mwh", "discharge_mwh", "soc_start_mwh", "soc_end_mwh", "cycles_used", "wear_eur")
        self.columns: dict[str, Floats] = {name: np.zeros(count) for name in (*names, "asked_mw", "shielded_fraction")}
        self.row = 0

    def open_row(self, state: BatteryState) -> None:
        self.columns["soc_start_mwh"][self.row] = state.soc_mwh

    def add(self, decision: Decision, step_min: int) -> None:
        columns, row = self.columns, self.row
        share = step_min / MINUTES_PER_QUARTER_HOUR
        energy = energy_mwh(decision.power_mw, step_min)
        if energy < 0.0:
            columns["charge_mwh"][row] -= energy
        elif energy > 0.0:
            columns["discharge_mwh"][row] += energy
        columns["wear_eur"][row] += decision.flow.wear_eur
        columns["asked_mw"][row] += decision.intent.power_mw * share
        columns["shielded_fraction"][row] += share * (decision.shield is not None)

    def settled_eur(self, price_eur_mwh: float) -> float:
        """What the open row makes at its final price."""
        net_mwh = self.columns["discharge_mwh"][self.row] - self.columns["charge_mwh"][self.row]
        return float(settle_eur(price_eur_mwh, net_mwh))

    def close_row(self, state: BatteryState) -> None:
        self.columns["soc_end_mwh"][self.row] = state.soc_mwh
        self.columns["cycles_used"][self.row] = state.cycles_used
        self.row += 1


def _run_span(market: MarketSeries, battery: Battery, policy: Policy, span: Span, step_min: int, books: _Books) -> None:
    starts = market.quarter_hours[span.first : span.last]
    steps = MINUTES_PER_QUARTER_HOUR // step_min
    times = (starts[:, None] + step_min * np.arange(steps)).ravel()
    dispatcher = Dispatcher(policy, battery, market, times, step_min)
    prices = market.price_eur_mwh[span.first : span.last]
    published_at = market.known_series[PRICE].available_at[span.first : span.last]
    state, known_profit = battery.empty, KnownProfit(0.0)
    for row, new_day in enumerate(new_day_flags(market, span)):
        if new_day:
            state = BatteryState(state.soc_mwh)
            known_profit.begin_day()
        books.open_row(state)
        if not np.isnan(prices[row]):
            for at in range(row * steps, (row + 1) * steps):
                decision = dispatcher.decide(at, state, known_profit.today_eur(int(times[at])))
                books.add(decision, step_min)
                known_profit.pay_wear(decision.flow.wear_eur)
                state = decision.flow.after
            end = int(starts[row]) + MINUTES_PER_QUARTER_HOUR
            known_profit.settle(end, int(published_at[row]), books.settled_eur(float(prices[row])))
        books.close_row(state)


def _close(
    strategy: str,
    market: MarketSeries,
    battery: Battery,
    selection: Sequence[Span],
    columns: dict[str, Floats],
    foresight: Foresight,
) -> Backtest:
    span_of_row = np.repeat(np.arange(len(selection)), [len(span) for span in selection])
    ledger = make_ledger(market, rows_of(selection), span_of_row, columns)
    return Backtest(strategy, battery, ledger, violations(ledger, battery), foresight)
