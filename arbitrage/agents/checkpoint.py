"""A policy as files without code in them: tensors in safetensors, and a card in JSON that says what it is.

Law
- The card names the digest of the tensors. A file that is altered, cut short or foreign is refused with the reason.
- Files appear whole or not at all: they are written beside their place and then moved there.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from arbitrage.agents.arbitrage_policy import ArbitragePolicy
from arbitrage.agents.feature_units import feature_units, seen_in_words
from arbitrage.agents.lattice import LatticeSize
from arbitrage.agents.member import Member
from arbitrage.agents.minute_heads import MinuteHeads
from arbitrage.agents.networks import Network
from arbitrage.agents.price_chain import PriceChain
from arbitrage.agents.random_features import RandomFeatures
from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault
from arbitrage.observation import FeatureSet, MarketFeatures

SCHEMA_VERSION = 1
TENSORS_FILE = "policy.safetensors"
CARD_FILE = "card.json"

Card = dict[str, Any]
Tensors = dict[str, npt.NDArray[Any]]


def save_policy(directory: Path, policy: ArbitragePolicy, about: Card) -> Card:
    """Write the policy into a directory and return its card; `about` adds what the policy itself does not know."""
    tensors = {
        f"{number}.{name}": value
        for number, member in enumerate(policy.members)
        for name, value in member_tensors(member).items()
    }
    if policy.critic is not None:
        tensors |= _network_tensors("critic.", policy.critic)
    content = save(tensors)
    card = {
        "schema_version": SCHEMA_VERSION,
        "kind": "counterfactual_closed_form",
        "name": policy.name,
        "description": _description(policy),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "tensors_sha256": hashlib.sha256(content).hexdigest(),
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
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(directory / TENSORS_FILE, content)
    write_whole(directory / CARD_FILE, json.dumps(card, indent=2, sort_keys=True).encode())
    return card


def _description(policy: ArbitragePolicy) -> str:
    """What the policy is, in plain words, for the card."""
    battery = policy.battery
    cap = battery.max_cycles_per_day
    return (
        f"Decides every {policy.step_min} min whether a battery of {battery.power_mw:g} MW and "
        f"{battery.capacity_mwh:g} MWh charges, holds or discharges against the Belgian imbalance price, with "
        f"{'no cycle budget' if cap is None else f'at most {cap:g} cycles a day'}. It sees "
        f"{seen_in_words(policy.features)}. Learned in closed form: an exact plan on a price chain, corrected by "
        "regression on the advantages that past prices would have realised."
    )


def load_policy(directory: Path | str) -> ArbitragePolicy:
    """Read a policy. Raises BadInput if the files are not those of a policy that this version can serve."""
    where = Path(directory)
    card = read_card(where)
    content = _read(where / TENSORS_FILE)
    if hashlib.sha256(content).hexdigest() != card["tensors_sha256"]:
        raise BadInput(
            [Fault(str(where / TENSORS_FILE), "does not match the digest in the card: altered or cut short")]
        )
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise BadInput([Fault(str(where / TENSORS_FILE), f"is not a safetensors file: {error}")]) from error
    members = tuple(member_from_tensors(tensors, f"{number}.", str(where)) for number in range(card["members"]))
    return ArbitragePolicy(
        battery=Battery(**card["battery"]),
        size=LatticeSize(**card["lattice"]),
        members=members,
        sources=tuple(card["sources"]),
        features=MarketFeatures(FeatureSet(card["feature_set"])),
        publication_delay_min=int(card["publication_delay_min"]),
        critic=_network(tensors, "critic."),
        name=card["name"],
    )


def feature_names(features: MarketFeatures) -> list[str]:
    """All that a policy encodes, in order."""
    return [*features.quarter_names, *features.running_names]


def read_card(directory: Path) -> Card:
    """The card of a policy directory. Raises BadInput."""
    path = directory / CARD_FILE
    try:
        card = json.loads(_read(path))
    except ValueError as error:
        raise BadInput([Fault(str(path), f"is not JSON: {error}")]) from error
    needed = {"schema_version", "tensors_sha256", "members", "battery", "lattice", "sources", "features", "name"}
    needed |= {"publication_delay_min", "seed", "split", "feature_set", "minute_source"}
    missing = sorted(needed - set(card)) if isinstance(card, dict) else sorted(needed)
    if missing:
        raise BadInput([Fault(str(path), f"is not the card of a policy: {', '.join(missing)} missing")])
    if card["schema_version"] != SCHEMA_VERSION:
        raise BadInput([Fault(str(path), f"has schema version {card['schema_version']}, not {SCHEMA_VERSION}")])
    if card["feature_set"] not in list(FeatureSet):
        raise BadInput([Fault(str(path), f"names a set of features that there is not: {card['feature_set']!r}")])
    if card["features"] != feature_names(MarketFeatures(FeatureSet(card["feature_set"]))):
        raise BadInput([Fault(str(path), "names other market features than this version encodes; train anew")])
    try:
        Battery(**card["battery"])
        LatticeSize(**card["lattice"])
    except TypeError as error:
        raise BadInput([Fault(str(path), f"describes a battery or lattice that is not ours: {error}")]) from error
    return dict(card)


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


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever interrupts."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput([Fault(str(path), f"cannot be read: {error.strerror}")]) from error
