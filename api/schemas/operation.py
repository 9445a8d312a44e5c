"""What the service says of itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.wire import Wire


class ReadinessQuery(BaseModel):
    """What is asked of readiness."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_age_seconds: Annotated[float | None, Field(gt=0.0, description="Oldest newest record that is fit.")] = None


class Alive(Wire):
    """The process answers."""

    status: str


class Reason(Wire):
    """Why the service is not fit to decide."""

    about: str
    message: str


class Readiness(Wire):
    """Whether policy, database and data are fit to decide."""

    ready: bool
    reasons: list[Reason]
    warnings: list[Reason]
    """What is amiss and keeps nothing from being decided; for operators."""


class VersionOut(Wire):
    """What is running."""

    version: str
    schema_version: str
    code_revision: str | None
