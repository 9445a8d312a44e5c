"""Balancing bids of a simulated market, cleared minute by minute into marginal and imbalance prices.

Contract
- Volumes are in MW; upward activation is positive.
- The first upward bid lies a premium above a weighted sum of day-ahead price and price level. Prices rise convexly with
  the volume. At a volume that varies from day to day, ordinary bids end and dearer reserves begin: the price jumps. A
  few bids at large volumes are extreme. Downward bids mirror all this.
- A minute record holds what would settle if the quarter-hour ended there. System imbalance and activation are means
  since the quarter-hour began; the marginal prices and the alpha component follow from them.
- To 2024-05-21 the marginal prices are the running extremes of the activated bids. From 2024-05-22 they are averages
  weighted with the activated volumes, and within the dead band of the mean system imbalance the value of avoided
  activation settles.
- Alpha component and price follow by the tariff (`settlement`).
- Values are rounded as Elia publishes them (cents before 2024-05-22, then three decimals) before the price is computed,
  so that the price rule holds exactly on every row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np

from arbitrage.arrays import Floats
from arbitrage.market.settlement import alpha_component_eur_mwh, imbalance_price_eur_mwh
from arbitrage.market.simulation.fundamentals import Fundamentals, autoregressive, normals
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, EpochMinutes, epoch_minute

GRADUAL_FROM = epoch_minute("2024-05-22T00:00+02:00")
"""First quarter-hour under the rules that came with the Belgian mFRR platform."""
DEAD_BAND_MW = 25.0

_LEAST_MW = 1e-9
"""A volume that activates only the first bid."""
_JUMP_STREAMS = {"upward": 0x93D63EAD, "downward": 0x95F1FF0E}
"""Random stream of the volume of the price jump, by side. Another number would change every simulated market."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeritOrderParameters:
    """Prices of balancing bids, and how fast reserves follow the imbalance."""

    upward_day_ahead_share: float = 0.8
    """Weight of the hour's day-ahead price in the start price of upward bids."""
    upward_level_share: float = 0.2
    """Weight of the day's price level in it: gas plants bid at their cost even when solar output makes power cheap."""
    downward_day_ahead_share: float = 0.6
    downward_level_share: float = 0.0
    upward_premium_eur_mwh: float = 70.0
    """Median distance of the first upward bid above the start price."""
    upward_premium_log_std: float = 0.6
    upward_growth: float = 0.15
    """Relative rise of the premium over the first 100 MW."""
    downward_premium_eur_mwh: float = 105.0
    """Median distance of the first downward bid below the start price."""
    downward_premium_log_std: float = 0.8
    downward_growth: float = 0.15
    growth_exponent: float = 1.4
    """Above 1: convex."""
    slow_share: float = 0.35
    """Share of the log variance of the premiums with a time constant of two days."""
    hourly_share: float = 0.4
    """Share with a time constant of two hours; the rest is independent in each quarter-hour."""
    avoided_activation_share: float = 0.9
    """Value of avoided activation as a share of the day-ahead price."""
    response_per_minute: float = 0.35
    """Share of the gap between activation and imbalance that reserves close in a minute."""
    bid_mw: float = 25.0
    """Volume of one bid; prices rise in steps of this size, so that values repeat."""
    upward_jump_eur_mwh: float = 60.0
    """Jump of the price where ordinary bids end and other reserves begin: demand response, contracted plants."""
    downward_jump_eur_mwh: float = 60.0
    jump_from_median_mw: float = 450.0
    """Median of the volume at which they begin; it varies over days, independently for each side."""
    jump_from_log_std: float = 0.5
    extreme_from_mw: float = 550.0
    """Volume from which extreme bids are activated."""
    upward_extreme_eur_mwh_per_100mw: float = 100.0
    downward_extreme_eur_mwh_per_100mw: float = 100.0
    available_mw: float = 1_000.0
    """Volume on offer; beyond it the last bid sets the price."""


class MeritOrder(NamedTuple):
    """Bids of each quarter-hour for compiled code, arrays of shape [quarter-hours]."""

    upward_start_eur_mwh: Floats
    downward_start_eur_mwh: Floats
    upward_premium_eur_mwh: Floats
    downward_premium_eur_mwh: Floats
    avoided_activation_eur_mwh: Floats
    upward_growth: Floats
    downward_growth: Floats
    growth_exponent: Floats
    bid_mw: Floats
    upward_jump_from_mw: Floats
    downward_jump_from_mw: Floats
    upward_jump_eur_mwh: Floats
    downward_jump_eur_mwh: Floats
    extreme_from_mw: Floats
    upward_extreme_eur_mwh_per_100mw: Floats
    downward_extreme_eur_mwh_per_100mw: Floats
    available_mw: Floats
    response_per_minute: Floats


class _Marginal(NamedTuple):
    """Results of the compiled clearing, arrays of shape [minutes]."""

    system_imbalance_mw: Floats
    net_regulation_volume_mw: Floats
    incremental_eur_mwh: Floats
    decremental_eur_mwh: Floats


