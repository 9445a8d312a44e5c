"""The two files of a policy: tensors in safetensors, and a card in JSON that says what it is. No code in either.

Contract
- This is the one door to a policy's files: whatever is read of them has passed `bounded_files`, `card_schema` and
  `tensor_layout` before anything else sees it.
- The card names the digest of the tensors, and its own (`card_sha256`), which covers every key but `tests`, where test
  figures are added later. So the card's digest names the whole policy. A file that is altered, cut short or foreign is
  refused with the reason. A card without a digest of its own was written before there were any: it is not sealed.
- Files appear whole or not at all: they are written beside their place and then moved there.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.numpy import save

from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.features.encoder import MarketFeatures, TrailingScale
from arbitrage.features.names import FeatureSet
from arbitrage.features.units import feature_units
from arbitrage.market.point_in_time import DAY_AHEAD
from arbitrage.policies.checkpoint.bounded_files import read_bounded, read_json
from arbitrage.policies.checkpoint.card_schema import SCHEMA_VERSION, Card, Kind, card_faults, feature_names
from arbitrage.policies.checkpoint.tensor_layout import Tensors, parse_tensors
from arbitrage.policies.protocol import Policy
from arbitrage.quarter_hour import MINUTES_PER_HOUR, epoch_minute

TENSORS_FILE = "policy.safetensors"
CARD_FILE = "card.json"
SETTING_FILE = "risk.json"
"""The file of the risk setting; a policy that is rewritten begins without one."""

MOST_CARD_BYTES = 1024 * 1024
MOST_TENSOR_BYTES = 256 * 1024 * 1024
MOST_SETTING_BYTES = 64 * 1024

__all__ = ["CARD_FILE", "SETTING_FILE", "TENSORS_FILE", "Card", "Tensors", "feature_names"]

_DAY_AHEAD_BY_QUARTER_HOUR = epoch_minute("2025-10-01T00:00+02:00")
"""The first delivery day whose prices were by the quarter-hour."""
_SEAL = "card_sha256"
_OUTSIDE_SEAL = (_SEAL, "tests")


@dataclass(frozen=True, slots=True)
class PolicyFileSpec:
    """A kind of policy that is served from files."""

    kind: Kind
    check: Callable[[Card, Tensors, Path], None]
    """Raises BadInput where the tensors are not those that the card describes."""
    make: Callable[[Card, Tensors, str], Policy]
    """The policy of a checked card; the text names its directory in faults."""


def write_policy_files(directory: Path, tensors: Tensors, card: Card) -> Card:
    """Write tensors and card, with schema version and both digests added; returns the card as it is written."""
    content = save(tensors)
    card = _plain({"schema_version": SCHEMA_VERSION, "tensors_sha256": hashlib.sha256(content).hexdigest(), **card})
    directory.mkdir(parents=True, exist_ok=True)
    (directory / SETTING_FILE).unlink(missing_ok=True)
    write_whole(directory / TENSORS_FILE, content)
    write_card(directory, card | {_SEAL: card_digest(card)})
    return card | {_SEAL: card_digest(card)}


def write_card(directory: Path, card: Card) -> None:
    """Write a card, with null for figures that are not finite."""
    write_whole(directory / CARD_FILE, json.dumps(_plain(card), indent=2, sort_keys=True, allow_nan=False).encode())


def card_digest(card: Mapping[str, Any]) -> str:
    """Names a policy, tensors included: the digest over every key of its card but those outside the seal."""
    sealed = {key: value for key, value in card.items() if key not in _OUTSIDE_SEAL}
    return hashlib.sha256(json.dumps(sealed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def is_sealed(card: Mapping[str, Any]) -> bool:
    """Whether the card bears its own digest; only then an altered card is noticed."""
    return _SEAL in card


def seal_fault(card: Mapping[str, Any]) -> str | None:
    """What is wrong with the card's own digest, if anything."""
    if not is_sealed(card) or card[_SEAL] == card_digest(card):
        return None
    return f"does not match its own digest ({_SEAL}): it was altered; bring back the file as it was, or train it again"


def read_tensors(directory: Path, card: Card) -> Tensors:
    """The tensors that the card names. Raises BadInput if they are others, or none."""
    path = directory / TENSORS_FILE
    content = read_bounded(path, MOST_TENSOR_BYTES)
    if hashlib.sha256(content).hexdigest() != card["tensors_sha256"]:
        raise BadInput([Fault(str(path), "does not match the digest in the card: altered or cut short")])
    return parse_tensors(content, path)


def records_delay_min(card: Card) -> int:
    """How late records reached the policy that learned: their publication delay and its decision latency."""
    return int(card["publication_delay_min"]) + int(card.get("decision_latency_min", 0))


def feature_facts(features: MarketFeatures) -> Card:
    """What a policy sees of the market, for its card."""
    return {
        "feature_set": features.feature_set.value,
        "features": feature_names(features),
        "feature_units": feature_units(features),
        "trailing_scale": asdict(features.scale),
        "day_ahead_hour_means": features.hour_means,
        "day_ahead_learned_min": list(features.learned_day_ahead_min),
    }


def features_of(card: Card) -> MarketFeatures:
    """The inverse of `feature_facts`.

    A card that does not name the resolution of the day-ahead prices is of a policy that learned on prices by the hour
    if its days end before Europe's day-ahead market went over to quarter-hours.
    """
    end = card["split"].get("end_epoch_minute")
    by_hour = end is not None and end <= _DAY_AHEAD_BY_QUARTER_HOUR and DAY_AHEAD in card["sources"]
    return MarketFeatures(
        FeatureSet(card["feature_set"]),
        TrailingScale(**card.get("trailing_scale", {})),
        hour_means=card.get("day_ahead_hour_means", False),
        learned_day_ahead_min=tuple(sorted(card.get("day_ahead_learned_min", [MINUTES_PER_HOUR] if by_hour else []))),
    )


def read_card(directory: Path) -> Card:
    """The card of a policy of a kind that is served. Raises BadInput with everything wrong with it."""
    path = directory / CARD_FILE
    card = read_json(path, MOST_CARD_BYTES)
    sealed = seal_fault(card) if isinstance(card, dict) else None
    refuse(Fault(str(path), message) for message in (*card_faults(card), *([sealed] if sealed else [])))
    return dict(card)


def battery_in_words(battery: Battery, step_min: int) -> str:
    """What a policy decides for, as the beginning of a description."""
    cap = battery.max_cycles_per_day
    return (
        f"Decides every {step_min} min whether a battery of {battery.power_mw:g} MW and {battery.capacity_mwh:g} MWh "
        f"charges, holds or discharges against the Belgian imbalance price, with "
        f"{'no cycle budget' if cap is None else f'at most {cap:g} cycles a day'}."
    )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever interrupts."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _plain(value: Any) -> Any:
    """A value as JSON gives it back: lists for tuples, and null for what is not a finite number."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
