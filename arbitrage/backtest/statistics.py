"""Statistics of daily profits: of a strategy, and of the differences between strategies.

Contract
- A figure comes with its interval, and the interval with the length of its blocks; see `bootstrap`.
- Strategies are compared day by day. A lead is the reference's figure less the rival's on the same drawn days.
- Who looks at many rivals finds some difference by chance. p-values are two-sided, adjusted by Holm's (1979) step-down
  rule over all rivals of a table, and the verdict rests on the adjusted one. Simultaneous intervals, by the largest of
  all standardised deviations, cover every lead of the table at once.
- That all of n days lie on the same side happens by chance with probability 2^(1 - n): no p-value is smaller. Up to
  five days distinguish no lead from chance. One day does not say how days differ, so it gives no interval.
- With several training seeds a figure is the mean over seeds, and describes training in general, not one lucky seed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.arrays import Floats
from arbitrage.backtest.bootstrap import (
    USUAL,
    Estimate,
    Resampling,
    Statistic,
    corrected_draws,
    draw_days,
    draw_seeds,
    seed_rows,
    statistic_of_draws,
)
from arbitrage.errors import Fault, refuse

TAIL_LEVEL = 0.1
"""Share of days in the tail of value at risk and its conditional mean."""
FEWEST_DAYS_FOR_A_VERDICT = 6
"""2^(1 - 6) is the first p-value of its kind below 5 %."""
AHEAD, BEHIND, UNDECIDED = "ahead", "behind", "undecided"

DailyProfits = Mapping[str, npt.ArrayLike] | pd.DataFrame
"""Daily profits in EUR by strategy, [days] or [seeds, days] each, or a data frame [days, strategies]."""


def estimate(
    daily_eur: npt.ArrayLike,
    statistic: Statistic = Statistic.MEAN,
    *,
    level: float = TAIL_LEVEL,
    resampling: Resampling = USUAL,
) -> Estimate:
    """A statistic of daily profits, [days] or [seeds, days], with its interval.

    With seeds it is the mean over seeds of each one's statistic. Of one day there is no interval. Raises BadInput.
    """
    rows = seed_rows(daily_eur)
    drawn = _drawn(statistic, rows, draw_days(rows.shape[1], resampling), level, resampling, stream=0)
    value = _observed(statistic, rows, level)
    tail_level = None if statistic is Statistic.MEAN else level
    draws = corrected_draws(value, drawn, rows.shape[1], resampling, tail_level)
    low, high = resampling.bounds_of(draws, rows.shape[1])
    return Estimate(value, float(low), float(high))


def tail_estimates(
    daily_eur: npt.ArrayLike, *, level: float = TAIL_LEVEL, resampling: Resampling = USUAL
) -> tuple[Estimate, Estimate]:
    """VaR and CVaR of daily profits, [days] or [seeds, days], each with its interval. Raises BadInput."""
    value_at_risk, conditional = (
        estimate(daily_eur, statistic, level=level, resampling=resampling)
        for statistic in (Statistic.VAR, Statistic.CVAR)
    )
    return value_at_risk, conditional


def compare_daily(
    daily_eur: DailyProfits,
    reference: str,
    statistic: Statistic = Statistic.MEAN,
    *,
    level: float = TAIL_LEVEL,
    resampling: Resampling = USUAL,
) -> pd.DataFrame:
    """The reference's lead over every other strategy, one row a rival in the order given.

    Columns: `lead_eur`, `lead_low_eur`, `lead_high_eur`, `simultaneous_low_eur`, `simultaneous_high_eur`,
    `days_ahead_fraction` (days on which the reference earned more; of means over seeds where there are several),
    `p_value`, `p_value_adjusted`, and `verdict`: AHEAD, BEHIND or UNDECIDED. Bounds of intervals are not a number
    where there is one day. Raises BadInput naming every strategy that is not comparable.
    """
    rows = _comparable(daily_eur, reference)
    rivals = [name for name in rows if name != reference]
    lead, draws = _leads(rows, reference, statistic, level, resampling)
    days = rows[reference].shape[1]
    low, high = resampling.bounds_of(draws, days)
    half_width = _simultaneous_half_width(draws, resampling.confidence_fraction) if days > 1 else np.nan
    mean_days = {name: own.mean(axis=0) for name, own in rows.items()}
    p_values = np.maximum(_two_sided_p(draws), 2.0 ** (1 - days))
    adjusted = holm(p_values)
    return pd.DataFrame(
        {
            "lead_eur": lead,
            "lead_low_eur": low,
            "lead_high_eur": high,
            "simultaneous_low_eur": lead - half_width,
            "simultaneous_high_eur": lead + half_width,
            "days_ahead_fraction": [float((mean_days[reference] > mean_days[name]).mean()) for name in rivals],
            "p_value": p_values,
            "p_value_adjusted": adjusted,
            "verdict": [
                UNDECIDED if p > 1.0 - resampling.confidence_fraction else AHEAD if ahead > 0.0 else BEHIND
                for p, ahead in zip(adjusted, lead, strict=True)
            ],
        },
        index=pd.Index(rivals, name="strategy"),
    )


def holm(p_values: npt.ArrayLike) -> Floats:
    """p-values [n] adjusted for being n, by the step-down rule of Holm (1979)."""
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    rising = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(rising, 1.0)
    return adjusted


def _leads(
    rows: Mapping[str, Floats], reference: str, statistic: Statistic, level: float, resampling: Resampling
) -> tuple[Floats, Floats]:
    """The reference's leads over its rivals in order, [rivals], and draws of them, [rivals, resamples]."""
    days = rows[reference].shape[1]
    counts = draw_days(days, resampling)
    drawn = {
        name: _drawn(statistic, own, counts, level, resampling, stream)
        for stream, (name, own) in enumerate(rows.items())
    }
    observed = {name: _observed(statistic, own, level) for name, own in rows.items()}
    rivals = [name for name in rows if name != reference]
    lead = np.array([observed[reference] - observed[name] for name in rivals])
    draws = np.array([drawn[reference] - drawn[name] for name in rivals]).reshape(len(rivals), resampling.resamples)
    return lead, corrected_draws(lead, draws, days, resampling, None if statistic is Statistic.MEAN else level)


