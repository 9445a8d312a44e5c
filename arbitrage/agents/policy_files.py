"""The two files of a policy: tensors in safetensors, and a card in JSON that says what it is. No code in either.

Law
- The card names the digest of the tensors. A file that is altered, cut short or foreign is refused with the reason.
- Files appear whole or not at all: they are written beside their place and then moved there.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault
from arbitrage.observation import FeatureSet, MarketFeatures

SCHEMA_VERSION = 1
TENSORS_FILE = "policy.safetensors"
CARD_FILE = "card.json"
SETTING_FILE = "risk.json"
"""Where somebody's setting of the risk dial stands; a policy written anew begins without one."""

Card = dict[str, Any]
Tensors = dict[str, npt.NDArray[Any]]

_NEEDED = {"schema_version", "kind", "tensors_sha256", "battery", "sources", "features", "name"}
_NEEDED |= {"publication_delay_min", "seed", "split", "feature_set", "minute_source"}


def write_policy_files(directory: Path, tensors: Tensors, card: Card) -> Card:
    """Write tensors and card, with schema version and digest added; returns the card."""
    content = save(tensors)
    card = {"schema_version": SCHEMA_VERSION, "tensors_sha256": hashlib.sha256(content).hexdigest(), **card}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / SETTING_FILE).unlink(missing_ok=True)
    write_whole(directory / TENSORS_FILE, content)
    write_whole(directory / CARD_FILE, json.dumps(card, indent=2, sort_keys=True).encode())
    return card


def read_tensors(directory: Path, card: Card) -> Tensors:
    """The tensors that the card names. Raises BadInput if they are others, or none."""
    path = directory / TENSORS_FILE
    content = _read(path)
    if hashlib.sha256(content).hexdigest() != card["tensors_sha256"]:
        raise BadInput([Fault(str(path), "does not match the digest in the card: altered or cut short")])
    try:
        return dict(load(content))
    except SafetensorError as error:
        raise BadInput([Fault(str(path), f"is not a safetensors file: {error}")]) from error


def records_delay_min(card: Card) -> int:
    """How late records reached the policy that learned: their publication delay and its decision latency."""
    return int(card["publication_delay_min"]) + int(card.get("decision_latency_min", 0))


def read_card(directory: Path) -> Card:
    """The card of a policy directory, of whatever kind. Raises BadInput."""
    path = directory / CARD_FILE
    try:
        card = json.loads(_read(path))
    except ValueError as error:
        raise BadInput([Fault(str(path), f"is not JSON: {error}")]) from error
    missing = sorted(_NEEDED - set(card)) if isinstance(card, dict) else sorted(_NEEDED)
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
    except TypeError as error:
        raise BadInput([Fault(str(path), f"describes a battery or lattice that is not ours: {error}")]) from error
    return dict(card)


def feature_names(features: MarketFeatures) -> list[str]:
    """All that a policy encodes, in order."""
    return [*features.quarter_names, *features.running_names]


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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput([Fault(str(path), f"cannot be read: {error.strerror}")]) from error
