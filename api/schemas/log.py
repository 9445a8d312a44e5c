"""The log of decisions on the wire: what may be asked of it, and a page of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.decisions import Action, DecisionOut
from api.schemas.wire import NAME_PATTERN, Time, Wire


class LogQuery(BaseModel):
    """Which decisions; times are [start, end) of `generated_at`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asset_id: Annotated[str | None, Field(pattern=NAME_PATTERN)] = None
    start: Time | None = None
    end: Time | None = None
    action: Action | None = None
    mode: Literal["policy", "override", "watch_only"] | None = None
    role: Annotated[
        Literal["served", "challenger", "replay"],
        Field(description="Answered to be acted on, thought by a challenger, or answered for a kept asset's past."),
    ] = "served"
    policy_sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")] = None
    min_fallback_level: Annotated[int | None, Field(ge=0, le=3)] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Annotated[str | None, Field(max_length=200, description="`next_cursor` of the page before.")] = None


class DecisionPage(Wire):
    """Decisions, newest first."""

    decisions: list[DecisionOut]
    next_cursor: str | None
