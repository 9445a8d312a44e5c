"""The first agent: counterfactual learning in closed form.

Contract
- Everything is fitted by ridge regression on random features; the only randomness is the features' seed.
- Whatever a training row is judged by comes from fits that have not seen its fold of days.
- Above it stands a small network, fitted to the same targets and averaged with the ridge correction half and half.
- By the minute, the price is forecast from the running quarter-hour's records, and so is the gap of the next;
  what the correction says of a quarter-hour holds for all its minutes.
- The price chain's exact plan is the prior; realised advantages on the recorded paths, under the policy itself, are
  regressed on what was known to correct it. Each pass follows the corrected policy and averages its targets with those
  of the passes before.

How many passes to take is left to the validation days: the fit returns the member after each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats, Numbers, Singles
from arbitrage.battery import Battery
from arbitrage.features.encoder import Encoded, MarketFeatures
from arbitrage.features.names import QUARTER
from arbitrage.learners.closed_form.chain_fit import fit_chain, with_innovations
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.counterfactual import backward_pass
from arbitrage.learners.closed_form.minute_fit import MinuteRows, fit_minute_heads
from arbitrage.learners.closed_form.network_training import fit_regression
from arbitrage.learners.closed_form.returns import Returns, realised_returns
from arbitrage.learners.closed_form.ridge import Ridge, draw_random_features
from arbitrage.market.path import After, Path, lay_path
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import SocReset, Span
from arbitrage.policies.closed_form.ensemble_member import EnsembleMember, outline_days, predict_price, slow_regressors
from arbitrage.policies.closed_form.lattice import Lattice, LatticeSize, make_lattice
from arbitrage.policies.closed_form.minute_heads import Gaps
from arbitrage.policies.closed_form.price_chain import (
    DayPlans,
    DecisionQueries,
    continuation_advantages,
    gap_that_implies,
)
from arbitrage.policies.closed_form.random_features import CONSTANT, row_products
from arbitrage.policies.networks import Network
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR
from arbitrage.settling import settle_eur

_FOLD_DAYS = 5
_FOLDS = 5
_NO_FOLD = -1
_SLOW_FROM, _SLOW_TO = 5, 17
"""The slow gap looks at the quarter-hours from the fifth to the sixteenth after the next."""
_END_VALUE_ROUNDS = 3
_INNOVATION_MINUTES = [4, 12]
"""Minutes whose forecasts stand for what is learned within a quarter-hour."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The training days, encoded once for every seed."""

    features: MarketFeatures
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
    running: Singles | None
    """Shape [n, 15, running features], minute by minute; None where the minutes are not looked at."""

    @property
    def followed(self) -> npt.NDArray[np.bool_]:
        """Which rows have a price and are followed, the same day, by another that has one, shape [n]."""
        priced = self.folds >= 0
        return np.asarray(priced & (self.path.after == After.SAME_DAY) & np.append(priced[1:], False))


def recency_weights(day_numbers: Numbers, half_life_days: float | None) -> Floats:
    """How much rows of these days [n] count: the newest day 1, one that is a half-life older a half, shape [n]."""
    if half_life_days is None:
        return np.ones(len(day_numbers))
    return np.asarray(np.exp2((day_numbers - day_numbers.max()) / half_life_days))


