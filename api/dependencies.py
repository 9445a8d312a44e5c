"""What routes are given.

Law: none of these is a plain function, for FastAPI would run it on a thread, and each request would wait for one.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from api.gate import CALLER
from api.service import Service


async def service_of(request: Request) -> Service:
    """The service that the request came to."""
    service: Service = request.app.state.service
    return service


async def caller_of(request: Request) -> str:
    """The name of the key that the request shows."""
    name: str = request.scope[CALLER].name
    return name


ServiceDep = Annotated[Service, Depends(service_of)]
CallerDep = Annotated[str, Depends(caller_of)]
