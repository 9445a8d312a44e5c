"""Marginal prices drawn around known final prices, minute by minute.

Law
- Each side has a ladder of bids: a level tied to the day-ahead price, rising outward with the activated volume, and
  an offset that wanders. The offset of a side follows the quarter-hours ALREADY settled on it; never this one.
- The side that does not settle shows its ladder and nothing else.
- The side that settles begins on its ladder too and is drawn towards the known final marginal price as activation
  on it goes on; the last minute shows that price.
- To 2024-05-21 marginal prices are running extremes, from 2024-05-22 averages over the activated volume, and a mean
  imbalance within the dead band shows the value of avoided activation in place of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np

from arbitrage.market.fundamentals import Floats
from arbitrage.market.settlement import SCARCITY_FACTOR_SINCE
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, EpochMinutes

_BID_MW = 25.0
_ALPHA_LIMIT_EUR_MWH = 200.0
_FORGETTING = 0.01
_SPREAD_FOLLOWING = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderParameters:
    """Bids of both sides in one era of the market."""

    upward_day_ahead_share: float
    upward_level_share: float
    """Weight of the mean day-ahead price of the Brussels day."""
    upward_first_eur_mwh: float
    upward_rise_eur_mwh_per_100mw: float
    downward_day_ahead_share: float
    downward_level_share: float
    downward_first_eur_mwh: float
    """Negative: below what the day-ahead price alone would give."""
    downward_rise_eur_mwh_per_100mw: float
    upward_surprise_eur_mwh: float
    """Mean absolute departure of a final marginal price from the ladder."""
    downward_surprise_eur_mwh: float
    memory: float = 0.85
    """Share of a side's offset that remains after a quarter-hour."""
    following: float = 0.8
    """Share of that departure by which the offset follows a settled price."""
    avoided_activation_share: float = 0.6
    """Value of avoided activation as a share of the day-ahead price, where no final price tells it."""
    response_per_minute: float
    """Share of the gap between activation and imbalance that reserves close in a minute."""


class Ladders(NamedTuple):
    """Bids of each quarter-hour before offsets, as compiled code takes them, arrays of shape [n]."""

    upward_eur_mwh: Floats
    downward_eur_mwh: Floats
    upward_rise: Floats
    downward_rise: Floats
    memory: Floats
    following: Floats
    upward_spread: Floats
    """Usual departure of a final upward price from the ladder."""
    downward_spread: Floats
    upward_surprise: Floats
    """Drawn departure, in spreads, of the last upward price where the upward side does not settle, outward."""
    downward_surprise: Floats
    avoided_activation_eur_mwh: Floats
    response_per_minute: Floats


class Reveal(NamedTuple):
    """How the side that settles comes to its final price, arrays of shape [n]."""

    at_once: Floats
    """Share of the way that the first activation shows."""
    power: Floats
    """The rest of the way remains as (share of the activation to come) ** power."""


class MarginalPaths(NamedTuple):
    """Unrounded marginal prices, arrays of shape [15 n]."""

    incremental_eur_mwh: Floats
    decremental_eur_mwh: Floats


def final_marginal_eur_mwh(
    starts: EpochMinutes, price_eur_mwh: Floats, imbalance_mw: Floats, full_alpha_eur_mwh: Floats
) -> Floats:
    """The marginal price that settles at `price_eur_mwh`, shape [n]: the price rule turned round.

    full_alpha_eur_mwh: the alpha component before it fades where the marginal price is extreme.
    """
    outward = np.where(imbalance_mw < 0.0, 1.0, -1.0)
    # In surplus the fading runs from 0 down to -200 as it runs from 200 up to 400 in shortage.
    distance = np.where(imbalance_mw < 0.0, price_eur_mwh - 200.0, -price_eur_mwh)
    plain = distance - full_alpha_eur_mwh
    share = full_alpha_eur_mwh / _ALPHA_LIMIT_EUR_MWH
    fading = np.minimum((distance - full_alpha_eur_mwh) / (1.0 - share), distance)
    fades = (starts >= SCARCITY_FACTOR_SINCE) & (plain > 0.0)
    component = distance - np.where(fades, np.where(distance >= 200.0, distance, fading), plain)
    return np.asarray(price_eur_mwh - outward * component)


