"""A simulated market with price impact: it responds to injections, cleared one quarter-hour at a time.

Contract
- An injection adds to the imbalance of its own minute. Bids, forecasts and all other participants stay as drawn.
- The state carried to the next quarter-hour is the activation of the last minute and the system imbalance. Nothing else
  of the past matters, so a quarter-hour is cleared on its own, with many alternative injections at once.
- A record is absent until its quarter-hour has been cleared. It carries the time from which it may be known, as in any
  market. Clearing one by one gives the same bits as `simulator.clear` with the whole injection.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numba
import numpy as np
import pandas as pd

from arbitrage.arrays import Floats
from arbitrage.errors import BadInput, Fault
from arbitrage.market.point_in_time import PRICE, RESIDUAL, PointInTimeSeries
from arbitrage.market.series import MINUTE_COLUMNS, MarketSeries
from arbitrage.market.simulation.merit_order import ClearedMinutes, MeritOrder, clear_minutes
from arbitrage.market.simulation.simulator import Scenario, clear
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR

_LAST = MINUTES_PER_QUARTER_HOUR - 1


class Carried(NamedTuple):
    """The state that a quarter-hour carries to the next."""

    activated_mw: float
    """Reserves activated in its last minute, upward positive."""
    system_imbalance_mw: float
    """Its mean, as published."""


class MovedMarket:
    """A scenario from `start` on; records before `start` are those without any injection.

    `series` is the market that a policy sees; its records from `start` on are absent until `show` or `settle`.
    """

    def __init__(self, scenario: Scenario, start: int, *, publication_delay_min: int | None = None) -> None:
        """start: epoch minute of the first quarter-hour that an injection may move. Raises BadInput off the grid."""
        if start % MINUTES_PER_QUARTER_HOUR or not scenario.start <= start < scenario.end:
            raise BadInput([Fault("start", f"{start} is not the start of a quarter-hour of the scenario")])
        self._scenario = scenario
        self.row = (start - scenario.start) // MINUTES_PER_QUARTER_HOUR
        """Row of `series` that is cleared next."""
        self._first_row = (scenario.start - int(scenario.fundamentals.quarter_hours[0])) // MINUTES_PER_QUARTER_HOUR
        market = clear(scenario).market(with_minutes=True, publication_delay_min=publication_delay_min)
        known_series = {name: _blank_from(recorded, name, start) for name, recorded in market.known_series.items()}
        price = known_series[PRICE].values
        frame = pd.DataFrame(price[:, None], index=market.frame.index, columns=[PRICE], copy=False)
        self.series: MarketSeries = replace(market, frame=frame, price_eur_mwh=price, known_series=known_series)
        self._bids = np.stack(scenario.bids)
        self._carried = self._carried_unmoved()

    def clear(self, injections_mw: Floats) -> ClearedMinutes:
        """Clear the next quarter-hour for each of some injections [m, 15] in MW; arrays of shape [m, 15]."""
        row, count = self._first_row + self.row, len(injections_mw)
        minutes = slice(row * MINUTES_PER_QUARTER_HOUR, (row + 1) * MINUTES_PER_QUARTER_HOUR)
        imbalance_mw = np.empty((count, 2, MINUTES_PER_QUARTER_HOUR))
        imbalance_mw[:, 0] = _leading_to(self._carried)
        imbalance_mw[:, 1] = self._scenario.minute_imbalance_mw[minutes] + injections_mw
        bids = MeritOrder(*np.repeat(self._bids[:, row : row + 1], 2 * count, axis=1))
        bids.response_per_minute[::2] = 1.0
        starts = np.full(2 * count, self._scenario.fundamentals.quarter_hours[row])
        cleared = clear_minutes(starts, imbalance_mw.ravel(), bids)
        return ClearedMinutes(*(column.reshape(count, 2, -1)[:, 1] for column in cleared))

    def show(self, cleared: ClearedMinutes, number: int = 0) -> None:
        """Publish the minutes of the `number`-th injection; they replace those shown before for this quarter-hour."""
        first = self.row * MINUTES_PER_QUARTER_HOUR
        for recorded, column in MINUTE_COLUMNS.items():
            if recorded in self.series.known_series:
                values = getattr(cleared, column)[number]
                self.series.known_series[recorded].values[first : first + MINUTES_PER_QUARTER_HOUR] = values

    def settle(self, injection_mw: Floats, cleared: ClearedMinutes | None = None) -> None:
        """Publish the quarter-hour and its final price with this injection [15] in MW, and advance to the next.

        cleared: the result of `clear` for this injection alone; None: computed here.
        """
        if cleared is None:
            cleared = self.clear(injection_mw[None])
        self.show(cleared)
        known_series, price = self.series.known_series, float(cleared.imbalance_price_eur_mwh[0, _LAST])
        known_series[PRICE].values[self.row] = price
        known_series[RESIDUAL].values[self.row] = price - self.day_ahead_eur_mwh
        row = self._first_row + self.row
        minutes = slice(row * MINUTES_PER_QUARTER_HOUR, (row + 1) * MINUTES_PER_QUARTER_HOUR)
        activated_mw = _activated_mw(
            self._carried.activated_mw,
            self._scenario.minute_imbalance_mw[minutes] + injection_mw,
            self._scenario.bids.response_per_minute[row : row + 1],
        )
        self._carried = Carried(activated_mw, float(cleared.system_imbalance_mw[0, _LAST]))
        self.row += 1

    @property
    def day_ahead_eur_mwh(self) -> float:
        """Day-ahead price of the next quarter-hour."""
        return float(self._scenario.fundamentals.day_ahead_eur_mwh[self._first_row + self.row])

    def _carried_unmoved(self) -> Carried:
        """The state carried into the first quarter-hour; the scenario begins without activation."""
        scenario, rows = self._scenario, self._first_row + self.row
        if rows == 0:
            return Carried(0.0, 0.0)
        imbalance_mw = scenario.minute_imbalance_mw[: rows * MINUTES_PER_QUARTER_HOUR]
        bids = MeritOrder(*(column[:rows] for column in scenario.bids))
        before = clear_minutes(scenario.fundamentals.quarter_hours[:rows], imbalance_mw, bids)
        activated_mw = _activated_mw(0.0, imbalance_mw, bids.response_per_minute)
        return Carried(activated_mw, float(before.system_imbalance_mw[-1]))


def _blank_from(recorded: PointInTimeSeries, name: str, start: int) -> PointInTimeSeries:
    """A copy of the series, without the records from `start` on if an injection could change them."""
    values = recorded.values.copy()
    if name in (PRICE, RESIDUAL, *MINUTE_COLUMNS):
        values[(start - recorded.first_minute) // recorded.step_min :] = np.nan
    return replace(recorded, values=values)


def _leading_to(carried: Carried) -> Floats:
    """Imbalance of the minutes [15] of an artificial quarter-hour that carries this state if reserves follow at once.

    All minutes are equal and give the mean, except the last two, which set the activation.
    """
    imbalance_mw = np.zeros(MINUTES_PER_QUARTER_HOUR)
    total_mw = MINUTES_PER_QUARTER_HOUR * carried.system_imbalance_mw
    imbalance_mw[:-2] = (total_mw + carried.activated_mw) / (MINUTES_PER_QUARTER_HOUR - 2)
    imbalance_mw[-1] = -carried.activated_mw
    return imbalance_mw


@numba.njit(cache=True)
def _activated_mw(activated_mw: float, minute_imbalance_mw: Floats, response_per_minute: Floats) -> float:
    """Activation after the minutes [15 n] of quarter-hours [n], with the same operations as `merit_order`."""
    for i in range(minute_imbalance_mw.shape[0]):
        response = response_per_minute[i // MINUTES_PER_QUARTER_HOUR]
        activated_mw += response * (-minute_imbalance_mw[i] - activated_mw)
    return activated_mw
