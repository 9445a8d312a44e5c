"""System imbalance drawn given final prices: first by the quarter-hour, then by the minute.

Contract
- Surplus is positive, in MW. Only the deviation of a final price from the day-ahead price is used: to weigh which side
  settled, and to widen the draw where the deviation is large. The size itself stays random.
- Quarter-hours: an autocorrelated standard normal chain, sampled given these weights (Gibbs sampling) and transformed
  to MW. Side and size are therefore consistent with the neighbours, and imbalances are small where the side changes.
- Minutes: a slow and a fast Gaussian process, conditioned exactly on the means of all quarter-hours.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numba
import numpy as np

from arbitrage.arrays import Floats
from arbitrage.market.simulation.fundamentals import autoregressive
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR

_SWEEPS = 40
_REGIONS = 4
"""Regions of the imbalance: shortage beyond the dead band, shortage within it, surplus within it, surplus beyond it."""
_SOLVER_TOLERANCE = 1e-11
_SOLVER_STEPS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarterHourImbalanceParameters:
    """Imbalance of a quarter-hour given the deviation of its price; fitted to summary figures of early 2024."""

    memory: float = 0.85
    """Correlation of the underlying normal chain from one quarter-hour to the next."""
    scale_mw: float = 105.0
    tail: float = 0.4
    """Imbalance is scale x sinh(tail z) / tail: 0 would be Gaussian."""
    shortage_power: float = 1.0
    """Shortages grow with this power of the price deviation where it is large."""
    surplus_power: float = 0.9
    greatest_factor: float = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteImbalanceParameters:
    """Imbalance of each single minute around the means of the quarter-hours."""

    slow_std_mw: float = 110.0
    slow_time_min: float = 95.0
    fast_std_mw: float = 98.0
    fast_time_min: float = 8.5


@dataclass(frozen=True, slots=True)
class SideEvidence:
    """Evidence on the imbalance from final prices, arrays over quarter-hours."""

    region_weights: Floats
    """Shape [n, 4], relative likelihood of the price in each region of the imbalance."""
    widening: Floats
    """Shape [n], factor on the size of the imbalance."""


def generator(seed: int, stream: str) -> np.random.Generator:
    """The random stream of that name."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(stream.encode())])))


def widening(parameters: QuarterHourImbalanceParameters, ratio: Floats) -> Floats:
    """Factor on the imbalance, shape [n].

    ratio: price deviation over the deviation from which imbalances grow, upward positive; NaN gives the factor 1.
    """
    known = np.nan_to_num(ratio)
    short = np.maximum(known, 1.0) ** parameters.shortage_power
    long = np.maximum(-known, 1.0) ** parameters.surplus_power
    return np.asarray(np.minimum(short * long, parameters.greatest_factor))


def draw_quarter_hour_imbalance(
    parameters: QuarterHourImbalanceParameters, evidence: SideEvidence, dead_band_mw: float, seed: int
) -> Floats:
    """Mean imbalance of consecutive quarter-hours, shape [n], in MW; never 0."""
    limit = np.arcsinh(parameters.tail * dead_band_mw / (parameters.scale_mw * evidence.widening)) / parameters.tail
    chain = _draw_chain(parameters.memory, evidence.region_weights, limit, _SWEEPS, generator(seed, "chain"))
    stretched = parameters.scale_mw * evidence.widening * np.sinh(parameters.tail * chain) / parameters.tail
    rounded = np.round(stretched, 3)
    return np.where(rounded == 0.0, np.copysign(0.001, stretched), rounded)


@numba.njit(cache=True)
def _normal_share(value: float) -> float:
    """Cumulative distribution of a standard normal at `value`."""
    return 0.5 * math.erfc(-value / math.sqrt(2.0))


@numba.njit(cache=True)
def _draw_between(lower: float, upper: float, random: np.random.Generator) -> float:
    """A standard normal, given that it lies in (lower, upper), by rejection."""
    if lower < 0.0 < upper and upper - lower > 1.0:
        while True:
            draw = random.standard_normal()
            if lower < draw < upper:
                return draw
    if upper <= 0.0:
        return -_draw_between(-upper, -lower, random)
    nearest = max(lower, 0.0)
    if upper - nearest < 1.0 or lower < 0.0:
        # Uniform proposals: the density is nearly constant over a short interval near its maximum.
        while True:
            draw = lower + (upper - lower) * random.random()
            if math.log(1.0 - random.random()) <= 0.5 * (nearest * nearest - draw * draw):
                return draw
    rate = 0.5 * (nearest + math.sqrt(nearest * nearest + 4.0))
    while True:
        draw = nearest + random.standard_exponential() / rate
        if draw < upper and math.log(1.0 - random.random()) <= -0.5 * (draw - rate) ** 2:
            return draw


