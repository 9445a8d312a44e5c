"""Policies as files: what kind there is of them, and how each is written and read; see `policy_files`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from arbitrage.agents.arbitrage_policy import ArbitragePolicy
from arbitrage.agents.card_schema import Kind
from arbitrage.agents.closed_form_layout import check_closed_form
from arbitrage.agents.feature_units import feature_units, seen_in_words
from arbitrage.agents.lattice import LatticeSize
from arbitrage.agents.member import Member
from arbitrage.agents.minute_heads import MinuteHeads
from arbitrage.agents.mpc.mpc_checkpoint import check_mpc, mpc_policy_from
from arbitrage.agents.mpc.mpc_policy import MpcPolicy
from arbitrage.agents.network_checkpoint import check_network, network_policy_from
from arbitrage.agents.network_policy import NetworkPolicy
from arbitrage.agents.networks import Network
from arbitrage.agents.policy_files import (
    CARD_FILE,
    TENSORS_FILE,
    Card,
    Tensors,
    battery_in_words,
    feature_names,
    read_card,
    read_tensors,
    records_delay_min,
    write_policy_files,
    write_whole,
)
from arbitrage.agents.price_chain import PriceChain
from arbitrage.agents.random_features import RandomFeatures
from arbitrage.agents.risk_setting import head_from_tensors, head_tensors, with_setting
from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault
from arbitrage.observation import FeatureSet, MarketFeatures

__all__ = ["CARD_FILE", "TENSORS_FILE", "Card", "load_policy", "member_from_tensors", "member_tensors", "read_card"]
__all__ += ["save_policy", "write_whole"]

LearnedPolicy = ArbitragePolicy | NetworkPolicy | MpcPolicy


def save_policy(directory: Path, policy: ArbitragePolicy, about: Card) -> Card:
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
        "feature_set": policy.features.feature_set.value,
        "features": feature_names(policy.features),
        "feature_units": feature_units(policy.features),
        "step_min": policy.step_min,
        **about,
    }
    return write_policy_files(directory, tensors, card)


def _description(policy: ArbitragePolicy) -> str:
    """What the policy is, in plain words, for the card."""
    return (
        f"{battery_in_words(policy.battery, policy.step_min)} It sees "
        f"{seen_in_words(policy.features)}. Learned in closed form: an exact plan on a price chain, corrected by "
        "regression on the advantages that past prices would have realised."
    )


def load_policy(directory: Path | str) -> LearnedPolicy:
    """Read a policy, with the risk setting beside it if there is one; see `risk_setting`.

    Raises BadInput if the files are not those of a policy that this version can serve.
    """
    return load_policy_and_card(directory)[0]


def load_policy_and_card(directory: Path | str) -> tuple[LearnedPolicy, Card]:
    """A policy as `load_policy` reads it, and the card that it was read by."""
    where = Path(directory)
    card = read_card(where)
    tensors = read_tensors(where, card)
    check, make = _READERS[Kind(card["kind"])]
    check(card, tensors, where / TENSORS_FILE)
    try:
        return with_setting(make(card, tensors, str(where)), where), card
    except BadInput as refused:
        raise BadInput([_at(where, fault) for fault in refused.faults]) from refused


def _at(directory: Path, fault: Fault) -> Fault:
    """The fault with the directory, where it names no file of it."""
    return fault if fault.where.startswith(str(directory)) else Fault(str(directory), str(fault))


def _closed_form_from(card: Card, tensors: Tensors, where: str) -> ArbitragePolicy:
    """The inverse of `save_policy`, for files that `check_closed_form` has passed."""
    return ArbitragePolicy(
        battery=Battery(**card["battery"]),
        size=LatticeSize(**card["lattice"]),
        members=tuple(member_from_tensors(tensors, f"{number}.", where) for number in range(card["members"])),
        sources=tuple(card["sources"]),
        features=MarketFeatures(FeatureSet(card["feature_set"])),
        publication_delay_min=records_delay_min(card),
        critic=_network(tensors, "critic."),
        name=card["name"],
        head=head_from_tensors(tensors, where),
    )


_READERS: dict[Kind, tuple[Callable[[Card, Tensors, Path], None], Callable[[Card, Tensors, str], LearnedPolicy]]] = {
    Kind.CLOSED_FORM: (check_closed_form, _closed_form_from),
    Kind.NETWORK: (check_network, network_policy_from),
    Kind.PREDICTIVE: (check_mpc, mpc_policy_from),
}


def member_tensors(member: Member) -> Tensors:
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


def member_from_tensors(tensors: Tensors, prefix: str, where: str) -> Member:
    """The inverse of `member_tensors` for names that begin with `prefix`. Raises BadInput naming `where`."""
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    try:
        return Member(
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
