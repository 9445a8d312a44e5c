"""Fits the minute heads: ridge regressions on one random map, with rows judged by folds that have not seen them.

Law: what a training row is told comes from fits that left its days out, so that what rests on these forecasts later
(corrections, validation) sees them as wrong as they will be when served.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arbitrage.agents.minute_heads import Gaps, MinuteForecasts, MinuteHeads, minute_inputs, price_anchors
from arbitrage.agents.random_features import RandomFeatures, Ridge, draw_random_features
from arbitrage.observation import Encoded, MarketFeatures
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteConfig:
    """Settings of the heads."""

    cosines: int = 300
    price_penalty: float = 30.0
    gap_penalty: float = 100.0


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
    """Shape [n]; negative = no price."""
    gap_folds: Numbers
    """Shape [n]; negative = the next row is not the next quarter-hour."""
    price_target: Floats
    """Shape [n]; final price less base over scale."""
    gap_target: Floats
    """Shape [n]; fast gap when the next quarter-hour begins."""

    def inputs(self, minute: int) -> Singles:
        """The map's inputs at one minute of every quarter-hour, shape [n, inputs]."""
        return minute_inputs(self.features, self.encoded, self.gaps, self.running[:, minute])


def fit_minute_heads(
    rows: MinuteRows, config: MinuteConfig, rng: np.random.Generator
) -> tuple[MinuteHeads, MinuteForecasts]:
    """The heads, and forecasts of the training rows [n, 15] by fits that left them out."""
    minute_map = _draw_map(rows, config, rng)
    coefficients, prices, gaps = [], [], []
    for minute in range(MINUTES_PER_QUARTER_HOUR):
        regressors = minute_map(rows.inputs(minute))
        anchor = price_anchors(rows.features, rows.encoded, rows.gaps, rows.running[:, minute])
        target = (rows.price_target - anchor).astype(np.float32)[:, None]
        price_fit, price_out = Ridge(regressors, rows.folds).fit(target, config.price_penalty)
        next_gap = rows.gap_target.astype(np.float32)[:, None]
        gap_fit, gap_out = Ridge(regressors, rows.gap_folds).fit(next_gap, config.gap_penalty)
        coefficients.append(np.stack([price_fit[:, 0], gap_fit[:, 0]]))
        prices.append(rows.encoded.base_eur_mwh + rows.encoded.scale_eur_mwh * (anchor + price_out[:, 0]))
        gaps.append(np.where(rows.gap_folds >= 0, gap_out[:, 0], (regressors @ gap_fit)[:, 0]))
    heads = MinuteHeads(minute_map, np.stack(coefficients))
    return heads, MinuteForecasts(np.stack(prices, axis=1), np.stack(gaps, axis=1).astype(np.float64))


def _draw_map(rows: MinuteRows, config: MinuteConfig, rng: np.random.Generator) -> RandomFeatures:
    """A map scaled to all minutes alike; one quarter-hour in fifteen stands for each minute."""
    used = np.flatnonzero(rows.folds >= 0)
    parts = [rows.inputs(minute)[used[minute::MINUTES_PER_QUARTER_HOUR]] for minute in range(MINUTES_PER_QUARTER_HOUR)]
    sample = np.concatenate(parts)
    return draw_random_features(sample, np.ones(sample.shape[1], dtype=np.float32), config.cosines, rng)
