"""Finds the risk head of a policy: direct search on whole-day profits of the recorded training days.

Contract
- Objective at risk aversion w: (1 - w) mean + w (CVaR 5 % + CVaR 10 % + CVaR 20 %) / 3 of daily profit, half of it in
  cash and half marked to market, so that no risk is hidden in what is left in store at midnight.
- Every head tried goes through the same days (common random numbers), with advantages from fits that have not seen
  them. The search is the cross-entropy method (Rubinstein, 1999): normal samples around a mean, which moves to the mean
  of the elite; that mean is kept, not the best sample, which is best by luck. It begins where the last one ended.
- The risk aversion is the quadratic without a constant through what was found along w: 0 is the risk-neutral policy,
  and neighbours on the risk aversion differ little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from arbitrage.arrays import Floats, Singles
from arbitrage.learners.closed_form.fit import Fitted, TrainingData, day_end_values
from arbitrage.learners.closed_form.returns import Returns
from arbitrage.learners.closed_form.risk_rollout import DailyProfits, RecordedRollout, days_in_turn, roll_out
from arbitrage.market.point_in_time import PRICE
from arbitrage.market.series import MarketSeries
from arbitrage.policies.closed_form.ensemble_member import EnsembleMember
from arbitrage.policies.closed_form.risk_head import (
    NAMES,
    AdvantageSize,
    RiskContext,
    RiskHead,
    read_context,
    size_regressors,
)
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR
from arbitrage.risk import mean_tail_eur

Score = Callable[[Floats], Floats]
"""Of heads [m, 7], shape [m]; larger is better."""

TAILS = (0.05, 0.1, 0.2)
_SPREADS: Floats = np.array([0.15, 0.15, 0.15, 0.3, 0.3, 0.15, 0.15])
"""Standard deviations that the search begins with, in the order of NAMES."""
_RISK_AVERSION_POWERS = 2
_POWER_CHANGE = NAMES.index("power_change")
"""Rated power cannot be exceeded, so that the search need not look there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskSearchConfig:
    """Settings of the search."""

    points: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9, 0.95)
    """Risk aversions at which heads are sought, ascending."""
    samples: int = 32
    elite: int = 7
    rounds: int = 7
    marked_share: float = 0.5
    """Share of the objective that is marked to market; the rest is cash."""
    size_penalty: float = 100.0
    """Ridge penalty of the size of advantages."""


def fit_risk_head(
    market: MarketSeries, data: TrainingData, fitted: Fitted, config: RiskSearchConfig, seed: int
) -> RiskHead:
    """The head of a policy that has just been fitted to a data of this market.

    Raises ValueError for a final-stage-only fit, and for one that was read from a file.
    """
    if fitted.returns is None or fitted.advantages_eur is None:
        raise ValueError("the fit has not kept what a risk head is fitted to")
    size = fit_size(fitted.returns, config.size_penalty)
    recording = record(market, data, fitted.advantages_eur, fitted.stages[-1], size)
    decisions = recording.advantages_eur.shape[1]
    spreads = _SPREADS if decisions > 1 else np.where(np.array(NAMES) == "early_margin", 0.0, _SPREADS)
    found, start = [], np.zeros(len(NAMES))
    rng = np.random.default_rng(seed)
    for risk_aversion in config.points:

        def score(heads: Floats, risk_aversion: float = risk_aversion) -> Floats:
            return whole_day_score(roll_out(data.lattice, recording, heads), risk_aversion, config.marked_share)

        start = cross_entropy(score, start, spreads, config, rng)
        found.append(start)
    return RiskHead(size, fit_risk_aversion(np.array(config.points), np.array(found)))


def whole_day_score(profits: DailyProfits, risk_aversion: float, marked_share: float) -> Floats:
    """The objective of the search for each head, shape [heads]."""
    scores = [
        (1.0 - risk_aversion) * daily.mean(axis=1) + risk_aversion * mean_tail_eur(daily, TAILS)
        for daily in (profits.cash_eur, profits.marked_eur)
    ]
    return np.asarray((1.0 - marked_share) * scores[0] + marked_share * scores[1])


def cross_entropy(
    score: Score, start: Floats, spreads: Floats, config: RiskSearchConfig, rng: np.random.Generator
) -> Floats:
    """Mean of the last elite of a search that begins at `start` with standard deviations `spreads`, shape [7] each."""
    mean, deviation = start, spreads
    for _ in range(config.rounds):
        heads = mean + deviation * rng.standard_normal((config.samples, len(mean)))
        heads[0] = mean
        heads[:, _POWER_CHANGE] = np.minimum(heads[:, _POWER_CHANGE], 0.0)
        best = heads[np.argsort(-score(heads), kind="stable")[: config.elite]]
        mean, deviation = best.mean(axis=0), best.std(axis=0)
    return np.asarray(mean)


def fit_risk_aversion(points: Floats, found: Floats) -> Floats:
    """Coefficients [2, 7] of w and w squared through heads [points, 7], by least squares."""
    powers = points[:, None] ** np.arange(1, _RISK_AVERSION_POWERS + 1)
    return np.asarray(np.linalg.lstsq(powers, found, rcond=None)[0])


def fit_size(returns: Returns, penalty: float) -> AdvantageSize:
    """Ridge regression of the log rms of realised advantages, over actions and nodes, on the market's features."""
    squares = np.mean(np.square(returns.advantage, dtype=np.float64), axis=(1, 2))
    target = 0.5 * np.log(np.maximum(squares, 1e-12))
    std = returns.features.std(axis=0, dtype=np.float64)
    size = AdvantageSize(
        returns.features.mean(axis=0, dtype=np.float64).astype(np.float32),
        np.where(std > 1e-9, std, 1.0).astype(np.float32),
        np.zeros(returns.features.shape[1] + 1, dtype=np.float32),
    )
    rows = size_regressors(size, returns.features).astype(np.float64)
    ridge = penalty * np.eye(rows.shape[1])
    ridge[0, 0] = 0.0
    return size._replace(coefficients=np.linalg.solve(rows.T @ rows + ridge, rows.T @ target).astype(np.float32))


def record(
    market: MarketSeries,
    data: TrainingData,
    advantages_eur: Singles,
    member: EnsembleMember,
    size: AdvantageSize,
) -> RecordedRollout:
    """The training days as heads live through them; `member` says what energy left at midnight is worth.

    advantages_eur: shape [n, decisions, 2, nodes].
    """
    path, decisions = data.path, advantages_eur.shape[1]
    starts = market.quarter_hours[path.rows]
    step_min = MINUTES_PER_QUARTER_HOUR // decisions
    times = (starts[:, None] + step_min * np.arange(decisions)).ravel()
    size_eur = np.repeat(size.size_eur(data.encoded), decisions)
    law = data.lattice.law
    power_mw = max(law.charge_power_mw, law.discharge_power_mw)
    context: RiskContext = read_context(market.known_at(times), size_eur, power_mw, step_min)
    return RecordedRollout(
        price_eur_mwh=path.price_eur_mwh,
        after=path.after.astype(np.int64),
        day=days_in_turn(path),
        start_min=starts,
        published_min=market.known_series[PRICE].available_at[path.rows],
        advantages_eur=advantages_eur,
        end_value_eur=day_end_values(member, data),
        context=context,
    )
