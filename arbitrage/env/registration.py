"""Makes the environment known to Gymnasium; importing the package calls `register_when_loaded`.

Contract: importing the package imports no Gymnasium. The environment is registered before anybody can ask for it: at
once if Gymnasium is loaded, else at the end of its import.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

ENVIRONMENT_ID = "arbitrage/BelgianImbalance-v0"


def register() -> None:
    """Register the environment and its batched twin under one name, once."""
    import gymnasium

    if ENVIRONMENT_ID not in gymnasium.registry:
        gymnasium.register(
            id=ENVIRONMENT_ID,
            entry_point="arbitrage.env.single:BelgianImbalanceEnv",
            vector_entry_point="arbitrage.env.batched:BatchedImbalanceEnv",
        )


def register_when_loaded() -> None:
    """Register now if Gymnasium is loaded, else as soon as it is imported."""
    if "gymnasium" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _AfterImport())


class _AfterImport(MetaPathFinder):
    """Finds Gymnasium as Python does, and registers the environment once it is loaded."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_register(module: ModuleType) -> None:
                load(module)
                register()

            spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec
