"""The composition root of model-predictive control: from a split of days to a policy directory.

Contract: training days are fitted. Validation days measure the result and choose nothing here. Test days are in no
split. With `refit` the validation days are fitted too, after they have been measured. The forecast knows nothing of the
battery, so that one forecast serves several.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.metrics import summary
from arbitrage.battery import Battery
from arbitrage.errors import Fault
from arbitrage.features.encoder import MarketFeatures, encoder_needs
from arbitrage.learners.mpc.forecast_fit import ForecastConfig, fit_price_forecast
from arbitrage.market.coverage import Need
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import SocReset
from arbitrage.policies.checkpoint.files import Card
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.checkpoint.mpc import save_mpc_policy
from arbitrage.policies.mpc.policy import Form, MpcConfig, MpcPolicy
from arbitrage.policies.mpc.price_forecast import PriceForecast
from arbitrage.policies.protocol import Policy
from arbitrage.progress import Progress, ProgressCallback, silent
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR
from arbitrage.risk import RiskPreference
from arbitrage.training.data_split import DataSplit
from arbitrage.training.plan import VALIDATED, TrainingPlan, provenance, records_delay_min

BEYOND_QUARTER_HOURS = 48
"""Planned for past midnight where energy is carried over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MpcTrainer:
    """A price forecast is fitted, and plans are made with it."""

    config: MpcConfig
    forecast: ForecastConfig = field(default_factory=ForecastConfig)
    preference: RiskPreference | None = None
    """Of the scenarios' plan; mean + weight x CVaR."""
    refit: bool = False
    """Whether the forecast is fitted again on training and validation days together."""

    @classmethod
    def of(
        cls, split: DataSplit, form: Form, preference: RiskPreference | None = None, *, refit: bool = False
    ) -> MpcTrainer:
        """The form with the horizon that suits the split."""
        beyond = 0 if split.soc_reset is SocReset.DAILY else BEYOND_QUARTER_HOURS
        return cls(config=MpcConfig(form=form, beyond_quarter_hours=beyond), preference=preference, refit=refit)

    @property
    def step_min(self) -> int:
        """Plans are made every quarter-hour."""
        return MINUTES_PER_QUARTER_HOUR

    def needs(self, market: MarketSeries) -> Sequence[Need]:
        """The series that are encoded."""
        return encoder_needs(MarketFeatures().feature_set, market.known_series)

    def facts(self) -> dict[str, Any]:
        """Method and configuration."""
        return {
            "method": "model-predictive control",
            "config": asdict(self.config),
            "forecast": asdict(self.forecast),
            "preference": None if self.preference is None else str(self.preference),
            "refit": self.refit,
        }

    def faults(self, split: DataSplit) -> Sequence[Fault]:  # noqa: ARG002 (it learns from any split)
        """None: it learns from any split."""
        return ()

    def fit(
        self, split: DataSplit, battery: Battery, seed: int, directory: Path, progress: ProgressCallback = silent
    ) -> Card:
        """Fit a policy into a directory and return its card, with what it earns on the validation days.

        Raises BadInput where scikit-learn is not installed, and for a preference that the form cannot have.
        """
        began, form = time.perf_counter(), self.config.form.value
        progress(Progress("fitting the price forecast", 0.0))
        policy = self.policy(split, battery, replace(self, refit=False).fit_forecast(split, seed))
        fit_seconds = time.perf_counter() - began
        progress(Progress("validating", 0.5 if self.refit else 0.7))
        result = summary(run_backtest(split.market, battery, policy, split.selection(split.validation_days)))
        if self.refit:
            progress(Progress("fitting again with the validation days", 0.6))
            policy = self.policy(split, battery, self.fit_forecast(split, seed))
        about = {
            **provenance(TrainingPlan(trainer=self, split=split, battery=battery, seed=seed)),
            "config": asdict(self.forecast),
            "validation": {form: {name: result[name] for name in VALIDATED}},
            "chosen_stage": form,
            "refit": self.refit,
            "fit_seconds": round(fit_seconds, 2),
            "training_seconds": round(time.perf_counter() - began, 2),
        }
        card = save_mpc_policy(directory, policy, about)
        progress(Progress("done", 1.0))
        return card

    def load(self, directory: Path) -> Policy:
        """The policy that `fit` wrote there."""
        return load_policy(directory)

    def fit_forecast(self, split: DataSplit, seed: int = 0) -> PriceForecast:
        """The forecast alone, of the days that may be fitted. Raises BadInput where scikit-learn is not installed."""
        days = split.selection(*split.fitted_days(refit=self.refit))
        return fit_price_forecast(split.market, days, self.config.beyond_quarter_hours, self.forecast, seed)

    def policy(self, split: DataSplit, battery: Battery, forecast: PriceForecast) -> MpcPolicy:
        """The policy in memory; `forecast` is that of `fit_forecast`."""
        learned_min = split.day_ahead_steps_min(*split.fitted_days(refit=self.refit))
        return MpcPolicy(
            battery=battery,
            sources=tuple(sorted(split.market.known_series)),
            forecast=forecast,
            config=self.config,
            features=MarketFeatures(learned_day_ahead_min=learned_min),
            preference=self.preference,
            publication_delay_min=records_delay_min(split.market),
        )
