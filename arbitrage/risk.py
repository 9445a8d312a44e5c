"""Risk measures of outcomes, and the preference that weighs one against the mean. Numpy only.

Contract
- Outcomes are profits in EUR, so risk lies in the lower tail, and every measure is in EUR of PROFIT, not of loss: a
  negative value is money lost, and a larger value is better. `level` means what `RiskMeasure` says.
- Outcomes run along the last axis, and are finite. A row's result depends on that row alone, to the last bit, and
  what is not a number in a row makes that row's result not a number.

This is the one door to the measures; `arbitrage.risk_measures` holds their arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.risk_measures import (
    DISTORTIONS,
    RiskMeasure,
    equal_weights,
    increments,
    least_mean_eur,
    measured_eur,
    row_mean,
    row_total,
)

__all__ = [
    "LEGAL_LEVELS",
    "RiskMeasure",
    "RiskPreference",
    "conditional_value_at_risk_eur",
    "distortion_weights",
    "kl_robust_eur",
    "mean_tail_eur",
    "outcome_weights",
    "risk_eur",
    "value_at_risk_eur",
]

TOTAL_SLACK = 1e-5
"""Probabilities may miss a total of 1 by this much, as those of single precision do; they are then divided by it."""

Legal = tuple[Callable[[float], bool], str]
_TAIL: Legal = (lambda level: 0.0 < level <= 1.0, "must be above 0 and at most 1")
_FINITE: Legal = (math.isfinite, "must be a finite number")
_NOT_NEGATIVE: Legal = (lambda level: 0.0 <= level < math.inf, "must be a finite number, at least 0")
LEGAL_LEVELS: Mapping[RiskMeasure, Legal] = {
    RiskMeasure.VAR: _TAIL,
    RiskMeasure.CVAR: _TAIL,
    RiskMeasure.WANG: _FINITE,
    RiskMeasure.CPW: (lambda level: 0.3 <= level <= 1.0, "must be at least 0.3 and at most 1"),
    RiskMeasure.POWER: _FINITE,
    RiskMeasure.ENTROPIC: _NOT_NEGATIVE,
    RiskMeasure.EVAR: _TAIL,
    RiskMeasure.MEAN_SEMIDEVIATION: (lambda level: 0.0 <= level <= 1.0, "must be at least 0 and at most 1"),
    RiskMeasure.MEAN_VARIANCE: _NOT_NEGATIVE,
}
"""Whether a level is in the range of a measure, and that range in words."""


@dataclass(frozen=True, slots=True)
class RiskPreference:
    """Prefer what has the larger E[Z] + weight x rho(Z). The default, weight 0, is risk-neutral whatever the measure.

    Raises BadInput naming each of level and weight that is outside its range.
    """

    measure: RiskMeasure = RiskMeasure.CVAR
    level: float = 0.1
    weight: float = 0.0
    """At least 0."""

    def __post_init__(self) -> None:
        refuse([*_level_faults(self.measure, self.level), *_range_faults("weight", self.weight, _NOT_NEGATIVE)])

    @classmethod
    def parse(cls, text: str) -> RiskPreference:
        """From `measure:level:weight`, as `cvar:0.1:0.5`; BadInput names everything wrong with it."""
        parts = [part.strip() for part in text.split(":")]
        if len(parts) != 3:
            raise BadInput([Fault("risk", f"is written measure:level:weight, as cvar:0.1:0.5, not {text!r}")])
        faults: list[Fault] = []
        level, weight = _number("level", parts[1], faults), _number("weight", parts[2], faults)
        if parts[0] not in LEGAL_LEVELS:
            faults.append(Fault("measure", f"must be one of {', '.join(RiskMeasure)}, not {parts[0]!r}"))
        elif level is not None:
            faults += _level_faults(RiskMeasure(parts[0]), level)
        faults += [] if weight is None else _range_faults("weight", weight, _NOT_NEGATIVE)
        if faults or level is None or weight is None:
            raise BadInput(faults)
        return cls(RiskMeasure(parts[0]), level, weight)

    def __str__(self) -> str:
        return f"{self.measure}:{self.level!r}:{self.weight!r}"

    def score_eur(self, outcomes: npt.ArrayLike, probabilities: npt.ArrayLike | None = None) -> Floats:
        """E[Z] + weight x rho(Z), shape [...]; arguments as of `risk_eur`. Weight 0: the plain mean, bit for bit."""
        rows, shares = _rows(outcomes, probabilities)
        mean = row_mean(rows, shares)
        return mean if self.weight == 0.0 else mean + self.weight * measured_eur(self.measure, self.level, rows, shares)

    def sorted_weights(self, count: int) -> Floats | None:
        """Weights, shape [count], of E + weight x rho on equally likely outcomes in ascending order, or None.

        They sum to 1 + weight. None where no weights fit every sample: a measure that is not spectral, unless its
        weight is 0. BadInput if count is below 1.
        """
        refuse(_count_faults(count))
        mean = np.full(count, 1.0 / count)
        if self.weight == 0.0:
            return mean
        if self.measure not in DISTORTIONS:
            return None
        return mean + self.weight * equal_weights(self.measure, self.level, count)


def risk_eur(
    measure: RiskMeasure, level: float, outcomes: npt.ArrayLike, probabilities: npt.ArrayLike | None = None
) -> Floats:
    """The measure of each row of outcomes, in EUR, shape [...].

    Args:
        measure: which; a row whose outcomes are all equal is worth just that under every measure.
        level: as the measure documents it.
        outcomes: EUR, shape [..., n], in any order.
        probabilities: shape [..., n], broadcast against outcomes, so one support may serve many distributions; None
            for equally likely outcomes. An outcome of probability 0 does not count.

    Raises BadInput naming all faults: a level outside its range, no outcomes, probabilities that are none.
    """
    rows, shares = _rows(outcomes, probabilities, _level_faults(measure, level))
    return measured_eur(measure, level, rows, shares)


def kl_robust_eur(outcomes: npt.ArrayLike, radius: float, probabilities: npt.ArrayLike | None = None) -> Floats:
    """The least mean under any distribution within `radius` of Kullback-Leibler divergence KL(q || p), shape [...].

    Arguments and errors as of `risk_eur`; radius is in nats, at least 0. Equals EVaR at level exp(-radius). The backup
    of distributionally robust soft actor-critic (2506.12622).
    """
    rows, shares = _rows(outcomes, probabilities, _range_faults("radius", radius, _NOT_NEGATIVE))
    return least_mean_eur(rows, shares, radius)


def mean_tail_eur(outcomes: npt.ArrayLike, levels: Sequence[float]) -> Floats:
    """Mean over `levels` of CVaR, in EUR, of rows [..., n] of equally likely outcomes; shape [...].

    BadInput if there are no outcomes or no levels, or if a level is out of range.
    """
    faults = [fault for level in levels for fault in _level_faults(RiskMeasure.CVAR, level)]
    rows, _ = _rows(outcomes, None, faults if len(levels) else [Fault("levels", "there are none")])
    weights = sum(equal_weights(RiskMeasure.CVAR, level, rows.shape[-1]) for level in levels) / len(levels)
    return row_total(np.sort(rows, axis=-1) * weights)


def value_at_risk_eur(profits_eur: npt.ArrayLike, level: float) -> float:
    """The profit that the worst `level` share of a sample does not exceed; BadInput also for what is no number."""
    return _of_sample(RiskMeasure.VAR, level, profits_eur)


def conditional_value_at_risk_eur(profits_eur: npt.ArrayLike, level: float) -> float:
    """Mean of the worst `level` share of a sample; an outcome on the edge counts with the part that falls inside."""
    return _of_sample(RiskMeasure.CVAR, level, profits_eur)


def outcome_weights(measure: RiskMeasure, level: float, count: int) -> Floats:
    """Weights of a spectral measure on `count` equally likely outcomes in ascending order: none negative, sum 1."""
    refuse([*_spectral_faults(measure, level), *_count_faults(count)])
    return equal_weights(measure, level, count).copy()


def distortion_weights(measure: RiskMeasure, level: float, cumulative: npt.ArrayLike) -> Floats:
    """Weights of a spectral measure on ascending outcomes, shape [..., n], none negative, sum 1.

    cumulative: probability of each outcome and all below it, shape [..., n], ascending to 1.
    """
    refuse(_spectral_faults(measure, level))
    return increments(measure, level, np.asarray(cumulative, dtype=np.float64))


def _rows(
    outcomes: npt.ArrayLike, probabilities: npt.ArrayLike | None, found: Iterable[Fault] = ()
) -> tuple[Floats, Floats | None]:
    """Outcomes and probabilities as the measures take them; BadInput with their faults and those `found` before."""
    rows = np.ascontiguousarray(outcomes, dtype=np.float64)
    faults = [*found, *_count_faults(rows.shape[-1])]
    if probabilities is None:
        refuse(faults)
        return rows, None
    shares = np.asarray(probabilities, dtype=np.float64)
    try:
        rows, shares = (np.ascontiguousarray(array) for array in np.broadcast_arrays(rows, shares))
    except ValueError:
        faults.append(Fault("probabilities", f"of shape {shares.shape} do not fit outcomes {rows.shape}"))
        raise BadInput(faults) from None
    total = row_total(shares)
    if not ((shares >= 0.0).all() and (np.abs(total - 1.0) <= TOTAL_SLACK).all()):
        faults.append(Fault("probabilities", "must be at least 0 and sum to 1"))
    refuse(faults)
    return rows, shares / total[..., None]


def _of_sample(measure: RiskMeasure, level: float, profits_eur: npt.ArrayLike) -> float:
    sample = np.asarray(profits_eur, dtype=np.float64).ravel()
    faults = _level_faults(measure, level)
    if np.isnan(sample).any():
        faults.append(Fault("outcomes", "hold something that is not a number"))
    rows, _ = _rows(sample, None, faults)
    return float(measured_eur(measure, level, rows, None))


def _spectral_faults(measure: RiskMeasure, level: float) -> list[Fault]:
    if measure not in DISTORTIONS:
        return [Fault("measure", f"{measure} is no weighting of sorted outcomes; such are {', '.join(DISTORTIONS)}")]
    return _level_faults(measure, level)


def _level_faults(measure: RiskMeasure, level: float) -> list[Fault]:
    return _range_faults("level", level, LEGAL_LEVELS[measure])


def _range_faults(where: str, value: float, legal: Legal) -> list[Fault]:
    allowed, says = legal
    return [] if allowed(value) else [Fault(where, f"{says}, not {value}")]


def _count_faults(count: int) -> list[Fault]:
    return [] if count > 0 else [Fault("outcomes", "there are none")]


def _number(where: str, text: str, faults: list[Fault]) -> float | None:
    """The number that a text says; None, with a fault added, where it says none."""
    try:
        return float(text)
    except ValueError:
        faults.append(Fault(where, f"must be a number, not {text!r}"))
        return None
