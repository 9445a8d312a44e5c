"""Markets and batteries that give a report little or nothing to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.backtest.engine import Backtest, backtest_perfect_foresight, run_backtest
from arbitrage.backtest.report.tear_sheet import context_of
from arbitrage.backtest.runs.folder import Run, span_times
from arbitrage.battery import Battery
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE
from arbitrage.market.series import MarketSeries, build_market
from arbitrage.market.splits import SocReset, Span, select_rows, spans
from arbitrage.policies.rules import Idle, SpreadRule, ThresholdRule
from arbitrage.quarter_hour import utc_timestamps
from tests.minute_worlds import market_of_minutes, minute_table
from tests.worlds import SUMMER_MIDNIGHT, market_of, noisy_market

DAY = 96
USUAL = Battery(max_cycles_per_day=1.1, wear_cost_eur_mwh=2.0)


@dataclass(frozen=True)
class Poor:
    """A market, a battery, and the quarter-hours tested."""

    market: MarketSeries
    battery: Battery = USUAL
    soc_reset: SocReset = SocReset.NEVER
    first: int = 0
    last: int | None = None

    @property
    def selection(self) -> tuple[Span, ...]:
        """The spans tested."""
        chosen = select_rows(self.market)
        chosen[: self.first] = False
        chosen[len(self.market) if self.last is None else self.last :] = False
        return spans(self.market, chosen, self.soc_reset)

    def backtests(self) -> list[Backtest]:
        """A rule, a second one where there are day-ahead prices, the floor and the ceiling."""
        rules = [ThresholdRule(), *([SpreadRule()] if DAY_AHEAD in self.market.known_series else []), Idle()]
        runs = [run_backtest(self.market, self.battery, rule, self.selection) for rule in rules]
        return [*runs, backtest_perfect_foresight(self.market, self.battery, self.selection)]

    def run(self, backtests: list[Backtest]) -> Run:
        """What a run folder holds of them."""
        return Run(
            backtests=tuple(backtests),
            context=context_of(self.market, self.soc_reset, "Little to show"),
            config={"command": "backtest", "spans": span_times(self.market, self.selection)},
            facts=tuple({"name": backtest.strategy} for backtest in backtests),
        )


def wave(days: int, *, middle: float = 80.0, swing: float = 60.0) -> npt.NDArray[np.float64]:
    """Prices that rise and fall twice a day."""
    return middle + swing * np.sin(np.arange(days * DAY) * 4.0 * np.pi / DAY)


def _without(prices: npt.NDArray[np.float64], gap: slice) -> MarketSeries:
    """A market whose prices are missing there."""
    gappy = prices.copy()
    gappy[gap] = np.nan
    return market_of(gappy)


def _minutes_for_a_part() -> MarketSeries:
    prices = wave(2)
    minutes = minute_table(**{PRICE: np.repeat(prices[:40], 15)})
    return market_of_minutes(minutes, prices)


def _day_ahead_for_a_part() -> MarketSeries:
    prices = wave(2)
    index = utc_timestamps(SUMMER_MIDNIGHT + 15 * np.arange(len(prices)))
    day_ahead = pd.DataFrame({DAY_AHEAD: prices[:96:4]}, index=index[:96:4])
    return build_market(pd.DataFrame({PRICE: prices}, index=index), day_ahead=day_ahead)


CASES: Mapping[str, Callable[[], Poor]] = {
    "one price for four hours": lambda: Poor(market_of(np.full(16, 50.0))),
    "one price for two days": lambda: Poor(market_of(np.full(2 * DAY, 50.0))),
    "one quarter-hour": lambda: Poor(market_of([50.0])),
    "one quarter-hour at a price of zero": lambda: Poor(market_of([0.0])),
    "two quarter-hours": lambda: Poor(market_of([10.0, 90.0])),
    "a day without prices, tested alone": lambda: Poor(_without(wave(2), slice(DAY, None)), first=DAY),
    "two days without prices, each on its own": lambda: Poor(
        _without(wave(3), slice(DAY, None)), soc_reset=SocReset.DAILY, first=DAY
    ),
    "a day without prices between two others": lambda: Poor(_without(wave(3), slice(DAY, 2 * DAY))),
    "one settled quarter-hour of a day": lambda: Poor(_without(wave(1), slice(1, None))),
    "two prices only": lambda: Poor(market_of(np.tile([20.0, 120.0], DAY))),
    "one day": lambda: Poor(market_of(wave(1))),
    "two days": lambda: Poor(market_of(wave(2))),
    "a spread smaller than the losses": lambda: Poor(market_of(wave(2, swing=1.0))),
    "prices of zero": lambda: Poor(market_of(np.zeros(DAY))),
    "negative prices throughout": lambda: Poor(market_of(wave(2, middle=-200.0))),
    "one negative price": lambda: Poor(market_of(np.full(2 * DAY, -50.0))),
    "huge prices": lambda: Poor(market_of(5e3 * wave(2))),
    "tiny prices": lambda: Poor(market_of(1e-12 * wave(2))),
    "one huge price among zeros": lambda: Poor(market_of(np.where(np.arange(2 * DAY) == 100, 1e6, 0.0))),
    "minutes for a part of the time": lambda: Poor(_minutes_for_a_part()),
    "day-ahead prices for a part of the time": lambda: Poor(_day_ahead_for_a_part()),
    "wear that leaves nothing to do": lambda: Poor(market_of(wave(2)), replace(USUAL, wear_cost_eur_mwh=1e6)),
    "no import": lambda: Poor(market_of(wave(2)), replace(USUAL, import_limit_mw=0.0)),
    "no export": lambda: Poor(market_of(wave(2)), replace(USUAL, export_limit_mw=0.0)),
    "neither import nor export": lambda: Poor(
        market_of(wave(2)), replace(USUAL, import_limit_mw=0.0, export_limit_mw=0.0)
    ),
    "neither, without a cap": lambda: Poor(market_of(wave(2)), Battery(import_limit_mw=0.0, export_limit_mw=0.0)),
    "a budget of no cycles": lambda: Poor(market_of(wave(2)), replace(USUAL, max_cycles_per_day=0.0)),
    "a tiny battery": lambda: Poor(market_of(wave(2)), replace(USUAL, power_mw=1e-5, capacity_mwh=2e-5)),
    "a tiny capacity": lambda: Poor(market_of(wave(2)), replace(USUAL, capacity_mwh=1e-3)),
    "a huge capacity": lambda: Poor(market_of(wave(2)), replace(USUAL, capacity_mwh=1e5)),
    "a huge battery": lambda: Poor(market_of(wave(2)), replace(USUAL, power_mw=1e5, capacity_mwh=2e5)),
    "gaps on every day": lambda: Poor(noisy_market(3, days=5, gaps=300)),
}
"""By what is poor about them."""
