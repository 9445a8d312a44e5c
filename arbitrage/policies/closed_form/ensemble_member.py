"""One fitted member of a learned policy, and how its numbers turn features into plans and forecasts.

Contract: plain arrays; what is computed of a time depends on that time alone, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arbitrage.arrays import Floats, Numbers, Singles
from arbitrage.features.encoder import Encoded, MarketFeatures
from arbitrage.market.point_in_time import KnownMarket
from arbitrage.policies.closed_form.minute_heads import MinuteHeads
from arbitrage.policies.closed_form.price_chain import DayPlans, PriceChain
from arbitrage.policies.closed_form.random_features import RandomFeatures, row_products
from arbitrage.policies.networks import Network, hidden_rows
from arbitrage.quarter_hour import brussels_midnight, quarter_hour_grid


@dataclass(frozen=True, slots=True)
class EnsembleMember:
    """One fitted member of the ensemble."""

    plan_map: RandomFeatures
    plan_coefficients: Singles
    """Shape [plan regressors]; expected price less base, in units of the scale at midnight."""
    full_map: RandomFeatures
    forecast_coefficients: Singles
    """Shape [full regressors]; one-step forecast less base, in units of the scale."""
    slow_coefficients: Singles
    """Shape [slow regressors]; see `slow_gaps`."""
    chain: PriceChain
    network: Network | None
    """Its hidden layer, if there is one, adds learned regressors to the random ones for the correction."""
    correction_coefficients: Singles
    """Shape [2, nodes, correction regressors]; correction of the advantage, in units of the scale."""
    end_value_fraction: Floats
    """Shape [nodes]; worth of a state at a day's end, in EUR per EUR/MWh of that day's mean expected price."""
    minutes: MinuteHeads | None = None
    """What the running quarter-hour's minute records add, where they are used."""

    def correction_regressors(self, features: Singles, regressors: Singles) -> Singles:
        """The full map's regressors [n, full], and the network's hidden layer of the features beside them."""
        if self.network is None:
            return regressors
        return np.concatenate([regressors, hidden_rows(self.network, features)], axis=1)


@dataclass(frozen=True, slots=True)
class DayOutline:
    """The quarter-hours of whole Brussels days, and what was known of them at each day's midnight."""

    starts: Numbers
    """Shape [n]; epoch minutes."""
    day_start: Numbers
    """Shape [days + 1]; row at which each day begins, and the end."""
    encoded: Encoded
    """As of midnight, about each quarter-hour."""


def outline_days(features: MarketFeatures, known: KnownMarket, day_numbers: Numbers) -> DayOutline:
    """Whole Brussels days [days], ascending, seen from their midnights; none may begin after the last known time."""
    midnights = [(brussels_midnight(int(day)), brussels_midnight(int(day) + 1)) for day in day_numbers]
    days = [quarter_hour_grid(start, end) for start, end in midnights]
    starts = np.concatenate(days)
    known_from = np.concatenate([np.full(len(day), day[0]) for day in days])
    encoded = features.encode_quarters(known.as_of(known_from, starts))
    return DayOutline(starts, np.cumsum([0, *(len(day) for day in days)]), encoded)


def plan_days(member: EnsembleMember, outline: DayOutline, nodes: int) -> DayPlans:
    """A member's plan of the outlined days."""
    regressors = member.plan_map(outline.encoded.features[:, : len(member.plan_map.mean)])
    expected = predict_price(outline.encoded, regressors, member.plan_coefficients)
    levels = np.add.reduceat(expected, outline.day_start[:-1]) / np.diff(outline.day_start)
    return DayPlans(
        expected_price_eur_mwh=expected,
        scale_eur_mwh=outline.encoded.scale_eur_mwh,
        day_start=outline.day_start,
        end_value_eur=np.maximum(levels, 0.0)[:, None] * member.end_value_fraction.reshape(1, nodes),
    )


def slow_regressors(features: MarketFeatures, encoded: Encoded, fast: Floats) -> Singles:
    """A constant, the prices just past, and the fast gap: what the slow gap is forecast from, shape [n, regressors]."""
    first = len(features.plan_names)
    recent = encoded.features[:, first : first + len(features.short_names)]
    return np.column_stack([np.ones(len(fast)), recent, fast]).astype(np.float32)


def slow_gaps(features: MarketFeatures, encoded: Encoded, fast: Floats, coefficients: Singles) -> Floats:
    """Forecast of the coming hours' departure from plan, beyond what the fast gap implies, shape [n]."""
    return row_products(slow_regressors(features, encoded, fast), coefficients)


def predict_price(encoded: Encoded, regressors: Singles, coefficients: Singles) -> Floats:
    """Base plus scale times the regression, EUR/MWh, shape [n]."""
    return encoded.base_eur_mwh + encoded.scale_eur_mwh * row_products(regressors, coefficients)
