"""What routes are given.

Law: none of these is a plain function, for FastAPI would run it on a thread, and each request would wait for one.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from api.admission import CALLER
from api.problems import fault, unusable
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


ServiceDep = Annotated[Service, Depends(service_of)]
CallerDep = Annotated[str, Depends(caller_of)]
