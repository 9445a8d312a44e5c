"""The measures themselves, on arrays that are known to be fit: `arbitrage.risk` is the door to them. Numpy only.

Contract
- A spectral measure is a weighting of sorted outcomes. The weights are the exact increments g(F_k) - g(F_(k-1)) of
  its distortion g over the cumulative probabilities F, never its derivative, which is unbounded for some g.
- `rows` are outcomes in EUR, shape [..., n], C-contiguous; `shares` their probabilities, of the same shape and summing
  to 1, or None for equally likely ones; results have shape [...]. No function mixes rows, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats

SLACK = 1e-12
"""A cumulative probability this close to the level of value at risk has reached it: 0.1 + 0.2 counts as 0.3."""
TILT_STEPS = 100
FLAT = 1e-200
"""In place of a slope or a distance of 0, to divide by."""
NEARLY_ALL = float(np.nextafter(1.0, 0.0))
TILT_PRECISION = 1e-6
"""Relative; the error of the value is of its square."""


class RiskMeasure(StrEnum):
    """A measure rho of a profit Z, and what `level` is to it. The first five are spectral: weights on sorted outcomes.

    Coherent (translation, monotone, positive homogeneity, rho(X + Y) >= rho(X) + rho(Y)): cvar, wang and power at
    levels <= 0, evar, mean_semideviation.
    """

    VAR = "var"
    """The profit that the worst `level` of outcomes do not exceed (lower quantile); 0 < level <= 1."""
    CVAR = "cvar"
    """Mean of the worst `level` of outcomes; 0 < level <= 1, 1 is the mean. Rockafellar and Uryasev (2000)."""
    WANG = "wang"
    """g(u) = Phi(Phi^-1(u) - level); any finite level: NEGATIVE is risk-averse, 0 the mean, positive risk-seeking.
    A normal profit is worth mean + level x std. Wang (2000), with the sign of Dabney et al. (2018, IQN); others
    (2004.14547) turn the sign."""
    CPW = "cpw"
    """g(u) = u^level / (u^level + (1 - u)^level)^(1 / level), the weighting of Tversky and Kahneman (1992), on the
    cumulative probability of profit; 0.3 <= level <= 1 (below about 0.28 it is not monotone). 1 is the mean; below 1
    BOTH tails gain weight, the better one more (g(1/2) < 1/2), so it is no averse measure: a symmetric profit is worth
    more than its mean. IQN samples fractions along the same curve, which is the inverse distortion: tails lose weight.
    """
    POWER = "power"
    """g(u) = 1 - (1 - u)^(1 - level) at level <= 0, u^(1 + level) above; any finite level: NEGATIVE is risk-averse, 0
    the mean, positive risk-seeking. Level -1 is the expected worse of two draws. `Pow` of Dabney et al. (2018, IQN)."""
    ENTROPIC = "entropic"
    """-log(E exp(-level Z)) / level; level >= 0 is a risk aversion per EUR, 0 the mean. Foellmer and Schied (2002)."""
    EVAR = "evar"
    """sup over b > 0 of -b log(E exp(-Z / b)) + b log(level): entropic value at risk; 0 < level <= 1, 1 is the mean.
    The worst mean within the Kullback-Leibler radius -log(level). Ahmadi-Javid (2012)."""
    MEAN_SEMIDEVIATION = "mean_semideviation"
    """mean - level x sqrt(E max(mean - Z, 0)^2); 0 <= level <= 1, 0 the mean. Ruszczynski and Shapiro (2006)."""
    MEAN_VARIANCE = "mean_variance"
    """mean - level x variance; level >= 0 per EUR, 0 the mean. Not monotone. Markowitz (1952)."""


def _normal_distortion(reached: Floats, level: float) -> Floats:
    return np.asarray(np.frompyfunc(_wang, 2, 1)(reached, level), dtype=np.float64)


_NORMAL = NormalDist()


def _wang(reached: float, level: float) -> float:
    return _NORMAL.cdf(_NORMAL.inv_cdf(reached) - level) if 0.0 < reached < 1.0 else reached


def _prospect_distortion(reached: Floats, level: float) -> Floats:
    near = reached**level
    return np.asarray(near / (near + (1.0 - reached) ** level) ** (1.0 / level))


def _power_distortion(reached: Floats, level: float) -> Floats:
    return np.asarray(reached ** (1.0 + level) if level > 0.0 else 1.0 - (1.0 - reached) ** (1.0 - level))


DISTORTIONS: Mapping[RiskMeasure, Callable[[Floats, float], Floats]] = {
    RiskMeasure.VAR: lambda reached, level: ((reached > 0.0) & (reached >= level - SLACK)).astype(np.float64),
    RiskMeasure.CVAR: lambda reached, level: np.minimum(reached, level) / level,
    RiskMeasure.WANG: _normal_distortion,
    RiskMeasure.CPW: _prospect_distortion,
    RiskMeasure.POWER: _power_distortion,
}
"""g(cumulative probability, level) of the spectral measures."""


def increments(measure: RiskMeasure, level: float, cumulative: Floats) -> Floats:
    """Weights of a spectral measure on ascending outcomes with these cumulative probabilities, shape [..., n]."""
    reached = DISTORTIONS[measure](cumulative, level)
    weights = reached.copy()
    weights[..., 1:] -= reached[..., :-1]
    return np.maximum(weights, 0.0)  # Where g is flat, rounding may step back by the last bit.


@lru_cache(maxsize=64)
def equal_weights(measure: RiskMeasure, level: float, count: int) -> Floats:
    """The same on equally likely outcomes, shape [count]; kept, because decisions ask for them again and again."""
    weights = increments(measure, level, np.arange(1.0, count + 1.0) / count)
    weights.setflags(write=False)
    return weights


def measured_eur(measure: RiskMeasure, level: float, rows: Floats, shares: Floats | None) -> Floats:
    """The measure of each row; the level must be legal."""
    if measure in DISTORTIONS:
        return _spectral(measure, level, rows, shares)
    return CLOSED_FORMS[measure](rows, shares, level)


def _spectral(measure: RiskMeasure, level: float, rows: Floats, shares: Floats | None) -> Floats:
    if shares is None:
        return row_total(np.sort(rows, axis=-1) * equal_weights(measure, level, rows.shape[-1]))
    order = np.argsort(rows, axis=-1, kind="stable")
    cumulative = np.cumsum(np.take_along_axis(shares, order, axis=-1), axis=-1)
    # Divided by itself the total is exactly 1, so outcomes of probability 0 at the top get no weight at all.
    weights = increments(measure, level, cumulative / cumulative[..., -1:])
    return row_total(np.take_along_axis(rows, order, axis=-1) * weights)


def _entropic(rows: Floats, shares: Floats | None, aversion: float) -> Floats:
    if aversion == 0.0:
        return row_mean(rows, shares)
    worst, above = _above_worst(rows, shares)
    return worst - _log_mean_exp(-aversion * above, shares) / aversion


def _mean_semideviation(rows: Floats, shares: Floats | None, coefficient: float) -> Floats:
    mean = row_mean(rows, shares)
    return mean - coefficient * np.sqrt(row_mean(np.maximum(mean[..., None] - rows, 0.0) ** 2, shares))


def _mean_variance(rows: Floats, shares: Floats | None, coefficient: float) -> Floats:
    mean = row_mean(rows, shares)
    return mean - coefficient * row_mean((rows - mean[..., None]) ** 2, shares)


CLOSED_FORMS: Mapping[RiskMeasure, Callable[[Floats, Floats | None, float], Floats]] = {
    RiskMeasure.ENTROPIC: _entropic,
    RiskMeasure.EVAR: lambda rows, shares, level: least_mean_eur(rows, shares, -math.log(level)),
    RiskMeasure.MEAN_SEMIDEVIATION: _mean_semideviation,
    RiskMeasure.MEAN_VARIANCE: _mean_variance,
}
"""rho(outcomes [..., n], probabilities [..., n] or None, level) of the measures that are not spectral."""


def least_mean_eur(rows: Floats, shares: Floats | None, radius: float) -> Floats:
    """Sup over t > 0 of -(log E exp(-t Z) + radius) / t, with t = 1 / b; the mean at radius 0.

    The best t tilts the probabilities by exp(-t Z) until they lie `radius` away. Where all the mass at the worst
    outcome is still nearer than that, no t is the best, and the worst outcome is the answer.
    """
    if radius == 0.0:
        return row_mean(rows, shares)
    worst, above = _above_worst(rows, shares)
    farthest = -np.log(row_mean(~(above > 0.0), shares))
    inside = radius < farthest
    span = above.max(axis=-1)
    span = np.where(span > 0.0, span, 1.0)
    above = above / span[..., None]
    tilt = _tilt(above, shares, radius, np.where(inside, farthest, math.inf))
    gain = -(_log_mean_exp(-tilt[..., None] * above, shares) + radius) / tilt
    return np.asarray(worst + np.where(inside, span * gain, 0.0))


def _tilt(above: Floats, shares: Floats | None, radius: float, farthest: Floats) -> Floats:
    """The t > 0 whose tilt lies `radius` away, shape [...]; 1 where nothing is to be sought.

    Newton's method within a bracket, on what is nearly linear in t: see `_distance`.

    above: distance to the worst outcome, 0 to 1, shape [..., n]; farthest: what the divergence tends to as t grows,
    shape [...], above radius; infinite where nothing is to be sought.
    """
    moving = farthest < math.inf
    goal = np.sqrt(-np.log1p(-np.minimum(radius / farthest, NEARLY_ALL)))
    spread = np.sqrt(row_mean((above - row_mean(above, shares)[..., None]) ** 2, shares))
    tilt = np.where(moving, math.sqrt(2.0 * radius) / np.where(moving, spread, 1.0), 1.0)
    low, high = np.zeros_like(tilt), np.full_like(tilt, math.inf)
    for _ in range(TILT_STEPS):
        distance, slope = _distance(above, shares, tilt, farthest)
        low, high = np.where(distance < goal, tilt, low), np.where(distance < goal, high, tilt)
        guess = tilt + (goal - distance) / slope
        beyond = np.where(np.isinf(high), 4.0 * tilt, np.where(low > 0.0, np.sqrt(low) * np.sqrt(high), tilt / 4.0))
        guess = np.where((guess > low) & (guess < np.minimum(high, 16.0 * tilt)), guess, beyond)
        still = np.abs(guess - tilt) > TILT_PRECISION * tilt
        tilt = np.where(moving, guess, tilt)  # A row that has arrived stays, however long others take.
        moving = moving & still
        if not moving.any():
            break
    return tilt


def _distance(above: Floats, shares: Floats | None, tilt: Floats, farthest: Floats) -> tuple[Floats, Floats]:
    """sqrt(-log(1 - KL / farthest)) of outcomes tilted by exp(-tilt x above), and its slope in tilt; both [...].

    KL begins as tilt^2 x variance / 2 and ends exponentially near `farthest`; this begins linear and does not flatten.
    """
    power = -tilt[..., None] * above
    mass = np.exp(power)
    tilted = mass / row_mean(mass, shares)[..., None]
    mean = row_mean(tilted * above, shares)
    variance = row_mean(tilted * (above - mean[..., None]) ** 2, shares)
    reached = np.clip((-tilt * mean - _log_mean_exp(power, shares)) / farthest, 0.0, NEARLY_ALL)
    distance = np.sqrt(-np.log1p(-reached))
    slope = tilt * variance / (2.0 * farthest * (1.0 - reached))
    return distance, np.maximum(slope, FLAT) / np.maximum(distance, FLAT)


def _log_mean_exp(power: Floats, shares: Floats | None) -> Floats:
    """Log E exp(power) for powers at or below 0, one of them 0; exact also where all are near 0."""
    change = row_mean(np.expm1(power), shares)
    return np.where(change > -0.5, np.log1p(np.maximum(change, -0.5)), np.log(row_mean(np.exp(power), shares)))


def _above_worst(rows: Floats, shares: Floats | None) -> tuple[Floats, Floats]:
    """The worst outcome that can happen, [...], and how far each lies above it, [..., n]; 0 for what cannot happen."""
    if shares is None:
        worst = rows.min(axis=-1)
        return worst, rows - worst[..., None]
    worst = np.where(shares > 0.0, rows, math.inf).min(axis=-1)
    return worst, np.where(shares > 0.0, rows - worst[..., None], 0.0)


def row_mean(values: npt.NDArray[np.float64 | np.bool_], shares: Floats | None) -> Floats:
    """The expected value of each row."""
    return np.asarray(values.mean(axis=-1)) if shares is None else row_total(values * shares)


def row_total(values: Floats) -> Floats:
    """The sum of each row, in an order that does not depend on how many rows there are."""
    return np.asarray(np.ascontiguousarray(values).sum(axis=-1))
