"""Small policies of every kind that is served from files, made of random numbers without any training."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from safetensors.numpy import load

from arbitrage.battery import Battery
from arbitrage.features.battery_state import BATTERY_FEATURES
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.market.point_in_time import DAY_AHEAD, INDICATIVE, PRICE
from arbitrage.policies.checkpoint.closed_form import save_policy
from arbitrage.policies.checkpoint.load import TENSORS_FILE
from arbitrage.policies.checkpoint.mpc import save_mpc_policy
from arbitrage.policies.checkpoint.network import save_network_policy
from arbitrage.policies.closed_form.ensemble_member import EnsembleMember
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.minute_heads import MinuteHeads
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.closed_form.price_chain import PriceChain
from arbitrage.policies.closed_form.quantile_critic import QUANTILES
from arbitrage.policies.closed_form.random_features import RandomFeatures
from arbitrage.policies.closed_form.risk_head import AdvantageSize, RiskHead
from arbitrage.policies.mpc.horizon import LONGEST_DAY, input_names
from arbitrage.policies.mpc.policy import Form, MpcConfig, MpcPolicy
from arbitrage.policies.mpc.price_forecast import PriceForecast
from arbitrage.policies.mpc.trees import Trees
from arbitrage.policies.network_policy import Head, NetworkPolicy, PlainNetwork
from arbitrage.policies.networks import Network

BATTERY = Battery(max_cycles_per_day=1.1)
ABOUT = {
    "publication_delay_min": 1,
    "decision_latency_min": 0,
    "seed": 0,
    "minute_source": None,
    "split": {
        "train_days_of_month": "1-20",
        "validation_days_of_month": "21-31",
        "start_epoch_minute": 27_000_000,
        "end_epoch_minute": 29_000_000,
        "soc_reset": "never",
    },
}
SIZE, NODES, COSINES, WIDTH = LatticeSize(3, 3), 9, 4, 3


class _Drawn:
    """Random arrays, the same each time."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def __call__(self, *shape: int) -> np.ndarray:
        return self._random.normal(size=shape).astype(np.float32)

    def scaling(self, inputs: int) -> tuple[np.ndarray, np.ndarray]:
        return self(inputs), 1.0 + np.abs(self(inputs))

    def map_of(self, inputs: int) -> RandomFeatures:
        return RandomFeatures(*self.scaling(inputs), self(inputs, COSINES), self(COSINES))

    def network(self, inputs: int, outputs: int) -> Network:
        shapes = ((inputs, WIDTH), (WIDTH,), (WIDTH, WIDTH), (WIDTH,), (WIDTH, outputs), (outputs,))
        return Network(*self.scaling(inputs), *(self(*shape) for shape in shapes))

    def plain(self, *widths: int) -> PlainNetwork:
        layers = list(pairwise(widths))
        weights, biases = (tuple(self(*shape) for shape in layers), tuple(self(last) for _, last in layers))
        return PlainNetwork(*self.scaling(widths[0]), 4.0, weights, biases)


def _member(draw: _Drawn, features: MarketFeatures) -> EnsembleMember:
    inputs, planned = len(features.quarter_names), len(features.plan_names)
    by_minute = bool(features.running_names)
    minute_inputs = len(features.running_names) + len(features.context) + 4 if by_minute else 0
    learned = 0 if by_minute else WIDTH
    chain = PriceChain(
        fast_centres=np.array([-1.0, 0.0, 1.0]),
        slow_centres=np.array([-0.5, 0.5]),
        centres=np.repeat([-1.0, 0.0, 1.0], 2),
        transitions=np.full((6, 6), 1.0 / 6.0),
        surprises=np.array([-0.1, 0.1]),
        shifts=np.array([-0.05, 0.05]),
    )
    return EnsembleMember(
        plan_map=draw.map_of(planned),
        plan_coefficients=draw(1 + planned + COSINES),
        full_map=draw.map_of(inputs),
        forecast_coefficients=draw(1 + inputs + COSINES),
        slow_coefficients=draw(2 + len(features.short_names)),
        chain=chain,
        network=None if by_minute else draw.network(inputs, 2),
        correction_coefficients=draw(2, NODES, 1 + inputs + COSINES + learned),
        end_value_fraction=draw(NODES).astype(np.float64),
        minutes=MinuteHeads((draw.network(minute_inputs, 2), draw.network(minute_inputs, 2))) if by_minute else None,
    )


