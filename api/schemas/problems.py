"""What a refusal looks like (RFC 9457)."""

from __future__ import annotations

from api.schemas.wire import Wire


class FaultOut(Wire):
    """One thing wrong: where, a code for programs, a message for people."""

    field: str
    code: str
    message: str


class ProblemOut(Wire):
    """Why a request was refused, with every fault."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    faults: list[FaultOut]
