"""The risk head among a policy's tensors, and the risk setting: a small JSON file beside a policy that holds
its risk aversion, which is applied when the policy is loaded.

Contract: the file holds `risk_aversion` and `risk_preference` (`measure:level:weight`, or null) and nothing else. What
is not such a file is refused with every fault; where there is none, the policy is risk-neutral.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeVar

from arbitrage.errors import BadInput, Fault
from arbitrage.policies.checkpoint.bounded_files import read_json
from arbitrage.policies.checkpoint.files import MOST_SETTING_BYTES, SETTING_FILE, write_whole
from arbitrage.policies.protocol import Policy, RiskChoice
from arbitrage.risk import RiskPreference

_NAMES = ("risk_aversion", "risk_preference")

AnyPolicy = TypeVar("AnyPolicy", bound=Policy)


def write_setting(directory: Path, policy: Policy) -> Path:
    """Write how the policy's risk is set beside its files, for the next load; returns the file."""
    path = directory / SETTING_FILE
    write_whole(path, (json.dumps(risk_setting(policy), indent=2) + "\n").encode())
    return path


def risk_setting(policy: Policy) -> dict[str, Any]:
    """How a policy's risk is set, as the file holds it; neutral where it has no such thing."""
    chosen = policy.risk
    preference = None if chosen.preference is None else str(chosen.preference)
    return {"risk_aversion": chosen.risk_aversion or 0.0, "risk_preference": preference}


def with_setting(policy: AnyPolicy, directory: Path) -> AnyPolicy:
    """The policy set as the file in its directory says, if there is one. Raises BadInput."""
    path = directory / SETTING_FILE
    if not os.path.lexists(path):
        return policy
    setting = _read(path)
    text = setting["risk_preference"]
    return policy.with_risk(RiskChoice(setting["risk_aversion"], None if text is None else RiskPreference.parse(text)))


def risk_in_words(policy: Policy) -> str:
    """How a policy's risk is set, to follow its name; nothing where it is neutral."""
    chosen = policy.risk
    aversion = "" if chosen.risk_aversion is None else f", risk aversion {chosen.risk_aversion:g}"
    return aversion + ("" if chosen.preference is None else f", preference {chosen.preference}")


def _read(path: Path) -> dict[str, Any]:
    setting = read_json(path, MOST_SETTING_BYTES)
    if not isinstance(setting, dict) or sorted(setting) != sorted(_NAMES):
        raise BadInput([Fault(str(path), f"is not a risk setting, which holds {' and '.join(_NAMES)}")])
    number, text = setting["risk_aversion"], setting["risk_preference"]
    faults = []
    if isinstance(number, bool) or not isinstance(number, int | float):
        faults.append(Fault(str(path), f"risk_aversion is not a number: {number!r}"))
    if text is not None and not isinstance(text, str):
        faults.append(Fault(str(path), f"risk_preference is not text: {text!r}"))
    if faults:
        raise BadInput(faults)
    return setting
