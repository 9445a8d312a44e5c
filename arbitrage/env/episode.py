"""What the environment and its batched twin share: the laid-out episode and the meaning of an action.

Contract: an episode is a number of Brussels days of one price path, whole ones unless parts are allowed. It is laid out
once, step by step, before it begins: market features as known at each step, the price each step settles at and when
that price is published, and where quarter-hours and days end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arbitrage.battery import Battery
from arbitrage.env.settings import EpisodeConfig
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.features.battery_state import BATTERY_FEATURES
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import covered_days, days_outside, falls_on
from arbitrage.numeric import is_named
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, brussels_midnight

STEPS_MIN = (1, 3, 5, 15)


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode laid out; arrays of shape [steps], `features` of shape [steps + 1, market features]."""

    times: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]
    minute_fraction: npt.NDArray[np.float32]
    """Elapsed share of the running quarter-hour at each step, shape [steps + 1]."""
    price_eur_mwh: npt.NDArray[np.float64]
    """Final price of the step's quarter-hour; NaN in a gap, where the battery is held."""
    price_shows_at: npt.NDArray[np.int64]
    """The first step at which that price has been published; past the last one if it is published later."""
    settles: npt.NDArray[np.bool_]
    """Whether the step is the last of its quarter-hour."""
    ends_day: npt.NDArray[np.bool_]
    """Whether the step is the last of its Brussels day."""

    def __len__(self) -> int:
        return len(self.times)


class EpisodeMaker:
    """Lays out episodes of one market; the days that can begin one are found once."""

    def __init__(
        self, market: MarketSeries, features: MarketFeatures | FeatureSet | str | None, config: EpisodeConfig
    ) -> None:
        self.market = market
        self.config = config
        self.features = chosen_features(features, market, config.step_min)
        self.observation_names = self.features.names + BATTERY_FEATURES[self.features.feature_set]
        self._first = int(market.quarter_hours[0])
        self._end = int(market.quarter_hours[-1]) + MINUTES_PER_QUARTER_HOUR
        self.first_days = self._startable_days()
        """Brussels days on which an episode can begin, shape [n] in order."""

    def _startable_days(self) -> npt.NDArray[np.int64]:
        config, days = self.config, self._usable_days()
        allowed = days
        if config.days is not None:
            refuse(days_outside(days, config.days))
            allowed = days[falls_on(days, config.days)]
        length = min(config.episode_days, len(days) + 1)
        follows = allowed[:, None] + np.arange(length)
        held = np.isin(follows, allowed)
        if config.partial_days:
            held |= follows > days[-1:]
        startable = allowed[held.all(axis=1)]
        if not len(startable):
            raise BadInput([Fault("market" if config.days is None else "days", self._too_short(days))])
        return startable

    def _usable_days(self) -> npt.NDArray[np.int64]:
        """Brussels days that the market has, whole ones unless parts are allowed."""
        days = np.unique(self.market.day_numbers)
        if self.config.partial_days:
            return days
        whole = [
            self._first <= brussels_midnight(int(day)) and brussels_midnight(int(day) + 1) <= self._end for day in days
        ]
        return days[np.array(whole, dtype=np.bool_)]

    def _too_short(self, days: npt.NDArray[np.int64]) -> str:
        length = f"one episode of {self.config.episode_days} whole Brussels days"
        if self.config.days is None:
            return f"is shorter than {length}; its whole days are {covered_days(days)}"
        return f"have no room for {length}, one after the other; the market's whole days are {covered_days(days)}"

    def lay_out(self, first_day: int) -> Episode:
        """The episode that begins at Brussels midnight of `first_day`, or where the series begins on that day."""
        step, days_left = self.config.step_min, int(self.market.day_numbers[-1]) + 1 - first_day
        days = min(self.config.episode_days, days_left)
        midnights = [brussels_midnight(first_day + day) for day in range(days + 1)]
        start, end = max(midnights[0], self._first), min(midnights[-1], self._end)
        with_end = np.arange(start, end + 1, step, dtype=np.int64)
        times = with_end[:-1]
        minute = np.mod(with_end, MINUTES_PER_QUARTER_HOUR)
        row_of_step = (times - self._first) // MINUTES_PER_QUARTER_HOUR
        return Episode(
            times=times,
            features=self.features.encode(self.market.known_at(with_end)),
            minute_fraction=(minute / MINUTES_PER_QUARTER_HOUR).astype(np.float32),
            price_eur_mwh=self.market.price_eur_mwh[row_of_step],
            price_shows_at=np.searchsorted(with_end, self.market.known_series[PRICE].available_at[row_of_step]),
            settles=minute[1:] == 0,
            ends_day=np.isin(with_end[1:], midnights),
        )


def chosen_features(
    features: MarketFeatures | FeatureSet | str | None, market: MarketSeries, step_min: int
) -> MarketFeatures:
    """The features asked for, by name or as they are; None: `full` by the minute, else `quarter_hour`.

    Raises BadInput for a set that there is not, and for one that needs minute records where the market has none.
    """
    if features is None:
        by_minute = step_min < MINUTES_PER_QUARTER_HOUR and market.minute_source is not None
        features = FeatureSet.FULL if by_minute else FeatureSet.QUARTER_HOUR
    if not isinstance(features, MarketFeatures):
        if not is_named(features, FeatureSet):
            names = [str(name) for name in FeatureSet]
            raise BadInput([Fault("features", f"must be one of {names}, not {features!r}")])
        features = MarketFeatures(FeatureSet(features))
    if features.running_names and market.minute_source is None:
        raise BadInput([Fault("features", f"{features.feature_set} needs minute records, and the market has none")])
    return features


def start_soc_mwh(battery: Battery, fraction: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """State of charge at a fraction of the SoC window, any shape."""
    low, high = battery.law.min_soc_mwh, battery.law.max_soc_mwh
    return np.minimum(low + fraction * (high - low), high)


def rated_power_mw(battery: Battery) -> npt.NDArray[np.float64]:
    """Power asked for by each discrete action, shape [3]."""
    return np.array([-battery.law.charge_power_mw, 0.0, battery.law.discharge_power_mw])
