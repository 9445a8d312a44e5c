"""Which tensors a closed-form policy has; see `tensor_layout`.

Contract: what the card does not fix (random features, widths, bins of the chain) is read from one tensor each, within
bounds that a decision can be made in; every other size follows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from arbitrage.battery import Battery
from arbitrage.errors import Fault, refuse
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.policies.checkpoint.card_schema import Card
from arbitrage.policies.checkpoint.tensor_layout import (
    DOUBLE,
    LEAST_SPREAD,
    SINGLE,
    Layout,
    Slot,
    Tensors,
    check_tensors,
    numbered,
    size_of,
)
from arbitrage.policies.closed_form.quantile_critic import ACTIONS, QUANTILES
from arbitrage.policies.closed_form.risk_head import NAMES

_MOST_STATES = 400
_MOST_INNOVATIONS = 256
_MINUTE_OUTPUTS = 2
_OWN_MINUTE_INPUTS = 4
"""Forecast of the quarter-hour, fast and slow gap, and the minute; see `minute_heads`."""


def check_closed_form(card: Card, tensors: Tensors, path: Path) -> None:
    """Raises BadInput where the tensors are not those of the card's policy."""
    features = MarketFeatures(FeatureSet(card["feature_set"]))
    nodes = _nodes(card)
    layout: Layout = {}
    for number in range(card["members"]):
        layout |= _member(f"{number}.", features, nodes, tensors)
    inputs = len(features.quarter_names)
    if any(name.startswith("critic.") for name in tensors):
        layout |= _network("critic.", inputs + 2, tensors, outputs=len(ACTIONS) * QUANTILES)
    if any(name.startswith("risk.") for name in tensors):
        layout |= _risk_head(inputs, tensors)
    check_tensors(tensors, layout, path)
    refuse(Fault(str(path), fault) for number in range(card["members"]) for fault in _chain_faults(number, tensors))


def _nodes(card: Card) -> int:
    """Of the lattice; a battery without a budget has one column of them."""
    size, budget = card["lattice"], Battery(**card["battery"]).law.max_cycles_per_day
    return int(size["soc_nodes"] * (size["cycle_nodes"] if 0.0 < budget < math.inf else 1))


def _member(prefix: str, features: MarketFeatures, nodes: int, tensors: Tensors) -> Layout:
    planned, inputs, recent = len(features.plan_names), len(features.quarter_names), len(features.short_names)
    layout = _random_features(f"{prefix}plan_map.", planned, tensors)
    layout |= _random_features(f"{prefix}full_map.", inputs, tensors)
    layout |= _chain(f"{prefix}chain.", tensors)
    by_plan = 1 + planned + size_of(tensors, f"{prefix}plan_map.phases")
    by_full = 1 + inputs + size_of(tensors, f"{prefix}full_map.phases")
    learned = 0
    if any(name.startswith(f"{prefix}network.") for name in tensors):
        layout |= _network(f"{prefix}network.", inputs, tensors)
        learned = size_of(tensors, f"{prefix}network.second_bias")
    if features.running_names:
        minute_inputs = len(features.running_names) + len(features.context) + _OWN_MINUTE_INPUTS
        for number in range(max(1, numbered(tensors, f"{prefix}minutes."))):
            layout |= _network(f"{prefix}minutes.{number}.", minute_inputs, tensors, outputs=_MINUTE_OUTPUTS)
    return layout | {
        f"{prefix}plan_coefficients": Slot(SINGLE, (by_plan,)),
        f"{prefix}forecast_coefficients": Slot(SINGLE, (by_full,)),
        f"{prefix}slow_coefficients": Slot(SINGLE, (2 + recent,)),
        f"{prefix}correction_coefficients": Slot(SINGLE, (2, nodes, by_full + learned)),
        f"{prefix}end_value_fraction": Slot(DOUBLE, (nodes,)),
    }


def _random_features(prefix: str, inputs: int, tensors: Tensors) -> Layout:
    cosines = size_of(tensors, f"{prefix}phases")
    return _scaling(prefix, inputs) | {
        f"{prefix}frequencies": Slot(SINGLE, (inputs, cosines)),
        f"{prefix}phases": Slot(SINGLE, (cosines,)),
    }


def _chain(prefix: str, tensors: Tensors) -> Layout:
    fast = min(max(size_of(tensors, f"{prefix}fast_centres"), 2), _MOST_STATES // 2)
    slow = min(max(size_of(tensors, f"{prefix}slow_centres"), 2), _MOST_STATES // fast)
    states, innovation = fast * slow, min(size_of(tensors, f"{prefix}surprises"), _MOST_INNOVATIONS)
    return {
        f"{prefix}fast_centres": Slot(DOUBLE, (fast,)),
        f"{prefix}slow_centres": Slot(DOUBLE, (slow,)),
        f"{prefix}centres": Slot(DOUBLE, (states,)),
        f"{prefix}transitions": Slot(DOUBLE, (states, states), low=0.0, high=1.0),
        f"{prefix}surprises": Slot(DOUBLE, (innovation,)),
        f"{prefix}shifts": Slot(DOUBLE, (innovation,)),
    }


def _chain_faults(number: int, tensors: Tensors) -> Iterator[str]:
    """What shapes and ranges do not say: centres are searched in order, and a state leads somewhere."""
    for name in (f"{number}.chain.fast_centres", f"{number}.chain.slow_centres"):
        if (np.diff(tensors[name]) < 0.0).any():
            yield f"tensor {name} does not ascend"
    if not np.allclose(tensors[f"{number}.chain.transitions"].sum(axis=1), 1.0, rtol=0.0, atol=1e-6):
        yield f"tensor {number}.chain.transitions has rows that do not sum to 1"


def _network(prefix: str, inputs: int, tensors: Tensors, outputs: int | None = None) -> Layout:
    width, last = size_of(tensors, f"{prefix}second_bias"), outputs or size_of(tensors, f"{prefix}output_bias")
    return _scaling(prefix, inputs) | {
        f"{prefix}first_weight": Slot(SINGLE, (inputs, width)),
        f"{prefix}first_bias": Slot(SINGLE, (width,)),
        f"{prefix}second_weight": Slot(SINGLE, (width, width)),
        f"{prefix}second_bias": Slot(SINGLE, (width,)),
        f"{prefix}output_weight": Slot(SINGLE, (width, last)),
        f"{prefix}output_bias": Slot(SINGLE, (last,)),
    }


def _risk_head(inputs: int, tensors: Tensors) -> Layout:
    powers = min(size_of(tensors, "risk.dial"), 8)
    return _scaling("risk.size.", inputs) | {
        "risk.size.coefficients": Slot(SINGLE, (1 + inputs,)),
        "risk.dial": Slot(DOUBLE, (powers, len(NAMES))),
    }


def _scaling(prefix: str, inputs: int) -> Layout:
    return {f"{prefix}mean": Slot(SINGLE, (inputs,)), f"{prefix}std": Slot(SINGLE, (inputs,), low=LEAST_SPREAD)}
