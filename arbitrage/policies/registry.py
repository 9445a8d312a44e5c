"""Every strategy that this program knows by name, and every kind of policy that is served from files.

Contract: this is the only table of either. A new rule is one file that defines a `StrategySpec`, and its name in
`RULES`; a new kind of policy file is a `PolicyFileSpec`, and its name in `POLICY_FILES`.
"""

from __future__ import annotations

from arbitrage.policies.checkpoint.card_schema import Kind
from arbitrage.policies.checkpoint.closed_form import CLOSED_FORM_FILES
from arbitrage.policies.checkpoint.files import PolicyFileSpec
from arbitrage.policies.checkpoint.mpc import MPC_FILES
from arbitrage.policies.checkpoint.network import NETWORK_FILES
from arbitrage.policies.minute_rule import MINUTE_SPREAD
from arbitrage.policies.rules import IDLE, SPREAD, THRESHOLD
from arbitrage.policies.strategy_spec import StrategySpec

RULES: dict[str, StrategySpec] = {spec.name: spec for spec in (IDLE, THRESHOLD, SPREAD, MINUTE_SPREAD)}
POLICY_FILES: dict[Kind, PolicyFileSpec] = {spec.kind: spec for spec in (CLOSED_FORM_FILES, NETWORK_FILES, MPC_FILES)}


def find_strategy(name: str) -> StrategySpec | None:
    """The strategy that is made from code and is called so; None where there is none, as for a policy directory."""
    return RULES.get(name)
