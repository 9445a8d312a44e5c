"""Closed-form policies as files: their card, and each part as named arrays.

Contract: what is written is read back bit for bit. Arrays are checked against their layout before this module sees
them (`closed_form_layout`).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault
from arbitrage.features.units import seen_in_words
from arbitrage.policies.checkpoint.card_schema import Kind
from arbitrage.policies.checkpoint.closed_form_layout import check_closed_form
from arbitrage.policies.checkpoint.files import (
    Card,
    PolicyFileSpec,
    Tensors,
    battery_in_words,
    feature_facts,
    features_of,
    records_delay_min,
    write_policy_files,
)
from arbitrage.policies.closed_form.ensemble_member import EnsembleMember
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.minute_heads import MinuteHeads
from arbitrage.policies.closed_form.online_combination import CombinationConfig
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.closed_form.price_chain import PriceChain
from arbitrage.policies.closed_form.random_features import RandomFeatures
from arbitrage.policies.closed_form.risk_head import AdvantageSize, RiskHead
from arbitrage.policies.networks import Network


def save_policy(directory: Path, policy: ClosedFormPolicy, about: Card) -> Card:
    """Write the policy into a directory and return its card; `about` adds what the policy itself does not know."""
    tensors = {
        f"{number}.{name}": value
        for number, member in enumerate(policy.members)
        for name, value in member_tensors(member).items()
    }
    if policy.critic is not None:
        tensors |= _network_tensors("critic.", policy.critic)
    if policy.head is not None:
        tensors |= head_tensors(policy.head)
    card = {
        "kind": Kind.CLOSED_FORM.value,
        "name": policy.name,
        "description": _description(policy),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "members": len(policy.members),
        "battery": asdict(policy.battery),
        "lattice": asdict(policy.size),
        "sources": list(policy.sources),
        **feature_facts(policy.features),
        "step_min": policy.step_min,
        "combination": None if policy.combination is None else asdict(policy.combination),
        **about,
    }
    return write_policy_files(directory, tensors, card)


def _description(policy: ClosedFormPolicy) -> str:
    """What the policy is, in plain words, for the card."""
    return (
        f"{battery_in_words(policy.battery, policy.step_min)} It sees "
        f"{seen_in_words(policy.features)}. Learned in closed form: an exact plan on a price chain, corrected by "
        "regression on the advantages that past prices would have realised."
    )


def closed_form_from(card: Card, tensors: Tensors, where: str) -> ClosedFormPolicy:
    """The inverse of `save_policy`, for files that `check_closed_form` has passed."""
    return ClosedFormPolicy(
        battery=Battery(**card["battery"]),
        size=LatticeSize(**card["lattice"]),
        members=tuple(member_from_tensors(tensors, f"{number}.", where) for number in range(card["members"])),
        sources=tuple(card["sources"]),
        features=features_of(card),
        publication_delay_min=records_delay_min(card),
        critic=_network(tensors, "critic."),
        name=card["name"],
        head=head_from_tensors(tensors, where),
        combination=_combination(card),
    )


def _combination(card: Card) -> CombinationConfig | None:
    """How its forecasts are combined; a card without the entry is of a policy that combines none."""
    settings = card.get("combination")
    return None if settings is None else CombinationConfig(**settings)


def member_tensors(member: EnsembleMember) -> Tensors:
    """The arrays of a member by name."""
    return {
        **{f"plan_map.{name}": value for name, value in _arrays(member.plan_map).items()},
        **{f"full_map.{name}": value for name, value in _arrays(member.full_map).items()},
        **{f"chain.{name}": value for name, value in member.chain._asdict().items()},
        **({} if member.network is None else _network_tensors("network.", member.network)),
        **({} if member.minutes is None else _minute_tensors(member.minutes)),
        "plan_coefficients": np.ascontiguousarray(member.plan_coefficients),
        "forecast_coefficients": np.ascontiguousarray(member.forecast_coefficients),
        "slow_coefficients": np.ascontiguousarray(member.slow_coefficients),
        "correction_coefficients": member.correction_coefficients,
        "end_value_fraction": member.end_value_fraction,
    }


def member_from_tensors(tensors: Tensors, prefix: str, where: str) -> EnsembleMember:
    """The inverse of `member_tensors` for names that begin with `prefix`. Raises BadInput naming `where`."""
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    try:
        return EnsembleMember(
            plan_map=RandomFeatures(**_part(own, "plan_map.")),
            full_map=RandomFeatures(**_part(own, "full_map.")),
            chain=PriceChain(**_part(own, "chain.")),
            network=_network(own, "network."),
            plan_coefficients=own["plan_coefficients"],
            forecast_coefficients=own["forecast_coefficients"],
            slow_coefficients=own["slow_coefficients"],
            correction_coefficients=own["correction_coefficients"],
            end_value_fraction=own["end_value_fraction"],
            minutes=_minute_heads(own),
        )
    except (KeyError, TypeError) as error:
        raise BadInput([Fault(where, f"holds other tensors than this version serves: {error}")]) from error


def _arrays(features: RandomFeatures) -> Tensors:
    return {name: getattr(features, name) for name in RandomFeatures.__dataclass_fields__}


def _minute_tensors(heads: MinuteHeads) -> Tensors:
    named = (_network_tensors(f"minutes.{number}.", network) for number, network in enumerate(heads.networks))
    return {name: value for tensors in named for name, value in tensors.items()}


def _minute_heads(tensors: Tensors) -> MinuteHeads | None:
    """The minute heads of a member, if it has any. Raises TypeError if one is not whole."""
    numbers = sorted({int(name.split(".")[1]) for name in tensors if name.startswith("minutes.")})
    networks = (_network(tensors, f"minutes.{number}.") for number in numbers)
    return MinuteHeads(tuple(network for network in networks if network is not None)) if numbers else None


def _network_tensors(prefix: str, network: Network) -> Tensors:
    return {f"{prefix}{name}": value for name, value in network._asdict().items()}


def _network(tensors: Tensors, prefix: str) -> Network | None:
    """The network stored under a prefix, if any. Raises TypeError if it is not whole."""
    own = _part(tensors, prefix)
    return Network(**own) if own else None


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


_TENSORS = "risk."


def head_tensors(head: RiskHead) -> Tensors:
    """The arrays of a risk head by name."""
    arrays = {"dial": head.coefficients, **{f"size.{name}": value for name, value in head.size._asdict().items()}}
    return {f"{_TENSORS}{name}": np.ascontiguousarray(value) for name, value in arrays.items()}


def head_from_tensors(tensors: Tensors, where: str) -> RiskHead | None:
    """The inverse of `head_tensors`; None where there is none. Raises BadInput naming `where` if it is not whole."""
    own = {name.removeprefix(_TENSORS): value for name, value in tensors.items() if name.startswith(_TENSORS)}
    if not own:
        return None
    try:
        return RiskHead(AdvantageSize(*(own[f"size.{name}"] for name in AdvantageSize._fields)), own["dial"])
    except KeyError as error:
        raise BadInput([Fault(where, f"holds a risk head that is not whole: {error} is missing")]) from error


CLOSED_FORM_FILES = PolicyFileSpec(Kind.CLOSED_FORM, check_closed_form, closed_form_from)
