"""Battery energy arbitrage in the Belgian imbalance settlement.

The front door: names are loaded when first used, so that importing the package stays fast and loads no torch.
Importing it makes the environment known to Gymnasium. Nothing inside the package imports it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from arbitrage.env.registration import register

if TYPE_CHECKING:
    from arbitrage.agents.checkpoint import load_policy
    from arbitrage.backtest.engine import run_backtest
    from arbitrage.backtest.metrics import summary
    from arbitrage.backtest.perfect_foresight import perfect_foresight
    from arbitrage.battery import Battery, BatteryState
    from arbitrage.dispatch import decide
    from arbitrage.market.elia import read_market
    from arbitrage.market.embedded import sample_market
    from arbitrage.market.splits import select
    from arbitrage.training import TrainingPlan, train

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
    "TrainingPlan": "training",
    "decide": "dispatch",
    "load_policy": "agents.checkpoint",
    "perfect_foresight": "backtest.perfect_foresight",
    "read_market": "market.elia",
    "run_backtest": "backtest.engine",
    "sample_market": "market.embedded",
    "select": "market.splits",
    "summary": "backtest.metrics",
    "train": "training",
}


register()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
