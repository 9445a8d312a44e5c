"""The policies that the service decides with: learned ones from their directories, rules by name, own strategies.

Contract: a policy is loaded once, at start, its digests checked; whatever is wrong with any of them stops the start,
and so does a policy that is another than the one pinned. A card without a digest of its own is served, and said not to
be sealed. The code of an own strategy is imported at start, from the operator's settings; a request names an id only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import structlog

from api.http.problems import Problem, fault, unusable
from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.live.decision import PolicyIdentity
from arbitrage.policies.checkpoint.files import card_digest, is_sealed
from arbitrage.policies.checkpoint.load import load_policy_and_card
from arbitrage.policies.protocol import Policy
from arbitrage.policies.registry import RULES, find_strategy, names_own_strategy

log = structlog.get_logger("api.policies")

RULE, OWN_STRATEGY = "rule", "own_strategy"
"""Kinds of policies that have no card."""


@dataclass(frozen=True, slots=True)
class ServedPolicy:
    """A policy and what is known about it."""

    policy_id: str
    policy: Policy
    card: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Empty for a rule and an own strategy."""
    source: str | None = None
    """The directory of a learned policy, `module:Class` of an own strategy; None for a rule."""
    code_sha256: str | None = None
    """Digest of the file that defines an own strategy."""

    @property
    def kind(self) -> str:
        """That of its card, else whether it is a rule or an own strategy."""
        return str(self.card.get("kind", RULE if self.source is None else OWN_STRATEGY))

    @property
    def sha256(self) -> str | None:
        """Digest of its tensors, or of an own strategy's file; None for a rule."""
        return str(self.card["tensors_sha256"]) if self.card else self.code_sha256

    @property
    def card_sha256(self) -> str | None:
        """Digest of its card, which names the whole policy; None where it has no card."""
        return card_digest(self.card) if self.card else None

    @property
    def pin_sha256(self) -> str | None:
        """What can be pinned: the digest of its card, or of an own strategy's file; None for a rule."""
        return self.card_sha256 or self.code_sha256

    @property
    def is_sealed(self) -> bool:
        """Whether its card bears that digest; a rule has no card that could be altered."""
        return not self.card or is_sealed(self.card)

    @property
    def identity(self) -> PolicyIdentity:
        """As decisions name it."""
        return PolicyIdentity(self.policy_id, self.sha256)

    @property
    def battery(self) -> Battery | None:
        """The battery that it was made for; None for one that takes any, such as a rule."""
        return Battery(**self.card["battery"]) if self.card else self.policy.trained_battery

    @property
    def publication_delay_min(self) -> int | None:
        """Of the records that it was trained on; None where it was not trained."""
        delay = self.card.get("publication_delay_min", self.policy.publication_delay_min)
        return None if delay is None else int(delay)


class Policies:
    """Everything that may decide, by id."""

    def __init__(
        self, sources: Mapping[str, Path | str], default: str | None, pinned: Mapping[str, str] | None = None
    ) -> None:
        """Load the policies of these directories, and the own strategies named `module:Class`, by id.

        pinned: digests of cards, or of own strategies' files, that policies must have, by id.
        Raises BadInput with what is wrong with any of them.
        """
        self._served = {name: ServedPolicy(name, spec.make()) for name, spec in RULES.items()}
        faults: list[Fault] = []
        for name, source in sources.items():
            if name in self._served:
                faults.append(Fault(f"policies.{name}", "is the name of a rule; choose another"))
                continue
            try:
                served = _load(name, str(source))
            except BadInput as refused:
                faults += refused.faults
                continue
            self._served[name] = served
            faults += _pin_faults(served, (pinned or {}).get(name))
            if not served.is_sealed:
                log.warning("policy_not_sealed", policy_id=name, card_sha256=served.card_sha256)
        if default is not None and default not in self._served and default not in sources:
            faults.append(
                Fault("default_policy", f"{default} is neither a policy nor one of {', '.join(self._served)}")
            )
        refuse(faults)
        self._default = default

    def all(self) -> tuple[ServedPolicy, ...]:
        """Every policy, learned ones first."""
        return tuple(sorted(self._served.values(), key=lambda served: (not served.card, served.policy_id)))

    @property
    def default(self) -> ServedPolicy | None:
        """The policy that decides where a request names none."""
        return None if self._default is None else self._served[self._default]

    def named(self, policy_id: str | None, field_name: str = "policy_id") -> ServedPolicy:
        """The policy of that id, else the default. Raises Problem."""
        if policy_id is None:
            if self.default is None:
                raise unusable([fault(field_name, "missing", "the service has no default policy: name one")])
            return self.default
        served = self._served.get(policy_id)
        if served is None:
            message = f"{policy_id} is none of {', '.join(sorted(self._served))}"
            raise unusable([fault(field_name, "unknown_policy", message)])
        return served

    def found(self, policy_id: str) -> ServedPolicy:
        """The policy that an address names. Raises Problem."""
        if policy_id not in self._served:
            raise Problem(HTTPStatus.NOT_FOUND, f"There is no policy {policy_id}.")
        return self._served[policy_id]


def _load(policy_id: str, source: str) -> ServedPolicy:
    """Raises BadInput for what cannot be served."""
    if not names_own_strategy(source):
        policy, card = load_policy_and_card(source)
        return ServedPolicy(policy_id, policy, card, source)
    try:
        spec = find_strategy(source)
    except BadInput as refused:
        raise BadInput([Fault(f"policies.{policy_id}", each.message) for each in refused.faults]) from refused
    if spec is None:
        raise BadInput([Fault(f"policies.{policy_id}", f"there is no strategy {source}")])
    return ServedPolicy(policy_id, spec.make(), source=source, code_sha256=spec.code_sha256)


def _pin_faults(served: ServedPolicy, pinned: str | None) -> list[Fault]:
    if pinned is None or pinned == served.pin_sha256:
        return []
    remedy = "bring back the policy that was pinned, or pin this one after looking at it"
    return [Fault(f"pinned_policies.{served.policy_id}", f"{served.source} is {served.pin_sha256}; {remedy}")]
