"""A model-predictive controller as files; see `policy_files`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from arbitrage.battery import Battery
from arbitrage.errors import Fault, refuse
from arbitrage.features.units import seen_in_words
from arbitrage.policies.checkpoint.card_schema import Kind
from arbitrage.policies.checkpoint.files import (
    Card,
    PolicyFileSpec,
    Tensors,
    battery_in_words,
    feature_facts,
    features_of,
    write_policy_files,
)
from arbitrage.policies.checkpoint.tensor_layout import (
    DOUBLE,
    INDEX,
    LEAST_SPREAD,
    SINGLE,
    Layout,
    Slot,
    check_tensors,
    size_of,
)
from arbitrage.policies.mpc.horizon import LONGEST_DAY, input_names
from arbitrage.policies.mpc.policy import Form, MpcConfig, MpcPolicy, Point
from arbitrage.policies.mpc.price_forecast import PriceForecast
from arbitrage.policies.mpc.trees import LEAF, Trees
from arbitrage.risk import RiskMeasure, RiskPreference

_MOST_QUANTILES = 99
_MOST_PATHS = 1_000
_MOST_LEADS = 2 * LONGEST_DAY
_PLAIN = ("mean", "std", "coefficients", "fractions", "paths")


def save_mpc_policy(directory: Path, policy: MpcPolicy, about: Card) -> Card:
    """Write the policy into a directory and return its card; `about` adds what the policy itself does not know."""
    forecast = policy.forecast
    tensors: Tensors = {name: np.ascontiguousarray(getattr(forecast, name)) for name in _PLAIN}
    for number, trees in enumerate(forecast.quantiles):
        tensors |= {f"quantile{number}.{name}": np.ascontiguousarray(part) for name, part in trees._asdict().items()}
    preference = policy.preference or RiskPreference()
    card = {
        "kind": Kind.PREDICTIVE.value,
        "name": policy.name,
        "description": _description(policy),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "battery": asdict(policy.battery),
        "sources": list(policy.sources),
        **feature_facts(policy.features),
        "forecast_inputs": list(input_names(policy.features)),
        "step_min": policy.step_min,
        "plan": asdict(policy.config),
        "preference": asdict(preference),
        **about,
    }
    return write_policy_files(directory, tensors, card)


def check_mpc(card: Card, tensors: Tensors, path: Path) -> None:
    """Raises BadInput where the tensors are not those of the card's policy."""
    inputs = len(card["forecast_inputs"])
    quantiles = min(max(size_of(tensors, "fractions"), 2), _MOST_QUANTILES)
    paths, leads = min(size_of(tensors, "paths"), _MOST_PATHS), min(size_of(tensors, "paths", 1), _MOST_LEADS)
    layout: Layout = {
        "mean": Slot(SINGLE, (inputs,)),
        "std": Slot(SINGLE, (inputs,), low=LEAST_SPREAD),
        "coefficients": Slot(DOUBLE, (1 + inputs,)),
        "fractions": Slot(DOUBLE, (quantiles,), low=0.0, high=1.0),
        "paths": Slot(DOUBLE, (paths, leads), low=0.0, high=1.0),
    }
    for number in range(quantiles):
        layout |= _trees_layout(f"quantile{number}.", inputs, tensors)
    check_tensors(tensors, layout, path)
    faults = [fault for number in range(quantiles) for fault in _tree_faults(f"quantile{number}.", tensors)]
    if (np.diff(tensors["fractions"]) <= 0.0).any():
        faults.append("tensor fractions does not ascend")
    refuse(Fault(str(path), fault) for fault in faults)


def _trees_layout(prefix: str, inputs: int, tensors: Tensors) -> Layout:
    trees, nodes = size_of(tensors, f"{prefix}roots"), size_of(tensors, f"{prefix}inputs")
    return {
        f"{prefix}baseline": Slot(DOUBLE, (1,)),
        f"{prefix}roots": Slot(INDEX, (trees,), low=0, high=nodes - 1),
        f"{prefix}inputs": Slot(INDEX, (nodes,), low=LEAF, high=inputs - 1),
        f"{prefix}thresholds": Slot(DOUBLE, (nodes,)),
        f"{prefix}left": Slot(INDEX, (nodes,)),
        f"{prefix}right": Slot(INDEX, (nodes,)),
        f"{prefix}values": Slot(DOUBLE, (nodes,)),
    }


def _tree_faults(prefix: str, tensors: Tensors) -> Iterator[str]:
    """A node's children stand after it and within the file, so that every row ends at a leaf."""
    asking = np.flatnonzero(tensors[f"{prefix}inputs"] != LEAF)
    for side in ("left", "right"):
        children = tensors[f"{prefix}{side}"]
        if not ((children[asking] > asking) & (children[asking] < len(children))).all():
            yield f"tensor {prefix}{side} leads a node back, or out of the trees"


def mpc_policy_from(card: Card, tensors: Tensors, _where: str) -> MpcPolicy:
    """The inverse of `save_mpc_policy`, for files that `check_mpc` has passed.

    Raises BadInput for plans that cannot be made.
    """
    preference = card["preference"]
    return MpcPolicy(
        battery=Battery(**card["battery"]),
        sources=tuple(card["sources"]),
        forecast=_forecast(tensors),
        config=MpcConfig(**card["plan"] | {"form": Form(card["plan"]["form"]), "point": Point(card["plan"]["point"])}),
        features=features_of(card),
        preference=RiskPreference(RiskMeasure(preference["measure"]), preference["level"], preference["weight"]),
        publication_delay_min=int(card["publication_delay_min"]),
    )


def _forecast(tensors: Tensors) -> PriceForecast:
    quantiles = tuple(
        Trees(**{name: tensors[f"quantile{number}.{name}"] for name in Trees._fields})
        for number in range(len(tensors["fractions"]))
    )
    return PriceForecast(quantiles=quantiles, **{name: tensors[name] for name in _PLAIN})


def _description(policy: MpcPolicy) -> str:
    """What the policy is, in plain words, for the card."""
    seen = f"{battery_in_words(policy.battery, policy.step_min)} It sees {seen_in_words(policy.features)}."
    paths = len(policy.forecast.paths)
    on = "its mean" if policy.config.point is Point.MEAN else "its median"
    on = f"{paths} paths drawn from it" if policy.config.form is Form.SCENARIOS else on
    return f"{seen} Model-predictive control: a linear programme on a probabilistic price forecast, on {on}."


MPC_FILES = PolicyFileSpec(Kind.PREDICTIVE, check_mpc, mpc_policy_from)
