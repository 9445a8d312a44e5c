"""What the service says of itself."""

from __future__ import annotations

from api.schemas.wire import Wire


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


class VersionOut(Wire):
    """What is running."""

    version: str
    schema_version: str
    code_revision: str | None