def _observed(statistic: Statistic, rows: Floats, level: float) -> float:
    once = np.ones((1, rows.shape[1]))
    return float(np.mean([statistic_of_draws(statistic, own, once, level)[0] for own in rows]))


def _drawn(
    statistic: Statistic, rows: Floats, counts: Floats, level: float, resampling: Resampling, stream: int
) -> Floats:
    """The statistic of a strategy [seeds, days] in each drawn sample, shape [resamples]."""
    each = np.column_stack([statistic_of_draws(statistic, own, counts, level) for own in rows])
    return np.asarray((each * draw_seeds(len(rows), resampling, stream)).sum(axis=1))


def _two_sided_p(draws: Floats) -> Floats:
    """Twice the smaller share of draws [rivals, resamples] on either side of zero: below 5 % as the interval says."""
    least = 1.0 + np.minimum((draws <= 0.0).sum(axis=1), (draws >= 0.0).sum(axis=1))
    return np.asarray(np.minimum(1.0, 2.0 * least / (draws.shape[1] + 1.0)))


def _simultaneous_half_width(draws: Floats, confidence_fraction: float) -> Floats:
    """Half the width of intervals [rivals] that hold together, from draws [rivals, resamples]."""
    deviations = draws - draws.mean(axis=1, keepdims=True)
    spread = deviations.std(axis=1)
    moving = spread > 0.0
    if not moving.any():
        return np.asarray(spread)
    largest = np.abs(deviations[moving] / spread[moving, None]).max(axis=0)
    return np.asarray(spread * np.quantile(largest, confidence_fraction))


def _comparable(daily_eur: DailyProfits, reference: str) -> dict[str, Floats]:
    rows = {str(name): seed_rows(own) for name, own in daily_eur.items()}
    if reference not in rows:
        refuse([Fault(reference, f"is none of the strategies {', '.join(rows)}")])
    days = rows[reference].shape[1]
    refuse(
        Fault(name, f"has {own.shape[1]} days, {reference} has {days}")
        for name, own in rows.items()
        if own.shape[1] != days
    )
    return rows
