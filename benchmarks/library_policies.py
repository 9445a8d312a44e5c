"""Networks of stable-baselines3 and sb3-contrib as policies of ours, in plain arrays.

Law: the arrays choose what the library's own `predict` does; that is checked after every training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3 import DQN

from arbitrage.agents.policy import Intent
from arbitrage.battery import Battery, BatteryState
from arbitrage.env.episode import rated_power_mw
from arbitrage.market.tapes import Knowledge
from arbitrage.observation import BATTERY_FEATURES, FeatureSet, MarketFeatures, encode_battery

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

FEATURES = MarketFeatures(FeatureSet.QUARTER_HOUR)
QUANTILES = 32
_CLIP = 4.0
_BATTERY_NAMES = BATTERY_FEATURES[FeatureSet.QUARTER_HOUR]
_COMPARED_ROWS = 500


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
class NetworkView:
    """The network's reading of the market at T times."""

    battery: Battery
    market: Singles
    """Shape [T, width]; what the market's features put into the first layer."""
    layers: tuple[tuple[Singles, Singles], ...]
    """Weights [inputs, outputs] and biases; the first layer's are those of the battery's features, without bias."""
    powers_mw: Floats

    def intent(self, at: int, state: BatteryState, _profit_today_eur: float | None = None) -> Intent:
        """The action of the largest value."""
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
        return Intent(float(self.powers_mw[int(np.argmax(hidden))]), "largest_value")

    def outcomes_eur(self, _at: int, _state: BatteryState) -> Floats | None:
        """It tells none."""
        return None


@dataclass(frozen=True, slots=True)
class LibraryPolicy:
    """A library's network as a policy: its layers [inputs, outputs], ReLU between them."""

    name: str
    scaling: Scaling
    layers: tuple[tuple[Singles, Singles], ...]

    def read(self, knowledge: Knowledge, battery: Battery) -> NetworkView:
        """Encode the market, and carry it through the first layer."""
        nothing = np.zeros((len(knowledge.times), len(_BATTERY_NAMES)), dtype=np.float32)
        observed = self.scaling(np.concatenate([FEATURES.encode(knowledge), nothing], axis=1))
        (first, bias), count = self.layers[0], len(self.scaling.mean)
        market = observed[:, :count] @ first[:count] + bias
        return NetworkView(battery, market, ((first[count:], bias), *self.layers[1:]), rated_power_mw(battery))

    def values(self, observed: Singles) -> Singles:
        """Values of the actions for scaled observations [n, names], shape [n, 3]."""
        hidden = observed @ self.layers[0][0] + self.layers[0][1]
        for weight, bias in self.layers[1:]:
            hidden = np.maximum(hidden, 0.0) @ weight + bias
        return hidden


def policy_of(kind: str, model: DQN, scaling: Scaling) -> LibraryPolicy:
    """The agent's greedy policy as plain arrays; a quantile network's mean is taken in its last layer."""
    network = model.policy.quantile_net.quantile_net if kind == "qr-dqn" else model.policy.q_net.q_net
    layers = [
        (layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy())
        for layer in network
        if isinstance(layer, torch.nn.Linear)
    ]
    if kind == "qr-dqn":
        weight, bias = layers[-1]
        layers[-1] = (weight.reshape(len(weight), QUANTILES, -1).mean(axis=1), bias.reshape(QUANTILES, -1).mean(axis=0))
    return LibraryPolicy(kind, scaling, tuple(layers))


def check_against_library(kind: str, model: DQN, scaling: Scaling) -> None:
    """Raises RuntimeError unless our reading of the network chooses what the library's own `predict` does."""
    width = len(scaling.mean) + len(_BATTERY_NAMES)
    observed = np.random.default_rng(0).standard_normal((_COMPARED_ROWS, width)).astype(np.float32)
    ours = policy_of(kind, model, scaling).values(observed)
    theirs, _ = model.predict(observed, deterministic=True)
    best, chosen = ours.max(axis=1), ours[np.arange(len(ours)), theirs]
    if float((best - chosen).max()) > 1e-4 * float(np.abs(ours).max()):
        raise RuntimeError("the network read as plain arrays chooses otherwise than the library")
