"""The policies that the service decides with: learned ones from their directories, rules by name.

Contract: a policy is loaded once, at start, its digests checked; whatever is wrong with any of them stops the start,
and so does a policy that is another than the one pinned. A card without a digest of its own is served, and said not to
be sealed.
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
from arbitrage.policies.minute_rule import MinuteSpreadRule
from arbitrage.policies.protocol import Policy
from arbitrage.policies.rules import Idle, SpreadRule, ThresholdRule

log = structlog.get_logger("api.policies")

_RULES: tuple[tuple[str, Policy], ...] = (
    ("idle", Idle()),
    ("threshold", ThresholdRule()),
    ("spread", SpreadRule()),
    ("minute-spread", MinuteSpreadRule()),
)


@dataclass(frozen=True, slots=True)
class ServedPolicy:
    """A policy and what is known about it."""

    policy_id: str
    policy: Policy
    card: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Empty for a rule."""
    directory: Path | None = None

    @property
    def sha256(self) -> str | None:
        """Digest of its tensors; None for a rule."""
        return self.card.get("tensors_sha256")

    @property
    def card_sha256(self) -> str | None:
        """Digest of its card, which names the whole policy and can be pinned; None for a rule."""
        return card_digest(self.card) if self.card else None

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
        """The battery that it was made for; None for a rule, which takes any."""
        return Battery(**self.card["battery"]) if self.card else None

    @property
    def publication_delay_min(self) -> int | None:
        """Of the records that it was trained on; None for a rule."""
        delay = self.card.get("publication_delay_min")
        return None if delay is None else int(delay)


class Policies:
    """Everything that may decide, by id."""

    def __init__(
        self, directories: Mapping[str, Path], default: str | None, pinned: Mapping[str, str] | None = None
    ) -> None:
        """Load the policies of these directories, by id.

        pinned: digests of cards that policies must have, by id.
        Raises BadInput with what is wrong with any of them.
        """
        self._served = {name: ServedPolicy(name, rule) for name, rule in _RULES}
        faults: list[Fault] = []
        for name, directory in directories.items():
            if name in self._served:
                faults.append(Fault(f"policies.{name}", "is the name of a rule; choose another"))
                continue
            try:
                policy, card = load_policy_and_card(directory)
            except BadInput as refused:
                faults += refused.faults
                continue
            self._served[name] = served = ServedPolicy(name, policy, card, directory)
            faults += _pin_faults(served, (pinned or {}).get(name))
            if not served.is_sealed:
                log.warning("policy_not_sealed", policy_id=name, card_sha256=served.card_sha256)
        if default is not None and default not in self._served and default not in directories:
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
        """What decides where nobody says otherwise."""
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


def _pin_faults(served: ServedPolicy, pinned: str | None) -> list[Fault]:
    if pinned is None or pinned == served.card_sha256:
        return []
    remedy = "bring back the policy that was pinned, or pin this one after looking at it"
    return [Fault(f"pinned_policies.{served.policy_id}", f"{served.directory} is {served.card_sha256}; {remedy}")]