@numba.njit(cache=True)
def _draw_chain(memory: float, weights: Floats, limit: Floats, sweeps: int, random: np.random.Generator) -> Floats:
    """A stationary normal chain [n] given the weights [n, 4] of its regions, with bounds 0 and +/- `limit` [n]."""
    n = weights.shape[0]
    chain = np.zeros(n)
    mass = np.empty(_REGIONS)
    for _ in range(sweeps):
        for i in range(n):
            inner = 0 < i < n - 1
            beside = (chain[i - 1] if i > 0 else 0.0) + (chain[i + 1] if i < n - 1 else 0.0)
            centre = memory * beside / (1.0 + memory * memory) if inner else memory * beside
            spread = math.sqrt((1.0 - memory * memory) / (1.0 + memory * memory if inner else 1.0))
            edges = (-np.inf, -limit[i], 0.0, limit[i], np.inf)
            for j in range(_REGIONS):
                below = _normal_share((edges[j] - centre) / spread)
                mass[j] = weights[i, j] * (_normal_share((edges[j + 1] - centre) / spread) - below)
            target = random.random() * mass.sum()
            j = 0
            while j < _REGIONS - 1 and target >= mass[j]:
                target -= mass[j]
                j += 1
            lower, upper = (edges[j] - centre) / spread, (edges[j + 1] - centre) / spread
            chain[i] = centre + spread * _draw_between(lower, upper, random)
    return chain


def draw_minute_imbalance_given_means(
    parameters: MinuteImbalanceParameters, quarter_hour_mw: Floats, seed: int
) -> Floats:
    """Imbalance of each single minute, shape [15 n], with the given means over consecutive quarter-hours [n]."""
    n = MINUTES_PER_QUARTER_HOUR * len(quarter_hour_mw)
    slow = autoregressive(seed, "minute slow", n, time_min=parameters.slow_time_min, step_min=1.0)
    fast = autoregressive(seed, "minute fast", n, time_min=parameters.fast_time_min, step_min=1.0)
    free = parameters.slow_std_mw * slow + parameters.fast_std_mw * fast
    missing = quarter_hour_mw - free.reshape(-1, MINUTES_PER_QUARTER_HOUR).mean(axis=1)
    covariance = _covariance(parameters, n)
    pull = _solve_means(covariance, missing)
    bent = free + _toeplitz_product(covariance, np.repeat(pull / MINUTES_PER_QUARTER_HOUR, MINUTES_PER_QUARTER_HOUR))
    # The remaining error of the iterative solver is far below the last published digit.
    left = quarter_hour_mw - bent.reshape(-1, MINUTES_PER_QUARTER_HOUR).mean(axis=1)
    return np.asarray(bent + np.repeat(left, MINUTES_PER_QUARTER_HOUR))


def _covariance(parameters: MinuteImbalanceParameters, n: int) -> Floats:
    """Covariance of two minutes by their lag, shape [n], in MW^2."""
    lag = np.arange(n)
    slow = parameters.slow_std_mw**2 * np.exp(-lag / parameters.slow_time_min)
    return np.asarray(slow + parameters.fast_std_mw**2 * np.exp(-lag / parameters.fast_time_min))


def _toeplitz_product(row: Floats, values: Floats) -> Floats:
    """Product of the symmetric Toeplitz matrix with first row `row` [n] and a vector [n]."""
    n = len(row)
    size = 1 << (2 * n - 1).bit_length()
    circle = np.zeros(size)
    circle[:n] = row
    circle[size - n + 1 :] = row[:0:-1]
    return np.asarray(np.fft.irfft(np.fft.rfft(circle) * np.fft.rfft(values, size), size)[:n])


def _solve_means(covariance: Floats, means: Floats) -> Floats:
    """Weights [n] with which the covariances of the quarter-hours' means yield `means` [n]; conjugate gradients."""
    width = MINUTES_PER_QUARTER_HOUR
    lag = np.arange(1 - width, width)
    starts = width * np.arange(len(means))
    apart = np.minimum(np.abs(starts[:, None] + lag), len(covariance) - 1)
    row = (covariance[apart] * (width - np.abs(lag))).sum(axis=1) / width**2
    solution, residual = np.zeros_like(means), means.copy()
    direction, size = residual.copy(), float(residual @ residual)
    least = _SOLVER_TOLERANCE**2 * size
    for _ in range(_SOLVER_STEPS):
        if size <= least:
            break
        image = _toeplitz_product(row, direction)
        step = size / float(direction @ image)
        solution += step * direction
        residual -= step * image
        size, previous = float(residual @ residual), size
        direction = residual + size / previous * direction
    return solution
