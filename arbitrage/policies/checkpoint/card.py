"""Cards of policies of any kind, read to be shown and listed, and the test figures written on them.

Contract
- A card is shown as it stands, whatever its kind; whether this version can serve the policy is decided by loading it.
- A card that names other tensors than those beside it is shown, and said to be so.
- Writing test figures changes nothing but the card, and nothing there but the figures under their label.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock

from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.policies.checkpoint.bounded_files import read_bounded, read_json
from arbitrage.policies.checkpoint.card_schema import shown_faults
from arbitrage.policies.checkpoint.files import (
    CARD_FILE,
    MOST_CARD_BYTES,
    MOST_TENSOR_BYTES,
    TENSORS_FILE,
    Card,
    is_sealed,
    seal_fault,
    write_card,
)

TESTS = "tests"
"""Where a card keeps test figures, by label."""
_LOCK_FILE = ".card.lock"
_LOCK_WAIT_S = 30.0
_DIGEST = "tensors_sha256"


class TensorsState(StrEnum):
    """How the tensors beside a card compare with the digest on it."""

    MATCH = "match the card"
    ALTERED = "DO NOT match the card: altered or cut short"
    MISSING = "are MISSING"


def read_any_card(directory: Path) -> Card:
    """The card of a policy of any kind. Raises BadInput if there is none, or if it cannot be shown."""
    path = directory / CARD_FILE
    card = read_json(path, MOST_CARD_BYTES)
    refuse(Fault(str(path), message) for message in shown_faults(card))
    return dict(card)


def policy_directories(folder: Path) -> list[Path]:
    """All directories with a card at or below the folder, in order. Raises BadInput if it is no folder."""
    if not folder.is_dir():
        raise BadInput([Fault(str(folder), "is not a folder")])
    return sorted(path.parent for path in folder.rglob(CARD_FILE))


def tensors_of_card(directory: Path, card: Card) -> TensorsState:
    """Whether the tensors are those that the card names. Raises BadInput for what is no file of such a size."""
    path = directory / TENSORS_FILE
    if not path.exists():
        return TensorsState.MISSING
    same = hashlib.sha256(read_bounded(path, MOST_TENSOR_BYTES)).hexdigest() == card[_DIGEST]
    return TensorsState.MATCH if same else TensorsState.ALTERED


def seal_in_words(card: Card) -> str:
    """Whether the card is as it was written, as far as its own digest shows."""
    if not is_sealed(card):
        return "none: the card is of before there were any, and a change of it goes unnoticed; pin its digest"
    return seal_fault(card) or "matches"


def refuse_label(card: Card, label: str) -> None:
    """Raise BadInput if figures cannot be written under that label: it is empty, or has figures already."""
    if not label.strip():
        raise BadInput([Fault("record", "needs a label that says something")])
    if label in card.get(TESTS, {}):
        raise BadInput([Fault("record", f"the card has figures under {label!r} already; choose another label")])


def write_test(directory: Path, digest: str, label: str, figures: dict[str, Any]) -> None:
    """Write test figures of the policy with that digest into its card, under a label.

    Raises BadInput if the policy there is another by now, its tensors are altered, or the label is taken.
    """
    with FileLock(directory / _LOCK_FILE, timeout=_LOCK_WAIT_S):
        card = read_any_card(directory)
        if card[_DIGEST] != digest:
            raise BadInput([Fault(str(directory), "holds another policy by now than the one tested")])
        if (tensors := tensors_of_card(directory, card)) is not TensorsState.MATCH:
            raise BadInput([Fault(str(directory / TENSORS_FILE), tensors.value)])
        refuse_label(card, label)
        card[TESTS] = card.get(TESTS, {}) | {label: figures}
        write_card(directory, card)