class ClearedMinutes(NamedTuple):
    """Minute records, arrays of shape [minutes]."""

    system_imbalance_mw: Floats
    net_regulation_volume_mw: Floats
    marginal_incremental_price_eur_mwh: Floats
    marginal_decremental_price_eur_mwh: Floats
    alpha_component_eur_mwh: Floats
    imbalance_price_eur_mwh: Floats


def draw_merit_order(
    before: MeritOrderParameters, gradual: MeritOrderParameters, fundamentals: Fundamentals, seed: int
) -> MeritOrder:
    """Bids for every quarter-hour of the drawn fundamentals, each under the parameters of its settlement rules."""
    quarter_hours = fundamentals.quarter_hours[:-1]
    old, new = _bids(before, fundamentals, seed), _bids(gradual, fundamentals, seed)
    return MeritOrder(*(np.where(quarter_hours >= GRADUAL_FROM, b, a) for a, b in zip(old, new, strict=True)))


def _bids(parameters: MeritOrderParameters, fundamentals: Fundamentals, seed: int) -> MeritOrder:
    """Bids of one set of parameters for every quarter-hour."""
    level = fundamentals.price_level_eur_mwh[:-1]
    day_ahead, n = fundamentals.day_ahead_eur_mwh[:-1], len(level)
    upward = np.exp(parameters.upward_premium_log_std * _premium_path(parameters, "upward", n, seed))
    downward = np.exp(parameters.downward_premium_log_std * _premium_path(parameters, "downward", n, seed))
    return MeritOrder(
        upward_start_eur_mwh=parameters.upward_day_ahead_share * day_ahead + parameters.upward_level_share * level,
        downward_start_eur_mwh=parameters.downward_day_ahead_share * day_ahead
        + parameters.downward_level_share * level,
        upward_premium_eur_mwh=parameters.upward_premium_eur_mwh * upward,
        downward_premium_eur_mwh=parameters.downward_premium_eur_mwh * downward,
        avoided_activation_eur_mwh=parameters.avoided_activation_share * day_ahead,
        upward_growth=np.full(n, parameters.upward_growth),
        downward_growth=np.full(n, parameters.downward_growth),
        growth_exponent=np.full(n, parameters.growth_exponent),
        bid_mw=np.full(n, parameters.bid_mw),
        upward_jump_from_mw=_jump_from_mw(parameters, "upward", n, seed),
        downward_jump_from_mw=_jump_from_mw(parameters, "downward", n, seed),
        upward_jump_eur_mwh=np.full(n, parameters.upward_jump_eur_mwh),
        downward_jump_eur_mwh=np.full(n, parameters.downward_jump_eur_mwh),
        extreme_from_mw=np.full(n, parameters.extreme_from_mw),
        upward_extreme_eur_mwh_per_100mw=np.full(n, parameters.upward_extreme_eur_mwh_per_100mw),
        downward_extreme_eur_mwh_per_100mw=np.full(n, parameters.downward_extreme_eur_mwh_per_100mw),
        available_mw=np.full(n, parameters.available_mw),
        response_per_minute=np.full(n, parameters.response_per_minute),
    )


def _premium_path(parameters: MeritOrderParameters, side: str, n: int, seed: int) -> Floats:
    """Standard normal path on the quarter-hour grid, shape [n]: a slow, an hourly and an independent part."""
    step = MINUTES_PER_QUARTER_HOUR
    slow = autoregressive(seed, f"{side} slow", n, time_min=2_880.0, step_min=step)
    hourly = autoregressive(seed, f"{side} hourly", n, time_min=120.0, step_min=step)
    fresh = normals(seed, f"{side} fresh", n)
    fresh_share = 1.0 - parameters.slow_share - parameters.hourly_share
    return np.asarray(
        np.sqrt(parameters.slow_share) * slow + np.sqrt(parameters.hourly_share) * hourly + np.sqrt(fresh_share) * fresh
    )


def _jump_from_mw(parameters: MeritOrderParameters, side: str, n: int, seed: int) -> Floats:
    """Volume at which the ordinary bids of a side end, shape [n] quarter-hours, in MW."""
    path = autoregressive(seed, _JUMP_STREAMS[side], n, time_min=2_880.0, step_min=MINUTES_PER_QUARTER_HOUR)
    return np.asarray(parameters.jump_from_median_mw * np.exp(parameters.jump_from_log_std * path))


@numba.njit(cache=True)
def _rise(volume_mw: float, growth: float, exponent: float) -> float:
    """Premium of the bid that ends at a volume, relative to that of the first bid."""
    return float(1.0 + growth * (volume_mw / 100.0) ** exponent)


