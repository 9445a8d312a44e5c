"""The composition root of model-predictive control: from a market and a split to a policy directory.

Contract: training days are fitted, validation days tell what came of it and choose nothing here, test days are nobody's
business. With `refit` the validation days are fitted too, after they have told. The forecast knows nothing of the
battery, so one serves several.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from arbitrage.backtest.engine import run_backtest
from arbitrage.backtest.metrics import summary
from arbitrage.features.encoder import MarketFeatures
from arbitrage.learners.mpc.forecast_fit import ForecastConfig, fit_price_forecast
from arbitrage.market.splits import SocReset
from arbitrage.policies.checkpoint.files import Card
from arbitrage.policies.checkpoint.mpc import save_mpc_policy
from arbitrage.policies.mpc.policy import Form, MpcConfig, MpcPolicy
from arbitrage.policies.mpc.price_forecast import PriceForecast
from arbitrage.risk import RiskPreference
from arbitrage.training.plan import ProgressCallback, TrainingPlan, provenance

BEYOND_QUARTER_HOURS = 48
"""Planned for past midnight where energy is carried over it."""
_VALIDATED = ("profit_eur_per_day", "capture_fraction", "cycles_per_day", "conditional_value_at_risk_eur", "violations")


@dataclass(frozen=True, slots=True, kw_only=True)
class MpcPlan:
    """What to fit on what, and how it plans."""

    days: TrainingPlan
    """Market, battery, split and seed; its settings of the closed form do not matter here."""
    config: MpcConfig
    forecast: ForecastConfig = field(default_factory=ForecastConfig)
    preference: RiskPreference | None = None
    """Of the scenarios' plan; mean + weight x CVaR."""

    @classmethod
    def of(cls, form: Form, days: TrainingPlan, preference: RiskPreference | None = None) -> MpcPlan:
        """The form with the horizon that suits the split. Raises BadInput for a preference that it cannot have."""
        beyond = 0 if days.soc_reset is SocReset.DAILY else BEYOND_QUARTER_HOURS
        return cls(days=days, config=MpcConfig(form=form, beyond_quarter_hours=beyond), preference=preference)

    def fingerprint(self) -> str:
        """Names everything that the outcome depends on."""
        facts = {
            "days": self.days.fingerprint(),
            "plan": asdict(self.config),
            "forecast": asdict(self.forecast),
            "preference": str(self.preference),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def fit_forecast(plan: MpcPlan) -> PriceForecast:
    """The forecast of the plan's `fitted_days`. Raises BadInput where scikit-learn is not installed."""
    days = plan.days
    beyond = plan.config.beyond_quarter_hours
    return fit_price_forecast(days.market, days.selection(*days.fitted_days), beyond, plan.forecast, days.seed)


def mpc_policy(plan: MpcPlan, forecast: PriceForecast | None = None) -> MpcPolicy:
    """The policy from a market in memory; `forecast` is that of `fit_forecast`, where it is at hand."""
    market = plan.days.market
    return MpcPolicy(
        battery=plan.days.battery,
        sources=tuple(sorted(market.known_series)),
        forecast=forecast or fit_forecast(plan),
        config=plan.config,
        features=MarketFeatures(),
        preference=plan.preference,
        publication_delay_min=market.publication_delay_min + market.decision_latency_min,
    )


def fit_mpc(plan: MpcPlan, directory: Path, report: ProgressCallback = lambda _text, _share: None) -> Card:
    """Fit a policy into a directory and return its card, with what it earns on the validation days.

    Raises BadInput where scikit-learn is not installed.
    """
    began, days = time.perf_counter(), plan.days
    report("fitting the price forecast", 0.0)
    policy = mpc_policy(replace(plan, days=replace(days, refit=False)))
    fit_seconds = time.perf_counter() - began
    report("validating", 0.5 if days.refit else 0.7)
    result = summary(run_backtest(days.market, days.battery, policy, days.selection(days.validation_days)))
    if days.refit:
        report("fitting anew with the validation days", 0.6)
        policy = mpc_policy(plan)
    about = {
        **provenance(days),
        "plan_sha256": plan.fingerprint(),
        "config": asdict(plan.forecast),
        "validation": {plan.config.form.value: {name: result[name] for name in _VALIDATED}},
        "chosen_stage": plan.config.form.value,
        "refit": days.refit,
        "fit_seconds": round(fit_seconds, 2),
        "training_seconds": round(time.perf_counter() - began, 2),
    }
    card = save_mpc_policy(directory, policy, about)
    report("done", 1.0)
    return card
