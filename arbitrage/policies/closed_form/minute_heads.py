"""What the minutes of the running quarter-hour add: the final price and the next gap, forecast every minute.

Contract
- Small networks take the minute as an input; the same targets for all fifteen minutes, other information. Each was
  taught on other days, and their mean is served.
- The price is learned as a departure from an anchor, which is what the records say so far, or the quarter-hour's own
  forecast while there is none.
- Where no record of a running quarter-hour is known though one should be, nothing was ever learned: the quarter-hour's
  own forecast stands.
- A minute's forecast depends on its own row alone, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arbitrage.arrays import Floats, Numbers, Singles
from arbitrage.features.encoder import Encoded, MarketFeatures
from arbitrage.policies.networks import Network, output_rows
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR

PRICE_HEAD, NEXT_GAP_HEAD = 0, 1
"""Outputs of each network: departure of the price from its anchor over the scale, and the next fast gap."""
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class MinuteHeads:
    """Fitted networks, whose mean counts."""

    networks: tuple[Network, ...]

    def __call__(self, inputs: Singles) -> Singles:
        """Mean outputs, shape [n, 2]."""
        total = output_rows(self.networks[0], inputs)
        for network in self.networks[1:]:
            total += output_rows(network, inputs)
        return total / np.float32(len(self.networks))


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is forecast of quarter-hours when they begin, arrays of shape [n]."""

    price_eur_mwh: Floats
    fast: Floats
    slow: Floats

    def at(self, rows: Numbers) -> Gaps:
        """The same of some rows [m], in their order."""
        return Gaps(self.price_eur_mwh[rows], self.fast[rows], self.slow[rows])


@dataclass(frozen=True, slots=True)
class MinuteForecasts:
    """Forecasts made at a number of times, arrays of the same shape."""

    price_eur_mwh: Floats
    """Of the running quarter-hour's final price."""
    next_gap: Floats
    """Of the fast gap when the next quarter-hour begins."""


def forecast_minutes(
    heads: MinuteHeads, features: MarketFeatures, encoded: Encoded, gaps: Gaps, running: Singles, minute: Numbers
) -> MinuteForecasts:
    """Forecast at T times; `encoded` and `gaps` are those of the quarter-hour that each time lies in.

    running: shape [T, running features]; minute: shape [T], 0 to 14.
    """
    made = np.empty((len(minute), 2))
    for first in range(0, len(minute), _ROWS_AT_ONCE):
        rows = np.arange(first, min(first + _ROWS_AT_ONCE, len(minute)))
        made[rows] = heads(minute_inputs(features, encoded.at(rows), gaps.at(rows), running[rows], minute[rows]))
    departure = made[:, PRICE_HEAD] + price_anchors(features, encoded, gaps, running)
    return MinuteForecasts(encoded.base_eur_mwh + encoded.scale_eur_mwh * departure, made[:, NEXT_GAP_HEAD])


def minute_inputs(features: MarketFeatures, encoded: Encoded, gaps: Gaps, running: Singles, minute: Numbers) -> Singles:
    """What the networks take: running features, the quarter-hour's forecasts and context, the minute; [T, inputs]."""
    own = np.column_stack([_forecast_features(encoded, gaps), gaps.fast, gaps.slow])
    clock = (minute / MINUTES_PER_QUARTER_HOUR)[:, None]
    return np.concatenate([running, own, encoded.features[:, features.context], clock], axis=1, dtype=np.float32)


def price_anchors(features: MarketFeatures, encoded: Encoded, gaps: Gaps, running: Singles) -> Floats:
    """First guess of the price less base over scale, shape [T]: from the records where there are any."""
    recorded = running[:, 0] > 0.0
    return np.where(recorded, running[:, features.anchor].astype(np.float64), _forecast_features(encoded, gaps))


def _forecast_features(encoded: Encoded, gaps: Gaps) -> Floats:
    return (gaps.price_eur_mwh - encoded.base_eur_mwh) / encoded.scale_eur_mwh
