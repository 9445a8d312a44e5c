"""The books of one live battery: its state through time, what has flowed, and the day's profit as far as it is known.

Contract
- As in the backtest: the cycle count and the day's profit restart at Brussels midnight; money counts from when its
  price is known, wear from when it is caused; a quarter-hour is settled on its net energy.
- Sums are made in the order in which the backtest makes them, so that they agree to the last bit.
- Intervals come in the order of time, and none reaches over the end of a quarter-hour.
"""

from __future__ import annotations

from dataclasses import dataclass

from arbitrage.battery import Battery, BatteryState
from arbitrage.live.decision import AssetState
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, brussels_day_numbers, brussels_midnight, energy_mwh
from arbitrage.settling import KnownProfit, settle_eur


@dataclass(frozen=True, slots=True)
class QuarterHourFlow:
    """What flowed in one quarter-hour, grid side, in MWh that are not negative."""

    start: int
    """Epoch minute."""
    charge_mwh: float = 0.0
    discharge_mwh: float = 0.0

    @property
    def end(self) -> int:
        """Epoch minute."""
        return self.start + MINUTES_PER_QUARTER_HOUR

    @property
    def net_mwh(self) -> float:
        """What is settled: injection less offtake."""
        return self.discharge_mwh - self.charge_mwh

    def plus(self, energy_mwh: float) -> QuarterHourFlow:
        """With so much more, discharge positive."""
        if energy_mwh < 0.0:
            return QuarterHourFlow(self.start, self.charge_mwh - energy_mwh, self.discharge_mwh)
        return QuarterHourFlow(self.start, self.charge_mwh, self.discharge_mwh + energy_mwh)


class LiveBattery:
    """One battery that goes through decided intervals."""

    def __init__(self, battery: Battery, state: BatteryState | None = None) -> None:
        self.battery = battery
        self.state = state or battery.empty
        self.power_mw = 0.0
        self.wear_eur = 0.0
        """Of its whole life here."""
        self.unsettled: dict[int, QuarterHourFlow] = {}
        """Finished quarter-hours that have no price yet, by start."""
        self._running: QuarterHourFlow | None = None
        self._midnights: tuple[int, int] | None = None
        """Where the running Brussels day begins and ends, epoch minutes."""
        self._known_profit = KnownProfit(0.0)

    def at(self, time: int) -> AssetState:
        """The state in which the interval that begins at an epoch minute is decided."""
        if self._midnights is None or time >= self._midnights[1]:
            self._begin_day(time)
        return AssetState(self.state, self._known_profit.today_eur(time), self.power_mw)

    def follow(self, start: int, end: int, power_mw: float) -> float:
        """Live through [start, end) epoch minutes of one quarter-hour at a power; returns what the battery law allowed.

        The power of a decision has been through the law already and comes out as it went in.
        """
        quarter_hour = start - start % MINUTES_PER_QUARTER_HOUR
        if self._running is None or self._running.start != quarter_hour:
            self._close()
            self._running = QuarterHourFlow(quarter_hour)
        step = self.battery.step(self.state, power_mw, end - start)
        self._running = self._running.plus(energy_mwh(step.power_mw, end - start))
        self._known_profit.pay_wear(step.wear_eur)
        self.wear_eur += step.wear_eur
        self.state, self.power_mw = step.after, step.power_mw
        if end == self._running.end:
            self._close()
        return step.power_mw

    def settle(self, quarter_hour: int, price_eur_mwh: float, now: int) -> float:
        """The price of a finished quarter-hour is known at `now`, both epoch minutes; returns what it makes in EUR.

        Raises KeyError for a quarter-hour that is not waiting.
        """
        flow = self.unsettled.pop(quarter_hour)
        settled_eur = float(settle_eur(price_eur_mwh, flow.net_mwh))
        if self._midnights is not None and quarter_hour >= self._midnights[0]:
            self._known_profit.settle(flow.end, now, settled_eur)
        return settled_eur

    def _close(self) -> None:
        """The running quarter-hour is over and waits for its price."""
        if self._running is not None:
            flow, self._running = self._running, None
            self.unsettled[flow.start] = flow
            self._known_profit.close(flow.end)

    def _begin_day(self, time: int) -> None:
        if self._midnights is not None:
            self.state = BatteryState(self.state.soc_mwh)
            self._known_profit.begin_day()
        day = int(brussels_day_numbers([time])[0])
        self._midnights = (brussels_midnight(day), brussels_midnight(day + 1))
