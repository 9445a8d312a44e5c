"""A second ceiling, NOT CAUSAL: the learned policy, given the final price of the running quarter-hour at its start.

Contract
- It is a cheat with a label: what minute records can be worth at most, for a policy that otherwise knows what a causal
  one knows. It is given that one price, and nothing later.
- The price comes through one series of its own, which no real market has. A policy trained with it refuses a market
  without it; it has no name as a policy, no card and no file, so nothing can decide by it outside a backtest.
- It is learned as the causal policy is: same days, same encoder, same regressions. The forecast of the running price is
  the price itself, and its departure from day-ahead is one more feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from arbitrage.backtest.engine import KNOWN_QUARTER_HOUR, Backtest, run_backtest
from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault
from arbitrage.features.encoder import Encoded, MarketFeatures
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.fit import fit_closed_form, prepare_training_data
from arbitrage.market.point_in_time import KnownMarket, PointInTimeSeries
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import SocReset, Span
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.policy_schedule import policy_schedule
from arbitrage.progress import ProgressCallback, silent

RUNNING_PRICE = "running_quarter_hour_final_price_eur_mwh"
"""PointInTimeSeries of final prices that may be known when their quarter-hour begins. No real market has it."""
KNOWN_DEPARTURE = "known_price_less_base"
_FEWEST_QUARTER_HOURS = 14 * 92


def reveal(market: MarketSeries) -> MarketSeries:
    """The same market with each quarter-hour's final price known from its start, as a series of its own."""
    final = PointInTimeSeries(int(market.quarter_hours[0]), market.price_eur_mwh, market.quarter_hours)
    return replace(market, known_series={**market.known_series, RUNNING_PRICE: final})


@dataclass(frozen=True)
class RevealedFeatures(MarketFeatures):
    """The features by the quarter-hour, and the running quarter-hour's price where it is known.

    That price is the base which a forecast departs from: what is left to forecast of it is nothing. Where it is not
    known, as for later quarter-hours, the features are the causal ones.
    """

    @cached_property
    def quarter_names(self) -> tuple[str, ...]:
        """Those of the causal features, and how far the known price lies from the causal base."""
        return (*MarketFeatures(self.feature_set).quarter_names, KNOWN_DEPARTURE)

    def encode_quarters(self, known: KnownMarket) -> Encoded:
        """As the causal features, with the known price as base and feature."""
        causal = MarketFeatures(self.feature_set).encode_quarters(known)
        price = known.gather(RUNNING_PRICE, [0])[:, 0]
        is_known = np.isfinite(price)
        departure = np.where(is_known, (price - causal.base_eur_mwh) / causal.scale_eur_mwh, 0.0).astype(np.float32)
        features = np.concatenate([causal.features, departure[:, None]], axis=1)
        return Encoded(features, np.where(is_known, price, causal.base_eur_mwh), causal.scale_eur_mwh)


@dataclass(frozen=True, slots=True)
class KnownQuarterHour:
    """The ceiling, fitted; it can be backtested and nothing else."""

    _policy: ClosedFormPolicy

    def backtest(
        self, market: MarketSeries, battery: Battery, selection: Sequence[Span], *, progress: ProgressCallback = silent
    ) -> Backtest:
        """As a strategy in the same ledger. Raises BadInput for another battery than it was fitted for."""
        return run_backtest(reveal(market), battery, self._policy, selection, progress=progress)

    @staticmethod
    def backtest_in_turn(
        market: MarketSeries,
        battery: Battery,
        selection: Sequence[Span],
        turns: Sequence[tuple[int, KnownQuarterHour]],
        *,
        progress: ProgressCallback = silent,
    ) -> Backtest:
        """Walk-forward: each from its epoch minute on, in one life. Raises BadInput as `backtest` does."""
        policy = policy_schedule(KNOWN_QUARTER_HOUR, [(start, ceiling._policy) for start, ceiling in turns])
        return run_backtest(reveal(market), battery, policy, selection, progress=progress)


def fit_known_quarter_hour(
    market: MarketSeries,
    battery: Battery,
    training: Sequence[Span],
    soc_reset: SocReset,
    *,
    config: ClosedFormConfig | None = None,
    seed: int = 0,
) -> KnownQuarterHour:
    """Train it on the spans as the causal policy is trained; by default with a configuration of a few seconds.

    Raises BadInput where the spans are too few to hold days out.
    """
    if sum(len(span) for span in training) < _FEWEST_QUARTER_HOURS:
        raise BadInput([Fault(KNOWN_QUARTER_HOUR, "needs two weeks of days that are not tested to learn from")])
    config, revealed = config or ClosedFormConfig.fast(), reveal(market)
    features = RevealedFeatures()
    data = prepare_training_data(revealed, battery, training, soc_reset, config.size, features)
    member = fit_closed_form(data, config, seed).stages[-1]
    sources = tuple(sorted(revealed.known_series))
    delay = market.publication_delay_min + market.decision_latency_min
    policy = ClosedFormPolicy(battery, config.size, (member,), sources, features, delay, name=KNOWN_QUARTER_HOUR)
    return KnownQuarterHour(policy)
