"""A policy whose outcomes the test tells: the same for every market and every battery."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from arbitrage.battery import Battery
from arbitrage.features.battery_state import BATTERY_FEATURES
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.market.point_in_time import PRICE
from arbitrage.policies.checkpoint.network import save_network_policy
from arbitrage.policies.network_policy import Head, NetworkPolicy, PlainNetwork

BATTERY = Battery(max_cycles_per_day=1.1)
ABOUT = {
    "publication_delay_min": 0,
    "seed": 0,
    "minute_source": None,
    "split": {"end": "2025-03-29T00:00+00:00"},
}


def save_told_policy(
    directory: Path, outcomes_eur: dict[str, tuple[float, ...]], split: dict[str, str] | None = None
) -> Path:
    """A policy that expects these equally likely profits of charge, idle and discharge."""
    features = MarketFeatures()
    inputs = len(features.names) + len(BATTERY_FEATURES[FeatureSet.REFERENCE])
    told = np.array([outcomes_eur[action] for action in ("charge", "idle", "discharge")], dtype=np.float32).ravel()
    zeros, ones = np.zeros(inputs, dtype=np.float32), np.ones(inputs, dtype=np.float32)
    critic = PlainNetwork(zeros, ones, 4.0, (np.zeros((inputs, len(told)), dtype=np.float32),), (told,))
    policy = NetworkPolicy(
        battery=BATTERY,
        sources=(PRICE,),
        features=features,
        state_features=FeatureSet.REFERENCE,
        step_min=15,
        critics=(critic,),
        head=Head.QUANTILE,
        name="told",
    )
    save_network_policy(directory, policy, ABOUT if split is None else {**ABOUT, "split": split})
    return directory