@numba.njit(cache=True)
def bid_price_eur_mwh(bids: MeritOrder, row: int, activated_mw: float) -> float:
    """Price of the last bid activated in quarter-hour `row`, upward volumes positive."""
    bid_mw = bids.bid_mw[row]
    volume_mw = bid_mw * np.ceil(min(abs(activated_mw), bids.available_mw[row]) / bid_mw)
    extreme = np.ceil(max(0.0, volume_mw - bids.extreme_from_mw[row]) / 100.0)
    if activated_mw >= 0.0:
        rise = _rise(volume_mw, bids.upward_growth[row], bids.growth_exponent[row])
        price = bids.upward_start_eur_mwh[row] + bids.upward_premium_eur_mwh[row] * rise
        if volume_mw > bids.upward_jump_from_mw[row]:
            price += bids.upward_jump_eur_mwh[row]
        return float(price + bids.upward_extreme_eur_mwh_per_100mw[row] * extreme)
    fall = _rise(volume_mw, bids.downward_growth[row], bids.growth_exponent[row])
    price = bids.downward_start_eur_mwh[row] - bids.downward_premium_eur_mwh[row] * fall
    if volume_mw > bids.downward_jump_from_mw[row]:
        price -= bids.downward_jump_eur_mwh[row]
    return float(price - bids.downward_extreme_eur_mwh_per_100mw[row] * extreme)


@numba.njit(cache=True)
def _rounded(value: float, per_unit: float) -> float:
    return float(np.rint(value * per_unit) / per_unit)


@numba.njit(cache=True)
def _marginal_prices(
    quarter_hours: EpochMinutes, minute_imbalance_mw: Floats, bids: MeritOrder, gradual_from: int, out: _Marginal
) -> None:
    """Fill `out` for the imbalance of each minute [15 n] of consecutive quarter-hours [n]; reserves start at rest."""
    activated = 0.0
    for row in range(quarter_hours.shape[0]):
        gradual = quarter_hours[row] >= gradual_from
        imbalance_sum = regulation_sum = up_mw = up_eur = down_mw = down_eur = 0.0
        first_up = highest = bid_price_eur_mwh(bids, row, _LEAST_MW)
        first_down = lowest = bid_price_eur_mwh(bids, row, -_LEAST_MW)
        for k in range(MINUTES_PER_QUARTER_HOUR):
            i = row * MINUTES_PER_QUARTER_HOUR + k
            activated += bids.response_per_minute[row] * (-minute_imbalance_mw[i] - activated)
            imbalance_sum += minute_imbalance_mw[i]
            regulation_sum += activated
            price = bid_price_eur_mwh(bids, row, activated)
            if activated > 0.0:
                highest = max(highest, price)
                up_mw += activated
                up_eur += activated * price
            else:
                lowest = min(lowest, price)
                down_mw -= activated
                down_eur -= activated * price
            mean_mw = _rounded(imbalance_sum / (k + 1), 1000.0)
            incremental, decremental = highest, lowest
            if gradual:
                incremental = up_eur / up_mw if up_mw > 0.0 else first_up
                decremental = down_eur / down_mw if down_mw > 0.0 else first_down
                if -DEAD_BAND_MW < mean_mw < 0.0:
                    incremental = bids.avoided_activation_eur_mwh[row]
                elif 0.0 <= mean_mw < DEAD_BAND_MW:
                    decremental = bids.avoided_activation_eur_mwh[row]
            per_unit = 1000.0 if gradual else 100.0
            out.system_imbalance_mw[i] = mean_mw
            out.net_regulation_volume_mw[i] = _rounded(regulation_sum / (k + 1), 1000.0)
            out.incremental_eur_mwh[i] = _rounded(incremental, per_unit)
            out.decremental_eur_mwh[i] = _rounded(decremental, per_unit)


def clear_minutes(quarter_hours: EpochMinutes, minute_imbalance_mw: Floats, bids: MeritOrder) -> ClearedMinutes:
    """Turn the imbalance of each minute [15 n] into minute records [15 n]; the last one of a quarter-hour settles.

    quarter_hours: shape [n], consecutive. The imbalance before the first row counts as 0.
    """
    n = len(minute_imbalance_mw)
    found = _Marginal(np.empty(n), np.empty(n), np.empty(n), np.empty(n))
    _marginal_prices(quarter_hours, minute_imbalance_mw, bids, GRADUAL_FROM, found)
    starts = np.repeat(quarter_hours, MINUTES_PER_QUARTER_HOUR)
    finals = found.system_imbalance_mw[MINUTES_PER_QUARTER_HOUR - 1 :: MINUTES_PER_QUARTER_HOUR]
    previous = np.repeat(np.concatenate([[0.0], finals[:-1]]), MINUTES_PER_QUARTER_HOUR)
    # In a quarter-hour's first minute Elia mostly takes the previous imbalance as 0.
    previous[::MINUTES_PER_QUARTER_HOUR] = 0.0
    marginal = (found.system_imbalance_mw, found.incremental_eur_mwh, found.decremental_eur_mwh)
    unrounded = alpha_component_eur_mwh(starts, marginal[0], previous, *marginal[1:])
    component = _published(starts, unrounded)
    price = _published(starts, imbalance_price_eur_mwh(starts, *marginal, component))
    return ClearedMinutes(marginal[0], found.net_regulation_volume_mw, *marginal[1:], component, price)


def _published(starts: EpochMinutes, values: Floats) -> Floats:
    """Values [n] rounded as Elia publishes them."""
    return np.where(starts >= GRADUAL_FROM, np.round(values, 3), np.round(values, 2))