def closed_form(feature_set: FeatureSet) -> ClosedFormPolicy:
    draw, features = _Drawn(), MarketFeatures(feature_set)
    inputs = len(features.quarter_names)
    return ClosedFormPolicy(
        battery=BATTERY,
        size=SIZE,
        members=(_member(draw, features), _member(draw, features)),
        sources=(DAY_AHEAD, INDICATIVE, PRICE) if features.running_names else (DAY_AHEAD, PRICE),
        features=features,
        publication_delay_min=1,
        critic=draw.network(inputs + 2, 3 * QUANTILES),
        head=RiskHead(AdvantageSize(*draw.scaling(inputs), draw(1 + inputs)), np.full((2, 7), 0.1)),
    )


def network() -> NetworkPolicy:
    draw, features = _Drawn(), MarketFeatures()
    inputs = len(features.names) + len(BATTERY_FEATURES[FeatureSet.REFERENCE])
    return NetworkPolicy(
        battery=BATTERY,
        sources=(PRICE,),
        features=features,
        state_features=FeatureSet.REFERENCE,
        step_min=15,
        critics=(draw.plain(inputs, 4, 12), draw.plain(inputs, 4, 12)),
        head=Head.QUANTILE,
        actor=draw.plain(inputs, 4, 3),
    )


def mpc() -> MpcPolicy:
    draw = _Drawn()
    inputs = len(input_names(MarketFeatures()))
    tree = Trees(
        baseline=np.zeros(1),
        roots=np.array([0, 3], dtype=np.int32),
        inputs=np.array([1, -1, -1, 2, -1, -1], dtype=np.int32),
        thresholds=np.zeros(6),
        left=np.array([1, 0, 0, 4, 0, 0], dtype=np.int32),
        right=np.array([2, 0, 0, 5, 0, 0], dtype=np.int32),
        values=draw(6).astype(np.float64),
    )
    forecast = PriceForecast(
        *draw.scaling(inputs),
        coefficients=draw(1 + inputs).astype(np.float64),
        fractions=np.array([0.1, 0.5, 0.9]),
        quantiles=(tree, tree, tree),
        paths=np.tile(np.array([[0.25], [0.75]]), (1, LONGEST_DAY)),
    )
    config = MpcConfig(form=Form.SCENARIOS, shared_quarter_hours=4)
    return MpcPolicy(BATTERY, (DAY_AHEAD, PRICE), forecast, config, publication_delay_min=1)


SAVED: dict[str, Callable[[Path], object]] = {
    "quarter-hours": lambda where: save_policy(where, closed_form(FeatureSet.QUARTER_HOUR), ABOUT),
    "minutes": lambda where: save_policy(where, closed_form(FeatureSet.FULL), ABOUT),
    "network": lambda where: save_network_policy(where, network(), ABOUT),
    "mpc": lambda where: save_mpc_policy(where, mpc(), ABOUT),
}
"""Writes the policy of each kind into a directory."""


@cache
def _files(kind: str) -> TemporaryDirectory[str]:
    folder = TemporaryDirectory()
    SAVED[kind](Path(folder.name))
    return folder


def small_policy(kind: str) -> Path:
    """The files of a good policy, which are not to be changed."""
    return Path(_files(kind).name)


def names_and_shapes(kind: str) -> dict[str, tuple[int, ...]]:
    """Of the tensors of a good policy."""
    tensors = load((small_policy(kind) / TENSORS_FILE).read_bytes())
    return {name: tensor.shape for name, tensor in tensors.items()}
