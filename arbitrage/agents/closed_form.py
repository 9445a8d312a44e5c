"""The first agent: counterfactual learning in closed form.

Law
- Everything is fitted by ridge regression on random features; the only randomness is the features' seed.
- Whatever a training row is judged by comes from fits that have not seen its fold of days.
- The price chain's exact plan is the prior; realised advantages on the recorded paths, under the policy itself, are
  regressed on what was known to correct it. Each pass follows the corrected policy and averages its targets with those
  of the passes before.

The number of passes is left to the validation days: `ClosedFormFit` holds the member after each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from arbitrage.agents.arbitrage_policy import (
    PLAN_FEATURES,
    Member,
    outline_days,
    plan_days,
    predict_price,
    quarters_of_hour,
)
from arbitrage.agents.counterfactual import After, Path, lay_path, sweep
from arbitrage.agents.lattice import Lattice, LatticeSize, make_lattice
from arbitrage.agents.price_chain import DayPlans, Questions, continuation_advantages, fit_chain
from arbitrage.agents.random_features import RandomFeatures, Ridge, draw_random_features
from arbitrage.battery import Battery
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import SocReset, Span
from arbitrage.observation import QUARTER, Encoded, MarketFeatures
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_FOLD_DAYS = 5
_FOLDS = 5
_NO_FOLD = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedFormConfig:
    """Settings of the fit; the defaults were chosen by cross-validation on days 1-25 of each month of 2022."""

    cosines: int = 500
    plan_penalty: float = 300.0
    forecast_penalty: float = 100.0
    correction_penalty: float = 1000.0
    passes: int = 2
    quarter_gain: float = 2.0
    """How much faster the random features vary with the quarter of the hour."""
    size: LatticeSize = LatticeSize()


@dataclass(frozen=True, slots=True)
class Lesson:
    """The training days, encoded once for every seed."""

    battery: Battery
    soc_reset: SocReset
    path: Path
    lattice: Lattice
    encoded: Encoded
    """At each row of the path, as known when it is decided."""
    plan_encoded: Encoded
    """About each row of the path, as known at its midnight."""
    day_rows: Numbers
    """Shape [days + 1]; where each Brussels day of the path begins, and the end."""
    folds: Numbers
    """Shape [n]; blocks of adjacent days; negative where there is no price."""


def prepare_lesson(
    market: MarketSeries, battery: Battery, selection: Sequence[Span], soc_reset: SocReset, size: LatticeSize
) -> Lesson:
    """Encode the training spans."""
    path = lay_path(market, selection)
    knowledge = market.known_at(market.quarter_hours[path.rows])
    days, first_rows = np.unique(path.day_numbers, return_index=True)
    outline = outline_days(knowledge, days)
    rows = np.searchsorted(outline.starts, knowledge.times)
    plan = outline.encoded
    return Lesson(
        battery=battery,
        soc_reset=soc_reset,
        path=path,
        lattice=make_lattice(battery, MINUTES_PER_QUARTER_HOUR, size),
        encoded=MarketFeatures().encode_scaled(knowledge),
        plan_encoded=Encoded(plan.features[rows], plan.base_eur_mwh[rows], plan.scale_eur_mwh[rows]),
        day_rows=np.append(first_rows, len(path.rows)),
        folds=np.where(path.settled, (path.day_numbers // _FOLD_DAYS) % _FOLDS, _NO_FOLD),
    )


@dataclass(frozen=True, slots=True)
class ClosedFormFit:
    """The member after each pass of correction; the first one is the price chain alone."""

    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class _Forecasts:
    """The price model fitted to a lesson; predictions of its rows come from folds that left them out."""

    uncorrected: Member
    """Plan, forecast and chain, with no correction and no end value yet."""
    regressors: Singles
    ridge: Ridge
    """On all features; shared by forecast and correction."""
    price_eur_mwh: Floats
    """One-step forecast, shape [n]."""
    plan_price_eur_mwh: Floats
    """Expected at midnight, shape [n]."""
    gap: Floats
    """Shape [n]."""


def fit_closed_form(lesson: Lesson, config: ClosedFormConfig, seed: int) -> ClosedFormFit:
    """Fit one member of the ensemble."""
    forecasts = _fit_forecasts(lesson, config, np.random.default_rng(seed))
    end_value = np.zeros(lesson.lattice.nodes)
    if lesson.soc_reset is SocReset.NEVER:
        for _ in range(2):
            end_value = _learn_end_value(lesson, forecasts, end_value)
    uncorrected = replace(forecasts.uncorrected, end_value_fraction=end_value)
    return ClosedFormFit(_correct(lesson, config, forecasts, uncorrected))


def _fit_forecasts(lesson: Lesson, config: ClosedFormConfig, rng: np.random.Generator) -> _Forecasts:
    names = MarketFeatures.names
    gains = np.where([name in QUARTER for name in names], config.quarter_gain, 1.0).astype(np.float32)
    used = lesson.folds >= 0
    plan, newest = lesson.plan_encoded, lesson.encoded
    plan_features = np.ascontiguousarray(plan.features[:, :PLAN_FEATURES])
    plan_map = draw_random_features(plan_features[used], gains[:PLAN_FEATURES], config.cosines, rng)
    plan_regressors = plan_map(plan_features)
    plan_fit, plan_out = Ridge(plan_regressors, lesson.folds).fit(_targets(lesson, plan), config.plan_penalty)
    full_map = draw_random_features(newest.features[used], gains, config.cosines, rng)
    regressors = full_map(newest.features)
    ridge = Ridge(regressors, lesson.folds)
    fit, out = ridge.fit(_targets(lesson, newest), config.forecast_penalty)
    price = newest.base_eur_mwh + newest.scale_eur_mwh * out[:, 0]
    plan_price = plan.base_eur_mwh + plan.scale_eur_mwh * plan_out[:, 0]
    gap = (price - plan_price) / plan.scale_eur_mwh
    followed = used & (lesson.path.after == After.SAME_DAY) & np.append(used[1:], False)
    quarters = quarters_of_hour(lesson_minutes(lesson))
    chain = fit_chain(gap[used], quarters[used], followed[used])
    nodes = lesson.lattice.nodes
    member = Member(
        plan_map=plan_map,
        plan_coefficients=plan_fit[:, 0],
        full_map=full_map,
        forecast_coefficients=fit[:, 0],
        chain=chain,
        correction_coefficients=np.zeros((2, nodes, full_map.outputs), dtype=np.float32),
        end_value_fraction=np.zeros(nodes),
    )
    return _Forecasts(member, regressors, ridge, price, plan_price, gap)
