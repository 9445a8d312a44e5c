"""Loads the policies below a folder in a process with little memory and time, and says after each what came of it.

A policy that loads has to decide as well, for it is deciding that runs compiled loops over what was loaded.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from pathlib import Path

import numpy as np

from arbitrage.battery import BatteryState
from arbitrage.dispatch import Dispatcher, NotANumber
from arbitrage.errors import BadInput
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.policies.checkpoint.load import load_policy
from tests.live.policies import NIGHT
from tests.policies.small_policies import SAVED, small_policy

MORE_MEMORY_BYTES = 1024**3
MOST_S = 5


def outcome(directory: Path) -> tuple[str, str]:
    """`decides`, `refused` or the exception's type, with what it says."""
    try:
        policy = load_policy(directory)
        market = sample_market(with_minutes=True)
        with np.errstate(all="ignore"):
            dispatcher = Dispatcher(policy, policy.battery, market, [NIGHT, NIGHT + 45], policy.step_min)
            return "decides", str([dispatcher.decide(at, BatteryState(0.5)).power_mw for at in (0, 1)])
    except NotANumber as told:
        return "decides", str(told)
    except BadInput as refused:
        return "refused", str(refused)
    except Exception as error:  # noqa: BLE001 (which one it is, is the finding)
        return type(error).__name__, str(error)


def main() -> None:
    for kind in SAVED:
        outcome(small_policy(kind))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MORE_MEMORY_BYTES,) * 2)
    for directory in sorted(Path(sys.argv[1]).iterdir()):
        signal.alarm(MOST_S)
        said, why = outcome(directory)
        sys.stdout.write(json.dumps([directory.name, said, why]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
