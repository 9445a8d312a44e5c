"""A network policy as files; see `policy_files`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from arbitrage.battery import Battery
from arbitrage.features.battery_state import BATTERY_FEATURES
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.features.units import seen_in_words
from arbitrage.policies.checkpoint.card_schema import Kind
from arbitrage.policies.checkpoint.files import (
    Card,
    PolicyFileSpec,
    Tensors,
    battery_in_words,
    feature_facts,
    features_of,
    records_delay_min,
    write_policy_files,
)
from arbitrage.policies.checkpoint.tensor_layout import (
    DOUBLE,
    LEAST_SPREAD,
    SINGLE,
    Layout,
    Slot,
    check_tensors,
    size_of,
)
from arbitrage.policies.network_policy import Head, NetworkPolicy, PlainNetwork
from arbitrage.risk import RiskMeasure, RiskPreference

_MOST_LAYERS = 16


def save_network_policy(directory: Path, policy: NetworkPolicy, about: Card) -> Card:
    """Write the policy into a directory and return its card; `about` adds what the policy itself does not know."""
    networks = {f"critic{k}": critic for k, critic in enumerate(policy.critics)}
    networks |= {} if policy.actor is None else {"actor": policy.actor}
    tensors = {f"{name}.{part}": value for name, net in networks.items() for part, value in _arrays(net).items()}
    card = {
        "kind": Kind.NETWORK.value,
        "name": policy.name,
        "description": f"{battery_in_words(policy.battery, policy.step_min)} It sees "
        f"{seen_in_words(policy.features)}. A neural network ({policy.name}).",
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "battery": asdict(policy.battery),
        "sources": list(policy.sources),
        **feature_facts(policy.features),
        "state_feature_set": policy.state_features.value,
        "state_features": list(BATTERY_FEATURES[policy.state_features]),
        "step_min": policy.step_min,
        "critics": len(policy.critics),
        "head": policy.head.value,
        "support": list(policy.support),
        "continuous": policy.continuous,
        "reward_scale": policy.reward_scale,
        "preference": asdict(policy.preference),
        **about,
    }
    return write_policy_files(directory, tensors, card)


def check_network(card: Card, tensors: Tensors, path: Path) -> None:
    """Raises BadInput where the tensors are not those of the card's policy."""
    features = MarketFeatures(FeatureSet(card["feature_set"]))
    inputs = len(features.names) + len(BATTERY_FEATURES[FeatureSet(card["state_feature_set"])])
    names = [f"critic{number}." for number in range(card["critics"])]
    names += ["actor."] if any(name.startswith("actor.") for name in tensors) else []
    layout: Layout = {}
    for name in names:
        layout |= _layout(name, inputs, tensors)
    check_tensors(tensors, layout, path)


def _layout(prefix: str, inputs: int, tensors: Tensors) -> Layout:
    """Of a network, whose widths are those of its biases; an input of infinite spread is one that does not count."""
    layers = next(k for k in range(_MOST_LAYERS + 1) if k == _MOST_LAYERS or f"{prefix}bias{k}" not in tensors) or 1
    widths = [inputs, *(size_of(tensors, f"{prefix}bias{k}") for k in range(layers))]
    layout = {
        f"{prefix}mean": Slot(SINGLE, (inputs,)),
        f"{prefix}std": Slot(SINGLE, (inputs,), low=LEAST_SPREAD, finite=False),
        f"{prefix}limit": Slot(DOUBLE, (1,), low=LEAST_SPREAD, finite=False),
    }
    for k in range(layers):
        layout[f"{prefix}weight{k}"] = Slot(SINGLE, (widths[k], widths[k + 1]))
        layout[f"{prefix}bias{k}"] = Slot(SINGLE, (widths[k + 1],))
    return layout


def network_policy_from(card: Card, tensors: Tensors, _where: str) -> NetworkPolicy:
    """The inverse of `save_network_policy`, for files that `check_network` has passed.

    Raises BadInput for a make-up that cannot decide.
    """
    preference = card["preference"]
    return NetworkPolicy(
        battery=Battery(**card["battery"]),
        sources=tuple(card["sources"]),
        features=features_of(card),
        state_features=FeatureSet(card["state_feature_set"]),
        step_min=card["step_min"],
        critics=tuple(_network(tensors, f"critic{k}.") for k in range(card["critics"])),
        head=Head(card["head"]),
        support=(float(card["support"][0]), float(card["support"][1])),
        actor=_network(tensors, "actor.") if "actor.mean" in tensors else None,
        continuous=card["continuous"],
        reward_scale=float(card["reward_scale"]),
        preference=RiskPreference(RiskMeasure(preference["measure"]), preference["level"], preference["weight"]),
        publication_delay_min=records_delay_min(card),
        name=card["name"],
    )


def _arrays(network: PlainNetwork) -> Tensors:
    layers = {f"weight{k}": weight for k, weight in enumerate(network.weights)}
    layers |= {f"bias{k}": bias for k, bias in enumerate(network.biases)}
    return {"mean": network.mean, "std": network.std, "limit": np.array([network.limit]), **layers}


def _network(tensors: Tensors, prefix: str) -> PlainNetwork:
    """The network stored under a prefix."""
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    count = sum(name.startswith("weight") for name in own)
    weights, biases = (tuple(own[f"{part}{k}"] for k in range(count)) for part in ("weight", "bias"))
    return PlainNetwork(own["mean"], own["std"], float(own["limit"][0]), weights, biases)


NETWORK_FILES = PolicyFileSpec(Kind.NETWORK, check_network, network_policy_from)