def prepare_training_data(
    market: MarketSeries,
    battery: Battery,
    selection: Sequence[Span],
    soc_reset: SocReset,
    size: LatticeSize,
    features: MarketFeatures | None = None,
) -> TrainingData:
    """Encode the training spans, with the quarter-hour's features unless others are given."""
    features = features or MarketFeatures()
    path = lay_path(market, selection)
    known = market.known_at(market.quarter_hours[path.rows])
    days, first_rows = np.unique(path.day_numbers, return_index=True)
    outline = outline_days(features, known, days)
    rows = np.searchsorted(outline.starts, known.times)
    encoded = features.encode_quarters(known)
    return TrainingData(
        features=features,
        soc_reset=soc_reset,
        path=path,
        lattice=make_lattice(battery, MINUTES_PER_QUARTER_HOUR, size),
        encoded=encoded,
        plan_encoded=outline.encoded.at(rows),
        day_rows=np.append(first_rows, len(path.rows)),
        folds=np.where(path.settled, (path.day_numbers // _FOLD_DAYS) % _FOLDS, _NO_FOLD),
        running=_encode_minutes(market, features, known.times, encoded) if features.running_names else None,
    )


def _encode_minutes(market: MarketSeries, features: MarketFeatures, starts: Numbers, encoded: Encoded) -> Singles:
    """Running features of quarter-hours [n] at each of their minutes, as known then, shape [n, 15, features]."""
    by_minute = (features.encode_running(market.known_at(starts + k), encoded) for k in range(MINUTES_PER_QUARTER_HOUR))
    return np.stack(list(by_minute), axis=1)


@dataclass(frozen=True, slots=True)
class _Forecasts:
    """The price model fitted to a data; predictions of its rows come from folds that left them out."""

    member: EnsembleMember
    """Plan, forecast and chain, with no correction and no end value yet."""
    ridge: Ridge
    """On all features; shared by forecast and correction."""
    price_eur_mwh: Floats
    """Forecast of each row's price at each decision, shape [n, decisions]."""
    plan_price_eur_mwh: Floats
    """Expected at midnight, shape [n]."""
    questions: DecisionQueries
    """All decisions of a row, row by row."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """One member of an ensemble at each stage of its fit."""

    stages: tuple[EnsembleMember, ...]
    """The price chain alone, after each pass of correction, and with the network; in the order of `stage_names`."""
    returns: Returns | None
    """Realised on the training days under the last pass, each row judged by fits that have not seen its fold; None of
    a final-stage-only fit."""
    advantages_eur: Singles | None = None
    """Shape [n, decisions, 2, nodes]; what those fits say of the training rows, the network's stage apart. None of a
    final_stage_only fit, and of one that was read from a file."""


def stage_names(config: ClosedFormConfig) -> tuple[str, ...]:
    """What the stages of a fit are called."""
    passes = (f"correction pass {number + 1}" for number in range(config.passes))
    names = ("price chain", *passes, *(() if config.network is None else ("with network",)))
    return names[-1:] if config.final_stage_only else names


def fit_closed_form(data: TrainingData, config: ClosedFormConfig, seed: int) -> Fitted:
    """Fit one member of an ensemble."""
    forecasts = _fit_forecasts(data, config, np.random.default_rng(seed))
    end_value = np.zeros(data.lattice.nodes)
    if data.soc_reset is SocReset.NEVER:
        for _ in range(_END_VALUE_ROUNDS):
            end_value = _learn_end_value(data, forecasts, end_value, config.half_life_days)
    return _correct(data, config, forecasts, end_value, seed)


def _fit_forecasts(data: TrainingData, config: ClosedFormConfig, rng: np.random.Generator) -> _Forecasts:
    used, weights = data.folds >= 0, recency_weights(data.path.day_numbers, config.half_life_days)
    singles = weights.astype(np.float32)
    plan, newest = data.plan_encoded, data.encoded
    names, planned = data.features.quarter_names, len(data.features.plan_names)
    gains = np.array([config.quarter_gain if name in QUARTER else 1.0 for name in names], np.float32)
    plan_features = np.ascontiguousarray(plan.features[:, :planned])
    draw = partial(draw_random_features, rng=rng, orthogonal=config.orthogonal)
    plan_map = draw(plan_features[used], gains[:planned], config.plan_cosines or config.cosines)
    plan_ridge = Ridge(plan_features, data.folds, plan_map, singles)
    plan_fit, plan_out = plan_ridge.fit(_price_targets(data, plan), config.shrinkage * config.plan_penalty)

    full_map = draw(newest.features[used], gains, config.cosines)
    ridge = Ridge(newest.features, data.folds, full_map, singles)
    fit, out = ridge.fit(_price_targets(data, newest), config.shrinkage * config.forecast_penalty)

    plan_price = plan.base_eur_mwh + plan.scale_eur_mwh * plan_out[:, 0]
    price = newest.base_eur_mwh + newest.scale_eur_mwh * out[:, 0]
    fast = (price - plan_price) / plan.scale_eur_mwh
    slow_fit, slow = _fit_slow_gap(data, plan_price, fast, config.shrinkage * config.slow_penalty, singles)
    nodes = data.lattice.nodes
    member = EnsembleMember(
        plan_map=plan_map,
        plan_coefficients=plan_fit[:, 0],
        full_map=full_map,
        forecast_coefficients=fit[:, 0],
        slow_coefficients=slow_fit,
        chain=fit_chain(fast, slow, data.followed, config.chain, weights),
        network=None,
        correction_coefficients=np.zeros((2, nodes, full_map.outputs), dtype=np.float32),
        end_value_fraction=np.zeros(nodes),
    )
    questions = DecisionQueries(np.arange(len(fast)), fast, slow)
    by_quarter = _Forecasts(member, ridge, price[:, None], plan_price, questions)
    if data.running is None:
        return by_quarter
    return _with_minutes(data, config, by_quarter, int(rng.integers(2**31)))


def _with_minutes(data: TrainingData, config: ClosedFormConfig, by_quarter: _Forecasts, seed: int) -> _Forecasts:
    """The same with fifteen forecasts a quarter-hour, each on the minute records known by then."""
    if data.running is None:
        raise ValueError("the data has no minutes")
    fast, slow = by_quarter.questions.fast, by_quarter.questions.slow
    rows = MinuteRows(
        features=data.features,
        encoded=data.encoded,
        gaps=Gaps(by_quarter.price_eur_mwh[:, 0], fast, slow),
        running=data.running,
        folds=np.where(data.followed, data.folds, _NO_FOLD),
        price_target=_price_targets(data, data.encoded)[:, 0].astype(np.float64),
        gap_target=np.append(fast[1:], 0.0),
    )
    heads, made = fit_minute_heads(rows, config.minutes, seed)
    equivalent = gap_that_implies(by_quarter.member.chain, made.next_gap)
    surprise = (made.price_eur_mwh - made.price_eur_mwh[:, :1]) / data.plan_encoded.scale_eur_mwh[:, None]
    reported = data.folds >= 0
    chain = with_innovations(
        by_quarter.member.chain,
        surprise[reported][:, _INNOVATION_MINUTES],
        (equivalent - equivalent[:, :1])[reported][:, _INNOVATION_MINUTES],
    )
    member = replace(by_quarter.member, minutes=heads, chain=chain)
    asked = np.repeat(np.arange(len(fast)), MINUTES_PER_QUARTER_HOUR)
    questions = DecisionQueries(asked, equivalent.ravel(), slow[asked])
    return replace(by_quarter, member=member, price_eur_mwh=made.price_eur_mwh, questions=questions)


def _price_targets(data: TrainingData, encoded: Encoded) -> Singles:
    """Price less base in units of the scale, shape [n, 1]; 0 where there is no price."""
    target = (data.path.price_eur_mwh - encoded.base_eur_mwh) / encoded.scale_eur_mwh
    return np.nan_to_num(target).astype(np.float32)[:, None]


def _fit_slow_gap(
    data: TrainingData, plan_price: Floats, fast: Floats, penalty: float, weights: Singles
) -> tuple[Singles, Floats]:
    """Coefficients of the slow gap, and the slow gap of each row from folds that left it out.

    The target is the mean departure from plan over the coming hours; what the fast gap implies of it is taken out.
    """
    departure = np.nan_to_num((data.path.price_eur_mwh - plan_price) / data.plan_encoded.scale_eur_mwh)
    total = np.concatenate(([0.0], np.cumsum(departure)))
    lengths = np.diff(data.day_rows)
    day_end = np.repeat(data.day_rows[1:], lengths)
    row = np.arange(len(departure))
    first, last = (np.minimum(row + ahead, day_end) for ahead in (_SLOW_FROM, _SLOW_TO))
    count = last - first
    target = ((total[last] - total[first]) / np.maximum(count, 1)).astype(np.float32)[:, None]
    enough = count >= (_SLOW_TO - _SLOW_FROM) // 2
    regressors = slow_regressors(data.features, data.encoded, fast)
    fit, out = Ridge(regressors, np.where(enough, data.folds, _NO_FOLD), weights=weights).fit(target, penalty)
    predicted = np.where(enough & (data.folds >= 0), out[:, 0], row_products(regressors, fit[:, 0]))
    implied = float(predicted @ fast / (fast @ fast))
    fit[-1, 0] -= implied
    return fit[:, 0], predicted - implied * fast


def _continuation(data: TrainingData, forecasts: _Forecasts, end_value_fraction: Floats) -> tuple[DayPlans, Singles]:
    """Plans of the training days, and the model's continuation advantages, shape [n x decisions, 2, nodes]."""
    plan_price = forecasts.plan_price_eur_mwh
    levels = np.add.reduceat(plan_price, data.day_rows[:-1]) / np.diff(data.day_rows)
    end_value = np.maximum(levels, 0.0)[:, None] * end_value_fraction
    plans = DayPlans(plan_price, data.plan_encoded.scale_eur_mwh, data.day_rows, end_value)
    return plans, continuation_advantages(data.lattice, forecasts.member.chain, plans, forecasts.questions)


def _model_advantages(data: TrainingData, forecasts: _Forecasts, continuation: Singles) -> Singles:
    """The price chain's advantages in EUR, shape [n, decisions, 2, nodes]; `continuation` is used up for them."""
    energy, wear = (
        data.lattice.energy_mwh.astype(np.float32),
        data.lattice.wear_eur.astype(np.float32),
    )
    prices = forecasts.price_eur_mwh.astype(np.float32)
    advantages = continuation.reshape(*prices.shape, 2, data.lattice.nodes)
    advantages -= wear
    for decision in range(prices.shape[1]):
        advantages[:, decision] += settle_eur(prices[:, decision, None, None], energy)
    return advantages


def _learn_end_value(
    data: TrainingData, forecasts: _Forecasts, end_value_fraction: Floats, half_life_days: float | None
) -> Floats:
    """Worth of a state at midnight per EUR/MWh of the day's mean expected price, realised under the chain's policy."""
    plans, continuation = _continuation(data, forecasts, end_value_fraction)
    end_value = np.repeat(plans.end_value_eur, np.diff(data.day_rows), axis=0)
    swept = backward_pass(data.path, data.lattice, _model_advantages(data, forecasts, continuation), end_value)
    at_midnight = swept.value_eur[data.day_rows[:-1]].astype(np.float64)
    by_soc = at_midnight.reshape(len(at_midnight), data.lattice.soc_nodes, -1)[:, :, :1]
    worth = np.broadcast_to(by_soc - by_soc[:, :1], (len(by_soc), data.lattice.soc_nodes, data.lattice.cycle_nodes))
    levels = np.add.reduceat(forecasts.plan_price_eur_mwh, data.day_rows[:-1]) / np.diff(data.day_rows)
    weighted = levels * recency_weights(data.path.day_numbers[data.day_rows[:-1]], half_life_days)
    return np.asarray(weighted @ worth.reshape(len(worth), -1) / (weighted @ levels))


def _correct(
    data: TrainingData, config: ClosedFormConfig, forecasts: _Forecasts, end_value_fraction: Floats, seed: int
) -> Fitted:
    plans, continuation = _continuation(data, forecasts, end_value_fraction)
    end_value = np.repeat(plans.end_value_eur, np.diff(data.day_rows), axis=0)
    advantages = _model_advantages(data, forecasts, continuation)
    model = advantages.mean(axis=1)
    scale = data.encoded.scale_eur_mwh.astype(np.float32)[:, None, None]
    stages = [replace(forecasts.member, end_value_fraction=end_value_fraction)]
    target = np.zeros((len(model), model[0].size), dtype=np.float32)
    correction = np.zeros_like(model)
    for done in range(1, config.passes + 1):
        swept = backward_pass(data.path, data.lattice, advantages, end_value)
        missed = ((swept.advantage_eur - model) / scale).reshape(len(model), -1)
        target += (missed - target) / done
        if config.final_stage_only and done == config.passes:
            fit = config.correction_share * forecasts.ridge.coefficients(
                target, config.shrinkage * config.correction_penalty
            )
            stages.append(replace(stages[0], correction_coefficients=_by_node(fit, data.lattice)))
            break
        fit, out = forecasts.ridge.fit(target, config.shrinkage * config.correction_penalty)
        fit, out = config.correction_share * fit, config.correction_share * out
        stages.append(replace(stages[0], correction_coefficients=_by_node(fit, data.lattice)))
        newest = scale * out.reshape(model.shape)
        advantages += (newest - correction)[:, None]
        correction = newest
    if config.network is not None:
        rows = np.flatnonzero(data.folds >= 0)
        network = fit_regression(data.encoded.features, target, rows, config.network, seed)
        stages.append(_average_with_network(stages[-1], network, data.lattice))
    if config.final_stage_only:
        return Fitted(tuple(stages[-1:]), None)
    scale_eur_mwh = data.encoded.scale_eur_mwh
    features = data.encoded.features
    returns = realised_returns(data.path, data.lattice, features, advantages, end_value, scale_eur_mwh)
    return Fitted(tuple(stages), returns, advantages)


def day_end_values(member: EnsembleMember, data: TrainingData) -> Floats:
    """Worth of a state at the end of each row's day, by the member's own plan, shape [n, nodes]."""
    plan = data.plan_encoded
    regressors = member.plan_map(np.ascontiguousarray(plan.features[:, : len(member.plan_map.mean)]))
    expected = predict_price(plan, regressors, member.plan_coefficients)
    lengths = np.diff(data.day_rows)
    levels = np.add.reduceat(expected, data.day_rows[:-1]) / lengths
    return np.repeat(np.maximum(levels, 0.0), lengths)[:, None] * member.end_value_fraction


def _by_node(coefficients: Singles, lattice: Lattice) -> Singles:
    """From [regressors, 2 x nodes] to [2, nodes, regressors]."""
    return np.ascontiguousarray(coefficients.T).reshape(2, lattice.nodes, -1)


def _average_with_network(member: EnsembleMember, network: Network, lattice: Lattice) -> EnsembleMember:
    """Half the ridge correction, half the network's; its bias goes to the constant regressor."""
    ridge, learned = member.correction_coefficients / 2.0, _by_node(network.output_weight, lattice) / 2.0
    ridge[:, :, 0] += network.output_bias.reshape(2, lattice.nodes) / 2.0 / CONSTANT
    both = np.concatenate([ridge, learned], axis=2).astype(np.float32)
    return replace(member, network=network, correction_coefficients=both)
