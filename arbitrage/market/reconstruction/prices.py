"""Marginal prices drawn around known final prices, minute by minute.

Contract
- Each side has a bid ladder: a level that depends on the day-ahead price, rising outward with the activated volume,
  plus a varying offset. The offset of a side follows the quarter-hours ALREADY settled on it, never the current one.
- The side that does not settle shows its ladder only.
- The side that settles begins on its ladder and moves towards the known final marginal price as its activation
  proceeds; the last minute shows that price. Where its ladder lies beyond the final price, it begins mirrored on the
  other side of that price, and so reveals part of it before any activation.
- To 2024-05-21 marginal prices are running extremes. From 2024-05-22 they are averages over the activated volume, and
  the value of avoided activation replaces them while the mean imbalance is within the dead band.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from arbitrage.arrays import Flags, Floats
from arbitrage.market.reconstruction.bid_ladders import Ladders
from arbitrage.market.settlement import SCARCITY_FACTOR_SINCE
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, EpochMinutes

_BID_MW = 25.0
_FADING_OVER_EUR_MWH = 200.0
"""Limit of alpha, and the price range over which it falls to 0."""
_SPREAD_RETURN = 0.01
"""Fraction of the difference to the usual spread that is removed in a quarter-hour."""
_SPREAD_FOLLOWING = 0.12
"""Weight of the newest deviation in the spread of a side."""


class Reveal(NamedTuple):
    """How the settling side approaches its final price, arrays of shape [n]."""

    at_once: Floats
    """Fraction of the change that the first activation shows."""
    power: Floats
    """The remaining change is proportional to (remaining share of the activation) ** power."""


class MarginalPaths(NamedTuple):
    """Unrounded marginal prices, arrays of shape [15 n]."""

    incremental_eur_mwh: Floats
    decremental_eur_mwh: Floats


def final_marginal_eur_mwh(
    starts: EpochMinutes, price_eur_mwh: Floats, imbalance_mw: Floats, full_alpha_eur_mwh: Floats
) -> Floats:
    """The marginal price that settles at `price_eur_mwh`, shape [n]: the inverse of the price rule, unrounded.

    full_alpha_eur_mwh: the alpha component before its reduction at extreme marginal prices.
    """
    outward = np.where(imbalance_mw < 0.0, 1.0, -1.0)
    fades_from = np.where(imbalance_mw < 0.0, 200.0, 0.0)
    beyond = outward * (price_eur_mwh - fades_from)
    plain = beyond - full_alpha_eur_mwh
    # A marginal price further outward by 1 EUR/MWh raises the price by this share only, until alpha is 0.
    kept = np.maximum(1.0 - full_alpha_eur_mwh / _FADING_OVER_EUR_MWH, 1e-9)
    fading = np.minimum(plain / kept, beyond)
    marginal = np.where((starts >= SCARCITY_FACTOR_SINCE) & (plain > 0.0), fading, plain)
    return np.asarray(fades_from + outward * marginal)


@numba.njit(cache=True)
def _rise_eur_mwh(volume_mw: float, per_100mw: float) -> float:
    """Price difference between the bid that a volume reaches and the first bid."""
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
    # A running extreme cannot begin beyond its end: it then begins at the same distance on the inner side.
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
    minute_imbalance_mw: Floats, side: Floats, final_eur_mwh: Floats, ladders: Ladders, reveal: Reveal, ratchet: Flags
) -> MarginalPaths:
    """Marginal prices of consecutive quarter-hours [n] by the minute, [15 n], before any dead band.

    side: +1 where the upward side settled, -1 where the downward one did, 0 where the settling side is unknown.
    final_eur_mwh: final marginal price of that side. ratchet: where prices are running extremes, before 2024-05-22.
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
            _walk(base + offset[j], rise, sign * activations, ratchet[i], path, progress)
            spread[j] += _SPREAD_RETURN * (usual - spread[j])
            final = path[-1] + spread[j] * surprise
            if side[i] == sign:
                final = sign * final_eur_mwh[i]
                offset[j] += ladders.following[i] * (final - path[-1])
                spread[j] += _SPREAD_FOLLOWING * (abs(final - path[-1]) - spread[j])
            _bend(path, progress, final, ratchet[i], reveal.at_once[i], reveal.power[i])
            (up if j == 0 else down)[width * i : width * (i + 1)] = sign * path
    return MarginalPaths(up, down)
