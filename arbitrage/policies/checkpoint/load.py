"""Policies read from their files; the kinds that there are stand in `registry`, the files in `checkpoint.files`."""

from __future__ import annotations

from pathlib import Path

from arbitrage.errors import BadInput, Fault
from arbitrage.policies.checkpoint.card_schema import Kind
from arbitrage.policies.checkpoint.closed_form import member_from_tensors, member_tensors, save_policy
from arbitrage.policies.checkpoint.files import CARD_FILE, TENSORS_FILE, Card, read_card, read_tensors, write_whole
from arbitrage.policies.checkpoint.risk_setting import with_setting
from arbitrage.policies.protocol import Policy
from arbitrage.policies.registry import POLICY_FILES

__all__ = ["CARD_FILE", "TENSORS_FILE", "Card", "load_policy", "member_from_tensors", "member_tensors", "read_card"]
__all__ += ["save_policy", "write_whole"]


def load_policy(directory: Path | str) -> Policy:
    """Read a policy, with the risk setting beside it if there is one; see `risk_setting`.

    Raises BadInput if the files are not those of a policy that this version can serve.
    """
    return load_policy_and_card(directory)[0]


def load_policy_and_card(directory: Path | str) -> tuple[Policy, Card]:
    """A policy as `load_policy` reads it, and the card that it was read by."""
    where = Path(directory)
    card = read_card(where)
    tensors = read_tensors(where, card)
    spec = POLICY_FILES[Kind(card["kind"])]
    spec.check(card, tensors, where / TENSORS_FILE)
    try:
        return with_setting(spec.make(card, tensors, str(where)), where), card
    except BadInput as refused:
        raise BadInput([_at(where, fault) for fault in refused.faults]) from refused


def _at(directory: Path, fault: Fault) -> Fault:
    """The fault with the directory, where it names no file of it."""
    return fault if fault.where.startswith(str(directory)) else Fault(str(directory), str(fault))
