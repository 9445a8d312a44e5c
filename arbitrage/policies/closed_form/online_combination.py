"""The learned forecast of a running quarter-hour's price, combined with the naive ones by what was seen lately.

Contract
- The experts beside the learned forecast are the newest indicative price of the running quarter-hour, the last price,
  and the base (day-ahead). An expert that is not known at a time agrees with the learned forecast there.
- Their shares are a ridge regression on the same minute of the quarter-hours just past, in units of the scale, with
  weights that halve with age, towards a prior. Only settled prices that are known at the decision are learned from.
- It is a pure function of what is known at the decision: the past forecasts are made again from what was known then,
  and nothing is carried from one decision to the next. A time's result depends on that time alone, to the last bit.

Combining forecasts by regression: Granger and Ramanathan (1984).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from arbitrage.arrays import Floats, Numbers
from arbitrage.features.encoder import Encoded
from arbitrage.features.minutes import last_record_of
from arbitrage.market.point_in_time import PRICE, KnownMarket
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, quarter_hour_starts

MOST_WINDOW_DAYS = 2
"""How far back what is kept of a live market reaches; see `live.window`."""
_QUARTER_HOURS_PER_DAY = 96
_EXPERTS = 3
_NEWEST, _LAST = 0, 1
_OLDEST_LAST = 16
"""Quarter-hours back within which the last price is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinationConfig:
    """Settings of the combination."""

    window_days: int = 2
    """How far back past forecasts are looked at."""
    half_life_days: float = 2.0
    """Age at which a past quarter-hour counts half."""
    penalty: float = 5.0
    """Of the departure from the prior shares, in squared scales."""
    prior_share: float = 0.5
    """Of the newest indicative price where there is one, else of the last price; the learned forecast has the rest."""

    @property
    def lags_min(self) -> Numbers:
        """How far back the past times lie, ascending, shape [window quarter-hours]."""
        return MINUTES_PER_QUARTER_HOUR * np.arange(1, self.window_days * _QUARTER_HOURS_PER_DAY + 1, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Opinions:
    """What is forecast at a number of times, arrays of shape [n]."""

    times: Numbers
    """Ascending."""
    learned_eur_mwh: Floats
    scale_eur_mwh: Floats
    departures: Floats
    """Shape [n, 3]; each naive forecast less the learned one, in units of the scale."""

    @classmethod
    def of(cls, known: KnownMarket, encoded: Encoded, learned_eur_mwh: Floats) -> Opinions:
        """At the times of `known`; `encoded` is the quarter-hour of each."""
        naive = naive_forecasts(known, encoded.base_eur_mwh)
        departures = (naive - learned_eur_mwh[:, None]) / encoded.scale_eur_mwh[:, None]
        return cls(known.times, learned_eur_mwh, encoded.scale_eur_mwh, np.nan_to_num(departures))

    def at(self, rows: Numbers) -> Opinions:
        """The same at some of the times [m]."""
        return Opinions(self.times[rows], self.learned_eur_mwh[rows], self.scale_eur_mwh[rows], self.departures[rows])


def naive_forecasts(known: KnownMarket, base_eur_mwh: Floats) -> Floats:
    """Newest indicative price of the running quarter-hour, last price, and base [T]: shape [T, 3]; NaN if unknown.

    The last price is the settled one of the quarter-hour before, else its newest indicative one, else the newest
    settled price of the last four hours.
    """
    starts = quarter_hour_starts(known.times)
    settled = known.as_of(known.times, starts).gather(PRICE, -MINUTES_PER_QUARTER_HOUR * np.arange(1, _OLDEST_LAST + 1))
    candidates = [settled[:, 0], last_record_of(known, starts - MINUTES_PER_QUARTER_HOUR), *settled[:, 1:].T]
    last = candidates[0]
    for older in candidates[1:]:
        last = np.where(np.isnan(last), older, last)
    return np.stack([last_record_of(known, starts), last, base_eur_mwh], axis=1)


def past_times(config: CombinationConfig, times: Numbers) -> Numbers:
    """Every time whose forecast is looked at when combining at `times` [T], themselves included; ascending."""
    back = times[:, None] - np.concatenate(([0], config.lags_min))
    return np.unique(back)


def combine(config: CombinationConfig, opinions: Opinions, times: Numbers, settled_eur_mwh: Floats) -> Floats:
    """Combined forecasts at `times` [T], EUR/MWh.

    opinions: at `past_times(config, times)`. settled_eur_mwh: shape [T, window quarter-hours]; the settled price of
    the quarter-hour at each of `config.lags_min` before, as far as it is known at that time, else NaN.
    """
    out = np.empty(len(times))
    own = np.searchsorted(opinions.times, times)
    past = np.searchsorted(opinions.times, times[:, None] - config.lags_min)
    age_days = np.arange(1, len(config.lags_min) + 1) / _QUARTER_HOURS_PER_DAY
    _combine(
        opinions.learned_eur_mwh,
        opinions.scale_eur_mwh,
        opinions.departures,
        own,
        past,
        settled_eur_mwh,
        np.exp2(-age_days / config.half_life_days),
        config.penalty,
        config.prior_share,
        out,
    )
    return out


@numba.njit(cache=True)
def _combine(
    learned: Floats,
    scale: Floats,
    departures: Floats,
    own: Numbers,
    past: Numbers,
    settled: Floats,
    weights: Floats,
    penalty: float,
    prior_share: float,
    out: Floats,
) -> None:
    gram, moment, prior = np.empty((_EXPERTS, _EXPERTS)), np.empty(_EXPERTS), np.empty(_EXPERTS)
    for i in range(own.shape[0]):
        here = own[i]
        prior[:] = 0.0
        prior[_NEWEST if departures[here, _NEWEST] != 0.0 else _LAST] = prior_share
        gram[:] = 0.0
        moment[:] = 0.0
        for expert in range(_EXPERTS):
            gram[expert, expert] = penalty
        for j in range(past.shape[1]):
            row = past[i, j]
            if np.isnan(settled[i, j]):
                continue
            missed = (settled[i, j] - learned[row]) / scale[row]
            for expert in range(_EXPERTS):
                missed -= prior[expert] * departures[row, expert]
            for expert in range(_EXPERTS):
                moment[expert] += weights[j] * departures[row, expert] * missed
                for other in range(_EXPERTS):
                    gram[expert, other] += weights[j] * departures[row, expert] * departures[row, other]
        shares = prior + np.linalg.solve(gram, moment)
        total = 0.0
        for expert in range(_EXPERTS):
            total += shares[expert] * departures[here, expert]
        out[i] = learned[here] + scale[here] * total
