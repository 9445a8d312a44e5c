"""What routes are given."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from api.gate import CALLER
from api.service import Service


def service_of(request: Request) -> Service:
    """The service that the request came to."""
    service: Service = request.app.state.service
    return service


def caller_of(request: Request) -> str:
    """The name of the key that the request shows."""
    name: str = request.scope[CALLER].name
    return name


ServiceDep = Annotated[Service, Depends(service_of)]
CallerDep = Annotated[str, Depends(caller_of)]
