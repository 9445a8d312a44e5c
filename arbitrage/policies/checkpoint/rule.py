"""A tuned rule as files: the rule's name and its numbers on the card, and no tensors.

Contract: the card names no code. A rule is made by this program's own table of rules, or by the strategy that the
caller hands over, and given its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.features.names import FeatureSet
from arbitrage.policies.checkpoint.card_schema import Kind
from arbitrage.policies.checkpoint.files import (
    Card,
    PolicyFileSpec,
    Tensors,
    battery_in_words,
    write_policy_files,
)
from arbitrage.policies.checkpoint.tensor_layout import check_tensors
from arbitrage.policies.protocol import Policy
from arbitrage.policies.strategy_spec import StrategySpec, policy_facts

_OWN = ("name", "tuned_on")
"""Fields of a rule that stand elsewhere on the card."""


def save_rule(directory: Path, spec: StrategySpec, policy: Policy, battery: Battery, about: Card) -> Card:
    """Write the rule with its numbers into a directory and return its card; `about` adds where it comes from.

    Raises BadInput for a tuned strategy that is not a dataclass, since its numbers cannot be listed.
    """
    if spec.tune is not None and not is_dataclass(policy):
        raise BadInput([Fault(spec.name, "must be a dataclass, so that its tuned numbers can be written")])
    numbers = policy_facts(policy)
    card = {
        "kind": Kind.RULE.value,
        "name": policy.name,
        "description": f"{battery_in_words(battery, policy.step_min)} {spec.description}",
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "battery": asdict(battery),
        "sources": list(policy.sources),
        "feature_set": FeatureSet.QUARTER_HOUR.value,
        "features": [],
        "step_min": policy.step_min,
        "rule": spec.name,
        "numbers": {name: value for name, value in numbers.items() if name not in _OWN},
        "tuned_on": numbers.get("tuned_on"),
        **about,
    }
    return write_policy_files(directory, {}, card)


def rule_from(card: Card, spec: StrategySpec, where: str) -> Policy:
    """The rule with the numbers of the card. Raises BadInput for numbers that the rule does not have."""
    policy, numbers = spec.make(), dict(card["numbers"])
    own = policy_facts(policy)
    refuse(Fault(where, f"{name} is no number of the rule {spec.name}") for name in numbers if name not in own)
    if "tuned_on" in own:
        numbers["tuned_on"] = card["tuned_on"]
    made: Policy = replace(policy, **numbers) if numbers else policy  # type: ignore[type-var]  # a dataclass
    return made


def rule_files(rules: Mapping[str, StrategySpec]) -> PolicyFileSpec:
    """How cards of these rules are read."""

    def make(card: Card, _tensors: Tensors, where: str) -> Policy:
        if card["rule"] not in rules:
            remedy = "name it as --strategy module:Class, which says where its code is"
            raise BadInput([Fault(where, f"{card['rule']} is not a rule of this program; {remedy}")])
        return rule_from(card, rules[card["rule"]], where)

    return PolicyFileSpec(Kind.RULE, _check, make)


def _check(_card: Card, tensors: Tensors, path: Path) -> None:
    """Raises BadInput where there are tensors."""
    check_tensors(tensors, {}, path)
