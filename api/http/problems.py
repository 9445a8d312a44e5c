"""What the service answers when it cannot do what was asked: problem details (RFC 9457) with every fault named.

Contract
- A fault says the field, a code for programs and a message for people; all that were found are listed together, of more
  than `MOST_FAULTS` the first ones with the number of all.
- Nothing of a request's secrets is repeated in an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.responses import Response

from arbitrage.errors import BadInput

MEDIA_TYPE = "application/problem+json"
TYPES = "https://arbitrage.invalid/problems/"
"""Problem types are names, not addresses: the domain is one that never resolves."""
INVALID = "invalid"
"""The code of a fault whose message says all there is to say."""

OUTCOME_OPEN = "outcome-open"
"""The kind of a refusal after which what was asked may have been done all the same."""

MOST_FAULTS = 100
MORE_FAULTS = "more_faults"
"""The code of a fault that stands for a number of others, `more` in its context."""

MOST_INSTANCE = 100
"""Characters of a request's path that are repeated."""

FaultItem = dict[str, str]


class Problem(Exception):
    """A request that is refused; becomes the answer as it stands."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        kind: str | None = None,
        faults: Iterable[FaultItem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind or status.phrase.lower().replace(" ", "-")
        self.faults = list(faults)
        self.headers = dict(headers or {})

    def document(self, instance: str) -> dict[str, Any]:
        """The problem as RFC 9457 writes it."""
        return {
            "type": TYPES + self.kind,
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
            "instance": instance[:MOST_INSTANCE],
            "faults": self.faults,
        }

    def response(self, instance: str) -> Response:
        """The answer to the request at that path."""
        body = orjson.dumps(self.document(instance))
        return Response(body, status_code=int(self.status), media_type=MEDIA_TYPE, headers=self.headers)


def fault(field: str, code: str, message: str) -> FaultItem:
    """One thing wrong with a request."""
    return {"field": field, "code": code, "message": message}


def unusable(faults: Iterable[FaultItem], unlisted: int = 0) -> Problem:
    """A request that was understood and cannot be used; `unlisted` faults were found besides."""
    found = list(faults)
    count, listed = len(found) + unlisted, found[:MOST_FAULTS]
    detail = "The request has 1 fault." if count == 1 else f"The request has {count} faults."
    if count > len(listed):
        detail += f" The first {len(listed)} are listed."
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, kind="unusable", faults=listed)


def outcome_open() -> Problem:
    """Something was to be written down, and whether it was is not known."""
    detail = (
        "Whether this was written down is not known. Ask again under the same Idempotency-Key (an order or an asset: "
        "send it again, or look it up): the answer is what was decided, if anything was. Until then hold at 0 MW."
    )
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, kind=OUTCOME_OPEN, headers={"Retry-After": "1"})


def from_validation(error: ValidationError, prefix: str = "") -> Problem:
    """Every fault that a schema found. JSON that cannot be read at all is a bad request."""
    found = error.errors(include_url=False, include_input=False)
    more = sum(item["ctx"]["more"] for item in found if item["type"] == MORE_FAULTS)
    found = [item for item in found if item["type"] != MORE_FAULTS]
    faults = [fault(_field(prefix, item["loc"]), item["type"], item["msg"]) for item in found]
    if [item["type"] for item in found] == ["json_invalid"]:
        return Problem(HTTPStatus.BAD_REQUEST, "The body is not JSON.", kind="not-json", faults=faults)
    return unusable(faults, more)


def from_bad_input(error: BadInput, prefix: str = "", code: str = INVALID) -> Problem:
    """Every fault that the domain found."""
    return unusable(domain_faults(error, prefix, code))


def domain_faults(error: BadInput, prefix: str = "", code: str = INVALID) -> list[FaultItem]:
    """The domain's faults as the wire has them."""
    return [fault(_field(prefix, (each.where,)), code, each.message) for each in error.faults]


def _field(prefix: str, parts: tuple[int | str, ...]) -> str:
    words = [prefix, *(str(part) for part in parts)]
    return ".".join(word for word in words if word) or "body"
