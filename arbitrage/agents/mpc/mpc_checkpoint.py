"""A model-predictive controller as files; see `policy_files`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from arbitrage.agents.feature_units import feature_units, seen_in_words
from arbitrage.agents.mpc.horizon import input_names
from arbitrage.agents.mpc.mpc_policy import Form, MpcConfig, MpcPolicy, Point
from arbitrage.agents.mpc.price_forecast import PriceForecast
from arbitrage.agents.mpc.trees import Trees
from arbitrage.agents.policy_files import Card, Tensors, battery_in_words, feature_names, write_policy_files
from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault
from arbitrage.observation import FeatureSet, MarketFeatures
from arbitrage.risk import RiskMeasure, RiskPreference

KIND = "model_predictive_control"
_PLAIN = ("mean", "std", "coefficients", "fractions", "paths")


def save_mpc_policy(directory: Path, policy: MpcPolicy, about: Card) -> Card:
    """Write the policy into a directory and return its card; `about` adds what the policy itself does not know."""
    forecast = policy.forecast
    tensors: Tensors = {name: np.ascontiguousarray(getattr(forecast, name)) for name in _PLAIN}
    for number, trees in enumerate(forecast.quantiles):
        tensors |= {f"quantile{number}.{name}": np.ascontiguousarray(part) for name, part in trees._asdict().items()}
    preference = policy.preference or RiskPreference()
    card = {
        "kind": KIND,
        "name": policy.name,
        "description": _description(policy),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "battery": asdict(policy.battery),
        "sources": list(policy.sources),
        "feature_set": policy.features.feature_set.value,
        "features": feature_names(policy.features),
        "feature_units": feature_units(policy.features),
        "forecast_inputs": list(input_names(policy.features)),
        "step_min": policy.step_min,
        "plan": asdict(policy.config),
        "preference": asdict(preference),
        **about,
    }
    return write_policy_files(directory, tensors, card)


def mpc_policy_from(card: Card, tensors: Tensors, where: str) -> MpcPolicy:
    """The inverse of `save_mpc_policy`. Raises BadInput naming `where`."""
    features = MarketFeatures(FeatureSet(card["feature_set"]))
    if card.get("forecast_inputs") != list(input_names(features)):
        raise BadInput([Fault(where, "names other inputs of its forecast than this version encodes; fit anew")])
    try:
        preference = card["preference"]
        return MpcPolicy(
            battery=Battery(**card["battery"]),
            sources=tuple(card["sources"]),
            forecast=_forecast(tensors),
            config=_config(card["plan"]),
            features=features,
            preference=RiskPreference(RiskMeasure(preference["measure"]), preference["level"], preference["weight"]),
            publication_delay_min=int(card["publication_delay_min"]),
        )
    except (LookupError, TypeError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput([Fault(where, f"holds other tensors than this version serves: {error!r}")]) from error


def _config(plan: dict[str, Any]) -> MpcConfig:
    return MpcConfig(**plan | {"form": Form(plan["form"]), "point": Point(plan["point"])})


def _forecast(tensors: Tensors) -> PriceForecast:
    """Raises LookupError or TypeError if it is not whole, ValueError if its parts do not fit each other."""
    count = len(tensors["fractions"])
    quantiles = tuple(
        Trees(**{name: tensors[f"quantile{number}.{name}"] for name in Trees._fields}) for number in range(count)
    )
    forecast = PriceForecast(quantiles=quantiles, **{name: tensors[name] for name in _PLAIN})
    inputs = len(forecast.mean)
    asked = max(int(trees.inputs.max()) for trees in quantiles)
    if forecast.std.shape != (inputs,) or forecast.coefficients.shape != (1 + inputs,) or asked >= inputs:
        raise ValueError("parts of the forecast do not fit each other")
    return forecast


def _description(policy: MpcPolicy) -> str:
    """What the policy is, in plain words, for the card."""
    seen = f"{battery_in_words(policy.battery, policy.step_min)} It sees {seen_in_words(policy.features)}."
    paths = len(policy.forecast.paths)
    on = "its mean" if policy.config.point is Point.MEAN else "its median"
    on = f"{paths} paths drawn from it" if policy.config.form is Form.SCENARIOS else on
    return f"{seen} Model-predictive control: a linear programme on a probabilistic price forecast, on {on}."
