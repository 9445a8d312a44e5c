"""Cards of policies of any kind, read to be shown and listed, and the test figures written on them.

Law
- A card is shown as it stands, whatever its kind; whether this version can serve the policy is decided by loading it.
- A card that names other tensors than those beside it is shown, and said to be so.
- Writing test figures changes nothing but the card, and nothing there but the figures under their label.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock

from arbitrage.agents.checkpoint import CARD_FILE, TENSORS_FILE, Card, write_whole
from arbitrage.errors import BadInput, Fault, refuse

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
    """The card of a policy of any kind. Raises BadInput if there is none, or if it names no kind or no digest."""
    path = directory / CARD_FILE
    try:
        card = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput([Fault(str(path), f"cannot be read: {error.strerror}")]) from error
    except ValueError as error:
        raise BadInput([Fault(str(path), f"is not JSON: {error}")]) from error
    if not isinstance(card, dict):
        raise BadInput([Fault(str(path), "is not the card of a policy")])
    missing = sorted({"kind", _DIGEST} - set(card))
    refuse([Fault(str(path), f"is not the card of a policy: {', '.join(missing)} missing")] if missing else [])
    return card


def policy_directories(folder: Path) -> list[Path]:
    """All directories with a card at or below the folder, in order. Raises BadInput if it is no folder."""
    if not folder.is_dir():
        raise BadInput([Fault(str(folder), "is not a folder")])
    return sorted(path.parent for path in folder.rglob(CARD_FILE))


def tensors_beside(directory: Path, card: Card) -> TensorsState:
    """Whether the tensors are those that the card names."""
    path = directory / TENSORS_FILE
    if not path.is_file():
        return TensorsState.MISSING
    same = hashlib.sha256(path.read_bytes()).hexdigest() == card[_DIGEST]
    return TensorsState.MATCH if same else TensorsState.ALTERED


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
        if (tensors := tensors_beside(directory, card)) is not TensorsState.MATCH:
            raise BadInput([Fault(str(directory / TENSORS_FILE), tensors.value)])
        refuse_label(card, label)
        card[TESTS] = card.get(TESTS, {}) | {label: figures}
        write_whole(directory / CARD_FILE, json.dumps(card, indent=2, sort_keys=True).encode())
