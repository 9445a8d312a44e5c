"""Battery energy arbitrage in the Belgian imbalance settlement.

The front door: names are loaded when first used, so that importing the package loads neither torch nor numpy.
Importing it makes the environment known to Gymnasium, which it does not load. Nothing inside the package imports it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from arbitrage.env.registration import register_when_loaded

if TYPE_CHECKING:
    from arbitrage.backtest.engine import run_backtest
    from arbitrage.backtest.hindsight.perfect_foresight import perfect_foresight
    from arbitrage.backtest.metrics import summary
    from arbitrage.battery import Battery, BatteryState
    from arbitrage.dispatch import decide
    from arbitrage.market.files.read import read_market
    from arbitrage.market.simulation.embedded_sample import sample_market
    from arbitrage.market.splits import select
    from arbitrage.policies.checkpoint.load import load_policy
    from arbitrage.training.plan import TrainingPlan, train

__all__ = [
    "Battery",
    "BatteryState",
    "TrainingPlan",
    "decide",
    "load_policy",
    "perfect_foresight",
    "read_market",
    "run_backtest",
    "sample_market",
    "select",
    "summary",
    "train",
]

_HOMES = {
    "Battery": "battery",
    "BatteryState": "battery",
    "TrainingPlan": "training.plan",
    "decide": "dispatch",
    "load_policy": "policies.checkpoint.load",
    "perfect_foresight": "backtest.hindsight.perfect_foresight",
    "read_market": "market.files.read",
    "run_backtest": "backtest.engine",
    "sample_market": "market.simulation.embedded_sample",
    "select": "market.splits",
    "summary": "backtest.metrics",
    "train": "training.plan",
}


register_when_loaded()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