@numba.njit(cache=True)
def _rise_eur_mwh(volume_mw: float, per_100mw: float) -> float:
    """How far the bid that a volume reaches lies beyond the first one."""
    return float(per_100mw * _BID_MW / 100.0 * np.ceil(volume_mw / _BID_MW))


@numba.njit(cache=True)
def _walk(first: float, rise: float, activations: Floats, ratchet: bool, path: Floats, progress: Floats) -> None:
    """Fill the ladder's marginal price and the share of the side's activation so far, both [15].

    Prices and activations [15] count outward: positive on this side.
    """
    highest, sum_mw, sum_eur, reached = first, 0.0, 0.0, 0.0
    for k in range(MINUTES_PER_QUARTER_HOUR):
        volume_mw = max(0.0, activations[k])
        price = first + _rise_eur_mwh(volume_mw, rise)
        sum_mw += volume_mw
        sum_eur += volume_mw * price
        highest = max(highest, price)
        reached = max(reached, volume_mw)
        path[k] = highest if ratchet or sum_mw == 0.0 else sum_eur / sum_mw
        progress[k] = reached if ratchet else sum_mw
    total = progress[-1]
    for k in range(MINUTES_PER_QUARTER_HOUR):
        progress[k] = progress[k] / total if total > 0.0 else (k + 1.0) / MINUTES_PER_QUARTER_HOUR


@numba.njit(cache=True)
def _bend(path: Floats, progress: Floats, final: float, ratchet: bool, at_once: float, power: float) -> None:
    """Bend the ladder's path [15], prices outward, so that its last minute is `final`."""
    last = path[-1]
    # A running extreme cannot begin beyond its end: it then begins as far within.
    first = min(path[0], 2.0 * final - path[0])
    for k in range(MINUTES_PER_QUARTER_HOUR):
        shown = 1.0 - (1.0 - at_once) * (1.0 - progress[k]) ** power if progress[k] > 0.0 else 0.0
        if ratchet:
            path[k] = first + (final - first) * shown
        else:
            path[k] += (final - last) * shown
    path[-1] = final


@numba.njit(cache=True)
def marginal_paths(
    minute_imbalance_mw: Floats, side: Floats, final_eur_mwh: Floats, ladders: Ladders, reveal: Reveal, ratchet: Floats
) -> MarginalPaths:
    """Marginal prices of consecutive quarter-hours [n] by the minute, [15 n], before any dead band.

    side: +1 where the upward side settled, -1 where the downward one did, 0 where none is known to.
    final_eur_mwh: final marginal price of that side. ratchet: 1 before 2024-05-22, else 0.
    """
    width = MINUTES_PER_QUARTER_HOUR
    minutes = minute_imbalance_mw.shape[0]
    up, down = np.empty(minutes), np.empty(minutes)
    activations, path, progress = np.empty(width), np.empty(width), np.empty(width)
    activated = 0.0
    offset = np.zeros(2)
    spread = np.array([ladders.upward_spread[0], ladders.downward_spread[0]])
    for i in range(side.shape[0]):
        for k in range(width):
            activated += ladders.response_per_minute[i] * (-minute_imbalance_mw[width * i + k] - activated)
            activations[k] = activated
        for j in range(2):
            sign = 1.0 if j == 0 else -1.0
            base = ladders.upward_eur_mwh[i] if j == 0 else -ladders.downward_eur_mwh[i]
            rise = ladders.upward_rise[i] if j == 0 else ladders.downward_rise[i]
            surprise = ladders.upward_surprise[i] if j == 0 else ladders.downward_surprise[i]
            usual = ladders.upward_spread[i] if j == 0 else ladders.downward_spread[i]
            offset[j] *= ladders.memory[i]
            _walk(base + offset[j], rise, sign * activations, ratchet[i] > 0.0, path, progress)
            spread[j] += _FORGETTING * (usual - spread[j])
            final = path[-1] + spread[j] * surprise
            if side[i] == sign:
                final = sign * final_eur_mwh[i]
                offset[j] += ladders.following[i] * (final - path[-1])
                spread[j] += _SPREAD_FOLLOWING * (abs(final - path[-1]) - spread[j])
            _bend(path, progress, final, ratchet[i] > 0.0, reveal.at_once[i], reveal.power[i])
            (up if j == 0 else down)[width * i : width * (i + 1)] = sign * path
    return MarginalPaths(up, down)
