"""Makes the environment known to Gymnasium; importing the package calls it."""

from __future__ import annotations

import gymnasium

ENVIRONMENT_ID = "arbitrage/BelgianImbalance-v0"


def register() -> None:
    """Register the environment and its batched twin under one name, once."""
    if ENVIRONMENT_ID not in gymnasium.registry:
        gymnasium.register(
            id=ENVIRONMENT_ID,
            entry_point="arbitrage.env.single:BelgianImbalanceEnv",
            vector_entry_point="arbitrage.env.batched:BatchedImbalanceEnv",
        )
