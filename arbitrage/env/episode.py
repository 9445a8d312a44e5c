"""What the environment and its batched twin share: the laid-out episode and the meaning of an action.

Law: an episode is a number of whole Brussels days of one price path. It is laid out once, step by step, before it
begins: market features as known at each step, the price each step settles at, and where quarter-hours and days end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
import numpy.typing as npt

from arbitrage.battery import Battery
from arbitrage.errors import Fault, refuse
from arbitrage.market.series import MarketSeries
from arbitrage.observation import MarketFeatures
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, brussels_midnight

STEPS_MIN = (1, 3, 5, 15)


class Action(IntEnum):
    """The discrete actions, each at rated power."""

    CHARGE = 0
    IDLE = 1
    DISCHARGE = 2


class ActionKind(StrEnum):
    """What the agent chooses."""

    DISCRETE = "discrete"
    CONTINUOUS = "continuous"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeConfig:
    """How episodes are made. Raises BadInput naming every setting that makes no sense."""

    step_min: int = 15
    """Minutes between decisions: 1, 3, 5 or 15."""
    actions: ActionKind = ActionKind.DISCRETE
    episode_days: int = 1
    start_soc_fraction: float | None = None
    """State of charge at reset as a fraction of the SoC window; None draws it uniformly."""

    def __post_init__(self) -> None:
        start = self.start_soc_fraction
        rules = {
            "step_min": (self.step_min in STEPS_MIN, f"must be one of {STEPS_MIN}"),
            "episode_days": (self.episode_days >= 1, "must be 1 or more"),
            "start_soc_fraction": (start is None or 0.0 <= start <= 1.0, "must be between 0 and 1"),
        }
        refuse(Fault(n, f"{why}, not {getattr(self, n)}") for n, (holds, why) in rules.items() if not holds)


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode laid out; arrays of shape [steps], `features` of shape [steps + 1, market features]."""

    times: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]
    minute_fraction: npt.NDArray[np.float32]
    """Elapsed share of the running quarter-hour at each step, shape [steps + 1]."""
    price_eur_mwh: npt.NDArray[np.float64]
    """Final price of the step's quarter-hour; NaN in a gap, where the battery is held."""
    settles: npt.NDArray[np.bool_]
    """Whether the step is the last of its quarter-hour."""
    ends_day: npt.NDArray[np.bool_]
    """Whether the step is the last of its Brussels day."""

    def __len__(self) -> int:
        return len(self.times)


class EpisodeMaker:
    """Lays out episodes of one market; the days that can begin one are found once."""

    def __init__(self, market: MarketSeries, features: MarketFeatures, config: EpisodeConfig) -> None:
        self.market = market
        self.features = features
        self.config = config
        self.first_days = self._startable_days()
        refuse(
            [Fault("market", f"is shorter than one episode of {config.episode_days} whole Brussels days")]
            if not len(self.first_days)
            else []
        )

    def _startable_days(self) -> npt.NDArray[np.int64]:
        """Brussels days from which a whole episode lies inside the series."""
        first, last = int(self.market.quarter_hours[0]), int(self.market.quarter_hours[-1]) + MINUTES_PER_QUARTER_HOUR
        days = np.unique(self.market.day_numbers)
        inside = [
            brussels_midnight(int(day)) >= first and brussels_midnight(int(day) + self.config.episode_days) <= last
            for day in days
        ]
        return days[np.array(inside, dtype=np.bool_)]

    def lay_out(self, first_day: int) -> Episode:
        """The episode that begins at Brussels midnight of `first_day`."""
        step, days = self.config.step_min, self.config.episode_days
        start, end = brussels_midnight(first_day), brussels_midnight(first_day + days)
        times = np.arange(start, end, step, dtype=np.int64)
        with_end = np.append(times, end)
        minute = np.mod(with_end, MINUTES_PER_QUARTER_HOUR)
        row_of_step = (times - int(self.market.quarter_hours[0])) // MINUTES_PER_QUARTER_HOUR
        midnights = [brussels_midnight(first_day + day) for day in range(1, days + 1)]
        return Episode(
            times=times,
            features=self.features.encode(self.market.known_at(with_end)),
            minute_fraction=(minute / MINUTES_PER_QUARTER_HOUR).astype(np.float32),
            price_eur_mwh=self.market.price_eur_mwh[row_of_step],
            settles=minute[1:] == 0,
            ends_day=np.isin(with_end[1:], midnights),
        )


def start_soc_mwh(battery: Battery, fraction: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """State of charge at a fraction of the SoC window, any shape."""
    low, high = battery.law.min_soc_mwh, battery.law.max_soc_mwh
    return np.minimum(low + fraction * (high - low), high)


def rated_power_mw(battery: Battery) -> npt.NDArray[np.float64]:
    """Power asked for by each discrete action, shape [3]."""
    return np.array([-battery.law.charge_power_mw, 0.0, battery.law.discharge_power_mw])
