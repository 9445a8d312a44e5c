"""Every strategy that this program knows by name, and every kind of policy that is served from files.

Contract: this is the only table of either. A new rule is one file that defines a `StrategySpec`, and its name in
`RULES`; a new kind of policy file is a `PolicyFileSpec`, and its name in `POLICY_FILES`.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from arbitrage.policies.checkpoint.card_schema import Kind
from arbitrage.policies.checkpoint.closed_form import CLOSED_FORM_FILES
from arbitrage.policies.checkpoint.files import PolicyFileSpec
from arbitrage.policies.checkpoint.mpc import MPC_FILES
from arbitrage.policies.checkpoint.network import NETWORK_FILES
from arbitrage.policies.checkpoint.rule import rule_files
from arbitrage.policies.minute_rule import MINUTE_SPREAD
from arbitrage.policies.own_code import is_reference, own_strategy
from arbitrage.policies.rules import IDLE, SPREAD, THRESHOLD
from arbitrage.policies.strategy_spec import StrategySpec

OWN_STRATEGIES = "arbitrage.strategies"
"""Entry points by which an installed package brings strategies; a rule's name is taken."""
RULES: dict[str, StrategySpec] = {spec.name: spec for spec in (IDLE, THRESHOLD, SPREAD, MINUTE_SPREAD)}
POLICY_FILES: dict[Kind, PolicyFileSpec] = {
    spec.kind: spec for spec in (CLOSED_FORM_FILES, NETWORK_FILES, MPC_FILES, rule_files(RULES))
}


def find_strategy(name: str) -> StrategySpec | None:
    """The strategy that is made from code and is called so: a rule, an installed one, or `module:Class`.

    Contract: the name comes from the operator of the program, since code is imported for it; a name that a request
    brought is looked up in `RULES` only. Returns None where there is none, as for a policy directory. Raises BadInput
    for an own strategy that cannot be used.
    """
    if name in RULES:
        return RULES[name]
    installed = entry_points(group=OWN_STRATEGIES, name=name)
    if installed:
        return own_strategy(next(iter(installed)).value, name)
    return own_strategy(name) if is_reference(name) else None


def names_own_strategy(name: str) -> bool:
    """Whether `find_strategy` would find a user's own strategy by that name; imports nothing."""
    return name not in RULES and (name in strategy_names() or is_reference(name))


def strategy_names() -> tuple[str, ...]:
    """Rules, then installed strategies."""
    installed = {each.name for each in entry_points(group=OWN_STRATEGIES)}
    return (*RULES, *sorted(installed - RULES.keys()))
