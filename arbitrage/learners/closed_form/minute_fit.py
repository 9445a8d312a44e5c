"""Fits the networks of the minutes, each on half of the blocks of days.

Contract: what a training row is given comes from the network that has not seen its block, so that what rests on these
forecasts later (corrections, validation) sees them as wrong as they will be when served. That holds for the minutes;
the quarter-hour's own forecast among their inputs comes from fits that left the row's block out, but not the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from arbitrage.arrays import Floats, Numbers, Singles
from arbitrage.errors import BadInput, Fault
from arbitrage.features.encoder import Encoded, MarketFeatures
from arbitrage.learners.closed_form.network_training import NetworkConfig, fit_regression
from arbitrage.policies.closed_form.minute_heads import Gaps, MinuteForecasts, MinuteHeads, minute_inputs, price_anchors
from arbitrage.policies.networks import output_rows
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR

_HALVES = 2


def _minute_network() -> NetworkConfig:
    return NetworkConfig(dropout=0.1, learning_rate=3e-3, steps=1500, batch=1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteConfig:
    """Settings of the fit."""

    network: NetworkConfig = field(default_factory=_minute_network)


@dataclass(frozen=True, slots=True)
class MinuteRows:
    """The training quarter-hours minute by minute."""

    features: MarketFeatures
    encoded: Encoded
    """Of the quarter-hours, when they begin."""
    gaps: Gaps
    """Of the quarter-hours, from folds that left them out."""
    running: Singles
    """Shape [n, 15, running features]."""
    folds: Numbers
    """Shape [n]; negative = no price, or the next row is not the next quarter-hour."""
    price_target: Floats
    """Shape [n]; final price less base over scale."""
    gap_target: Floats
    """Shape [n]; fast gap when the next quarter-hour begins."""


def fit_minute_heads(rows: MinuteRows, config: MinuteConfig, seed: int) -> tuple[MinuteHeads, MinuteForecasts]:
    """The networks, and forecasts of the training rows [n, 15] by the one that has not seen them."""
    count = len(rows.folds)
    minutes = [np.full(count, minute) for minute in range(MINUTES_PER_QUARTER_HOUR)]
    parts = zip(np.moveaxis(rows.running, 1, 0), minutes, strict=True)
    inputs = [minute_inputs(rows.features, rows.encoded, rows.gaps, running, minute) for running, minute in parts]
    anchors = [
        price_anchors(rows.features, rows.encoded, rows.gaps, running) for running in np.moveaxis(rows.running, 1, 0)
    ]
    stacked, anchor = np.stack(inputs, axis=1), np.stack(anchors, axis=1)
    targets = np.stack(
        np.broadcast_arrays(rows.price_target[:, None] - anchor, rows.gap_target[:, None]), axis=-1
    ).astype(np.float32)
    networks, made = [], np.empty((count, MINUTES_PER_QUARTER_HOUR, 2))
    halves = _halves(rows.folds)
    for half in range(_HALVES):
        own = halves == half
        taught = np.flatnonzero(np.repeat(own & (rows.folds >= 0), MINUTES_PER_QUARTER_HOUR))
        flat = stacked.reshape(-1, stacked.shape[-1])
        network = fit_regression(flat, targets.reshape(-1, 2), taught, config.network, seed * _HALVES + half)
        networks.append(network)
        others = stacked[~own]
        made[~own] = output_rows(network, others.reshape(-1, flat.shape[-1])).reshape(*others.shape[:2], 2)
    prices = rows.encoded.base_eur_mwh[:, None] + rows.encoded.scale_eur_mwh[:, None] * (anchor + made[..., 0])
    return MinuteHeads(tuple(networks)), MinuteForecasts(prices, made[..., 1])


def _halves(folds: Numbers) -> Numbers:
    """Every other of the folds there are, shape [n]; rows without one are predicted by the first network.

    Raises BadInput if there are not two folds.
    """
    present = np.unique(folds[folds >= 0])
    if len(present) < _HALVES:
        raise BadInput([Fault("training days", "are too few to hold days out; give more than a week")])
    return np.where(folds >= 0, np.searchsorted(present, folds) % _HALVES, _HALVES - 1)
