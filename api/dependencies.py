"""What routes are given.

Contract: none of these is a plain function, for FastAPI would run it on a thread, and each request would wait for one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from api.http.admission import CALLER, KEYS_FAULT
from api.http.problems import fault, unusable
from api.http.security import Role
from api.service import Service


async def service_of(request: Request) -> Service:
    """The service that the request came to."""
    service: Service = request.app.state.service
    return service


async def caller_of(request: Request) -> str:
    """The name of the key that the request shows."""
    name: str = request.scope[CALLER].name
    return name


async def single_parameters(request: Request) -> None:
    """Raise Problem for parameters that the address gives more than once: which one counts would be a guess."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    repeated = [name for name, count in given.items() if count > 1]
    if repeated:
        raise unusable([fault(name, "repeated", "is given more than once") for name in repeated])


Read = Callable[..., Awaitable[Any]]
"""Takes the work and its arguments."""


@dataclass(frozen=True, slots=True)
class Sees:
    """What a caller may see of the inside of the service."""

    detail: bool
    """Whether messages may name hosts, files and settings."""
    keys_fault: str | None
    """Why the keys file as it stands is not used, if that is so and the caller may know."""


async def sees(request: Request) -> Sees:
    """All of it for operators, and for everyone on loopback without authentication."""
    key = request.scope.get(CALLER)
    if key is None or key.role is not Role.OPERATOR:
        return Sees(detail=False, keys_fault=None)
    return Sees(detail=True, keys_fault=request.scope[KEYS_FAULT])


async def reading_of(request: Request, service: ServiceDep) -> Read:
    """Reads for the request, until its caller disconnects: see `Readers.read`."""
    return partial(service.readers.read, request)


ReadingDep = Annotated[Read, Depends(reading_of)]
ServiceDep = Annotated[Service, Depends(service_of)]
SeesDep = Annotated[Sees, Depends(sees)]
CallerDep = Annotated[str, Depends(caller_of)]
