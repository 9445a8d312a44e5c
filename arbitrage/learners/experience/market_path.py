"""Recorded days laid out step by step for learners: what was known at each step, what it settled at, what follows.

Contract
- Features of a step are those known when it begins. Its price is the final one of its quarter-hour: it is learned from,
  and never seen when deciding.
- Energy is paid in the step that moves it, at the price that the quarter-hour will settle at. For a risk-neutral price
  taker that is the same money as paying it at the quarter-hour's end, and nothing is hidden in the state.
- Where each day stands on its own, nothing after its end counts. Where energy is carried over midnight, the day's end
  is no end, and the cycles used are forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from arbitrage.arrays import Flags, Floats, Numbers, Singles
from arbitrage.battery import Battery, step_fleet
from arbitrage.errors import BadInput, Fault
from arbitrage.features.battery_state import BATTERY_FEATURES, encode_battery
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.market.path import After, lay_path
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import SocReset, Span
from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR, refuse_step
from arbitrage.settling import settle_power_eur

STATE_FEATURES = FeatureSet.REFERENCE
"""Whose battery features the learners see: state of charge, cycles used, minute."""


@dataclass(frozen=True, slots=True)
class MarketPath:
    """Steps of the chosen spans laid end to end, arrays of shape [n, ...]."""

    step_min: int
    features: Singles
    """Shape [n, market features]."""
    minute_fraction: Singles
    price_eur_mwh: Floats
    """NaN in a gap, where the battery is held."""
    starts_day: Flags
    """Whether a step begins a Brussels day; the cycles used are forgotten before it."""
    ends: Flags
    """Whether a step is the last of its span."""
    days_stand_alone: bool
    """Whether nothing after a span's end counts; else its last step is not learned from: what follows is unknown."""

    @property
    def teaching(self) -> Numbers:
        """Rows that can be learned from, shape [m]."""
        usable = ~np.isnan(self.price_eur_mwh)
        return np.flatnonzero(usable if self.days_stand_alone else usable & ~self.ends[self.last_of_quarter])

    @property
    def steps_left(self) -> Numbers:
        """Steps from each to the end of its quarter-hour, itself included."""
        steps = MINUTES_PER_QUARTER_HOUR // self.step_min
        return steps - np.rint(self.minute_fraction * steps).astype(np.int64)

    @property
    def last_of_quarter(self) -> Numbers:
        """Row of the last step of each step's quarter-hour."""
        return np.asarray(np.arange(len(self.minute_fraction)) + self.steps_left - 1)

    @property
    def inputs(self) -> int:
        """Numbers that a learner sees."""
        return int(self.features.shape[1]) + len(BATTERY_FEATURES[STATE_FEATURES])


def lay_market_path(
    market: MarketSeries, selection: Sequence[Span], features: MarketFeatures, step_min: int, soc_reset: SocReset
) -> MarketPath:
    """The spans step by step. Raises BadInput for a step that is not 1, 3, 5 or 15."""
    refuse_step(step_min)
    path, steps = lay_path(market, selection), MINUTES_PER_QUARTER_HOUR // step_min
    offsets = np.arange(0, MINUTES_PER_QUARTER_HOUR, step_min)
    times = (market.quarter_hours[path.rows][:, None] + offsets).ravel()
    last = np.arange(steps) == steps - 1
    ends = ((path.after == After.END_OF_SPAN)[:, None] & last).ravel()
    new_day = np.append(True, path.day_numbers[1:] != path.day_numbers[:-1])
    return MarketPath(
        step_min=step_min,
        features=features.encode(market.known_at(times)),
        minute_fraction=np.tile(offsets / MINUTES_PER_QUARTER_HOUR, len(path.rows)).astype(np.float32),
        price_eur_mwh=np.repeat(path.price_eur_mwh, steps),
        starts_day=(new_day[:, None] & (np.arange(steps) == 0)).ravel(),
        ends=ends,
        days_stand_alone=soc_reset is SocReset.DAILY,
    )


def state_features(battery: Battery, soc_mwh: Floats, cycles_used: Floats) -> Singles:
    """What learners see of batteries, the minute left at 0; shape [n, battery features]."""
    out = np.empty((len(soc_mwh), len(BATTERY_FEATURES[STATE_FEATURES])), dtype=np.float32)
    nothing = np.zeros(len(soc_mwh))
    encode_battery(STATE_FEATURES, battery, soc_mwh, cycles_used, nothing, nothing, 0.0, out)
    return out


MINUTE_COLUMN = BATTERY_FEATURES[STATE_FEATURES].index("minute_fraction")
Act = Callable[[Singles], Floats]
"""Shares of rated power [n], discharge positive, for observations [n, inputs]."""


def profit_by_span(path: MarketPath, battery: Battery, act: Act) -> Floats:
    """Profit in EUR of each span, simulated side by side from an empty battery; shape [spans].

    Raises BadInput if spans are not of one Brussels day each.
    """
    if int(path.starts_day.sum()) != int(path.ends.sum()):
        raise BadInput([Fault("spans", "must be whole Brussels days, each on its own")])
    law, duration_h = battery.law, path.step_min / MINUTES_PER_HOUR
    last = np.flatnonzero(path.ends)
    first = np.concatenate(([0], last[:-1] + 1))
    count = len(last)
    soc, cycles, wear, profit = np.full(count, law.min_soc_mwh), *np.zeros((3, count))
    for step in range(int((last - first).max()) + 1):
        rows = np.minimum(first + step, last)
        state = state_features(battery, soc, cycles)
        state[:, MINUTE_COLUMN] = path.minute_fraction[rows]
        share = act(np.concatenate([path.features[rows], state], axis=1))
        price = path.price_eur_mwh[rows]
        moving = (first + step <= last) & ~np.isnan(price)
        asked = share * np.where(share > 0.0, law.discharge_power_mw, law.charge_power_mw)
        power = np.where(moving, asked, 0.0)
        step_fleet(law, soc, cycles, power, duration_h, wear)
        profit += np.where(moving, settle_power_eur(np.nan_to_num(price), power, duration_h) - wear, 0.0)
    return profit
