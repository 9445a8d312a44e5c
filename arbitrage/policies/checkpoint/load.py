"""Policies as files: what kind there is of them, and how each is written and read; see `policy_files`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from arbitrage.errors import BadInput, Fault
from arbitrage.policies.checkpoint.card_schema import Kind
from arbitrage.policies.checkpoint.closed_form import (
    _closed_form_from,
    member_from_tensors,
    member_tensors,
    save_policy,
)
from arbitrage.policies.checkpoint.closed_form_layout import check_closed_form
from arbitrage.policies.checkpoint.files import (
    CARD_FILE,
    TENSORS_FILE,
    Card,
    Tensors,
    read_card,
    read_tensors,
    write_whole,
)
from arbitrage.policies.checkpoint.mpc import check_mpc, mpc_policy_from
from arbitrage.policies.checkpoint.network import check_network, network_policy_from
from arbitrage.policies.checkpoint.risk_setting import with_setting
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.policies.mpc.policy import MpcPolicy
from arbitrage.policies.network_policy import NetworkPolicy

__all__ = ["CARD_FILE", "TENSORS_FILE", "Card", "load_policy", "member_from_tensors", "member_tensors", "read_card"]
__all__ += ["save_policy", "write_whole"]

LearnedPolicy = ClosedFormPolicy | NetworkPolicy | MpcPolicy


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


_READERS: dict[Kind, tuple[Callable[[Card, Tensors, Path], None], Callable[[Card, Tensors, str], LearnedPolicy]]] = {
    Kind.CLOSED_FORM: (check_closed_form, _closed_form_from),
    Kind.NETWORK: (check_network, network_policy_from),
    Kind.PREDICTIVE: (check_mpc, mpc_policy_from),
}
