"""Policies on the wire."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.schemas.wire import Wire


class PolicyOut(Wire):
    """A policy that may be asked for."""

    id: str
    kind: str = Field(description="That of its card; else `rule`, or `own_strategy` for code of the operator's own.")
    name: str
    sha256: str | None = Field(description="Of its tensors or its code, as decisions name it; null for a rule.")
    card_sha256: str | None = Field(
        description="Of its card, which names the whole policy; it can be pinned, as `sha256` of an own strategy."
    )
    is_sealed: bool = Field(description="Whether the card bears that digest; if not, a change of it goes unnoticed.")
    step_min: int
    is_default: bool
    battery: dict[str, Any] | None = Field(description="The one it was trained for; null where it takes any.")
    publication_delay_min: int | None
    has_risk_head: bool
    has_quantile_critic: bool
    card: dict[str, Any] = Field(description="Features, units, data, figures and revision; empty for a rule.")


class PolicyList(Wire):
    """All policies, learned ones first."""

    policies: list[PolicyOut]
