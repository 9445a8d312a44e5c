"""Fitting the price forecast with scikit-learn (extra `compare`); only fitting needs that library.

Contract
- Plans made on the training days teach, about quarter-hours of the training days alone. Whatever standardises, and the
  paths' correlation, come from the same rows.
- What the library has grown is checked against its own answer before it is handed out as arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arbitrage.arrays import Flags, Floats, Singles
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.features.encoder import MarketFeatures
from arbitrage.learners.mpc.path_fit import path_fractions
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import Span, rows_of
from arbitrage.policies.mpc.horizon import LONGEST_DAY, Ahead, encode_ahead, look_ahead
from arbitrage.policies.mpc.price_forecast import CLIP, PriceForecast, fraction_at
from arbitrage.policies.mpc.trees import LEAF, Trees, tree_sums
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR

_COMPARED_ROWS = 500
_FEWEST_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastConfig:
    """Settings of the fit, chosen by the loss on validation days of 2022. Raises BadInput for those without sense."""

    near_quarter_hours: int = 4
    """Quarter-hours from now that every plan teaches about."""
    far_quarter_hours: int = 8
    """Later ones drawn for each plan."""
    ridge_penalty: float = 1000.0
    fractions: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    """Of the quantiles."""
    trees: int = 80
    learning_rate: float = 0.06
    leaves: int = 8
    """Of a tree, at most."""
    leaf_rows: int = 1000
    """Training rows of a leaf, at least."""
    paths: int = 10
    plans_for_paths: int = 2000
    """Plans of the training days that the paths' correlation is learned from, at most."""

    def __post_init__(self) -> None:
        inside = all(0.0 < fraction < 1.0 for fraction in self.fractions)
        rules = {
            "near_quarter_hours": (self.near_quarter_hours >= 1, "must be 1 or more"),
            "fractions": (inside and sorted(set(self.fractions)) == list(self.fractions), "must ascend within 0 to 1"),
            "quantiles": (len(self.fractions) >= 2, "must be two or more"),
            "paths": (self.paths >= 2, "must be 2 or more"),
        }
        refuse(Fault(name, message) for name, (holds, message) in rules.items() if not holds)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Pairs of a plan and a quarter-hour planned for, encoded, with what came; arrays of shape [n]."""

    ahead: Ahead
    inputs: Singles
    target: Floats
    """Price less base, in units of the scale; NaN where there is no price of the training days."""


def fit_price_forecast(
    market: MarketSeries,
    selection: Sequence[Span],
    beyond: int = 0,
    config: ForecastConfig | None = None,
    seed: int = 0,
) -> PriceForecast:
    """Fit on the training spans a forecast that reaches `beyond` quarter-hours past the end of the day.

    Raises BadInput where scikit-learn is not installed, or the spans hold too little to learn from.
    """
    learn = _scikit_learn()
    # Threads that share a processor wait for each other more than they help, and sums would depend on their number.
    with learn.threadpool_limits(limits=1):
        return _fit(learn, market, selection, beyond, config or ForecastConfig(), seed)


def _fit(
    learn: _Learners, market: MarketSeries, selection: Sequence[Span], beyond: int, config: ForecastConfig, seed: int
) -> PriceForecast:
    rng = np.random.default_rng(seed)
    training = np.zeros(len(market), dtype=np.bool_)
    training[rows_of(selection)] = True
    everything = look_ahead(market.quarter_hours[training], beyond)
    rows = _encoded(market, training, everything.at(_drawn(everything, config, rng)))
    known = ~np.isnan(rows.target)
    inputs, target = rows.inputs[known], rows.target[known]
    if len(target) < _FEWEST_ROWS:
        raise BadInput([Fault("training days", f"hold {len(target)} rows to learn prices from; give more days")])
    mean = inputs.mean(axis=0, dtype=np.float64).astype(np.float32)
    std = inputs.std(axis=0, dtype=np.float64)
    std = np.where(std > 1e-9, std, 1.0).astype(np.float32)
    standard = np.clip((inputs - mean) / std, -CLIP, CLIP)
    ridge = learn.Ridge(alpha=config.ridge_penalty).fit(standard, target)
    departure = target - ridge.predict(standard)
    grown = [_grow(learn, config, fraction, inputs, departure, seed) for fraction in config.fractions]
    forecast = PriceForecast(
        mean=mean,
        std=std,
        coefficients=np.concatenate(([ridge.intercept_], ridge.coef_)).astype(np.float64),
        fractions=np.array(config.fractions),
        quantiles=tuple(grown),
        paths=np.full((config.paths, LONGEST_DAY + beyond), 0.5),
    )
    plans = rng.permutation(len(everything.moment))[: config.plans_for_paths]
    whole = everything.at(np.isin(everything.plan, plans))
    paths = path_fractions(_past_fractions(market, training, whole, forecast), config.paths, rng)
    return PriceForecast(mean, std, forecast.coefficients, forecast.fractions, forecast.quantiles, paths)


def _drawn(everything: Ahead, config: ForecastConfig, rng: np.random.Generator) -> Flags:
    """The nearest quarter-hours of every plan, and as many later ones as asked for, on average."""
    near = everything.lead < config.near_quarter_hours
    far = np.bincount(everything.plan[~near], minlength=len(everything.moment))
    share = config.far_quarter_hours / np.maximum(far, 1)[everything.plan]
    return np.asarray(near | (rng.random(len(near)) < share))


def _encoded(market: MarketSeries, training: Flags, ahead: Ahead) -> _Rows:
    encoded = encode_ahead(MarketFeatures(), market.known_at(market.quarter_hours[training]), ahead)
    row = (ahead.about - market.quarter_hours[0]) // MINUTES_PER_QUARTER_HOUR
    inside = row < len(market)
    row = np.where(inside, row, 0)
    price = np.where(inside & training[row], market.price_eur_mwh[row], np.nan)
    return _Rows(ahead, encoded.inputs, (price - encoded.base_eur_mwh) / encoded.scale_eur_mwh)


def _past_fractions(market: MarketSeries, training: Flags, ahead: Ahead, forecast: PriceForecast) -> Floats:
    """Which quantile of its forecast each quarter-hour took, shape [plans, leads]; NaN where there is no price."""
    rows = _encoded(market, training, ahead)
    standard = np.clip((rows.inputs - forecast.mean) / forecast.std, -CLIP, CLIP)
    departure = rows.target - forecast.coefficients[0] - standard @ forecast.coefficients[1:]
    quantiles = np.sort(np.column_stack([tree_sums(trees, rows.inputs) for trees in forecast.quantiles]), axis=1)
    number = np.unique(ahead.plan, return_inverse=True)[1]
    out = np.full((number.max() + 1, forecast.paths.shape[1]), np.nan)
    for at in np.flatnonzero(~np.isnan(departure)):
        out[number[at], ahead.lead[at]] = fraction_at(forecast.fractions, quantiles[at], departure[at])
    return out


def _grow(
    learn: _Learners, config: ForecastConfig, fraction: float, inputs: Singles, target: Floats, seed: int
) -> Trees:
    grown = learn.HistGradientBoostingRegressor(
        loss="quantile",
        quantile=fraction,
        learning_rate=config.learning_rate,
        max_iter=config.trees,
        max_leaf_nodes=config.leaves,
        min_samples_leaf=config.leaf_rows,
        max_features=0.5,
        early_stopping=False,
        random_state=seed,
    ).fit(inputs, target)
    trees = _trees_of(grown)
    some = inputs[:: max(1, len(inputs) // _COMPARED_ROWS)]
    if not np.allclose(tree_sums(trees, some), grown.predict(some), rtol=1e-9, atol=1e-9):
        raise RuntimeError("the trees read as plain arrays say otherwise than scikit-learn")
    return trees


def _trees_of(grown: Any) -> Trees:
    """The library's trees as arrays; it keeps the nodes of each in a structured array."""
    nodes = [predictor.nodes for (predictor,) in grown._predictors]
    first = np.cumsum([0, *(len(part) for part in nodes)])
    joined = np.concatenate(nodes)
    shift = np.repeat(first[:-1], [len(part) for part in nodes])
    leaf = joined["is_leaf"].astype(bool)
    return Trees(
        baseline=np.asarray(grown._baseline_prediction, dtype=np.float64).reshape(1),
        roots=first[:-1].astype(np.int32),
        inputs=np.where(leaf, LEAF, joined["feature_idx"]).astype(np.int32),
        thresholds=joined["num_threshold"].astype(np.float64),
        left=np.where(leaf, 0, joined["left"] + shift).astype(np.int32),
        right=np.where(leaf, 0, joined["right"] + shift).astype(np.int32),
        values=joined["value"].astype(np.float64),
    )


class _Learners:
    """What is used of the library."""

    def __init__(self) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor
        from sklearn.linear_model import Ridge
        from threadpoolctl import threadpool_limits

        self.HistGradientBoostingRegressor, self.Ridge = HistGradientBoostingRegressor, Ridge
        self.threadpool_limits = threadpool_limits


def _scikit_learn() -> _Learners:
    """Loads the library no sooner than it is needed. Raises BadInput where it is not installed."""
    try:
        return _Learners()
    except ImportError as missing:
        needed = "fitting a price forecast needs scikit-learn: pip install 'arbitrage[compare]'"
        raise BadInput([Fault("scikit-learn", needed)]) from missing
