"""Networks of stable-baselines3 and sb3-contrib as policies of ours, in plain arrays.

Contract: the arrays choose what the library's own `predict` does; that is checked after every training. Once exported,
a policy needs neither library nor torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save

from arbitrage.arrays import Floats, Singles
from arbitrage.battery import Battery, BatteryState
from arbitrage.env.episode import rated_power_mw
from arbitrage.features.battery_state import BATTERY_FEATURES, encode_battery
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.market.point_in_time import KnownMarket
from arbitrage.policies.checkpoint.files import write_whole
from arbitrage.policies.protocol import Intent, PlainView, Untrained

FEATURES = MarketFeatures(FeatureSet.QUARTER_HOUR)
QUANTILES = 32
_CLIP = 4.0
_BATTERY_NAMES = BATTERY_FEATURES[FeatureSet.QUARTER_HOUR]
_COMPARED_ROWS = 500
_TOLERANCE = 1e-4
CONTINUOUS = ("sac", "td3")
"""Agents that choose a share of rated power."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Standardises market features; the battery's are shares already."""

    mean: Singles
    """Shape [market features]; of the training days."""
    std: Singles

    @classmethod
    def of(cls, features: Singles) -> Scaling:
        """From features of the training days [n, market features]."""
        std = features.std(axis=0)
        return cls(features.mean(axis=0), np.where(std > 1e-6, std, 1.0).astype(np.float32))

    def __call__(self, observation: Singles) -> Singles:
        """Scaled observations, shape [..., observation names]."""
        count = len(self.mean)
        market = np.clip((observation[..., :count] - self.mean) / self.std, -_CLIP, _CLIP)
        return np.concatenate([market, observation[..., count:]], axis=-1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class NetworkView(PlainView):
    """The network's reading of the market at T times."""

    battery: Battery
    market: Singles
    """Shape [T, width]; what the market's features put into the first layer."""
    layers: tuple[tuple[Singles, Singles], ...]
    """Weights [inputs, outputs] and biases; the first layer's are those of the battery's features, without bias."""
    powers_mw: Floats
    continuous: bool

    def intent(self, at: int, state: BatteryState, _profit_today_eur: float | None = None) -> Intent:
        """The action of the largest value, or the share of rated power that the actor says."""
        inputs = np.empty((1, len(_BATTERY_NAMES)), dtype=np.float32)
        nothing = np.zeros(1)
        encode_battery(
            FeatureSet.QUARTER_HOUR,
            self.battery,
            np.array([state.soc_mwh]),
            np.array([state.cycles_used]),
            nothing,
            nothing,
            0.0,
            inputs,
        )
        hidden = self.market[at] + inputs[0] @ self.layers[0][0]
        for weight, bias in self.layers[1:]:
            hidden = np.maximum(hidden, 0.0) @ weight + bias
        if self.continuous:
            share = float(np.tanh(hidden[0]))
            return Intent(share * float(self.powers_mw[2] if share > 0.0 else -self.powers_mw[0]), "actor_chooses")
        return Intent(float(self.powers_mw[int(np.argmax(hidden))]), "largest_value")


@dataclass(frozen=True, slots=True)
class LibraryPolicy(Untrained):
    """A library's network as a policy: its layers [inputs, outputs], ReLU between them."""

    name: str
    scaling: Scaling
    layers: tuple[tuple[Singles, Singles], ...]
    continuous: bool = False
    """Whether the network's one output is, squashed, the share of rated power."""

    def bind(self, known: KnownMarket, battery: Battery) -> NetworkView:
        """Encode the market, and carry it through the first layer."""
        nothing = np.zeros((len(known.times), len(_BATTERY_NAMES)), dtype=np.float32)
        observed = self.scaling(np.concatenate([FEATURES.encode(known), nothing], axis=1))
        (first, bias), count = self.layers[0], len(self.scaling.mean)
        # Row by row, for a product's last bits depend on the number of rows.
        market = np.array([row @ first[:count] for row in observed[:, :count]]) + bias
        layers = ((first[count:], bias), *self.layers[1:])
        return NetworkView(battery, market, layers, rated_power_mw(battery), self.continuous)

    def outputs(self, observed: Singles) -> Singles:
        """Values of the actions for scaled observations [n, names], or the unsquashed share, shape [n, outputs]."""
        hidden = observed @ self.layers[0][0] + self.layers[0][1]
        for weight, bias in self.layers[1:]:
            hidden = np.maximum(hidden, 0.0) @ weight + bias
        return hidden


def policy_of(kind: str, model: Any, scaling: Scaling) -> LibraryPolicy:
    """The agent's greedy policy as plain arrays; a quantile network's mean is taken in its last layer."""
    layers = [
        (layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy())
        for layer in _network(kind, model)
        if hasattr(layer, "weight")
    ]
    if kind == "qr-dqn":
        weight, bias = layers[-1]
        layers[-1] = (weight.reshape(len(weight), QUANTILES, -1).mean(axis=1), bias.reshape(QUANTILES, -1).mean(axis=0))
    return LibraryPolicy(kind, scaling, tuple(layers), kind in CONTINUOUS)


def _network(kind: str, model: Any) -> list[Any]:
    """Layers of the network that acts."""
    if kind == "sac":
        return [*model.policy.actor.latent_pi, model.policy.actor.mu]
    if kind == "td3":
        return list(model.policy.actor.mu)
    return list(model.policy.quantile_net.quantile_net if kind == "qr-dqn" else model.policy.q_net.q_net)


def check_against_library(kind: str, model: Any, scaling: Scaling) -> None:
    """Raises RuntimeError unless our reading of the network chooses what the library's own `predict` does."""
    width = len(scaling.mean) + len(_BATTERY_NAMES)
    observed = np.random.default_rng(0).standard_normal((_COMPARED_ROWS, width)).astype(np.float32)
    ours = policy_of(kind, model, scaling).outputs(observed)
    theirs, _ = model.predict(observed, deterministic=True)
    if kind in CONTINUOUS:
        missed = float(np.abs(np.tanh(ours) - theirs).max())
    else:
        best, chosen = ours.max(axis=1), ours[np.arange(len(ours)), theirs]
        missed = float((best - chosen).max()) / float(np.abs(ours).max())
    if missed > _TOLERANCE:
        raise RuntimeError("the network read as plain arrays chooses otherwise than the library")


def save_library_policy(path: Path, policy: LibraryPolicy, told: dict[str, str]) -> None:
    """Write the arrays whole or not at all, with what there is to tell about them."""
    arrays = {"mean": policy.scaling.mean, "std": policy.scaling.std}
    for number, (weight, bias) in enumerate(policy.layers):
        arrays |= {f"weight{number}": weight, f"bias{number}": bias}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata=told))


def load_library_policy(path: Path, kind: str) -> tuple[LibraryPolicy, dict[str, str]]:
    """The inverse of `save_library_policy`."""
    arrays = load_file(path)
    with safe_open(path, framework="np") as kept:
        told = dict(kept.metadata() or {})
    count = sum(name.startswith("weight") for name in arrays)
    layers = tuple((arrays[f"weight{number}"], arrays[f"bias{number}"]) for number in range(count))
    return LibraryPolicy(kind, Scaling(arrays["mean"], arrays["std"]), layers, kind in CONTINUOUS), told
